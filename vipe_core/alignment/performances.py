"""Two performances lined up in time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vipe_core.alignment.course import find_course, log_evidence, walk
from vipe_core.alignment.frames import (
    Ticks,
    all_distances,
    check,
    energies,
    pair_distance,
    rows,
    twin,
    unit,
)
from vipe_core.alignment.joints import joint_differences, mirror_joints, mirror_std
from vipe_core.alignment.pace import Pace, fine
from vipe_core.embedding import likelihood_match_probability
from vipe_core.errors import VipeError
from vipe_core.track import Track

if TYPE_CHECKING:
    from vipe_core.recordings.recording import Person

_FASTEST_HZ, _SLOWEST_HZ = 30.0, 2.0
_PAIRS = 4_000_000  # of ticks; longer performances are looked at less often
_MOST_PAIRS = 25_000_000  # at the slowest rate: 40 minutes of both
_CLEARLY = 10.0  # nats by which the mirrored twin must explain more
_STATURE_M = 1.7


@dataclass(frozen=True)
class Alignment:
    """What of one performance, a, is what of another, b.

    Attributes:
        path: (L, 2) int, pairs of a frame of a and one of b; each step moves either or both on
            by one frame. It covers all frames, but those of a before and after b, when b was
            looked for inside a.
        cost: mean over the path of how different the frames are: 0 for equal embeddings, 1
            where a match has even odds.
        mirrored: b shows the movement with its sides exchanged.
        offset_s: the median over b's frames of their stamp less that of the same moment in a.
        speed: (Ta,) seconds of a per second of b around each frame of a: 2 where b is twice as
            fast, 0 where b waits; NaN where b shows nothing of a.
        moment_s: (Tb,) the stamp in a of what each frame of b shows, between frames where the
            truth lies there.
        likeness: (L,) match probability of the pairs.
        joint_difference: (L, 17) metres between the joints (joints17, body frame), at the
            assumed stature; None where a person has no lifted pose.
        joint_deviation: (L, 17) the same in standard deviations of that difference.
    """

    path: np.ndarray
    cost: float
    mirrored: bool
    offset_s: float
    speed: np.ndarray
    moment_s: np.ndarray
    likeness: np.ndarray
    joint_difference: np.ndarray | None = None
    joint_deviation: np.ndarray | None = None


def align(
    a: Person | Track,
    b: Person | Track,
    sigmoid_a: float,
    sigmoid_b: float,
    subsequence: bool = False,
    mirror: bool = True,
    stature_m: float = _STATURE_M,
) -> Alignment:
    """Line two performances up: different people, cameras, frame rates and speeds.

    The course of b along a is the most believable one of a Markov chain over place and speed
    (:class:`vipe_core.alignment.pace.Pace`, :func:`vipe_core.alignment.course.find_course`), in
    which a frame says the more for a place the smaller the excess distance of the embeddings
    (:func:`vipe_core.embedding.pairwise_excess_distance`) is. Against dynamic time warping of
    the same distance this halves the error in time: a single pose does not tell where in a
    movement it is, the places before and after do.

    Args:
        a, b: people of recordings, or their embeddings. Joints are compared for people.
        sigmoid_a, sigmoid_b: match probability of the model that embedded both.
        subsequence: b is a part of a, anywhere in it; else both begin and end together.
        mirror: whether b may show the movement with its sides exchanged. It is taken to do so
            only when that explains clearly more.
        stature_m: of both people, for differences in metres.

    Raises:
        VipeError: no frames, embeddings that are not finite or not of one size, stamps that do
            not rise, or performances of more than about 40 minutes.
    """
    track_a, track_b = _track(a, "the first performance"), _track(b, "the second performance")
    if track_a.mean.shape[1] != track_b.mean.shape[1]:
        raise VipeError(
            f"embeddings of {track_a.mean.shape[1]} and {track_b.mean.shape[1]} numbers: "
            "two models made them; embed both with the same model"
        )
    size = unit(np.concatenate([track_a.variance, track_b.variance]), sigmoid_a, sigmoid_b)
    timing = _timing(track_a, track_b, size, not subsequence, mirror)
    moment = np.interp(track_b.stamp, timing.stamp, timing.moment)
    path = walk(
        np.interp(moment, track_a.stamp, np.arange(len(track_a))), len(track_a), not subsequence
    )
    shown = (twin(track_b) if timing.mirrored else None) or track_b
    first, second = rows(track_a, path[:, 0]), rows(shown, path[:, 1])
    difference, deviation = _joints(a, b, path, timing.mirrored, stature_m)
    return Alignment(
        path=path,
        cost=float(pair_distance(first, second).mean() / size),
        mirrored=timing.mirrored,
        offset_s=float(np.median(track_b.stamp - moment)),
        speed=_speed_at(track_a.stamp, timing, subsequence),
        moment_s=moment,
        likeness=likelihood_match_probability(
            first.mean, first.variance, second.mean, second.variance, sigmoid_a, sigmoid_b
        ),
        joint_difference=difference,
        joint_deviation=deviation,
    )


def _track(performance: Person | Track, what: str) -> Track:
    track = performance if isinstance(performance, Track) else performance.track
    check(track, what)
    return track


def _rate(a: Track, b: Track) -> float:
    """As often as the faster camera looked, but no more than the bound on pairs allows."""
    steps = [np.median(np.diff(track.stamp)) for track in (a, b) if len(track) > 1]
    rate = min(1 / float(min(steps)), _FASTEST_HZ) if steps else _FASTEST_HZ
    spans = max(a.duration, 1 / rate) * max(b.duration, 1 / rate)
    if spans * _SLOWEST_HZ**2 > _MOST_PAIRS:
        raise VipeError(
            f"performances of {a.duration:.0f} s and {b.duration:.0f} s are too long to be "
            "aligned: cut them"
        )
    return max(min(rate, math.sqrt(_PAIRS / spans)), _SLOWEST_HZ)


@dataclass(frozen=True)
class _Timing:
    """Of M ticks of b: (M,) stamps, moments in a, speeds; and whether b is mirrored."""

    stamp: np.ndarray
    moment: np.ndarray
    speed: np.ndarray
    mirrored: bool


def _timing(a: Track, b: Track, size: float, whole: bool, mirror: bool) -> _Timing:
    rate = _rate(a, b)
    first = Ticks.of(a, rate)
    candidates = [b, twin(b)] if mirror else [b]
    seconds = [Ticks.of(track, rate) for track in candidates if track is not None]
    stamp_a, stamp_b = first.track.stamp, seconds[0].track.stamp
    if whole and min(len(stamp_a), len(stamp_b)) == 1:  # nothing moves: both ends are the same
        moment = np.linspace(a.stamp[0], a.stamp[-1], len(stamp_b))
        return _Timing(stamp_b, moment, np.ones(len(stamp_b)), False)
    typical = a.duration / b.duration if whole else 1.0
    pace = Pace(len(stamp_a), rate, typical)
    energy = [_energy(first, second, size, rate) for second in seconds]
    mirrored = False
    if len(energy) > 1:
        itself, other = (log_evidence(pace, rows, whole) for rows in energy)
        mirrored = other - itself > _CLEARLY
    course = find_course(pace, energy[int(mirrored)], whole)
    moment = np.interp(course.tick, np.arange(len(stamp_a)), stamp_a)
    if whole:
        moment[[0, -1]] = stamp_a[[0, -1]]
    return _Timing(stamp_b, moment, course.speed, mirrored)


def _energy(a: Ticks, b: Ticks, size: float, rate_hz: float) -> np.ndarray:
    """(M, P) of the ticks of b at the places of a; what was not seen says nothing."""
    distance = all_distances(b.track, a.track) / size
    distance[:, ~a.seen] = 1  # as good as even odds
    distance[~b.seen] = 0
    return fine(energies(distance, rate_hz))


def _speed_at(stamp: np.ndarray, timing: _Timing, part: bool) -> np.ndarray:
    """(Ta,) speed around stamps of a; of a part, NaN before and after it."""
    # Where b waits many ticks are at one moment; the ramp keeps their order.
    rising = timing.moment + 1e-9 * np.arange(len(timing.moment))
    speed = np.interp(stamp, rising, timing.speed)
    outside = (stamp < rising[0] - 1e-6) | (stamp > rising[-1] + 1e-6)
    return np.where(outside & part, np.nan, speed)


def _joints(
    a: Person | Track, b: Person | Track, path: np.ndarray, mirrored: bool, stature_m: float
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Difference in metres and in standard deviations (L, 17), None for embeddings alone."""
    if isinstance(a, Track) or isinstance(b, Track):
        return None, None
    if a.joints is None or a.std is None or b.joints is None or b.std is None:
        return None, None
    joints, std = b.joints[path[:, 1]], b.std[path[:, 1]]
    if mirrored:
        joints, std = mirror_joints(joints), mirror_std(std)
    gap, deviation = joint_differences(a.joints[path[:, 0]], a.std[path[:, 0]], joints, std)
    return gap * stature_m, deviation
