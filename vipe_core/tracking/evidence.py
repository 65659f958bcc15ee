"""How much speaks for a person of this image being one that was seen before."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from vipe_core import skeletons
from vipe_core.embedding import likelihood_match_probability
from vipe_core.tracking.tracks import GROWTH, Sighting, Tracks

# How far a joint may lie from where it is expected, in sizes of the body (the diagonal of its
# box): what the detector is off; per second out of sight what the body turns from its way; what
# a body of unknown speed may do; and limbs on top of that, which swing for half a second. All
# figures here were chosen on rendered crowds of the training and validation files (`vipe
# evaluate tracking --data`).
_NOISE = 0.06
_WANDER_PER_S = 0.15
_UNKNOWN_PER_S, _KNOWN_AFTER_S = 0.8, 0.2
_SWING_PER_S, _SWING_S = 0.5, 0.5
_SWINGS = {"wrist": 1.0, "ankle": 1.0, "elbow": 0.5, "knee": 0.5, "nose": 0.3}
# Log-odds that a person just where it is expected is the expected one; how fast they fall with
# the similarity (independent looks that 13 joints are worth).
_PRIOR = 6.0
_LOOKS = 2.0
# Log-odds of the embeddings: their weight, those of no news, and how fast poses change.
_POSE_WEIGHT, _POSE_NEUTRAL, _POSE_S = 0.5, 1.4, 0.5
# So much and no more can they add or take away: match probabilities end at 0.05 and 0.95.
_POSE_FOR, _POSE_AGAINST = (_POSE_WEIGHT * (3.0 + sign * _POSE_NEUTRAL) for sign in (-1, 1))
_LEAST = 1e-3  # trust in a joint that is there but not visible


@dataclass(frozen=True)
class Evidence:
    """For T tracks and M people.

    Attributes:
        score: (T, M) log-odds for being the same.
        mirrored: (T, M) whether the sides of the person fit better when swapped.
        shift: (T, 2 M, 2) pixels from where the body is expected to where it is: of the M people
            as they are, and then with swapped sides.
    """

    score: np.ndarray
    mirrored: np.ndarray
    shift: np.ndarray


def weigh(
    tracks: Tracks, expected: np.ndarray, people: Sighting, skeleton: str, predicted: bool
) -> Evidence:
    """What the places of the joints say.

    The similarity is the object keypoint similarity of the COCO keypoint task, with tolerances
    per joint that grow out of sight. A wide tolerance makes many people fit, so each of them is
    the less likely: the log-odds fall with the area in which the body may be.

    Args:
        tracks: T people with ``expected`` (T, J, 2) pixels.
        people: 2 M: M people, and then the same with swapped sides. Detectors swap left and
            right of a whole body now and then, and that is no new person.
        skeleton: of both.
        predicted: whether their velocities are followed.
    """
    gaps = people.stamp_s - tracks.seen_s
    body = np.hypot(_NOISE, _spread(gaps, tracks.followed_s if predicted else 0.0))
    swing = (_SWING_PER_S * np.minimum(gaps, _SWING_S))[:, None] * _swings(skeleton)
    tolerance = np.hypot(body[:, None], swing)  # (T, J)
    known = tracks.size[:, None]
    size = np.minimum(np.maximum(people.size, known), GROWTH * known)
    similar, shift = _similarity(tracks, expected, people, tolerance, size)
    count = len(people) // 2
    plain, other = similar[:, :count], similar[:, count:]
    best = np.maximum(np.maximum(plain, other), 1e-9)
    area = 2 * np.log(body / _NOISE)
    score = _PRIOR + _LOOKS * np.log(best) - area[:, None]
    return Evidence(score, other > plain, shift)


def undisputed(score: np.ndarray) -> bool:
    """Whether the log-odds (T, M) are such that no embedding could change who is who: everybody
    is one person of before or nobody, for certain."""
    track, person = np.nonzero(score > -_POSE_FOR)
    if not len(set(track.tolist())) == len(set(person.tolist())) == len(track):
        return False
    return bool((score[track, person] > _POSE_AGAINST).all())


def pose_evidence(tracks: Tracks, people: Sighting, odds: tuple[float, float]) -> np.ndarray:
    """(T, M) log-odds that the embeddings add: the same pose from whatever side, sides swapped or
    not. 0 where an embedding is missing; it fades with the time in which a pose changes.

    Args:
        people: 2 M, as in :func:`weigh`.
        odds: slope and offset of the model's match probability.
    """
    gaps = people.stamp_s - tracks.seen_s
    probability = likelihood_match_probability(
        tracks.mean[:, None], tracks.variance[:, None], people.mean, people.variance, *odds
    )
    best = np.fmax.reduce(probability.reshape(len(tracks), 2, -1), axis=1)
    gain = np.log(best / (1 - best)) - _POSE_NEUTRAL
    weight = _POSE_WEIGHT * np.exp(gaps / -_POSE_S)
    return np.where(np.isnan(gain), 0, weight[:, None] * gain)


def _spread(gaps: np.ndarray, followed_s: np.ndarray | float) -> np.ndarray:
    """(T,) how far bodies may be from where they are expected, in sizes."""
    unknown = _UNKNOWN_PER_S * np.exp(followed_s / -_KNOWN_AFTER_S)
    return np.hypot(_WANDER_PER_S, unknown) * gaps


def _similarity(
    tracks: Tracks, expected: np.ndarray, people: Sighting, tolerance: np.ndarray, size: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(T, N) weighted mean of exp(-distance^2 / 2 tolerance^2) over joints that both have, and
    (T, N, 2) the weighted mean of what they are off."""
    gap = people.points - expected[:, None]  # (T, N, J, 2)
    squared = (gap * gap).sum(axis=-1)
    missing = ~np.isfinite(squared)
    gap[missing], squared[missing] = 0, 0
    weight = (np.minimum(people.trust, tracks.trust[:, None]) + _LEAST) / tolerance[:, None]
    weight[missing] = 0
    weight /= np.maximum(weight.sum(axis=-1, keepdims=True), 1e-9)
    allowed = np.square(size[..., None] * tolerance[:, None])
    similar = (weight * np.exp(squared / (-2 * allowed))).sum(axis=-1)
    return similar, (weight[:, :, None] @ gap)[:, :, 0]


@cache
def _swings(skeleton: str) -> np.ndarray:
    """(J,) how much of a limb's swing each joint has."""
    joints = skeletons.get(skeleton).joints
    return np.array([_SWINGS.get(joint.rpartition("_")[2], 0.0) for joint in joints])
