"""Scale and position taken out of 2D and 3D poses (Pr-VIPE section 4.1), and mirroring."""

from __future__ import annotations

import numpy as np

from vipe_core import skeletons
from vipe_core.skeletons import Skeleton

_EPSILON = 1e-12
# Winter's anthropometry puts the ankle at 3.9 % of a person's height, so the chain from
# ankle to head top is the rest.
_ANKLE_TO_TOP = 0.961
_TORSO = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")


def as_float(array: np.ndarray) -> np.ndarray:
    """float32 and float64 pass; everything else becomes float64."""
    array = np.asarray(array)
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float64)


def root(points: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """Mid-hip (..., D): the pelvis joint where the skeleton has one."""
    if "pelvis" in skeleton:
        return points[..., skeleton.index("pelvis"), :]
    return points[..., skeleton.indices("left_hip", "right_hip"), :].mean(axis=-2)


def normalize_2d(points: np.ndarray, skeleton: str | Skeleton) -> np.ndarray:
    """Mid-hip to the origin, the longest of the six torso distances to 0.5.

    Args:
        points: (..., J, 2), any unit.
        skeleton: skeleton of the points; needs both shoulders and hips.

    Returns:
        (..., J, 2), unit: twice the longest distance between shoulders and hips. A body
        whose torso is one point stays finite. Roll is data and is kept.

    Raises:
        VipeError: unknown skeleton or one without shoulders or hips.

    Source: Pr-VIPE, section 4.1 (normalisation of 2D keypoints).
    """
    skeleton = skeletons.get(skeleton)
    points = as_float(points)
    hips = points[..., skeleton.indices("left_hip", "right_hip"), :].mean(axis=-2, keepdims=True)
    torso = points[..., skeleton.indices(*_TORSO), :]
    gaps = np.linalg.norm(torso[..., :, None, :] - torso[..., None, :, :], axis=-1)
    longest = gaps.max(axis=(-2, -1))[..., None, None]
    return (points - hips) * (0.5 / np.maximum(longest, _EPSILON)).astype(points.dtype)


def normalize_3d(joints: np.ndarray, skeleton: str | Skeleton) -> np.ndarray:
    """Pelvis to the origin, pelvis-spine plus spine-neck to 1.

    A skeleton without a spine joint uses mid-hip to mid-shoulder instead.

    Args:
        joints: (..., J, 3), any unit and frame.
        skeleton: skeleton of the joints.

    Returns:
        (..., J, 3), unit: trunk lengths. A body without extent stays finite.

    Raises:
        VipeError: unknown skeleton or one without hips and shoulders.

    Source: Pr-VIPE, section 4.1 (normalisation of 3D poses).
    """
    skeleton = skeletons.get(skeleton)
    joints = as_float(joints)
    trunk = np.maximum(_trunk_length(joints, skeleton), _EPSILON)[..., None, None]
    return (joints - root(joints, skeleton)[..., None, :]) / trunk.astype(joints.dtype)


def _trunk_length(joints: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    pelvis = root(joints, skeleton)
    if "spine" in skeleton and "neck" in skeleton:
        spine, neck = (joints[..., skeleton.index(j), :] for j in ("spine", "neck"))
        return np.linalg.norm(spine - pelvis, axis=-1) + np.linalg.norm(neck - spine, axis=-1)
    shoulders = joints[..., skeleton.indices("left_shoulder", "right_shoulder"), :].mean(axis=-2)
    return np.linalg.norm(shoulders - pelvis, axis=-1)


def stature(joints: np.ndarray, skeleton: str | Skeleton = "joints17") -> np.ndarray:
    """Standing height (...,) of a body in any pose, in the unit of its joints.

    The chain head - neck - spine - pelvis plus the mean leg (hip - knee - ankle) spans
    ankle to head top, 96.1 % of a person's height (Winter, Biomechanics and Motor
    Control of Human Movement, table of segment lengths).

    Args:
        joints: (..., J, 3).
        skeleton: needs head, neck, spine, pelvis, hips, knees and ankles.

    Raises:
        VipeError: unknown skeleton or a joint that it lacks.
    """
    skeleton = skeletons.get(skeleton)
    joints = as_float(joints)

    def chain(*names: str) -> np.ndarray:
        bones = np.diff(joints[..., skeleton.indices(*names), :], axis=-2)
        return np.linalg.norm(bones, axis=-1).sum(axis=-1)

    legs = [chain(*(f"{side}_{j}" for j in ("hip", "knee", "ankle"))) for side in ("left", "right")]
    return (chain("head", "neck", "spine", "pelvis") + (legs[0] + legs[1]) / 2) / _ANKLE_TO_TOP


def mirror_points(
    points: np.ndarray, skeleton: str | Skeleton, axis: int = 0, width: float = 0.0
) -> np.ndarray:
    """The mirrored person: one coordinate negated, left and right joints exchanged.

    Args:
        points: (..., J, D).
        skeleton: skeleton of the points.
        axis: coordinate to negate: 0 for images and y-up worlds whose people face z,
            1 for the body frame (y is left).
        width: added to the negated coordinate; the image width mirrors pixels in place.

    Raises:
        VipeError: unknown skeleton.
    """
    skeleton = skeletons.get(skeleton)
    mirrored = as_float(points)[..., list(skeleton.mirror), :].copy()
    mirrored[..., axis] = width - mirrored[..., axis]
    return mirrored
