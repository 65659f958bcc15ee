"""Joint angles of a pose, in the kinematic model of the human that REP-155 recommends.

The model is a tree of revolute joints that hang from the body frame (REP-103 axes: x forward,
y left, z up) and are all zero when a person stands straight with the arms hanging. Axes of its
joints, in the frame of their parent (``human_description``):

* ``waist`` y; ``r_head`` x, ``y_head`` z, ``p_head`` -y
* ``l_y_shoulder`` -z, ``l_p_shoulder`` x, ``l_r_shoulder`` z, ``l_elbow`` -y; for the right arm
  the first three the other way round
* ``l_y_hip`` -z, ``l_p_hip`` x, ``l_r_hip`` -y, ``l_knee`` -y; for the right leg ``p`` the other
  way round

Two bones say how a limb is turned about its own axis only when they are not in line: with a
straight arm or leg that angle is 0.
"""

from __future__ import annotations

import numpy as np

from vipe_core import skeletons
from vipe_core.geometry.normalize import as_float

_PARTS = {
    "arm": ("y_shoulder", "p_shoulder", "r_shoulder", "elbow"),
    "leg": ("y_hip", "p_hip", "r_hip", "knee"),
}
NAMES = (
    *("waist", "r_head", "y_head", "p_head"),
    *(f"{side}_{part}" for side in "lr" for part in (*_PARTS["arm"], *_PARTS["leg"])),
)
# Sines below which a direction is taken to be undecided: five degrees.
_STRAIGHT = 0.09
# Beyond this the arm's yaw is on the far side of its range, and the other solution is meant.
_ARM_YAW = 1.7


def joint_angles(joints: np.ndarray) -> np.ndarray:
    """Angles of poses.

    Args:
        joints: (..., 17, 3) joints17 in the body frame, any unit; NaN where not known.

    Returns:
        (..., 20) radians in the order of :data:`NAMES`; NaN where a bone is not known.

    Source: REP-155, kinematic model of the human; axes of ``human_description``.
    """
    joints = as_float(joints)
    angles = [*_waist_and_head(joints)]
    for side, sign in (("left", 1.0), ("right", -1.0)):
        upper, lower = _bones(joints, side, "shoulder", "elbow", "wrist")
        angles += _arm(upper, lower, sign)
        upper, lower = _bones(joints, side, "hip", "knee", "ankle")
        angles += _leg(upper, lower, sign)
    return np.stack(angles, axis=-1)


def _bones(joints: np.ndarray, side: str, *chain: str) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors (..., 3) along the two bones of a limb, away from the body."""
    at = [joints[..., skeletons.JOINTS17.index(f"{side}_{joint}"), :] for joint in chain]
    return _unit(at[1] - at[0]), _unit(at[2] - at[1])


def _arm(upper: np.ndarray, lower: np.ndarray, sign: float) -> list[np.ndarray]:
    """Yaw, pitch and roll of the shoulder, and the elbow.

    The upper arm is ``Rz(-sign yaw) Rx(sign pitch) (0, 0, -1)``; the forearm then turns in the
    plane that roll chooses.
    """
    outward = sign * upper[..., 1]
    pitch = np.arctan2(np.hypot(upper[..., 0], outward), -upper[..., 2])
    yaw = np.arctan2(upper[..., 0], outward)
    # An arm that hangs or crosses the chest: a little pitch to the other side, not a half turn.
    crossed = np.abs(yaw) > _ARM_YAW
    pitch = np.where(crossed, -pitch, pitch)
    yaw = np.where(crossed, yaw - np.copysign(np.pi, yaw), yaw)
    yaw = np.where(np.abs(np.sin(pitch)) < _STRAIGHT, np.zeros_like(yaw), yaw)
    local = _turn_x(_turn_z(lower, sign * yaw), -sign * pitch)
    elbow = np.arctan2(np.hypot(local[..., 0], local[..., 1]), -local[..., 2])
    roll = sign * np.arctan2(local[..., 1], local[..., 0])
    return [yaw, pitch, np.where(np.sin(elbow) < _STRAIGHT, 0 * roll, roll), elbow]


def _leg(upper: np.ndarray, lower: np.ndarray, sign: float) -> list[np.ndarray]:
    """Yaw, pitch and roll of the hip, and the knee (negative when bent).

    The thigh is ``Rz(-yaw) Rx(sign pitch) Ry(-roll) (0, 0, -1)`` and the knee bends about the y
    axis of the thigh, which the two bones span.
    """
    axis = np.cross(upper, lower)  # y of the thigh for a knee that bends backwards
    bend = np.linalg.norm(axis, axis=-1)
    knee = -np.arctan2(bend, (upper * lower).sum(axis=-1))
    yaw = np.arctan2(axis[..., 0], axis[..., 1])
    yaw = np.where(bend < _STRAIGHT, 0 * yaw, yaw)
    local = _turn_z(upper, yaw)
    roll = np.arcsin(np.clip(local[..., 0], -1, 1))
    pitch = sign * np.arctan2(local[..., 1], -local[..., 2])
    return [yaw, pitch, roll, knee]


def _waist_and_head(joints: np.ndarray) -> list[np.ndarray]:
    """Waist (the trunk's lean), then roll, yaw and pitch of the head on the trunk."""
    at = {name: joints[..., i, :] for i, name in enumerate(skeletons.JOINTS17.joints)}
    trunk = at["neck"] - at["pelvis"]
    waist = np.arctan2(trunk[..., 0], trunk[..., 2])
    up = _unit(at["head"] - at["neck"])
    forward = at["nose"] - at["neck"]
    forward = _unit(forward - (forward * up).sum(axis=-1, keepdims=True) * up)
    up, forward = _turn_y(up, -waist), _turn_y(forward, -waist)
    # R = Rx(roll) Rz(yaw) Ry(-pitch); its first column is forward, its third is up.
    left = np.cross(up, forward)
    yaw = np.arcsin(np.clip(-left[..., 0], -1, 1))
    roll = np.arctan2(left[..., 2], left[..., 1])
    pitch = np.arctan2(-up[..., 0], forward[..., 0])
    return [waist, roll, yaw, pitch]


def _unit(v: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(v, axis=-1, keepdims=True)
    return v / np.where(length > 0, length, np.nan)


def _turn_x(v: np.ndarray, angle: np.ndarray) -> np.ndarray:
    x, (y, z) = v[..., 0], _turned(v[..., 1], v[..., 2], angle)
    return np.stack([x, y, z], axis=-1)


def _turn_y(v: np.ndarray, angle: np.ndarray) -> np.ndarray:
    y, (z, x) = v[..., 1], _turned(v[..., 2], v[..., 0], angle)
    return np.stack([x, y, z], axis=-1)


def _turn_z(v: np.ndarray, angle: np.ndarray) -> np.ndarray:
    z, (x, y) = v[..., 2], _turned(v[..., 0], v[..., 1], angle)
    return np.stack([x, y, z], axis=-1)


def _turned(a: np.ndarray, b: np.ndarray, angle: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(a, b) turned by ``angle`` from a to b."""
    cos, sin = np.cos(angle), np.sin(angle)
    return cos * a - sin * b, sin * a + cos * b
