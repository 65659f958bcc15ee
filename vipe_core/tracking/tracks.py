"""The people that a tracker remembers, and where they should be by now."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import numpy as np

_SETTLE_S = 0.25  # seconds over which a velocity is averaged
_STEADY_S = 1.0  # for how long somebody out of sight is expected to go on
_TOP_SPEED = 2.5  # body sizes per second; whatever is faster is a mistake
_HIDDEN_S = 1.0  # seconds in which half of the trust in a hidden joint is lost, and more
_SHRINK_S = 2.0  # a person is as large as its largest view of about the last two seconds
_SEEN = 0.1  # trust from which a joint says how large a body is
GROWTH = 3.0  # of a body that was seen in part only: a wild detection must not fit everybody
_LONGEST_STEP_S = 0.1  # of experience in one image


@dataclass
class Tracks:
    """T people, an entry or a row of each array per person.

    Attributes:
        ids: their names.
        points: (T, J, 2) pixels where last seen; a hidden joint has gone with the body.
        trust: (T, J) visibility of those; it fades while a joint is hidden.
        velocity: (T, 2) pixels per second of the body.
        size: (T,) pixels, diagonal of the box around the body.
        seen_s: (T,) stamp of the last sighting.
        followed_s: (T,) for how long it was followed, in sight.
        sightings: (T,) how often it was seen.
        missed: (T,) images since.
        mean, variance: (T, D) of the embedding when last seen, NaN where there was none.
    """

    ids: list[str] = field(default_factory=list)
    points: np.ndarray = field(default_factory=lambda: np.empty((0, 0, 2)))
    trust: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))
    velocity: np.ndarray = field(default_factory=lambda: np.empty((0, 2)))
    size: np.ndarray = field(default_factory=lambda: np.empty(0))
    seen_s: np.ndarray = field(default_factory=lambda: np.empty(0))
    followed_s: np.ndarray = field(default_factory=lambda: np.empty(0))
    sightings: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    missed: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    mean: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))
    variance: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))

    def __len__(self) -> int:
        return len(self.ids)

    def expected(self, stamp_s: float) -> np.ndarray:
        """(T, J, 2) pixels at constant velocity, which ends softly out of sight."""
        run = -_STEADY_S * np.expm1((self.seen_s - stamp_s) / _STEADY_S)
        return self.points + (self.velocity * run[:, None])[:, None]

    def kept(self, keep: np.ndarray) -> Tracks:
        """Those where ``keep`` (T,) is true."""
        if keep.all():
            return self
        rows = {f.name: getattr(self, f.name)[keep] for f in fields(self) if f.name != "ids"}
        return Tracks([name for name, kept in zip(self.ids, keep, strict=True) if kept], **rows)

    def expect_embeddings(self, size: int) -> None:
        """Forget embeddings of another size: they are of another model."""
        if self.mean.shape[1] != size:
            self.mean = np.full((len(self), size), np.nan)
            self.variance = self.mean.copy()

    def see(
        self,
        rows: np.ndarray | slice,
        sighting: Sighting,
        expected: np.ndarray,
        shift: np.ndarray,
        predict: bool,
    ) -> None:
        """Remember M people seen again.

        Args:
            rows: (M,) of these tracks, or a slice of so many.
            sighting: of the M people.
            expected: (M, J, 2) where they should have been.
            shift: (M, 2) pixels by which the bodies were off.
            predict: whether their velocities are followed.
        """
        elapsed = sighting.stamp_s - self.seen_s[rows]
        if predict:
            self._steer(rows, shift, elapsed)
        there = np.isfinite(sighting.points[..., 0])
        self.points[rows] = np.where(there[..., None], sighting.points, expected + shift[:, None])
        faded = self.trust[rows] * np.exp(-elapsed / _HIDDEN_S)[:, None]
        self.trust[rows] = np.where(there, sighting.trust, faded)
        known = self.size[rows]
        now = np.minimum(sighting.size, GROWTH * known)
        self.size[rows] = np.maximum(now, known * np.exp(-elapsed / _SHRINK_S))
        self.seen_s[rows] = sighting.stamp_s
        self.followed_s[rows] += np.minimum(elapsed, _LONGEST_STEP_S)
        self.sightings[rows] += 1
        self.missed[rows] = 0
        self.mean[rows], self.variance[rows] = sighting.mean, sighting.variance

    def _steer(self, rows: np.ndarray | slice, shift: np.ndarray, elapsed: np.ndarray) -> None:
        """Correct velocities by what the bodies were off after ``elapsed`` (M,) seconds."""
        # The first sightings count for more than the average's length would have it.
        share = np.maximum(-np.expm1(-elapsed / _SETTLE_S), 1 / (self.sightings[rows] + 2))
        per_s = np.where(elapsed > 0, share / np.maximum(elapsed, 1e-9), 0)
        velocity = self.velocity[rows] + per_s[:, None] * shift
        speed = np.hypot(velocity[:, 0], velocity[:, 1])
        top = _TOP_SPEED * self.size[rows]
        self.velocity[rows] = velocity * (top / np.maximum(speed, top))[:, None]

    def with_new(self, ids: list[str], sighting: Sighting) -> Tracks:
        """These and the people of a sighting, under the names ``ids``."""
        count = len(ids)
        fresh = Tracks(
            ids=ids,
            points=sighting.points.copy(),
            trust=sighting.trust.copy(),
            velocity=np.zeros((count, 2)),
            size=sighting.size.copy(),
            seen_s=np.full(count, sighting.stamp_s),
            followed_s=np.zeros(count),
            sightings=np.ones(count, np.int64),
            missed=np.zeros(count, np.int64),
            mean=sighting.mean.copy(),
            variance=sighting.variance.copy(),
        )
        if not len(self):
            return fresh
        both = {
            f.name: np.concatenate([getattr(self, f.name), getattr(fresh, f.name)])
            for f in fields(self)
            if f.name != "ids"
        }
        return Tracks(self.ids + ids, **both)


@dataclass(frozen=True)
class Sighting:
    """M people of one image, as tracks remember them.

    Attributes:
        points: (M, J, 2) float64 pixels; NaN where missing.
        trust: (M, J) visibility, 0 where missing.
        size: (M,) pixels, diagonal of the box around the joints.
        mean, variance: (M, D) of the embedding, NaN or D = 0 without one.
        stamp_s: seconds.
    """

    points: np.ndarray
    trust: np.ndarray
    size: np.ndarray
    mean: np.ndarray
    variance: np.ndarray
    stamp_s: float

    def __len__(self) -> int:
        return len(self.points)

    def take(self, rows: np.ndarray) -> Sighting:
        """Some of the people: row numbers (K,)."""
        return Sighting(
            self.points[rows],
            self.trust[rows],
            self.size[rows],
            self.mean[rows],
            self.variance[rows],
            self.stamp_s,
        )


def body_size(points: np.ndarray, trust: np.ndarray) -> np.ndarray:
    """(M,) diagonal in pixels, at least 1, of the box around joints (M, J, 2): those that are
    seen, or all that are there where fewer than two are."""
    seen = trust >= _SEEN
    seen |= seen.sum(axis=1, keepdims=True) < 2
    points = np.where(seen[..., None], points, np.nan)
    box = np.fmax.reduce(points, axis=1) - np.fmin.reduce(points, axis=1)
    return np.fmax(np.hypot(box[:, 0], box[:, 1]), 1)
