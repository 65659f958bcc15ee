"""Dynamic time warping of examples inside an endless stream."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vipe_core.errors import VipeError


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

    @property
    def totals(self) -> np.ndarray:
        """(E, L) sum of cost of the best match that has now come to each frame of each example;
        infinity where none has, and beyond an example's own length. Not to be written to."""
        return self._total[1][:, 2:]

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
