"""zed_msgs/ObjectsStamped of the ZED ROS 2 wrapper, with body tracking on.

Joints are pixels of the image that the camera grabs, which may be larger than the one that is
published. A joint that was not found is negative. Certainties are percent; the wrapper may leave
those of the joints at zero, and older releases do not have them. A track that is searched for or
about to end is extrapolated: nobody saw it, so it is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from vipe_core import skeletons
from vipe_core.bodies import Bodies2D
from vipe_ros.adapters import joints
from vipe_ros.adapters.link import Size
from vipe_ros.errors import InputError

# By Object.body_format.
SKELETONS = {0: "openpose18", 1: "zed34", 2: "zed38"}
OFF, OK = 0, 1  # of Object.tracking_state
NOBODY = np.empty(0, np.float32)


def bodies(message: Any, size: Size | None) -> Bodies2D:
    """The objects that have a skeleton and are in sight.

    Raises:
        InputError: a body format that is not known, or several of them.
    """
    people = [
        found
        for found in message.objects
        if found.skeleton_available and found.tracking_state in (OFF, OK)
    ]
    skeleton = _skeleton(people)
    count = len(skeletons.get(skeleton))
    points = [joint.kp for found in people for joint in found.skeleton_2d.keypoints[:count]]
    points = np.reshape(np.concatenate([NOBODY, *points]), (len(people), count, 2))
    return Bodies2D.from_arrays(
        joints.present(np.where((points < 0).any(axis=-1, keepdims=True), np.nan, points)),
        _visibility(people, count),
        skeleton,
        [_track_id(found) for found in people],
        joints.share(np.array([found.confidence for found in people]) / 100),
        size,
    )


def _skeleton(people: Sequence[Any]) -> str:
    formats = {found.body_format for found in people} or {0}
    if len(formats) > 1:
        raise InputError(
            "several body formats", f"bodies of the formats {sorted(formats)} in one message"
        )
    (number,) = formats
    if number not in SKELETONS:
        known = ", ".join(f"{key} ({name})" for key, name in SKELETONS.items())
        raise InputError("unknown body format", f"body_format {number}; known: {known}")
    return SKELETONS[number]


def _visibility(people: Sequence[Any], count: int) -> np.ndarray:
    """(P, count) in 0..1; 1 where the camera does not say."""
    if not all(hasattr(found, "skeleton_keypoint_confidence") for found in people):
        return np.ones((len(people), count))
    percent = [found.skeleton_keypoint_confidence[:count] for found in people]
    return joints.share_if_filled(np.reshape(percent, (len(people), count)) / 100)


def _track_id(found: Any) -> str:
    """Without tracking label_id is -1."""
    tracked = found.tracking_available and found.tracking_state == OK and found.label_id >= 0
    return str(found.label_id) if tracked else ""
