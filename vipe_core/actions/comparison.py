"""Examples of actions side by side: costs between them and a stream, and what is a match."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from vipe_core.actions.examples import Examples
from vipe_core.alignment import StreamAligner
from vipe_core.embedding import pairwise_excess_distance, self_squared
from vipe_core.errors import VipeError
from vipe_core.track import Track

_LEAST = 0.1  # of the square of even odds: the unit of very unsure examples
_STRICTNESS = 0.95  # the limit lies this far from a good match towards what must not match
_SLACK = 0.6  # ... but never farther than this, in units of the cost
_STILL = 0.1  # an example is a held pose when standing still costs no more than this extra


@dataclass(frozen=True)
class Limits:
    """Per example (E,): mean cost of a good match, the most a match may cost, whether its
    mirror image may match, and whether it is a held pose."""

    good: np.ndarray
    most: np.ndarray
    mirror: np.ndarray
    still: np.ndarray


class Comparison:
    """Examples at one rate, padded together, and the cost of a frame against all of them.

    E examples give 2 E rows: the stream's person as it is, then mirrored.
    """

    def __init__(self, examples: Examples, rate_hz: float) -> None:
        self.examples = examples.examples
        self.tracks = [example.track.resampled(rate_hz) for example in examples.examples]
        self._mean = np.concatenate([track.mean for track in self.tracks])
        self._variance = np.concatenate([track.variance for track in self.tracks])
        # The unit of cost is the distance at which a match has even odds, less what the
        # examples are away from themselves.
        even = max(examples.sigmoid_b, 1.0) / examples.sigmoid_a
        own = float(np.median(self_squared(self._variance)))
        self._unit = math.sqrt(max(even * even - own, _LEAST * even * even))
        self.lengths = [len(track) for track in self.tracks]
        # Row e, column j -> frame in the concatenation; padding points at an extra last one.
        self._index = np.full((len(self.tracks), max(self.lengths)), len(self._mean))
        first = np.cumsum([0, *self.lengths])
        for row, length in enumerate(self.lengths):
            self._index[row, :length] = np.arange(first[row], first[row] + length)

    def aligner(self) -> StreamAligner:
        return StreamAligner(self.lengths * 2)

    def checked(self, *pairs: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        """(2, 2, D) float64 of mean and variance (D,), itself and mirrored."""
        size = self._mean.shape[1]
        for values in (value for pair in pairs for value in pair):
            if np.shape(values) != (size,):
                raise VipeError(
                    f"embedding has shape {np.shape(values)}, the examples have ({size},): "
                    "another model made them"
                )
        return np.array(pairs, np.float64)

    def cost(self, embedding: np.ndarray, mirror: np.ndarray) -> np.ndarray:
        """(2 E, L) cost of one frame (2, 2, D); infinite where a mirror image may not match."""
        cost = self._padded(self.frame_cost(embedding[:, 0], embedding[:, 1]))
        cost[len(mirror) :][~mirror] = np.inf
        return cost

    def _padded(self, flat: np.ndarray) -> np.ndarray:
        """(2, all frames of all examples) to (2 E, L), infinite beyond an example's end."""
        ended = np.concatenate([flat, np.full((2, 1), np.inf)], axis=1)
        return ended[:, self._index].reshape(-1, self._index.shape[1])

    def frame_cost(self, mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
        """(N, all frames of all examples) excess distance of N frames; at 1 a match has about
        even odds."""
        return pairwise_excess_distance(mean, variance, self._mean, self._variance) / self._unit

    def best(self, found: np.ndarray, start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Per example the better of itself and mirrored: costs (E,) and starts (E,)."""
        found, start = found.reshape(2, -1), start.reshape(2, -1)
        row, column = found.argmin(axis=0), np.arange(found.shape[1])
        return found[row, column], start[row, column]

    def lowest(self, track: Track) -> np.ndarray:
        """(2, E) lowest mean cost of any match inside a track: as it is, mirrored."""
        own = self.frame_cost(track.mean, track.variance)
        mirrored = np.full_like(own, np.inf)
        if track.mirror_mean is not None and track.mirror_variance is not None:
            mirrored = self.frame_cost(track.mirror_mean, track.mirror_variance)
        aligner, lowest = self.aligner(), np.full(2 * len(self.tracks), np.inf)
        for frame, flat in enumerate(np.stack([own, mirrored], axis=1)):
            found, _ = aligner.update(self._padded(flat), float(frame))
            np.minimum(lowest, found, out=lowest)
        return lowest.reshape(2, -1)


def learn_limits(comparison: Comparison, threshold: float | None, mirror: bool) -> Limits:
    """What must match and what must not, as far as the examples tell.

    A good match costs what the example costs against itself or, where there are several
    of a label, against the others. What must not match are the examples of other labels,
    and a person who stands still in one of the example's poses, unless the example itself
    hardly moves. The limit lies just short of that, and never far above a good match.
    """
    labels = np.array([example.label for example in comparison.examples])
    lowest = np.stack([comparison.lowest(track) for track in comparison.tracks])  # (query, 2, E)
    alone = np.array([_self_costs(comparison, row) for row in range(len(labels))])
    same = (labels[:, None] == labels[None]) & ~np.eye(len(labels), dtype=bool)
    other = labels[:, None] != labels[None]

    ceiling = alone[:, 0] + _SLACK
    confused = other & (lowest[:, 1] < ceiling) & (lowest[:, 0] >= ceiling)
    allowed = np.full(len(labels), mirror) & ~confused.any(axis=0)
    either = np.minimum(lowest[:, 0], np.where(allowed, lowest[:, 1], np.inf))

    good = np.where(same, either, np.inf).min(axis=0)
    good = np.where(np.isfinite(good), good, alone[:, 0])
    wrong = np.where(other, either, np.inf).min(axis=0)
    moves = alone[:, 1] - alone[:, 0] > _STILL
    wrong = np.minimum(wrong, np.where(moves, alone[:, 1], np.inf))
    good = np.minimum(good, wrong)
    most = np.minimum(good + _STRICTNESS * (wrong - good), good + _SLACK)
    if threshold is not None:
        most = np.full(len(labels), float(threshold))
    return Limits(good, most, allowed, ~moves)


def _self_costs(comparison: Comparison, row: int) -> tuple[float, float]:
    """Mean cost of an example against itself, and of standing still in its best pose."""
    track, first = comparison.tracks[row], sum(comparison.lengths[:row])
    cost = comparison.frame_cost(track.mean, track.variance)[:, first : first + len(track)]
    return float(cost.diagonal().mean()), float(cost.mean(axis=1).min())
