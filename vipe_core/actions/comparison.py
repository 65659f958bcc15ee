"""Examples of actions side by side, and the cost of a stream's frames against all of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vipe_core.alignment import StreamAligner
from vipe_core.embedding import pairwise_excess_distance, self_squared
from vipe_core.errors import VipeError
from vipe_core.track import Track

_FACTORS = 8  # of variances, multiplied before a logarithm is taken
_CELLS = 1 << 20  # of the costs of several tracks that are compared at once: 8 MB


class Comparison:
    """Examples at one rate, one after the other, and the cost of a frame against all of them.

    The cost is the excess distance (:func:`vipe_core.embedding.pairwise_excess_distance`).
    E examples give 2 E rows: the stream's person as it is, then mirrored.

    Args:
        tracks: of the examples, E of them.
        rate_hz: steps per second.
    """

    def __init__(self, tracks: Sequence[Track], rate_hz: float) -> None:
        self.tracks = [track.resampled(rate_hz) for track in tracks]
        self._mean = np.concatenate([track.mean for track in self.tracks])
        self._variance = np.concatenate([track.variance for track in self.tracks])
        self._own = self_squared(self._variance)
        # Dimensions first, and half the width: a frame of the stream is compared with all rows.
        self._columns = (
            np.ascontiguousarray(self._mean.T[:, None], np.float32),  # (D, 1, N)
            np.ascontiguousarray(1 + self._variance.T[:, None], np.float32),
            np.asarray(self._own / 2, np.float32),
        )
        self.lengths = [len(track) for track in self.tracks]
        # Row e, column j -> frame in the concatenation; padding points at an extra last one.
        self._index = np.full((len(self.tracks), max(self.lengths)), len(self._mean))
        first = np.cumsum([0, *self.lengths])
        for row, length in enumerate(self.lengths):
            self._index[row, :length] = np.arange(first[row], first[row] + length)

    def aligner(self, people: int = 1) -> StreamAligner:
        return StreamAligner(self.lengths * 2 * people)

    def checked(self, *pairs: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        """(2, 2, D) float64 of mean and variance (D,), itself and mirrored.

        Raises:
            VipeError: another size than that of the examples.
        """
        size = self._mean.shape[1]
        for values in (value for pair in pairs for value in pair):
            if np.shape(values) != (size,):
                raise VipeError(
                    f"embedding has shape {np.shape(values)}, the examples have ({size},): "
                    "another model made them"
                )
        return np.array(pairs, np.float64)

    def cost(self, embedding: np.ndarray) -> np.ndarray:
        """(2 E, L) float32 cost of one frame (2, 2, D); infinite beyond an example's end."""
        mean, variance, own = self._columns
        seen = embedding.astype(np.float32).transpose(1, 2, 0)[..., None]  # (2, D, 2, 1)
        gap, both = mean - seen[0], variance + seen[1]
        np.multiply(gap, gap, out=gap)
        np.divide(gap, both, out=gap)
        total = gap.sum(axis=0)
        for start in range(0, len(both), _FACTORS):
            total += np.log(both[start : start + _FACTORS].prod(axis=0))
        total -= own
        total -= (self_squared(embedding[:, 1]) / 2).astype(np.float32)[:, None]
        return self._padded(np.sqrt(np.maximum(total, 0, out=total), out=total))

    def lowest(self, tracks: Sequence[Track]) -> np.ndarray:
        """(Q, 2, E) lowest mean cost of any match inside each of Q tracks: as it is, mirrored."""
        longest = max(len(track) for track in tracks)
        block = max(1, _CELLS // (2 * self._index.size))
        found = []
        for start in range(0, len(tracks), block):
            found.append(self._lowest(tracks[start : start + block], longest))
        return np.concatenate(found)

    def _lowest(self, tracks: Sequence[Track], frames: int) -> np.ndarray:
        costs = [self._costs(track) for track in tracks]
        aligner = self.aligner(len(tracks))
        lowest = np.full(2 * len(self.tracks) * len(tracks), np.inf)
        ended = np.full((2, len(self._mean)), np.inf)
        for frame in range(frames):
            rows = [cost[frame] if frame < len(cost) else ended for cost in costs]
            cost = np.concatenate([self._padded(row) for row in rows])
            np.minimum(lowest, aligner.update(cost, float(frame))[0], out=lowest)
        return lowest.reshape(len(tracks), 2, -1)

    def _costs(self, track: Track) -> np.ndarray:
        """(T, 2, N) cost of every frame of a track, itself and mirrored."""
        own = self._distance(track.mean, track.variance)
        mirrored = np.full_like(own, np.inf)
        if track.mirror_mean is not None and track.mirror_variance is not None:
            mirrored = self._distance(track.mirror_mean, track.mirror_variance)
        return np.stack([own, mirrored], axis=1)

    def _distance(self, mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
        return pairwise_excess_distance(mean, variance, self._mean, self._variance)

    def still(self) -> np.ndarray:
        """(E,) mean cost of a person who stands still in the best pose of each example."""
        pairs = ((track.mean, track.variance) for track in self.tracks)
        own = [pairwise_excess_distance(*pair, *pair) for pair in pairs]
        return np.array([distance.mean(axis=1).min() for distance in own])

    def typical_own(self) -> float:
        """Median squared distance of a frame to itself: how unsure the examples are."""
        return float(np.median(self._own))

    def _padded(self, flat: np.ndarray) -> np.ndarray:
        """(2, N) to (2 E, L), infinite beyond an example's end."""
        ended = np.concatenate([flat, np.full((2, 1), np.inf, flat.dtype)], axis=1)
        return ended[:, self._index].reshape(-1, self._index.shape[1])

    def best(self, found: np.ndarray, start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Per example the better of itself and mirrored: costs (E,) and starts (E,)."""
        found, start = found.reshape(2, -1), start.reshape(2, -1)
        row, column = found.argmin(axis=0), np.arange(found.shape[1])
        return found[row, column], start[row, column]

    def gain(self, totals: np.ndarray, most: np.ndarray) -> np.ndarray:
        """(2 E, L) how much a match that has come to each frame stays below the limit.

        Summed over its frames, as a share of what a whole match without any cost gains.

        Args:
            totals: (2 E, L) costs so far. most: (E,) highest mean cost of a match.
        """
        frames = np.arange(1, totals.shape[1] + 1)
        limit, length = np.tile(most, 2)[:, None], np.tile(self.lengths, 2)[:, None]
        return (frames - totals / limit) / length
