"""Two tracks at one rate, and what it costs to pair their moments."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from vipe_core.embedding import likelihood_distance, pairwise_excess_distance, self_squared
from vipe_core.errors import VipeError
from vipe_core.track import Track

_NEAR_S = 0.25  # farther than this from any frame a tick saw nothing
_LEAST = 0.1  # of the square of even odds: the unit of very unsure embeddings
_KAPPA_HZ = 30.0  # nats per second at even odds: neighbouring frames say much the same


@dataclass(frozen=True)
class Ticks:
    """A track at even ticks.

    Attributes:
        track: as sampled.
        seen: (T,) bool, whether there was a frame nearby.
    """

    track: Track
    seen: np.ndarray

    @classmethod
    def of(cls, track: Track, rate_hz: float) -> Ticks:
        """Sample a track, linear between its frames."""
        sampled = track.resampled(rate_hz)
        after = np.searchsorted(track.stamp, sampled.stamp).clip(0, len(track) - 1)
        before = np.maximum(after - 1, 0)
        near = [np.abs(track.stamp[side] - sampled.stamp) for side in (before, after)]
        return cls(sampled, np.minimum(*near) <= _NEAR_S)


def check(track: Track, what: str) -> None:
    """Raises VipeError for a track that cannot be compared."""
    if not len(track):
        raise VipeError(f"{what} has no frames")
    values = [track.mean, track.variance, track.mirror_mean, track.mirror_variance]
    for value in values:
        if value is not None and np.shape(value) != (len(track), np.shape(track.mean)[-1]):
            raise VipeError(
                f"{what}: embeddings of shape {np.shape(value)} for {len(track)} stamps"
            )
        if value is not None and not np.isfinite(value).all():
            raise VipeError(f"{what}: an embedding holds a value that is not finite")
    if not (np.diff(track.stamp) > 0).all() or not np.isfinite(track.stamp).all():
        raise VipeError(f"{what}: stamps do not rise")


def unit(variance: np.ndarray, sigmoid_a: float, sigmoid_b: float) -> float:
    """The excess distance at which a match has about even odds, of embeddings (N, D) as sure as
    these: even odds less what they are away from themselves."""
    even = max(sigmoid_b, 1.0) / sigmoid_a
    own = float(np.median(self_squared(variance)))
    return math.sqrt(max(even * even - own, _LEAST * even * even))


def twin(track: Track) -> Track | None:
    """The track of the mirrored person; None where it is not known."""
    if track.mirror_mean is None or track.mirror_variance is None:
        return None
    mirrored = (track.mirror_mean, track.mirror_variance)
    return Track(track.stamp, *mirrored, track.mean, track.variance)


def pair_distance(a: Track, b: Track) -> np.ndarray:
    """(T,) excess distance of two tracks of T frames, frame by frame."""
    squared = likelihood_distance(a.mean, a.variance, b.mean, b.variance).astype(np.float64) ** 2
    squared -= (self_squared(a.variance) + self_squared(b.variance)) / 2
    return np.sqrt(np.maximum(squared, 0))


def all_distances(a: Track, b: Track) -> np.ndarray:
    """(Ta, Tb) excess distance of any two frames."""
    return pairwise_excess_distance(a.mean, a.variance, b.mean, b.variance)


def rows(track: Track, index: np.ndarray) -> Track:
    """Some frames of a track, its mirrored twin left out; an index may come twice."""
    return Track(track.stamp[index], track.mean[index], track.variance[index])


def energies(distance: np.ndarray, rate_hz: float) -> np.ndarray:
    """Minus the log likelihood of a tick, up to a constant, float32; any shape."""
    return (np.square(distance) * (_KAPPA_HZ / rate_hz)).astype(np.float32)
