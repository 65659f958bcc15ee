"""The REP-155 (ROS4HRI) topics of the people in view."""

from __future__ import annotations

import hashlib
import re
from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sensor_msgs.msg import JointState
from std_msgs.msg import Header

from vipe_core import joint_angles
from vipe_core.errors import VipeError

if TYPE_CHECKING:
    from vipe_core.bodies import Bodies2D
    from vipe_ros.node import BaseNode

ROOT = "/humans/bodies"
_SKELETON = "hri18"
_WORD = re.compile(r"[A-Za-z]\w{0,39}", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,20}")


def valid_id(track_id: str) -> str:
    """The id as a word of a topic's name: letters, digits and _, no digit first, not long.

    One that is neither such a word nor a number gets a hash, so that two never become one.
    """
    if not track_id or _WORD.fullmatch(track_id):
        return track_id
    if _NUMBER.fullmatch(track_id):
        return f"id_{track_id}"
    digest = hashlib.blake2b(track_id.encode(errors="surrogatepass"), digest_size=5).hexdigest()
    return f"id_{digest}"


def messages() -> Any:
    """The module ``hri_msgs.msg``; VipeError when it is not installed."""
    try:
        import hri_msgs.msg
    except ImportError:
        raise VipeError(
            "humans:=true needs hri_msgs: apt install ros-$ROS_DISTRO-hri-msgs"
        ) from None
    return hri_msgs.msg


@dataclass
class _Body:
    """Publishers of one person."""

    skeleton: Any
    angles: Any


class Humans:
    """Publishes ``tracked``, and per person ``skeleton2d`` and ``joint_states``.

    The topics of a person are there from its first image until it is no longer in view.

    Args:
        node: owner of the publishers.

    Raises:
        VipeError: hri_msgs is not installed.
    """

    def __init__(self, node: BaseNode) -> None:
        self._node, self._kinds = node, messages()
        self._tracked = node.add_output(self._kinds.IdsList, f"{ROOT}/tracked")
        self._bodies: dict[str, _Body] = {}

    def publish(
        self,
        header: Header,
        people: Bodies2D,
        size: tuple[int, int] | None,
        joints: np.ndarray | None,
    ) -> None:
        """Tell of the people of one image; who has no id is left out.

        Args:
            people: any skeleton, P people.
            size: (width, height) of the image; None leaves ``skeleton2d`` out.
            joints: (P, 17, 3) in the body frame; None leaves ``joint_states`` out.
        """
        ids = [name for name in people.track_ids if name]
        for name in set(self._bodies) - set(ids):
            self._forget(name)
        for name in ids:
            if name not in self._bodies:
                self._bodies[name] = self._open(name)
        self._node.publish(self._tracked, self._kinds.IdsList(header=header, ids=ids))
        if size is not None:
            self._publish_points(header, people, size)
        if joints is not None:
            self._publish_angles(header, people, joints)

    def clear(self) -> None:
        """Nobody is in view any more."""
        for name in list(self._bodies):
            self._forget(name)
        header = Header(stamp=self._node.get_clock().now().to_msg())
        self._tracked.publish(self._kinds.IdsList(header=header))

    def _publish_points(self, header: Header, people: Bodies2D, size: tuple[int, int]) -> None:
        people = people.to_skeleton(_SKELETON)
        points = people.points / np.array(size, np.float32)
        # A point that is not known has certainty 0; its coordinates must be numbers within 0..1.
        points = np.clip(np.nan_to_num(points, nan=0.0), 0, 1)
        for name, place, certainty in zip(
            people.track_ids, points.tolist(), people.visibility.tolist(), strict=True
        ):
            if not name:
                continue
            point = self._kinds.NormalizedPointOfInterest2D
            self._node.publish(
                self._bodies[name].skeleton,
                self._kinds.Skeleton2D(
                    header=header,
                    skeleton=[
                        point(x=x, y=y, c=c) for (x, y), c in zip(place, certainty, strict=True)
                    ],
                ),
            )

    def _publish_angles(self, header: Header, people: Bodies2D, joints: np.ndarray) -> None:
        angles = joint_angles.joint_angles(joints.astype(np.float64))
        for name, person in zip(people.track_ids, angles, strict=True):
            if not name:
                continue
            known = np.flatnonzero(np.isfinite(person))
            message = JointState(
                header=header, name=[f"{joint_angles.NAMES[i]}_{name}" for i in known]
            )
            message.position = array("d", person[known].tobytes())
            self._node.publish(self._bodies[name].angles, message)

    def _open(self, name: str) -> _Body:
        add = self._node.add_output
        return _Body(
            add(self._kinds.Skeleton2D, f"{ROOT}/{name}/skeleton2d"),
            add(JointState, f"{ROOT}/{name}/joint_states"),
        )

    def _forget(self, name: str) -> None:
        body = self._bodies.pop(name)
        for publisher in (body.skeleton, body.angles):
            self._node.remove_output(publisher)
