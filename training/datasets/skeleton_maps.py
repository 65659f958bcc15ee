"""From the joints of each data set to ``joints17``, and from its axes to y up.

Joints are taken by name. What a set lacks is made the same way for all: the pelvis is the
middle of the hips; nose and head top, where a set has none, are fixed to the head.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from vipe_core import skeletons
from vipe_core.skeletons import BODY13, JOINTS17, Skeleton

# 32 joints of Human3.6M; the other 15 are hands, feet and doubles.
H36M32 = dict(
    zip(
        JOINTS17.joints,
        (0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27),
        strict=True,
    )
)
# 28 joints of MPI-INF-3DHP. Its joint "head" stands for the nose, as in published protocols.
MPI28 = {
    **{"pelvis": 4, "spine": 3, "neck": 5, "nose": 6, "head": 7},
    **{"left_shoulder": 9, "left_elbow": 10, "left_wrist": 11},
    **{"right_shoulder": 14, "right_elbow": 15, "right_wrist": 16},
    **{"left_hip": 18, "left_knee": 19, "left_ankle": 20},
    **{"right_hip": 23, "right_knee": 24, "right_ankle": 25},
}
# The first 22 joints are the same in SMPL (24), SMPL-H (52) and SMPL-X.
SMPL = {
    **{"left_hip": 1, "right_hip": 2, "left_knee": 4, "right_knee": 5},
    **{"left_ankle": 7, "right_ankle": 8, "spine": 6, "neck": 12},
    **{"left_shoulder": 16, "right_shoulder": 17, "left_elbow": 18, "right_elbow": 19},
    **{"left_wrist": 20, "right_wrist": 21},
}
SMPL_HEAD = 15

# CMU's head bone ends in the middle of the head. In lengths of that bone, from its start: the head
# top, and how far up and before it the nose is.
_BONE_TOP, _BONE_NOSE = 1.81, (0.60, 1.17)
# Of the way from neck to head top: how far up the nose is, and how far in front of it.
_NOSE_UP, _NOSE_FORWARD = 0.515, 0.36
# In trunks (mid-hip to neck): head top above the ears; up and before SMPL's joint "head", which
# lies between the ears, roughly the nose and the head top of a grown person.
_TOP_OVER_EARS = 0.25
_SKULL_NOSE, _SKULL_TOP = (0.0, 0.17), (0.26, -0.02)


def take(points: np.ndarray, index: Mapping[str, int], skeleton: Skeleton = JOINTS17) -> np.ndarray:
    """The joints of ``skeleton`` (..., J, D) out of the joints of a set, NaN where it has none."""
    shape = (*points.shape[:-2], len(skeleton), points.shape[-1])
    out = np.full(shape, np.nan, np.float32)
    for j, name in enumerate(skeleton.joints):
        if name in index:
            out[..., j, :] = points[..., index[name], :]
    return out


def z_up_to_y_up(vectors: np.ndarray) -> np.ndarray:
    """(..., 3) from a z-up world to a y-up one: x stays, what was up is y."""
    x, y, z = np.moveaxis(vectors, -1, 0)
    return np.stack([x, z, -y], axis=-1)


def about_pelvis(joints: np.ndarray) -> np.ndarray:
    """joints17 (T, 17, 3) float32 with the pelvis in the middle of the hips, at the origin."""
    pelvis, *hips = JOINTS17.indices("pelvis", "left_hip", "right_hip")
    joints = np.asarray(joints, np.float64)
    middle = joints[:, hips].mean(axis=1)
    joints = joints - middle[:, None]
    joints[:, pelvis] = 0
    return joints.astype(np.float32)


def body13_of(joints: np.ndarray) -> np.ndarray:
    """The 13 keypoints out of joints17 (..., 17, D)."""
    return joints[..., JOINTS17.indices(*BODY13.joints), :]


def set_joint(joints: np.ndarray, name: str, value: np.ndarray) -> None:
    """Write one joint of joints17 (T, 17, 3)."""
    joints[:, JOINTS17.index(name)] = value


def add_nose(joints: np.ndarray, forward: np.ndarray) -> None:
    """Put the nose between neck and head top, in front; ``forward`` (T, 3) is the head's."""
    neck, head = (joints[:, i] for i in JOINTS17.indices("neck", "head"))
    axis = head - neck
    length = np.linalg.norm(axis, axis=-1, keepdims=True)
    ahead = unit(reject(forward, unit(axis)))
    set_joint(joints, "nose", neck + _NOSE_UP * axis + _NOSE_FORWARD * length * ahead)


def add_cmu_head(
    joints: np.ndarray, start: np.ndarray, end: np.ndarray, forward: np.ndarray
) -> None:
    """Put nose and head top where CMU's head bone from ``start`` to ``end`` (T, 3) says;
    ``forward`` (T, 3), of length one, is the head's."""
    bone = end - start
    length = np.linalg.norm(bone, axis=-1, keepdims=True)
    ahead = length * forward
    set_joint(joints, "nose", start + _BONE_NOSE[0] * bone + _BONE_NOSE[1] * ahead)
    set_joint(joints, "head", start + _BONE_TOP * bone)


def from_coco(points: np.ndarray) -> np.ndarray:
    """joints17 (T, 17, 3) of coco17 (T, 17, 3); the head top is made over the ears."""
    joints = skeletons.convert(points, "coco17", "joints17")
    nose, left, right = (points[:, i] for i in _COCO_HEAD)
    middle, across = (left + right) / 2, unit(left - right)
    forward = unit(reject(nose - middle, across))
    up = np.cross(forward, across)
    set_joint(joints, "head", middle + _TOP_OVER_EARS * _trunk(joints) * up)
    return about_pelvis(joints)


def from_smpl(points: np.ndarray, head_rotation: np.ndarray | None = None) -> np.ndarray:
    """joints17 (T, 17, 3) of SMPL's joints (T, 22 or more, 3), metres.

    Nose and head top are fixed to the skull. Its axes (x left, y up, z forward) are the
    columns of ``head_rotation`` (T, 3, 3); without it they are guessed from neck and
    shoulders, so that a turned head looks straight on.
    """
    joints = take(points, SMPL)
    skull = points[:, SMPL_HEAD]
    if head_rotation is None:
        up = unit(skull - points[:, SMPL["neck"]])
        across = points[:, SMPL["left_shoulder"]] - points[:, SMPL["right_shoulder"]]
        forward = np.cross(unit(reject(across, up)), up)
    else:
        up, forward = head_rotation[..., 1], head_rotation[..., 2]
    trunk = _trunk(joints)
    for name, (above, ahead) in (("nose", _SKULL_NOSE), ("head", _SKULL_TOP)):
        set_joint(joints, name, skull + trunk * (above * up + ahead * forward))
    return about_pelvis(joints)


_COCO_HEAD = skeletons.COCO17.indices("nose", "left_ear", "right_ear")


def _trunk(joints: np.ndarray) -> np.ndarray:
    """(T, 1) metres from the middle of the hips to the neck."""
    neck, *hips = (joints[:, i] for i in JOINTS17.indices("neck", "left_hip", "right_hip"))
    return np.linalg.norm(neck - sum(hips) / 2, axis=-1, keepdims=True)


def unit(v: np.ndarray) -> np.ndarray:
    """Vectors (..., 3) of length one; zero stays zero."""
    return v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-9)


def reject(v: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """The part of ``v`` (..., 3) across the unit vectors ``axis``."""
    return v - (v * axis).sum(axis=-1, keepdims=True) * axis
