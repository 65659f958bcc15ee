"""Following one person along a reference in a running node."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vipe_msgs.msg import Following
from vipe_msgs.srv import Follow

from vipe_core import recordings
from vipe_core.actions import Examples
from vipe_core.alignment import Follower
from vipe_core.errors import VipeError
from vipe_core.track import Track
from vipe_ros import convert
from vipe_ros.background import Background

if TYPE_CHECKING:
    from std_msgs.msg import Header

    from vipe_core.runtime import Model
    from vipe_ros.convert import Embedded
    from vipe_ros.in_view import InView
    from vipe_ros.node import BaseNode


@dataclass
class _Performance:
    """Who is followed along what, and when they were last seen."""

    track_id: str
    reference: str
    follower: Follower
    seen_s: float


class FollowingOutput:
    """Publishes ``following`` while somebody is followed.

    Args:
        node: has the output.
        model: makes the embeddings of recordings.
        max_gap_s: seconds out of view after which a person is lost.
    """

    def __init__(self, node: BaseNode, model: Model, max_gap_s: float) -> None:
        self._node, self._model, self._max_gap_s = node, model, max_gap_s
        self._publisher = node.add_output(Following, "following")
        self._background = Background(node)
        self._now: _Performance | None = None
        self._requests = 0

    async def follow(
        self, request: Follow.Request, in_view: InView, examples: Examples
    ) -> Follow.Response:
        """Answer a request: from then on this person is followed, and nobody else.

        Who is followed now is followed on until the reference is read, and when it cannot be.

        Raises:
            VipeError: nobody in view or several and no id; the reference is neither a label of
                ``examples`` nor a recording that can be read; another request came meanwhile.
        """
        if not request.reference:
            self.stop("told to stop")
            return Follow.Response(success=True, message="nobody is followed")
        person = in_view.one(request.track_id)
        _check_there(request.reference, examples)
        self._requests += 1
        number = self._requests
        track = await self._background.run(self._read, request.reference, examples, number)
        if number != self._requests:
            raise VipeError(_GIVEN_UP)
        self._end("another request came")
        odds = examples.sigmoid_a, examples.sigmoid_b
        seen_s = in_view.stamp_s
        follower = Follower(track, *odds)
        self._now = _Performance(person.track_id, request.reference, follower, seen_s)
        self._node.report.facts["following"] = f"{person.track_id} along {request.reference}"
        return Follow.Response(
            success=True,
            message=f"person {person.track_id} is followed along {request.reference}",
            duration=track.duration,
        )

    def stop(self, why: str) -> None:
        """Follow nobody, and read no reference any more."""
        self._requests += 1
        self._end(why)

    def _end(self, why: str) -> None:
        if self._now is not None:
            self._node.get_logger().info(f"follows person {self._now.track_id} no more: {why}")
        self._now = None
        self._node.report.facts["following"] = "nobody"

    def close(self) -> None:
        """For good."""
        self.stop("the node is cleaned up")
        self._background.close()

    def see(self, header: Header, people: Sequence[Embedded]) -> None:
        """The people of an image that has just come."""
        if (now := self._now) is None:
            return
        stamp_s = convert.seconds(header.stamp)
        person = next((p for p in people if p.track_id == now.track_id), None)
        if person is None:
            if not 0 <= stamp_s - now.seen_s <= self._max_gap_s:
                self._end("out of view")
            return
        now.seen_s = stamp_s
        with self._node.report.timed("follow"):
            found = now.follower.update(stamp_s, *person.values)
        message = convert.following_message(header, now.track_id, now.reference, found)
        self._node.publish(self._publisher, message)
        if found.finished:
            self._end("the end is reached")

    def _read(self, reference: str, examples: Examples, number: int) -> Track:
        """In the thread of the background: the last example of a label, or who is seen longest
        in a recording."""
        if known := examples.of(reference):
            return known[-1].track

        def go_on(_: int) -> None:  # a video may be long
            if number != self._requests:
                raise VipeError(_GIVEN_UP)

        return recordings.read(reference, self._model, progress=go_on).people[0].track


def _check_there(reference: str, examples: Examples) -> None:
    if not examples.of(reference) and not Path(reference).expanduser().exists():
        taught = ", ".join(examples.labels) or "nothing"
        raise VipeError(f"{reference!r} is neither taught (taught: {taught}) nor a recording")


_GIVEN_UP = "given up: another request came, or the node was deactivated"
