"""How one performance moves along another: a Markov chain over place and speed."""

from __future__ import annotations

import math

import numpy as np

FINE = 2  # places per tick of the reference
# Seconds of the reference per second: standing still, then from a third to three times.
SPEEDS = np.array([0.0, *np.exp(np.linspace(-math.log(3), math.log(3), 9))])
_CHANGE_HZ = 3.0  # of speed, to the next slower or faster one


class Pace:
    """The chain, for one reference at even ticks.

    A state is a place on the reference, :data:`FINE` per tick, and one of :data:`SPEEDS`. Each
    tick the place moves on by the speed, and the speed seldom changes: to a neighbour or, more
    seldom, to standing still and from there to any. So a performance is never played
    backwards, does not jump, may wait, and one alike pose elsewhere says little against where
    it came from. What would move past the end is dropped.

    Args:
        ticks: N of the reference, 1 or more.
        rate_hz: of the ticks.
        typical: speed that most of it has; all speeds are multiples of it.
        stop_hz: how often a performance stops, and goes on.
        lost: chance per tick to go on from anywhere; it keeps an impossible course finite.
    """

    def __init__(
        self,
        ticks: int,
        rate_hz: float,
        typical: float = 1.0,
        stop_hz: float = 0.01,
        lost: float = 1e-24,
    ) -> None:
        self.places = (ticks - 1) * FINE + 1
        self.speeds = SPEEDS * typical
        self.shape = (len(SPEEDS), self.places)
        self._lost = np.float32(lost)
        self._speed = _speed_changes(rate_hz, stop_hz).astype(np.float32)
        # A move between two places reaches both, the nearer one more often.
        self._moves = [
            (number, int(move) + more, np.float32(share))
            for number, move in enumerate(self.speeds * FINE)
            for more, share in ((0, 1 - move % 1), (1, move % 1))
            if share > 0 and int(move) + more < self.places
        ]

    def advance(self, belief: np.ndarray) -> np.ndarray:
        """One tick on.

        Args:
            belief: (..., S, P) float32 over speeds and places.

        Returns:
            (..., S, P); the sum is less by what moved past the end.
        """
        changed = np.matmul(self._speed.T, belief)
        out = np.zeros_like(changed)
        for number, step, share in self._moves:
            out[..., number, step:] += share * changed[..., number, : self.places - step]
        out += self._lost * belief.mean(axis=(-2, -1), keepdims=True)
        return out

    def retreat(self, message: np.ndarray) -> np.ndarray:
        """The same backwards, for what the future says: the transpose of :meth:`advance`."""
        moved = np.zeros_like(message)
        for number, step, share in self._moves:
            moved[..., number, : self.places - step] += share * message[..., number, step:]
        out = np.matmul(self._speed, moved)
        out += self._lost * message.mean(axis=(-2, -1), keepdims=True)
        return out


def _speed_changes(rate_hz: float, stop_hz: float) -> np.ndarray:
    """(S, S) chance of the speed of the next tick, given that of this one."""
    count = len(SPEEDS)
    change, stop = (1 - math.exp(-often / rate_hz) for often in (_CHANGE_HZ, stop_hz))
    near = np.zeros((count, count))
    for number in range(count):
        for other in (number - 1, number + 1):
            near[number, min(max(other, 0), count - 1)] += 0.5
    walk = (1 - change) * np.eye(count) + change * near
    halt = np.zeros((count, count))
    halt[:, 0], halt[0] = 1, 1 / count
    return (1 - stop) * walk + stop * halt


def fine(values: np.ndarray) -> np.ndarray:
    """Values (..., N) at the ticks, linear in between, at the places (..., P) of a reference."""
    ticks = values.shape[-1]
    at = np.arange((ticks - 1) * FINE + 1)
    left = np.minimum(at // FINE, max(ticks - 2, 0))
    share = ((at - left * FINE) / FINE).astype(values.dtype)
    right = np.minimum(left + 1, ticks - 1)
    return values[..., left] * (1 - share) + values[..., right] * share
