"""The body's own frame: REP-155 ``body_<id>`` with REP-103 axes."""

from __future__ import annotations

import numpy as np

from vipe_core import skeletons
from vipe_core.geometry.normalize import as_float, root
from vipe_core.skeletons import Skeleton

_EPSILON = 1e-9


def body_frame(joints: np.ndarray, skeleton: str | Skeleton) -> tuple[np.ndarray, np.ndarray]:
    """Axes and origin of the body frame, in the frame of the joints.

    Origin mid-hip; y from the right hip to the left; z from pelvis to neck, made
    orthogonal to y; x = y cross z, out of the chest.

    Args:
        joints: (..., J, 3), right-handed frame, any unit.
        skeleton: needs hips and shoulders.

    Returns:
        rotation (..., 3, 3) whose columns are x, y, z, and origin (..., 3), so that
        ``(joints - origin) @ rotation`` is in the body frame. Where the hips coincide
        the shoulders give y; a body without extent gets the identity. det is +1.

    Raises:
        VipeError: unknown skeleton or one without hips or shoulders.

    Source: REP-155 (body frames), REP-103 (axes), V-VIPE's global rotation removal.
    """
    skeleton = skeletons.get(skeleton)
    joints = as_float(joints)
    origin = root(joints, skeleton)

    def across(part: str) -> np.ndarray:
        left, right = skeleton.indices(f"left_{part}", f"right_{part}")
        return joints[..., left, :] - joints[..., right, :]

    shoulders = joints[..., skeleton.indices("left_shoulder", "right_shoulder"), :].mean(axis=-2)
    neck = joints[..., skeleton.index("neck"), :] if "neck" in skeleton else shoulders
    hips = across("hip")
    hips = np.where(_length(hips) > _EPSILON, hips, across("shoulder"))
    y = _unit(hips, fallback=(0, 1, 0))
    z = _orthogonal_unit(neck - origin, y)
    return np.stack([np.cross(y, z), y, z], axis=-1), origin


def to_body_frame(joints: np.ndarray, skeleton: str | Skeleton) -> np.ndarray:
    """Joints (..., J, 3) moved into the body frame, same unit; see :func:`body_frame`."""
    rotation, origin = body_frame(joints, skeleton)
    return (as_float(joints) - origin[..., None, :]) @ rotation


def _length(v: np.ndarray) -> np.ndarray:
    return np.linalg.norm(v, axis=-1, keepdims=True)


def _unit(v: np.ndarray, fallback: tuple[int, int, int]) -> np.ndarray:
    length = _length(v)
    return np.where(length > _EPSILON, v / np.maximum(length, _EPSILON), fallback).astype(v.dtype)


def _orthogonal_unit(v: np.ndarray, y: np.ndarray) -> np.ndarray:
    """``v`` made orthogonal to the unit vectors ``y``; any orthogonal one where they align."""
    z = v - (v * y).sum(axis=-1, keepdims=True) * y
    spare = np.where(np.abs(y[..., 2:]) < 0.9, (0.0, 0.0, 1.0), (1.0, 0.0, 0.0))
    spare = spare - (spare * y).sum(axis=-1, keepdims=True) * y
    z = np.where(_length(z) > _EPSILON, z, spare).astype(v.dtype)
    return z / _length(z)
