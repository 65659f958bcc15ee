"""One person's embeddings over time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Track:
    """A person's embeddings over time.

    Attributes:
        stamp: (T,) seconds, strictly rising.
        mean, variance: (T, D) Gaussian embeddings, diagonal covariance.
        mirror_mean, mirror_variance: (T, D) those of the mirrored person, or None.
    """

    stamp: np.ndarray
    mean: np.ndarray
    variance: np.ndarray
    mirror_mean: np.ndarray | None = None
    mirror_variance: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.stamp)

    @property
    def duration(self) -> float:
        """Seconds from the first frame to the last; 0 with fewer than two."""
        return float(self.stamp[-1] - self.stamp[0]) if len(self) > 1 else 0.0

    def resampled(self, rate_hz: float) -> Track:
        """The same at even steps of 1 / rate_hz seconds, linear in between, both ends kept."""
        count = max(round(self.duration * rate_hz) + 1, 1)
        stamp = np.linspace(self.stamp[0], self.stamp[-1], count)

        def at(values: np.ndarray) -> np.ndarray:
            return interpolate(self.stamp, values, stamp)

        mirror = (self.mirror_mean, self.mirror_variance)
        twin = (None if values is None else at(values) for values in mirror)
        return Track(stamp, at(self.mean), at(self.variance), *twin)


def interpolate(stamp: np.ndarray, values: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Values (T, D) at stamps (T,), linear, read at other stamps (K,): (K, D) float64."""
    right = np.clip(np.searchsorted(stamp, at), 1, max(len(stamp) - 1, 1))
    if len(stamp) < 2:
        return np.repeat(np.asarray(values, np.float64), len(at), axis=0)
    left = right - 1
    share = np.clip((at - stamp[left]) / (stamp[right] - stamp[left]), 0, 1)[:, None]
    return values[left] * (1 - share) + values[right] * share
