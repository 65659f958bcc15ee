"""ros_openpose/Frame: OpenPose's people, in the order of the model that runs.

A joint that was not found is (0, 0) with score 0. OpenPose does not track. The field names are
those of the ROS 1 package without its capitals, which ROS 2 does not allow.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from vipe_core import skeletons
from vipe_core.bodies import Bodies2D
from vipe_ros.adapters import joints
from vipe_ros.adapters.link import Size
from vipe_ros.errors import InputError

# By the number of body parts: the models COCO and BODY_25.
SKELETONS = {len(skeletons.get(name)): name for name in ("openpose18", "body25")}


def bodies(message: Any, size: Size | None) -> Bodies2D:
    """The people in a message; a person's score is the mean of the joints found.

    Raises:
        InputError: a number of body parts that no known model has, or different numbers.
    """
    counts = {len(person.body_parts) for person in message.persons} or {25}
    if len(counts) > 1 or not counts <= set(SKELETONS):
        raise InputError(
            "wrong array length",
            f"people of {sorted(counts)} body parts; 18 (COCO) or 25 (BODY_25) are needed, "
            "the same for all",
        )
    (count,) = counts
    parts = [part for person in message.persons for part in person.body_parts]
    table = np.reshape([(p.pixel.x, p.pixel.y, p.score) for p in parts], (-1, count, 3))
    points, visibility = joints.present(table[..., :2]), joints.share(table[..., 2])
    found = np.isfinite(points).all(axis=-1)
    scores = (visibility * found).sum(axis=-1) / np.maximum(found.sum(axis=-1), 1)
    return Bodies2D.from_arrays(points, visibility, SKELETONS[count], None, scores, size)
