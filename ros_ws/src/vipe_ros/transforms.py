"""Placed bodies as transforms on /tf."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from geometry_msgs.msg import Quaternion, Transform, TransformStamped, Vector3

from vipe_core import skeletons
from vipe_core.geometry.rotation import quaternion

if TYPE_CHECKING:
    from std_msgs.msg import Header

    from vipe_core.placement import Placements


def body_frame(track_id: str) -> str:
    """REP-155 name of a body's frame."""
    return f"body_{track_id}"


def quaternions(rotation: np.ndarray) -> list[Quaternion]:
    """P quaternions of (P, 3, 3) rotations; NaN where a rotation is."""
    return [Quaternion(x=x, y=y, z=z, w=w) for x, y, z, w in quaternion(rotation).tolist()]


def bodies(
    header: Header, track_ids: Sequence[str], placements: Placements
) -> list[TransformStamped]:
    """Camera -> ``body_<id>`` of the people who are placed and have an id."""
    turns = quaternions(placements.rotation)
    return [
        _stamped(header, header.frame_id, body_frame(name), place, turn)
        for name, placed, place, turn in zip(
            track_ids, placements.placed, placements.translation.tolist(), turns, strict=True
        )
        if placed and name
    ]


def joints(
    header: Header, track_ids: Sequence[str], points: np.ndarray, skeleton: str = "joints17"
) -> list[TransformStamped]:
    """``body_<id>`` -> ``<joint>_<id>`` of joints (P, J, 3) metres; the axes of the body's frame.

    The pelvis is the origin of the body's frame and has no frame of its own.
    """
    kind = skeletons.get(skeleton)
    turn = Quaternion(w=1.0)
    return [
        _stamped(header, body_frame(name), f"{joint}_{name}", place, turn)
        for name, person in zip(track_ids, points, strict=True)
        if name
        for joint, place, known in zip(
            kind.joints, person.tolist(), np.isfinite(person).all(axis=-1), strict=True
        )
        if known and joint != "pelvis"
    ]


def _stamped(
    header: Any, parent: str, child: str, place: Sequence[float], turn: Quaternion
) -> TransformStamped:
    x, y, z = place
    result = TransformStamped(
        child_frame_id=child,
        transform=Transform(translation=Vector3(x=x, y=y, z=z), rotation=turn),
    )
    result.header.stamp = header.stamp
    result.header.frame_id = parent
    return result
