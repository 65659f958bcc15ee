"""hri_msgs: the bodies of REP-155, which come one by one.

``/humans/bodies/tracked`` (IdsList) says who is there, ``/humans/bodies/<id>/skeleton2d``
(Skeleton2D) where the joints of one body are, as shares of width and height. A joint that was not
found is (0, 0) or (-1, -1).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from rclpy.exceptions import InvalidTopicNameException

from vipe_core import skeletons
from vipe_core.bodies import Bodies2D
from vipe_ros.adapters import joints
from vipe_ros.adapters.link import Link, Size, needed
from vipe_ros.errors import InputError

if TYPE_CHECKING:
    from std_msgs.msg import Header

SKELETON = "hri18"
TOPIC = "skeleton2d"
NEVER = (-1, 0)  # before every stamp
MOST_BODIES = 100  # subscriptions that a list of ids may cause


def bodies(messages: Mapping[str, Any], size: Size | None) -> Bodies2D:
    """The people of one image from the Skeleton2D of each id. The score of a person is the mean
    certainty of the joints found.

    Raises:
        InputError: the size of the image is not known.
    """
    count = len(skeletons.get(SKELETON))
    scale = np.array(needed(size, "hri_msgs gives shares of the image")) if messages else 1
    rows = [(j.x, j.y, j.c) for message in messages.values() for j in message.skeleton]
    table = np.reshape(rows, (len(messages), count, 3))
    points = joints.present(joints.present(table[..., :2]), missing=-1.0)
    visibility = joints.share(table[..., 2])
    found = np.isfinite(points).all(axis=-1)
    scores = (visibility * found).sum(axis=-1) / np.maximum(found.sum(axis=-1), 1)
    return Bodies2D.from_arrays(points * scale, visibility, SKELETON, list(messages), scores, size)


class Humans:
    """Follows the list of tracked bodies and gathers those of one image.

    Args:
        kind: hri_msgs/IdsList.
        link: to the node; its topic is the list, bodies are beside it.
        skeleton: hri_msgs/Skeleton2D.
    """

    def __init__(self, kind: type, link: Link, *, skeleton: Callable[[], type]) -> None:
        self._link, self._skeleton = link, skeleton()
        self._bodies: dict[str, Any] = {}
        self._images = Images(self._send)
        self._folder = link.node.resolve_topic_name(link.topic).rpartition("/")[0]
        self._ids = link.node.add_input(kind, link.topic, self._on_ids)

    def close(self) -> None:
        for subscription in (self._ids, *self._bodies.values()):
            self._link.node.remove_input(subscription)
        self._bodies.clear()

    def _on_ids(self, message: Any) -> None:
        if len(message.ids) > MOST_BODIES:
            raise InputError(
                "too many bodies",
                f"{len(message.ids)} ids at once; up to {MOST_BODIES} are followed",
            )
        for name in self._bodies.keys() - set(message.ids):
            self._link.node.remove_input(self._bodies.pop(name))
        for name in dict.fromkeys(message.ids):
            if name not in self._bodies:
                self._link.node.guard(self._follow, name)
        self._images.track(message.header, list(self._bodies))

    def _follow(self, name: str) -> None:
        topic = f"{self._folder}/{name}/{TOPIC}"
        try:
            # Not counted as received: the list is what comes once per image.
            subscription = self._link.node.add_side_input(
                self._skeleton, topic, lambda message: self._images.add(name, message)
            )
        except InvalidTopicNameException:
            raise InputError(
                "invalid body id",
                f"body id {name!r} cannot be part of a topic name: letters, digits and _, "
                "not a digit first",
            ) from None
        self._bodies[name] = subscription

    def _send(self, header: Header, messages: Mapping[str, Any]) -> None:
        self._link.callback(header, bodies(messages, self._link.size()))


class Images:
    """Puts the bodies of one image together.

    The bodies of a stamp are handed on as soon as every tracked id has come, or when a newer
    stamp arrives: a body that is tracked and not published delays the others by one image, never
    longer. Where stamps are not filled in, an id that comes again begins a new image.

    Args:
        emit: gets the header and the message of each id, in the order of the list.
    """

    def __init__(self, emit: Callable[[Header, dict[str, Any]], None]) -> None:
        self._emit = emit
        self._ids: Sequence[str] = ()
        self._listed = self._stamp = NEVER
        self._newest: dict[str, tuple[int, int]] = {}
        self._waiting: dict[str, Any] = {}
        self._sent: set[str] = set()

    def track(self, header: Header, ids: Sequence[str]) -> None:
        """These ids are there now; without any, an empty image is handed on."""
        stamp = _stamp(header)
        if stamp < self._listed:
            self._start_again()
        self._ids, self._listed = ids, stamp
        self._newest = {name: self._newest[name] for name in ids if name in self._newest}
        self._waiting = {name: self._waiting[name] for name in ids if name in self._waiting}
        if not ids:
            self._emit(header, {})
        self._flush_if_complete()

    def add(self, name: str, message: Any) -> None:
        """A body has come.

        Raises:
            InputError: its image has been handed on.
        """
        stamp = _stamp(message.header)
        if stamp < self._newest.get(name, stamp):
            self._start_again()
        again = stamp == self._stamp and name in self._waiting.keys() | self._sent
        if stamp > self._stamp or again:
            self._flush()
            self._stamp, self._sent = stamp, set()
        elif stamp < self._stamp or self._sent:
            raise InputError(
                "late body", f"body {name!r} came after the other bodies of its image were used"
            )
        self._newest[name] = stamp
        self._waiting[name] = message
        self._flush_if_complete()

    def _start_again(self) -> None:
        """A topic keeps its order: where stamps go back on one of them, time went back."""
        self._stamp, self._newest, self._waiting = NEVER, {}, {}

    def _flush_if_complete(self) -> None:
        if self._waiting.keys() >= set(self._ids):
            self._flush()

    def _flush(self) -> None:
        people = {name: self._waiting[name] for name in self._ids if name in self._waiting}
        self._sent |= people.keys()
        self._waiting = {}
        if people:
            self._emit(next(iter(people.values())).header, people)


def _stamp(header: Header) -> tuple[int, int]:
    """Seconds and nanoseconds, to compare."""
    return header.stamp.sec, header.stamp.nanosec
