"""Dynamic time warping: two whole sequences, or examples inside a stream."""

from __future__ import annotations

from collections.abc import Sequence

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
    for k in range(2, count + 1):
        row, before = total[k, 1:], total[k - 1]
        np.minimum(before[1:], before[:-1], out=row)  # steps (0, 1) and (1, 0)
        np.minimum(row, total[k - 2, :-1], out=row)  # step (1, 1)
        row += skewed[k - 1]
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


class StreamAligner:
    """Finds where in an endless stream each of several examples ends, frame by frame.

    Subsequence dynamic time warping with start pointers (Sakurai, Faloutsos and Yamamuro
    2007, "SPRING"), with the slope limits of Sakoe and Chiba: one step moves on by
    (stream, example) = (1, 1), (1, 2) or (2, 1) frames. So a match runs at half to twice
    the example's speed at every moment, and a standstill can not match a movement. Every
    frame of the example has weight 1 whatever the speed, so the cost divided by the
    example's length is a mean cost per frame.

    All examples, padded to one length, are updated by a few array operations; time and
    memory do not depend on how long the stream has been.

    Args:
        lengths: frames of each of the E examples, 1 or more.
    """

    def __init__(self, lengths: Sequence[int]) -> None:
        self._last = np.asarray(lengths, int) - 1
        if self._last.ndim != 1 or not len(self._last) or self._last.min() < 0:
            raise VipeError(f"lengths of examples are {lengths!r}, one or more positive needed")
        self.shape = (len(self._last), int(self._last.max()) + 1)
        self.reset()

    def reset(self) -> None:
        """Forget the stream so far."""
        rows, columns = self.shape
        # Two columns to the left stand for "not begun": cost 0 just before the first frame.
        self._total = [np.full((rows, columns + 2), np.inf) for _ in range(3)]
        self._start = [np.full((rows, columns + 2), np.nan) for _ in range(3)]
        self._cost = np.full(self.shape, np.inf)
        self._total[1][:, 1] = 0
        self._stamp = np.nan

    def update(self, cost: np.ndarray, stamp: float) -> tuple[np.ndarray, np.ndarray]:
        """Take the next frame of the stream.

        Args:
            cost: (E, L) of this frame against each frame of each example; whatever lies
                beyond an example's own length is ignored.
            stamp: time of this frame, any unit.

        Returns:
            mean: (E,) mean cost per example frame of the best match that ends here;
                infinity where none can end yet.
            start: (E,) stamp of the first frame of that match, NaN where there is none.
        """
        total, start = self._step(cost, stamp)
        self._total = [self._total[1], total, self._total[0]]
        self._start = [self._start[1], start, self._start[0]]
        self._cost, self._stamp = np.array(cost), stamp
        rows = np.arange(len(self._last))
        mean = total[rows, self._last + 2] / (self._last + 1)
        return mean, np.where(np.isfinite(mean), start[rows, self._last + 2], np.nan)

    def _step(self, cost: np.ndarray, stamp: float) -> tuple[np.ndarray, np.ndarray]:
        """Totals and starts (E, L + 2) of the new frame, in the oldest buffers."""
        (older, before, total), (older_start, before_start, start) = self._total, self._start
        before_start[:, 1], older_start[:, 1] = stamp, self._stamp
        # The order of candidates settles ties: the plain step first.
        candidates = (
            (before[:, 1:-1] + cost, before_start[:, 1:-1]),
            (before[:, :-2] + cost + _shifted(cost), before_start[:, :-2]),
            (older[:, 1:-1] + (self._cost + cost) / 2, older_start[:, 1:-1]),
        )
        best, best_start = candidates[0]
        for value, from_start in candidates[1:]:
            better = value < best
            best = np.where(better, value, best)
            best_start = np.where(better, from_start, best_start)
        total[:, 0], total[:, 1], total[:, 2:] = np.inf, 0, best
        start[:, :2], start[:, 2:] = np.nan, best_start
        return total, start


def _shifted(cost: np.ndarray) -> np.ndarray:
    """The cost of the example's frame before; none before the first."""
    out = np.full_like(cost, np.inf)
    out[:, 1:] = cost[:, :-1]
    return out
