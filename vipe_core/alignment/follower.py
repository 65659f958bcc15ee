"""How far a person has come along a reference, while they perform it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from vipe_core.alignment.frames import check, energies, unit
from vipe_core.alignment.pace import FINE, Pace, fine
from vipe_core.embedding import likelihood_match_probability, pairwise_excess_distance
from vipe_core.errors import VipeError
from vipe_core.track import Track

_RATE_HZ = 15.0
_STOP_HZ, _LOST = 0.05, 1e-9
_BEGIN_HZ = 1.0  # how soon people begin
_UNDER_WAY = 0.002  # share of those who are found under way, in the first half
_BEGUN = 0.1  # share of the reference after which it has begun for good
_OTHER = 0.8  # squared distance of poses that have nothing to do with the reference
_ODDS = 1e-3  # at most so much does one tick speak against anything
_AWAY_S, _LONGEST_S = 0.3, 2.0  # a longer gap is an absence; it counts as no longer than this
_STILL = 0.1  # squared distance to the last pose of what is its end
_LONGEST_END, _SHORTEST_END = 0.1, 0.03  # of the reference; and not over a second
_MIRRORED = 0.8  # belief in the mirrored movement above which it is reported


@dataclass(frozen=True)
class Following:
    """Where a person is on the reference.

    Attributes:
        progress: 0..1 of the reference's duration; 0 until it has begun.
        reference_time_s: the same in seconds since the beginning of the reference.
        speed: seconds of the reference per second of the person: 1 in step, 0 waiting.
        likeness: match probability of the pose with that of the reference at this moment.
        mirrored: the movement is performed with its sides exchanged.
        finished: the end has been reached; it stays so.
    """

    progress: float
    reference_time_s: float
    speed: float
    likeness: float
    mirrored: bool
    finished: bool


class Follower:
    """Follows a person along a reference, live.

    The forward half of what :func:`vipe_core.alignment.align` does: the belief over place and
    speed (:class:`vipe_core.alignment.pace.Pace`), of the movement as it is and mirrored, is
    moved on at 15 ticks a second and weighed with what is seen; besides, the person may not have
    begun yet, or be past the end. Time per frame depends on the reference's length alone.

    Somebody who waits is held by the pose that stays; somebody who is not seen stays where they
    were last seen, and is found again from there.

    Args:
        reference: the performance to follow, one frame or more.
        sigmoid_a, sigmoid_b: match probability of the model that embedded it.
        mirror: whether the movement may be performed with its sides exchanged.

    Raises:
        VipeError: no frames, or embeddings that cannot be compared.
    """

    def __init__(
        self, reference: Track, sigmoid_a: float, sigmoid_b: float, mirror: bool = True
    ) -> None:
        check(reference, "the reference")
        self._sigmoid = (float(sigmoid_a), float(sigmoid_b))
        self.duration_s = reference.duration
        self._reference = reference.resampled(_RATE_HZ)
        self._unit = unit(reference.variance, sigmoid_a, sigmoid_b)
        self._pace = Pace(len(self._reference), _RATE_HZ, stop_hz=_STOP_HZ, lost=_LOST)
        self._sides = 2 if mirror else 1
        self._begin, self._end = self._beginning(), self._ending()
        self._begun = math.ceil(_BEGUN * self._pace.places)
        self.reset()

    def reset(self) -> None:
        """Wait for the beginning again."""
        self._belief = np.zeros((self._sides, *self._pace.shape), np.float32)
        self._before = np.full(self._sides, 1 / self._sides)
        self._past = np.zeros(self._sides)
        self._stamp = self._origin = math.nan
        self._ticks = 0
        self._seen: np.ndarray | None = None
        self._last = Following(0.0, 0.0, 0.0, 0.0, False, False)

    def update(
        self,
        stamp_s: float,
        mean: np.ndarray,
        variance: np.ndarray,
        mirror_mean: np.ndarray | None = None,
        mirror_variance: np.ndarray | None = None,
    ) -> Following:
        """Take the next frame of the person.

        Args:
            stamp_s: seconds, rising; a stamp that does not rise changes nothing.
            mean, variance: (D,) embedding; NaN when the person is not seen.
            mirror_mean, mirror_variance: (D,) that of the mirrored person, where it is known.

        Raises:
            VipeError: embeddings of another size than the reference's.
        """
        seen = self._frame(mean, variance, mirror_mean, mirror_variance)
        if self._last.finished or not (np.isfinite(seen[0]).all() and math.isfinite(stamp_s)):
            return self._last
        if self._seen is None:
            self._origin = self._stamp = stamp_s
        elif stamp_s <= self._stamp:
            return self._last
        self._move_to(stamp_s, seen)
        self._stamp, self._seen = stamp_s, seen
        self._last = self._answer(seen)
        return self._last

    def _move_to(self, stamp_s: float, seen: np.ndarray) -> None:
        """Ticks from the last frame to this one; what is seen at them lies between the two."""
        span = stamp_s - self._stamp
        if span > _AWAY_S:
            self._return_after(min(span, _LONGEST_S))
            self._origin, self._ticks = stamp_s, 0
        before = seen if self._seen is None else self._seen
        while (tick := self._origin + self._ticks / _RATE_HZ) <= stamp_s + 1e-9:
            share = min(max((tick - self._stamp) / span, 0), 1) if span > 0 else 1.0
            self._tick(before * (1 - share) + seen * share)
            self._ticks += 1

    def _return_after(self, away_s: float) -> None:
        """Who was not seen has either waited or gone on; but not to the end, unseen."""
        moved = self._belief
        for _ in range(round(away_s * _RATE_HZ)):
            moved = self._pace.advance(moved)
        self._belief = (self._belief + moved) / 2

    def _tick(self, seen: np.ndarray) -> None:
        """One tick of the chain, then the evidence of (H, 2, D) what is seen."""
        begin = 1 - math.exp(-_BEGIN_HZ / _RATE_HZ)
        inside = self._belief.sum(axis=(1, 2))
        self._belief = self._pace.advance(self._belief)
        self._past += np.maximum(inside - self._belief.sum(axis=(1, 2)), 0)
        self._belief += (begin * self._before)[:, None, None].astype(np.float32) * self._begin
        self._before = (1 - begin) * self._before
        self._weigh(seen)
        total = float(self._belief.sum() + self._before.sum() + self._past.sum())
        self._belief /= np.float32(total)
        self._before /= total
        self._past /= total
        if self._belief[..., self._begun :].sum() > 0.5:
            self._before[:] = 0  # nobody comes so far by chance: what fits badly now is no news

    def _weigh(self, seen: np.ndarray) -> None:
        track = self._reference
        distance = pairwise_excess_distance(seen[:, 0], seen[:, 1], track.mean, track.variance)
        energy = fine(energies(distance / self._unit, _RATE_HZ))  # (H, P)
        other = float(energies(np.sqrt(_OTHER), _RATE_HZ))
        energy[np.isnan(energy)] = np.inf  # where the mirrored person is not known
        lowest = min(float(energy.min()), other)
        self._belief *= (np.exp(lowest - energy) + np.float32(_ODDS))[:, None]
        elsewhere = math.exp(lowest - other) + _ODDS
        self._before *= elsewhere
        self._past *= elsewhere

    def _answer(self, seen: np.ndarray) -> Following:
        places = self._belief.sum(axis=1, dtype=np.float64)  # (H, P)
        sides = places.sum(axis=1) + self._before + self._past
        side = int(sides.argmax())
        mirrored = self._sides > 1 and bool(sides[1] > _MIRRORED)
        if self._before.sum() > 0.5:
            return Following(0.0, 0.0, 0.0, self._likeness(seen[0], 0.0), False, False)
        if self._past.sum() + places[:, self._end :].sum() > 0.5:
            likeness = self._likeness(seen[side], len(self._reference) - 1.0)
            return Following(1.0, self.duration_s, 0.0, likeness, mirrored, True)
        place, speed = self._middle(side)
        progress = place / max(self._pace.places - 1, 1)
        likeness = self._likeness(seen[side], place / FINE)
        return Following(progress, progress * self.duration_s, speed, likeness, mirrored, False)

    def _middle(self, side: int) -> tuple[float, float]:
        """Median place and mean speed of the movement as it is, or mirrored."""
        belief = self._belief[side].astype(np.float64)
        row, total = belief.sum(axis=0), belief.sum()
        if not total:
            return self._pace.places - 1.0, 0.0
        share = (np.cumsum(row) - row / 2) / total
        place = float(np.interp(0.5, share, np.arange(len(row))))
        return place, float(self._pace.speeds @ belief.sum(axis=1) / total)

    def _likeness(self, seen: np.ndarray, tick: float) -> float:
        row = min(round(tick), len(self._reference) - 1)
        mean, variance = self._reference.mean[row], self._reference.variance[row]
        a, b = self._sigmoid
        return float(likelihood_match_probability(seen[0], seen[1], mean, variance, a, b))

    def _beginning(self) -> np.ndarray:
        """(S, P) where those who begin are: at the start, a few under way."""
        belief = np.zeros(self._pace.shape, np.float32)
        early = belief[:, : (self._pace.places + 1) // 2]
        early[:] = _UNDER_WAY / early.size
        belief[:, 0] += (1 - _UNDER_WAY) / len(belief)
        return belief

    def _ending(self) -> int:
        """The place from which on nothing happens any more: the last pose stays, or nearly."""
        track = self._reference
        last = slice(len(track) - 1, None)
        pair = (track.mean[last], track.variance[last], track.mean, track.variance)
        alike = np.square(pairwise_excess_distance(*pair)[0] / self._unit) < _STILL
        moving = np.flatnonzero(~alike)
        still = int(moving[-1]) + 1 if len(moving) else 0
        shortest = round(len(track) * _SHORTEST_END)
        longest = max(shortest, min(round(len(track) * _LONGEST_END), round(_RATE_HZ)))
        return FINE * (len(track) - 1 - min(max(len(track) - 1 - still, shortest), longest))

    def _frame(self, *values: np.ndarray | None) -> np.ndarray:
        """(H, 2, D) mean and variance, of the person and of the mirrored one (NaN: unknown)."""
        size = self._reference.mean.shape[1]
        for value in values:
            if value is not None and np.shape(value) != (size,):
                raise VipeError(
                    f"embedding has shape {np.shape(value)}, the reference has ({size},): "
                    "another model made it"
                )
        empty = np.full(size, np.nan)
        frame = [empty if value is None else np.asarray(value, np.float64) for value in values]
        return np.array(frame).reshape(2, 2, size)[: self._sides]
