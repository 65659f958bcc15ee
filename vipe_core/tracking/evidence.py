"""How much speaks for a person of this image being one that was seen before."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from vipe_core import skeletons
from vipe_core.embedding import likelihood_match_probability
from vipe_core.tracking.tracks import Sighting, Tracks

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
_GROWTH = 3.0  # of a body that was seen in part only: a wild detection must not fit everybody
# Log-odds that a person just where it is expected is the expected one; how fast they fall with
# the similarity (independent looks that 13 joints are worth).
_PRIOR = 6.0
_LOOKS = 2.0
# Log-odds of the embeddings: their weight, those of no news, and how fast poses change.
_POSE_WEIGHT, _POSE_NEUTRAL, _POSE_S = 0.5, 1.4, 0.5
_LEAST = 1e-3  # trust in a joint that is there but not visible


@dataclass(frozen=True)
class Evidence:
    """For T tracks and M people.

    Attributes:
        score: (T, M) log-odds for being the same.
        mirrored: (T, M) whether the sides of the person fit better when swapped.
        shift: (T, M, 2) pixels from where the body is expected to where it is.
    """

    score: np.ndarray
    mirrored: np.ndarray
    shift: np.ndarray


def weigh(
    tracks: Tracks,
    expected: np.ndarray,
    people: Sighting,
    mirrored: Sighting,
    skeleton: str,
    predicted: bool,
) -> Evidence:
    """What the places of the joints say.

    The similarity is the object keypoint similarity of the COCO keypoint task, with tolerances
    per joint that grow out of sight. A wide tolerance makes many people fit, so each of them is
    the less likely: the log-odds fall with the area in which the body may be.

    Args:
        tracks: T people with ``expected`` (T, J, 2) pixels.
        people: M people; ``mirrored``: the same with swapped sides. Detectors swap left and
            right of a whole body now and then, and that is no new person.
        skeleton: of both.
        predicted: whether their velocities are followed.
    """
    gaps = people.stamp_s - tracks.seen_s
    body = _spread(gaps, tracks.followed_s if predicted else np.zeros(len(tracks)))
    swing = _SWING_PER_S * np.minimum(gaps, _SWING_S)[:, None] * _swings(skeleton)
    tolerance = np.hypot(np.hypot(_NOISE, body)[:, None], swing)  # (T, J)
    known = tracks.size[:, None]
    size = np.clip(people.size, known, _GROWTH * known)
    sides = [_similarity(tracks, expected, one, tolerance, size) for one in (people, mirrored)]
    swapped = sides[1][0] > sides[0][0]
    similar = np.where(swapped, sides[1][0], sides[0][0])
    shift = np.where(swapped[..., None], sides[1][1], sides[0][1])
    area = 2 * np.log(np.hypot(1, body / _NOISE))
    score = _PRIOR + _LOOKS * np.log(np.maximum(similar, 1e-9)) - area[:, None]
    return Evidence(score, swapped, shift)


def pose_evidence(
    tracks: Tracks, people: Sighting, mirrored: Sighting, odds: tuple[float, float]
) -> np.ndarray:
    """(T, M) log-odds that the embeddings add: the same pose from whatever side, sides swapped or
    not. 0 where an embedding is missing; it fades with the time in which a pose changes.

    Args:
        odds: slope and offset of the model's match probability.
    """
    gaps = people.stamp_s - tracks.seen_s
    known = tracks.mean[:, None], tracks.variance[:, None]
    probability = [
        likelihood_match_probability(*known, one.mean, one.variance, *odds)
        for one in (people, mirrored)
    ]
    best = np.fmax(*probability)
    gain = np.log(best / (1 - best)) - _POSE_NEUTRAL
    return np.nan_to_num(_POSE_WEIGHT * np.exp(-gaps / _POSE_S)[:, None] * gain)


def _spread(gaps: np.ndarray, followed_s: np.ndarray) -> np.ndarray:
    """(T,) how far bodies may be from where they are expected, in sizes."""
    unknown = _UNKNOWN_PER_S * np.exp(-followed_s / _KNOWN_AFTER_S)
    return np.hypot(_WANDER_PER_S, unknown) * gaps


def _similarity(
    tracks: Tracks, expected: np.ndarray, people: Sighting, tolerance: np.ndarray, size: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(T, M) weighted mean of exp(-distance^2 / 2 tolerance^2) over joints that both have, and
    (T, M, 2) the weighted mean of what they are off."""
    gap = people.points - expected[:, None]  # (T, M, J, 2)
    squared = (gap * gap).sum(axis=-1)
    both = np.isfinite(squared)
    gap[~both], squared[~both] = 0, 0
    weight = (np.minimum(people.trust, tracks.trust[:, None]) + _LEAST) / tolerance[:, None]
    weight *= both
    weight /= np.maximum(weight.sum(axis=-1, keepdims=True), 1e-9)
    allowed = 2 * (size[..., None] * tolerance[:, None]) ** 2
    similar = (weight * np.exp(-squared / allowed)).sum(axis=-1)
    return similar, (weight[..., None] * gap).sum(axis=2)


@cache
def _swings(skeleton: str) -> np.ndarray:
    """(J,) how much of a limb's swing each joint has."""
    joints = skeletons.get(skeleton).joints
    return np.array([_SWINGS.get(joint.rpartition("_")[2], 0.0) for joint in joints])
