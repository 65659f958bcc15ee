"""Lifted poses as markers for RViz and Foxglove."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from builtin_interfaces.msg import Duration, Time
from geometry_msgs.msg import Point, Vector3
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker

from vipe_core import skeletons
from vipe_ros.transforms import body_frame

# Left and right differ, so that a mirrored pose is seen at a glance (red: left, as on ships).
_COLORS = {"left": (0.90, 0.25, 0.20), "right": (0.15, 0.70, 0.30), "": (0.85, 0.85, 0.85)}
_VAGUE_M = 0.25  # std at which a joint is as transparent as it gets
_FAINTEST = 0.1
_LIFETIME_S = 2  # should the publisher die
_BONE_M, _JOINT_M = 0.025, 0.05


def markers(
    stamp: Time,
    track_ids: Sequence[str],
    joints: np.ndarray,
    std: np.ndarray,
    skeleton: str = "joints17",
) -> list[Marker]:
    """Two markers per person: its bones and its joints, fainter where less certain.

    Args:
        stamp: of the image.
        track_ids: P names.
        joints: (P, J, 3) metres in each body's frame; NaN where not known.
        std: (P, J) metres.
        skeleton: order of the joints.
    """
    kind = skeletons.get(skeleton)
    result: list[Marker] = []
    for name, points, spread in zip(track_ids, joints, std, strict=True):
        known = np.isfinite(points).all(axis=-1)
        bones = [bone for bone in kind.bones if known[list(bone)].all()]
        dots = [Point(x=x, y=y, z=z) for x, y, z in points.astype(float).tolist()]
        colors = [_color(n, a) for n, a in zip(kind.joints, alpha(spread), strict=True)]
        ball = Vector3(x=_JOINT_M, y=_JOINT_M, z=_JOINT_M)
        line = _marker(stamp, name, 0, Marker.LINE_LIST, Vector3(x=_BONE_M))
        sphere = _marker(stamp, name, 1, Marker.SPHERE_LIST, ball)
        # A bone takes the colour of its outer end: the joint further from the pelvis.
        line.points = [dots[i] for bone in bones for i in bone]
        line.colors = [colors[bone[1]] for bone in bones for _ in bone]
        sphere.points = [dots[i] for i in np.flatnonzero(known)]
        sphere.colors = [colors[i] for i in np.flatnonzero(known)]
        result += [line, sphere]
    return result


def removals(stamp: Time, track_ids: Iterable[str]) -> list[Marker]:
    """Markers that take lost people off the screen."""
    return [
        _marker(stamp, name, number, kind, Vector3(), Marker.DELETE)
        for name in track_ids
        for number, kind in ((0, Marker.LINE_LIST), (1, Marker.SPHERE_LIST))
    ]


def alpha(std: np.ndarray) -> np.ndarray:
    """Opacity 0.1..1 of a standard deviation in metres."""
    return np.clip(1 - np.nan_to_num(std, nan=np.inf) / _VAGUE_M, _FAINTEST, 1)


def _color(joint: str, opacity: float) -> ColorRGBA:
    side = joint.partition("_")[0]
    red, green, blue = _COLORS.get(side, _COLORS[""])
    return ColorRGBA(r=red, g=green, b=blue, a=float(opacity))


def _marker(
    stamp: Time, name: str, number: int, kind: int, scale: Vector3, action: int = Marker.ADD
) -> Marker:
    marker = Marker(ns=body_frame(name), id=number, type=kind, action=action, scale=scale)
    marker.header.stamp = stamp
    marker.header.frame_id = body_frame(name)
    marker.pose.orientation.w = 1.0
    marker.lifetime = Duration(sec=_LIFETIME_S)
    return marker
