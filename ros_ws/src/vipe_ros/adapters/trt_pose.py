"""pose_msgs/PersonDetection of ros2_trt_pose, which comes person by person and joint by joint.

The node publishes a person again after every joint that it has found, each time with one joint
more, the neck last. Joints are pixels of the network's own input, a square of 224 (resnet18) or 256
(densenet121) into which the image was squeezed. One that was not found is NaN; the certainty
of one that was found is left at 0. There is no header: an image has the time at which its last
message came. person_id counts within an image and is nobody's identity. Without people nothing
is published.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from std_msgs.msg import Header

from vipe_core import skeletons
from vipe_core.bodies import Bodies2D
from vipe_ros.adapters import joints
from vipe_ros.adapters.link import Link, Size, needed
from vipe_ros.errors import InputError

SKELETON = "openpose18"  # its joints are the message's fields; `chest` is never filled in
LAST_JOINT = "neck"
SIDES = (224, 256)  # of the network's input, in pixels


def bodies(messages: Sequence[Any], size: Size | None, side: int = SIDES[0]) -> Bodies2D:
    """The people of one image from the last message of each.

    Args:
        messages: PersonDetection of P people.
        size: (width, height) of the camera's images.
        side: of the network's input in pixels.

    Raises:
        InputError: the size of the image is not known.
    """
    scale = np.array(needed(size, "ros2_trt_pose gives pixels of its network's input")) / side
    table = np.reshape([_rows(message) for message in messages], (len(messages), -1, 3))
    points = joints.present(table[..., :2]) * scale
    visibility = np.where(table[..., 2] > 0, joints.share(table[..., 2]), 1.0)
    return Bodies2D.from_arrays(points, visibility, SKELETON, image_size=size)


def _rows(message: Any) -> list[tuple[float, float, float]]:
    parts = (getattr(message, joint) for joint in skeletons.get(SKELETON).joints)
    return [(part.x, part.y, part.confidence) for part in parts]


class People:
    """Gathers the people of one image.

    Args:
        kind: pose_msgs/PersonDetection.
        link: to the node.
    """

    def __init__(self, kind: type, link: Link) -> None:
        self._link = link
        self._side = SIDES[0]
        self._image = Image(self._send)
        self._input = link.node.add_input(kind, link.topic, self._on_message)
        link.node.get_logger().info(
            f"{link.topic}: pose_msgs/PersonDetection has no header, images get the time at which "
            "they come and no frame"
        )

    def close(self) -> None:
        self._link.node.remove_input(self._input)

    def _on_message(self, message: Any) -> None:
        self._side = side(message, self._side)
        self._image.add(message, self._link.node.get_clock().now().to_msg())

    def _send(self, stamp: Any, messages: Sequence[Any]) -> None:
        people = bodies(messages, self._link.size(), self._side)
        self._link.callback(Header(stamp=stamp), people)


def side(message: Any, known: int) -> int:
    """The side of the network's input: the smallest that holds every point so far.

    Raises:
        InputError: a point lies outside the largest.
    """
    points = np.array(_rows(message))[:, :2]
    farthest = max(np.max(points[np.isfinite(points)], initial=0.0), known)
    for candidate in SIDES:
        if farthest <= candidate:
            return candidate
    raise InputError(
        "points outside the image",
        f"a point at {farthest:.0f}; ros2_trt_pose's are pixels of a square of {SIDES[-1]}",
    )


class Image:
    """Puts the people of one image together.

    They are handed on when the last joint of the last person has come, or when another image
    begins: a person_id that is not larger, without a joint more than before.

    Args:
        emit: gets the stamp and the last message of each person.
    """

    def __init__(self, emit: Callable[[Any, list[Any]], None]) -> None:
        self._emit = emit
        self._people: dict[int, Any] = {}
        self._stamp: Any = None
        self._last = (-1, 0)

    def add(self, message: Any, stamp: Any) -> None:
        """A message has come.

        Raises:
            InputError: a person_id that is not below the number of people.
        """
        person, count = message.person_id, message.num_people_detected
        if person >= count:
            raise InputError("wrong person_id", f"person {person} of {count}, counted from 0")
        found = joints.present(np.array(_rows(message))[:, :2])
        progress = (person, int(np.isfinite(found).all(axis=-1).sum()))
        if progress <= self._last:
            self._flush()
        self._stamp, self._last = stamp, progress
        self._people[person] = message
        neck = found[skeletons.get(SKELETON).index(LAST_JOINT)]
        if person == count - 1 and np.isfinite(neck).all():
            self._flush()

    def _flush(self) -> None:
        people, self._people, self._last = list(self._people.values()), {}, (-1, 0)
        if people:
            self._emit(self._stamp, people)
