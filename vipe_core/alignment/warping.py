"""Dynamic time warping of two whole sequences."""

from __future__ import annotations

import numpy as np

from vipe_core.errors import VipeError


def dtw(cost: np.ndarray) -> tuple[np.ndarray, float]:
    """The cheapest way to walk through two sequences together.

    Steps are (1, 1), (1, 0) and (0, 1), each with weight 1 (Sakoe and Chiba 1978); both
    ends are fixed. Anti-diagonals are swept one at a time, each as one array operation.

    Args:
        cost: (N, M) finite cost of pairing frame i of one with frame j of the other.

    Returns:
        path: (L, 2) int, pairs (i, j) from (0, 0) to (N - 1, M - 1); diagonal steps first
            among equally good ones.
        total: sum of the cost along the path.

    Raises:
        VipeError: empty, not two-dimensional, or not finite.
    """
    cost = np.asarray(cost, np.float64)
    if cost.ndim != 2 or not cost.size:
        raise VipeError(f"cost has shape {cost.shape}, (N, M) with N, M > 0 needed")
    if not np.isfinite(cost).all():
        raise VipeError("cost holds a value that is not finite")
    diagonals = _accumulate(cost)
    return _backtrack(diagonals, *cost.shape), float(diagonals[-1, -1])


def _accumulate(cost: np.ndarray) -> np.ndarray:
    """(N + M, N + 1): least cost to reach (i, j), at row i + j + 1 and column i + 1.

    Cells that do not exist hold infinity, so the sweep needs no special case at borders.
    """
    height, width = cost.shape
    count = height + width - 1
    # Rows padded to N + M and re-read as rows of N + M - 1 are each shifted by one more.
    padded = np.full((height, height + width), np.inf)
    padded[:, :width] = cost
    skewed = padded.ravel()[: height * count].reshape(height, count).T.copy()
    total = np.full((count + 1, height + 1), np.inf)
    total[1, 1] = cost[0, 0]
    # Rows of an array come as views; cutting each out by hand would cost as much as the sums.
    steps = zip(
        total[2:, 1:], total[1:, 1:], total[1:, :-1], total[:, :-1], skewed[1:], strict=False
    )
    for row, left, up, diagonal, cells in steps:
        np.minimum(left, up, out=row)  # steps (0, 1) and (1, 0)
        np.minimum(row, diagonal, out=row)  # step (1, 1)
        np.add(row, cells, out=row)
    return total


def _backtrack(total: np.ndarray, height: int, width: int) -> np.ndarray:
    i, j = height - 1, width - 1
    path = [(i, j)]
    while i or j:
        k = i + j + 1
        diagonal, up, left = total[k - 2, i] if i and j else np.inf, total[k - 1, i], np.inf
        if j:
            left = total[k - 1, i + 1]
        if diagonal <= up and diagonal <= left:
            i, j = i - 1, j - 1
        elif up <= left:
            i -= 1
        else:
            j -= 1
        path.append((i, j))
    return np.array(path[::-1])
