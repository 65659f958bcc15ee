"""An action_node and somebody to watch: embeddings are published, requests are made meanwhile."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from lifecycle_msgs.msg import Transition
from std_msgs.msg import Header
from vipe_msgs.msg import Action, Actions, Bodies2D, Embedding, Embeddings
from vipe_msgs.srv import ListExamples, Teach

from tests.ros.harness import Peer, Process, body, header, people, standing
from vipe_core import runtime

NODE = "/action_node"
LOSSLESS: dict[str, Any] = {
    "input_reliability": "reliable",
    "input_depth": 1000,
    "output_depth": 1000,
}
FIELDS = ("mean", "variance", "mirror_mean", "mirror_variance")


def squat(count: int = 30) -> np.ndarray:
    """(T, 13, 2) pixels: down and up again; hips and all above them sink, the feet stay."""
    depth = 45 * np.sin(np.linspace(0, np.pi, count))[:, None]
    points = np.repeat(standing()[None], count, axis=0)
    points[:, :9, 1] += depth
    points[:, 9, 0] += depth[:, 0] / 2
    points[:, 10, 0] -= depth[:, 0] / 2
    return points


def wave(count: int = 30) -> np.ndarray:
    """(T, 13, 2) pixels: the left arm goes up and down."""
    lift = np.sin(np.linspace(0, np.pi, count))
    points = np.repeat(standing()[None], count, axis=0)
    points[:, 3] += lift[:, None] * (15, -45)
    points[:, 5] += lift[:, None] * (25, -110)
    return points


def still(count: int = 15) -> np.ndarray:
    """(T, 13, 2) pixels: nothing happens."""
    return np.repeat(standing()[None], count, axis=0)


def embedded(
    model: runtime.Model, index: int, *poses: np.ndarray, ids: Iterable[str] = "1"
) -> Embeddings:
    """What vipe_node says of people (13, 2) in the image with this index."""
    found = model(np.stack(poses)) if poses else model(np.empty((0, 13, 2)))
    bodies = [
        Embedding(
            track_id=track_id,
            **{name: array("f", getattr(found, name)[row].tolist()) for name in FIELDS},
        )
        for row, track_id in zip(range(len(poses)), ids, strict=False)
    ]
    return Embeddings(header=header(index), fingerprint=model.fingerprint, bodies=bodies)


class Scene:
    """People before a camera, as vipe_node tells of them."""

    def __init__(self, peer: Peer, model: Path) -> None:
        self.peer, self.model, self.index = peer, runtime.load(model), 0
        self._publish = peer.talk(Embeddings, "embeddings")
        self.keypoints = peer.node.create_publisher(Bodies2D, "bodies_2d/tracked", 1000)

    def embeddings_only(self, *poses: np.ndarray, ids: Iterable[str] = "1") -> None:
        """The next image: these people, or nobody."""
        self.index += 1
        self._publish(embedded(self.model, self.index, *poses, ids=ids))

    def image(self, *poses: np.ndarray, ids: Iterable[str] = "1") -> None:
        """The next image: these people, or nobody, and their keypoints."""
        self.embeddings_only(*poses, ids=ids)
        shown = (body(points, name) for points, name in zip(poses, ids, strict=False))
        self.keypoints.publish(people(self.index, *shown))


class Classroom(Scene):
    """A running action_node, and the people before its camera.

    Attributes:
        actions: everything that the node has said.
    """

    def __init__(self, peer: Peer, model: Path, **parameters: Any) -> None:
        self.peer = peer
        self._parameters = {"model": str(model), "stale_after": 60.0, **LOSSLESS, **parameters}
        self.actions: list[Actions] = peer.listen(Actions, "actions")
        self.process = self.start()
        super().__init__(peer, model)
        peer.until(lambda: peer.node.count_publishers("/actions"), "publisher of actions")

    def start(self) -> Process:
        return self.peer.start("action_node", **self._parameters)

    def restart(self) -> None:
        """End the node, and start it anew."""
        assert self.process.stop() == 0
        self.process = self.start()
        self.peer.until(self.answers, "an answer of the new node")

    def reconfigured(self, **texts: object) -> bool:
        """Whether the node can be configured and activated with these parameters."""
        for transition in (Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_CLEANUP):
            self.peer.change_state(NODE, transition)
        for name, value in texts.items():
            self.peer.set_text(NODE, name, value)
        if not self.peer.change_state(NODE, Transition.TRANSITION_CONFIGURE):
            return False
        assert self.peer.change_state(NODE, Transition.TRANSITION_ACTIVATE)
        self.peer.until(self.answers, "an answer of the node configured anew")
        return True

    def answers(self) -> bool:
        """Whether the node says something of an image without people."""
        before = len(self.actions)
        self.image()
        self.peer.spin()
        return len(self.actions) > before

    def show(self, *performances: np.ndarray, ids: Iterable[str] = "1") -> list[list[Action]]:
        """People do something, (T, 13, 2) each; what the node says of each of them."""
        first = self.index + 1
        for poses in zip(*performances, strict=True):
            self.image(*poses, ids=ids)
        self.heard_last()
        wanted = {_stamp(header(i)) for i in range(first, self.index + 1)}
        said = [m.actions for m in self.actions if _stamp(m.header) in wanted]
        assert len(said) == len(wanted)
        return [list(column) for column in zip(*said, strict=True)]

    def heard_last(self) -> None:
        """The node has dealt with the latest image."""
        last = header(self.index).stamp
        self.peer.until(lambda: self.actions and self.actions[-1].header.stamp == last, "actions")

    def ask(self, kind: Any, name: str, request: Any) -> Any:
        """The answer of a service below the node's name."""
        client, future = self.begin(kind, name, request)
        self.peer.until(future.done, f"answer of {name}")
        self.peer.node.destroy_client(client)
        return future.result()

    def begin(self, kind: Any, name: str, request: Any) -> tuple[Any, Any]:
        """The client and the future answer of a request."""
        client = self.peer.node.create_client(kind, f"{NODE}/{name}")
        self.peer.until(client.service_is_ready, f"service {name}")
        return client, client.call_async(request)

    def teach(self, command: int, *poses: np.ndarray, ids: Iterable[str] = "1", **request: Any):
        """The answer of ``~/teach``. These people are in view when it is asked (none named:
        somebody stands there), and go on being seen until a RECORD is answered."""
        poses = poses or (standing(),)
        client, future = self._with_people(poses, ids, Teach.Request(command=command, **request))

        def answered() -> bool:
            if command == Teach.Request.RECORD:
                self.image(*poses, ids=ids)
            return future.done()

        self.peer.until(answered, "answer of teach")
        self.peer.node.destroy_client(client)
        return future.result()

    def _with_people(self, poses: Iterable[np.ndarray], ids: Iterable[str], request: Any) -> Any:
        self.image(*poses, ids=ids)
        self.heard_last()
        return self.begin(Teach, "teach", request)

    def record(self, seconds: float, **request: Any) -> Any:
        """The future answer of a RECORD whose lesson has begun."""
        asked = Teach.Request(command=Teach.Request.RECORD, seconds=seconds, **request)
        _, future = self._with_people([standing()], "1", asked)
        self.peer.until(lambda: self.image(standing()) or self.looks(), "a lesson")
        return future

    def looks(self) -> bool:
        """Whether a lesson runs: then the node listens to keypoints."""
        return self.peer.node.count_subscribers("/bodies_2d/tracked") > 0

    def learn(self, label: str, performance: np.ndarray, **request: Any) -> Any:
        """Teach exactly this by START and STOP; the last answer."""
        if self.index:
            self.heard_last()  # what was shown before is no part of it
        start = Teach.Request(command=Teach.Request.START, label=label, **request)
        answer = self.ask(Teach, "teach", start)
        assert answer.success, answer.message
        self.peer.until(self.keypoints.get_subscription_count, "a reader of the keypoints")
        self.show(performance)
        return self.ask(Teach, "teach", Teach.Request(command=Teach.Request.STOP))

    def listing(self) -> Any:
        return self.ask(ListExamples, "list", ListExamples.Request())


def _stamp(of: Header) -> tuple[int, int]:
    return of.stamp.sec, of.stamp.nanosec


def segments(actions: list[Action]) -> list[str]:
    """The labels said, each once in a row, without unknown."""
    labels = [action.label for action in actions]
    turns = [label for i, label in enumerate(labels) if i == 0 or label != labels[i - 1]]
    return [label for label in turns if label != "unknown"]
