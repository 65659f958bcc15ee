"""embeddings -> actions, by comparison with labelled examples, which may be taught meanwhile."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from vipe_msgs.msg import Actions, Embeddings
from vipe_msgs.srv import Follow, Forget, ListExamples, Teach

from vipe_core.actions import UNKNOWN, Action, Example
from vipe_core.errors import VipeError
from vipe_ros import convert, models
from vipe_ros.following import FollowingOutput
from vipe_ros.in_view import InView
from vipe_ros.node import BaseNode
from vipe_ros.parameters import ActionParameters
from vipe_ros.process import run
from vipe_ros.repertoire import Repertoire
from vipe_ros.taught import Taught
from vipe_ros.teaching import Teaching

RECOGNIZER = "dtw"


class ActionNode(BaseNode):
    """Recognises what people do."""

    parameters_type = ActionParameters
    settings: ActionParameters
    _model: Any = None
    _knows: Any = None
    _following: Any = None
    _teaching: Any = None
    _in_view: Any = None

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("action_node", **kwargs)
        self.add_service(Teach, "~/teach", self._teach)
        self.add_service(Forget, "~/forget", self._forget)
        self.add_service(ListExamples, "~/list", self._list)
        self.add_service(Follow, "~/follow", self._follow)

    def configure(self) -> None:
        given = self.settings
        self._model = models.load_embedding(given.model, given.backend, self.report)
        taught = Taught.load(given.examples_dir, given.examples_file, self._model, self._damaged)
        self._knows = Repertoire(self, taught, given.forget_after)
        self._actions = self.add_output(Actions, "actions")
        self._following = FollowingOutput(self, self._model, given.forget_after)

    def activate(self) -> None:
        self._in_view = InView()
        self._teaching = Teaching(self, self._in_view, self.settings.forget_after)
        self.add_input(Embeddings, "embeddings", self._on_embeddings)

    def deactivate(self) -> None:
        if self._teaching is not None:
            self._teaching.close("given up: the node was deactivated")
            self._following.stop("the node was deactivated")
        self._teaching = self._in_view = None

    def release(self) -> None:
        for part in (self._knows, self._following):
            if part is not None:
                part.close()
        self._model = self._knows = self._following = None

    def _damaged(self, line: str) -> None:
        self.reject("damaged examples file", line)

    # The stream.

    def _on_embeddings(self, message: Embeddings) -> None:
        models.check_same(message, self._model)
        people = convert.embeddings(message, self._model.metadata.embedding_size)
        stamp_s = convert.seconds(message.header.stamp)
        with self.report.timed("recognize"):
            found = [(p.track_id, self._update(p, stamp_s)) for p in people if self._tracked(p)]
        self.report.counts["actions"] += sum(action.label != UNKNOWN for _, action in found)
        out = convert.actions_message(message.header, self._model, RECOGNIZER, found)
        self.publish(self._actions, out)
        self._in_view.see(stamp_s, people)
        self._following.see(message.header, people)
        self._teaching.see(stamp_s, people)

    def _tracked(self, person: convert.Embedded) -> bool:
        """An action takes time, so a person without an id has none."""
        if not person.track_id:
            self.reject("untracked body", "a body without track id cannot be recognised")
        return bool(person.track_id)

    def _update(self, person: convert.Embedded, stamp_s: float) -> Action:
        return self._knows.recognizer.update(person.track_id, stamp_s, *person.values)

    # The services.

    async def _teach(self, request: Teach.Request) -> Teach.Response:
        if request.command in (Teach.Request.RECORD, Teach.Request.START):
            self._knows.taught.check(request.label, request.another)
        match request.command:
            case Teach.Request.RECORD:
                return await self._learn(await self._teaching.record(request))
            case Teach.Request.START:
                self._teaching.start(request)
                return Teach.Response(success=True, message="looking: STOP when it is done")
            case Teach.Request.STOP:
                return await self._learn(self._teaching.stop())
            case Teach.Request.CANCEL:
                self._teaching.cancel("given up: it was cancelled")
                return Teach.Response(success=True, message="nothing is learned")
        raise VipeError(f"there is no command {request.command}")

    async def _learn(self, example: Example) -> Teach.Response:
        """Whether its label may be known was asked when the lesson began."""
        taught = await self._knows.change(lambda now: now.with_example(example))
        count, duration = len(taught.examples.of(example.label)), example.track.duration
        said = f"learned {example.label!r} from {duration:.1f} s; examples of it now: {count}"
        self.get_logger().info(said)
        return Teach.Response(success=True, message=said, examples=count, duration=duration)

    async def _forget(self, request: Forget.Request) -> Forget.Response:
        label, number = request.label, request.example
        taught = await self._knows.change(lambda now: now.without(label, number))
        count = len(taught.examples.of(label))
        said = f"forgotten; examples of {label!r} left: {count}"
        return Forget.Response(success=True, message=said, examples=count)

    async def _list(self, _: ListExamples.Request) -> ListExamples.Response:
        knows = self._knows
        await knows.read_again()
        return knows.listing()

    async def _follow(self, request: Follow.Request) -> Follow.Response:
        return await self._following.follow(request, self._in_view, self._knows.taught.examples)


def main(args: Sequence[str] | None = None) -> int:
    """The executable."""
    return run(ActionNode, args=args)


if __name__ == "__main__":
    sys.exit(main())
