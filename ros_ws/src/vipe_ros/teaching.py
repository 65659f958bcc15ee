"""A lesson in a running node: who is looked at, until when, and the request that waits for it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rclpy.task import Future
from vipe_msgs.msg import Bodies2D
from vipe_msgs.srv import Teach

from vipe_core import bodies
from vipe_core.actions import Example
from vipe_core.actions.checks import LONGEST_S, SHORTEST_S
from vipe_core.actions.teaching import Lesson
from vipe_core.bodies import Estimates
from vipe_core.errors import VipeError
from vipe_ros import convert
from vipe_ros.joining import Joining

if TYPE_CHECKING:
    from vipe_ros.convert import Embedded
    from vipe_ros.in_view import InView
    from vipe_ros.node import BaseNode

SILENCE_S = 2.0  # without a new image for so long, a lesson of some seconds is over


@dataclass
class _Running:
    """A lesson and what the node has opened for it.

    Attributes:
        done: what RECORD waits for: why it has ended, "" when all is seen; None for START.
        timer: of RECORD, set back by every new image.
        newest: stamp of the latest image.
        joining: of this lesson alone: an image that still waits when it ends belongs to no other.
    """

    lesson: Lesson
    keypoints: Any
    joining: Joining
    done: Future | None = None
    timer: Any = None
    newest: float = -math.inf


class Teaching:
    """The one lesson that may run in a node.

    While it runs the node listens to ``bodies_2d/tracked``, so that the example keeps the
    keypoints and another model can embed it again.

    Args:
        node: has a steady clock and inputs.
        in_view: whom it sees.
        max_gap_s: see :class:`vipe_core.actions.teaching.Lesson`.
    """

    def __init__(self, node: BaseNode, in_view: InView, max_gap_s: float) -> None:
        self._node, self._in_view, self._max_gap_s = node, in_view, max_gap_s
        self._running: _Running | None = None

    async def record(self, request: Teach.Request) -> Example:
        """Look for some seconds.

        Raises:
            VipeError: the time is too short or too long, it is not clear who is meant, another
                lesson runs, this one is ended from outside, or what was seen is no example.
        """
        seconds = round(request.seconds, 3)  # as a float32, 0.3 is less
        if not SHORTEST_S <= seconds <= LONGEST_S:
            raise VipeError(f"seconds is {seconds:g}: {SHORTEST_S:g} to {LONGEST_S:g} are needed")
        running = self._begin(request.label, self._who(request.track_id), seconds)
        running.done = Future()
        running.timer = self._node.create_timer(
            SILENCE_S, self._on_silence, clock=self._node.steady
        )
        if why := await running.done:
            raise VipeError(why)
        return self._example(running)

    def start(self, request: Teach.Request) -> None:
        """Look until :meth:`stop`. Nobody need be in view yet.

        Raises:
            VipeError: it is not clear who is meant, or another lesson runs.
        """
        somebody = bool(self._in_view.people)
        self._begin(request.label, self._who(request.track_id) if somebody else request.track_id)

    def stop(self) -> Example:
        """What was seen since :meth:`start`.

        Raises:
            VipeError: no such lesson runs, or what was seen is no example.
        """
        running = self._now()
        if running.done is not None:
            raise VipeError("RECORD ends by itself: wait for it, or CANCEL it")
        running.joining.flush()
        self._end()
        return self._example(running)

    def cancel(self, why: str) -> None:
        """End the lesson, and let the request that waits for it fail with this line.

        Raises:
            VipeError: none runs.
        """
        self._now()
        self._end(why)

    def close(self, why: str) -> None:
        """The same, whether one runs or not."""
        if self._running is not None:
            self._end(why)

    def see(self, stamp_s: float, people: Sequence[Embedded]) -> None:
        """The people of an image that has just come."""
        if self._running is not None:
            self._running.joining.embeddings(stamp_s, people)

    def _who(self, track_id: str) -> str:
        return self._in_view.one(track_id).track_id

    def _now(self) -> _Running:
        if self._running is None:
            raise VipeError("no lesson is running")
        return self._running

    def _begin(self, label: str, who: str, seconds: float | None = None) -> _Running:
        if self._running is not None:
            other = self._running.lesson.label
            raise VipeError(f"a lesson of {other!r} is running: STOP or CANCEL it first")
        lesson = Lesson(label, who, seconds=seconds, max_gap_s=self._max_gap_s)
        joining = Joining(self._take)
        keypoints = self._node.add_side_input(Bodies2D, "bodies_2d/tracked", joining.keypoints)
        self._running = _Running(lesson, keypoints, joining)
        return self._running

    def _example(self, running: _Running) -> Example:
        source = f"{self._node.get_fully_qualified_name()} {datetime.now():%Y-%m-%d %H:%M:%S}"
        return replace(running.lesson.example(), source=source)

    def _take(
        self, stamp_s: float, people: Sequence[Embedded], keypoints: bodies.Bodies2D | None
    ) -> None:
        """An image for the lesson."""
        if (running := self._running) is None:
            return
        names = [person.track_id for person in people]
        estimates = convert.estimates(people) if people else Estimates()
        running.lesson.add(stamp_s, names, estimates, keypoints)
        if stamp_s > running.newest:
            running.newest = stamp_s
            if running.timer is not None:
                running.timer.reset()
        if running.lesson.finished and running.done is not None:
            self._end()

    def _on_silence(self) -> None:
        if self._running is not None:
            self._running.joining.flush()
        self.close("")

    def _end(self, why: str = "") -> None:
        """No lesson runs any more; who waits for it goes on."""
        running, self._running = self._now(), None
        self._node.remove_input(running.keypoints)
        if running.timer is not None:
            self._node.destroy_timer(running.timer)
        if running.done is not None:
            running.done.set_result(why)
