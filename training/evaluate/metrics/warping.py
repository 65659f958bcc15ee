"""Dynamic time warping of many pairs at once, and how far a path is from the true warp."""

from __future__ import annotations

import numpy as np

from vipe_core.errors import VipeError

_CELLS = 2**20  # of a batch of cost matrices: 8 MB in float64


def dtw_many(
    cost: np.ndarray, heights: np.ndarray, widths: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """What :func:`vipe_core.alignment.dtw` finds for each of B pairs, without the paths.

    Args:
        cost: (B, N, M) finite; pair b uses its upper left heights[b] x widths[b] corner, the
            rest may hold anything.
        heights, widths: (B,) frames of either sequence, from 1.

    Returns:
        total: (B,) sum of the cost along the cheapest path.
        steps: (B,) pairs of frames on that path, the same one where several are cheapest.
    """
    pairs, height, width = cost.shape
    count = height + width - 1
    # Rows padded to N + M and re-read as rows of N + M - 1 are each shifted by one more, so
    # that every anti-diagonal becomes contiguous.
    padded = np.full((pairs, height, height + width), np.inf)
    padded[:, :, :width] = cost
    skewed = padded.reshape(pairs, -1)[:, : height * count].reshape(pairs, height, count)
    skewed = np.ascontiguousarray(skewed.transpose(2, 0, 1))
    older, before = _Front(pairs, height), _Front(pairs, height)
    total, steps = np.empty(pairs), np.empty(pairs, int)
    last = np.asarray(heights) + np.asarray(widths) - 2
    for k in range(count):
        front = _Front(pairs, height)
        if k:
            front.advance(older, before)
        else:
            front.total[:, 1] = 0
        front.total[:, 1:] += skewed[k]
        front.steps[:, 1:] += 1
        ended = np.flatnonzero(last == k)
        total[ended] = front.total[ended, heights[ended]]
        steps[ended] = front.steps[ended, heights[ended]]
        older, before = before, front
    return total, steps


class _Front:
    """Least cost, and steps, to reach the cells of one anti-diagonal: column i + 1 is row i."""

    def __init__(self, pairs: int, height: int) -> None:
        self.total = np.full((pairs, height + 1), np.inf)
        self.steps = np.zeros((pairs, height + 1), int)

    def advance(self, older: _Front, before: _Front) -> None:
        """Best predecessors; the diagonal first among equally good ones, then the row above."""
        diagonal, up, left = older.total[:, :-1], before.total[:, :-1], before.total[:, 1:]
        straight = np.minimum(up, left)
        steps = np.where(up <= left, before.steps[:, :-1], before.steps[:, 1:])
        self.total[:, 1:] = np.minimum(diagonal, straight)
        self.steps[:, 1:] = np.where(diagonal <= straight, older.steps[:, :-1], steps)


def clip_distances(cost: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """(C,) mean cost along the cheapest path between one clip and each of C others.

    Args:
        cost: (N, M) cost of the clip's frames against those of all others, one after the other.
        starts: (C + 1,) first column of each of the others, and M.

    Raises:
        VipeError: a cost that is not finite.

    Source: Pr-VIPE, action recognition: the sum divided by the length of the path.
    """
    if not np.isfinite(cost).all():
        raise VipeError("a frame distance is not finite: no path can be found through it")
    widths = np.diff(starts)
    out = np.empty(len(widths))
    height = len(cost)
    order = np.argsort(widths, kind="stable")  # alike lengths together: little padding
    size = max(1, _CELLS // (height * int(widths.max())))
    for rows in (order[i : i + size] for i in range(0, len(order), size)):
        columns = starts[rows][:, None] + np.arange(widths[rows].max())
        block = cost[:, np.minimum(columns, cost.shape[1] - 1)].swapaxes(0, 1)
        total, steps = dtw_many(block, np.full(len(rows), height), widths[rows])
        out[rows] = total / steps
    return out


def random_warp(
    frames: int, rng: np.random.Generator, fastest: float = 2.0, knots: int = 5
) -> np.ndarray:
    """A smooth rising warp (F,): frame j of the warped clip shows frame warp[j], a real number.

    From 0 to F - 1. The logarithm of the speed is uniform at ``knots`` moments, within plus or
    minus log ``fastest``, linear between them, and the whole is scaled to end at the end.
    """
    limit = np.log(fastest)
    at = np.linspace(0, frames - 1, knots)
    speed = np.exp(np.interp(np.arange(frames), at, rng.uniform(-limit, limit, knots)))
    warp = np.concatenate([[0], np.cumsum((speed[1:] + speed[:-1]) / 2)])
    return warp * (frames - 1) / warp[-1]


def warped(values: np.ndarray, warp: np.ndarray) -> np.ndarray:
    """Values (F, ...) at the real frame numbers ``warp`` (M,), linear between frames."""
    first = np.floor(warp).astype(int).clip(0, max(len(values) - 2, 0))
    share = (warp - first).reshape(-1, *[1] * (values.ndim - 1))
    second = np.minimum(first + 1, len(values) - 1)
    return (1 - share) * values[first] + share * values[second]


def found_warp(path: np.ndarray, frames: int) -> np.ndarray:
    """(M,) mean frame of the first clip on the path (L, 2) for each frame of the second."""
    count = np.bincount(path[:, 1], minlength=frames)
    return np.bincount(path[:, 1], weights=path[:, 0], minlength=frames) / count
