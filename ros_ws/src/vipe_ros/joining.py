"""Embeddings and the keypoints that they were made of, which come on two topics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from vipe_ros import convert

if TYPE_CHECKING:
    from vipe_msgs.msg import Bodies2D

    from vipe_ros.convert import Embedded

_MOST_WAITING, _MOST_AHEAD = 10, 30  # images


class Joining:
    """Pairs the people of ``embeddings`` with those of ``bodies_2d/tracked`` by their stamp.

    vipe_node sends the keypoints of an image just after its embeddings. An image waits until
    its keypoints are there, or those of a later one, or for some more images.

    Args:
        take: called with every image, in order: stamp in seconds, embeddings, and the keypoints
            (:class:`vipe_core.bodies.Bodies2D`) of the same people in the same order, None where
            there are none.
    """

    def __init__(self, take: Callable[..., object]) -> None:
        self._give = take
        self._waiting: dict[float, Sequence[Embedded]] = {}
        self._ahead: dict[float, Bodies2D] = {}

    def embeddings(self, stamp_s: float, people: Sequence[Embedded]) -> None:
        """The embeddings of an image."""
        self._waiting[stamp_s] = people
        if len(self._waiting) > _MOST_WAITING:
            self._give_first()
        if stamp_s in self._ahead:
            self.keypoints(self._ahead.pop(stamp_s))

    def keypoints(self, message: Bodies2D) -> None:
        """The keypoints of an image, perhaps of one that waits.

        Raises:
            VipeError: the message cannot be used; its image waits on.
        """
        stamp_s = convert.seconds(message.header.stamp)
        if stamp_s not in self._waiting:
            self._ahead[stamp_s] = message
            if len(self._ahead) > _MOST_AHEAD:
                self._ahead.pop(next(iter(self._ahead)))
            return
        found = convert.bodies_2d(message)
        while next(iter(self._waiting)) != stamp_s:
            self._give_first()
        people = self._waiting.pop(stamp_s)
        same = found.track_ids == tuple(person.track_id for person in people)
        self._give(stamp_s, people, found if same else None)

    def flush(self) -> None:
        """Wait no longer."""
        while self._waiting:
            self._give_first()

    def _give_first(self) -> None:
        stamp_s = next(iter(self._waiting))
        self._give(stamp_s, self._waiting.pop(stamp_s), None)
