"""vipe_node against good and bad Bodies2D: one process for all tests of this module."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from lifecycle_msgs.msg import Transition
from vipe_msgs.msg import Bodies2D, Bodies3D, Embeddings
from visualization_msgs.msg import Marker, MarkerArray

from tests.ros.harness import Peer, Process, body, people, standing
from vipe_core import runtime, skeletons

NODE = "/vipe_node"
HEIGHT = 1.8


@dataclass
class Running:
    """A vipe_node that is active, with every topic matched."""

    peer: Peer
    process: Process
    publish: Callable[[Bodies2D], None]
    embeddings: list[Embeddings]
    bodies: list[Bodies3D]
    markers: list[MarkerArray]
    index: int = 0

    def send(self, *bodies: Any, skeleton: str = "body13") -> Time:
        """Publish; the stamp that the answer will bear."""
        self.index += 1
        message = people(self.index, *bodies, skeleton=skeleton)
        self.publish(message)
        return message.header.stamp

    def ask(self, *bodies: Any, skeleton: str = "body13") -> tuple[Embeddings, Bodies3D]:
        """Publish, and the outputs of exactly this message."""
        stamp = self.send(*bodies, skeleton=skeleton)

        def answer() -> Any:
            found = [
                next((m for m in messages if m.header.stamp == stamp), None)
                for messages in (self.embeddings, self.bodies)
            ]
            return found if all(found) else None

        return tuple(self.peer.until(answer, "answer"))

    def still_works(self) -> None:
        embeddings, bodies = self.ask(body(standing()))
        assert len(embeddings.bodies) == len(bodies.bodies) == 1


@pytest.fixture(scope="module")
def running(peer: Peer, model_path: Any) -> Running:
    process = peer.start(
        "vipe_node",
        model=str(model_path),
        height=HEIGHT,
        stale_after=0.2,
        input_reliability="reliable",
        input_depth=100,
    )
    lists = (
        peer.listen(Embeddings, "embeddings"),
        peer.listen(Bodies3D, "bodies_3d"),
        peer.listen(MarkerArray, "markers"),
    )
    publish = peer.talk(Bodies2D, "bodies_2d")
    for topic in ("embeddings", "bodies_3d", "markers"):
        peer.until(lambda topic=topic: peer.node.count_publishers(topic), f"publisher of {topic}")
    running = Running(peer, process, publish, *lists)
    # Matched here is not yet matched there: the first message may go unanswered.
    while not running.markers:
        running.send(body(standing()))
        peer.until(lambda: len(running.embeddings) == running.index, "first answer")
    return running


def test_answer_is_what_the_model_says(running: Running, model_path: Any) -> None:
    points = np.stack([standing(), standing(40) * 2]).astype(np.float32)
    embeddings, bodies = running.ask(body(points[0], "a"), body(points[1], "b"))
    model = runtime.load(model_path)
    expected = model(points, np.ones((2, 13)))

    assert embeddings.header == bodies.header
    assert embeddings.header.frame_id == "camera"
    assert (embeddings.model, embeddings.model_version) == ("test-model", "1.2.3")
    assert embeddings.fingerprint == model.fingerprint
    assert (embeddings.sigmoid_a, embeddings.sigmoid_b) == (1.5, 0.75)
    for name in ("mean", "variance", "mirror_mean", "mirror_variance"):
        answer = np.array([getattr(entry, name) for entry in embeddings.bodies])
        np.testing.assert_allclose(answer, getattr(expected, name), rtol=1e-4, atol=1e-5)
    assert [entry.track_id for entry in embeddings.bodies] == ["a", "b"]

    assert bodies.skeleton == "joints17"
    joints = np.array([entry.joints for entry in bodies.bodies]).reshape(2, 17, 3)
    np.testing.assert_allclose(joints, expected.joints * HEIGHT, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        [entry.std for entry in bodies.bodies], expected.std * HEIGHT, rtol=1e-4
    )
    assert [entry.height for entry in bodies.bodies] == pytest.approx([HEIGHT, HEIGHT])


def test_other_skeletons_are_converted_by_name(running: Running) -> None:
    thirteen = standing()
    coco = skeletons.convert(thirteen, "body13", "coco17")
    embeddings, _ = running.ask(body(thirteen), skeleton="body13")
    converted, _ = running.ask(body(coco), skeleton="coco17")
    assert converted.bodies[0].mean == embeddings.bodies[0].mean


def test_nobody(running: Running) -> None:
    embeddings, bodies = running.ask()
    assert list(embeddings.bodies) == list(bodies.bodies) == []


def test_hundred_people(running: Running) -> None:
    crowd = [body(standing(shift), str(shift)) for shift in range(100)]
    embeddings, bodies = running.ask(*crowd)
    assert [b.track_id for b in embeddings.bodies] == [str(i) for i in range(100)]
    assert len(bodies.bodies) == 100


def test_missing_joints_are_fine(running: Running) -> None:
    points = standing()
    points[[3, 4, 5]] = np.nan
    embeddings, bodies = running.ask(body(points))
    (entry,) = embeddings.bodies
    assert np.isfinite(entry.mean).all()
    assert list(entry.visibility)[2:7] == [1, 0, 0, 0, 1]
    assert np.isfinite(bodies.bodies[0].joints).all()


def test_body_without_joints_is_left_out_and_counted(running: Running) -> None:
    nothing = np.full((13, 2), np.nan)
    for _ in range(2):
        embeddings, _ = running.ask(body(nothing, "ghost"), body(standing(), "real"))
        assert [entry.track_id for entry in embeddings.bodies] == ["real"]
    running.peer.status(NODE, lambda s: s.count("errors: too few joints") == 2)
    assert running.process.said("too few joints") == 1


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("wrong array length", people(0, body(standing()[:12]))),
        ("wrong array length", people(0, body(standing(), visibility=np.ones(3)))),
        ("wrong array length", people(0, body(standing()), body(np.empty((0, 2))))),
        ("unknown skeleton", people(0, body(standing()), skeleton="octopus8")),
        ("unknown skeleton", people(0, skeleton="")),
    ],
)
def test_malformed_message(running: Running, kind: str, message: Bodies2D) -> None:
    before = running.peer.last_count(NODE, f"errors: {kind}")
    for _ in range(3):
        running.publish(message)
    running.still_works()
    status = running.peer.status(NODE, lambda s: s.count(f"errors: {kind}") == before + 3)
    assert status.values["state"] == "active"
    assert running.process.said(f"{kind}:") == 1


@pytest.mark.parametrize(
    "stamp", [Time(), Time(sec=-5), Time(sec=-(2**31)), Time(sec=5, nanosec=2**32 - 1)]
)
def test_odd_stamps_pass_through(running: Running, stamp: Time) -> None:
    message = people(0, body(standing()))
    message.header.stamp = stamp
    running.publish(message)
    running.still_works()
    assert stamp in [m.header.stamp for m in running.embeddings]


def test_camera_that_stops(running: Running) -> None:
    running.still_works()
    for stalls in (1, 2):
        status = running.peer.status(NODE, lambda s: s.level == b"\x03")
        assert status.message.startswith("no input for ")
        running.still_works()
        running.peer.status(NODE, lambda s, n=stalls: s.count("errors: input stopped") >= n)
    assert running.process.said("input stopped") == 1


def test_diagnostics(running: Running, model_path: Any) -> None:
    running.still_works()
    values = running.peer.status(NODE).values
    model = runtime.load(model_path)
    assert values["fingerprint"] == model.fingerprint
    assert (values["backend"], values["precision"]) == (model.backend, "fp32")
    assert "tensorrt is not installed" in values["not used: tensorrt"]
    assert "has no CUDA" in values["not used: onnxruntime-cuda"]
    assert int(values["published embeddings"]) == int(values["published bodies_3d"]) > 0
    assert int(values["received"]) > int(values["published embeddings"])
    assert values["dropped"] == "0"

    def busy(status: Any) -> bool:
        running.still_works()
        return float(status.values["input rate (Hz)"]) > 0

    assert running.peer.status(NODE, busy).values["bodies in view"] == "1"
    running.peer.status(NODE, lambda s: s.values["bodies in view"] == "0")  # nothing comes
    for stage in ("input", "infer", "to embeddings"):
        median, p99 = (
            float(values[f"latency {stage} {which} (ms)"]) for which in ("median", "p99")
        )
        assert median <= p99


def test_markers_follow_the_bodies(running: Running) -> None:
    def markers_of(stamp: Time) -> list[Marker]:
        arrays = [array.markers for array in running.markers]
        return next((a for a in arrays if a and a[0].header.stamp == stamp), [])

    stamp = running.send(body(standing(), "7"), body(standing(50), "8"))
    shown = running.peer.until(lambda: markers_of(stamp), "markers")
    assert {(m.ns, m.header.frame_id) for m in shown if m.action == Marker.ADD} == {
        ("body_7", "body_7"),
        ("body_8", "body_8"),
    }
    bones, joints = (m for m in shown if m.ns == "body_7")
    assert (bones.type, joints.type) == (Marker.LINE_LIST, Marker.SPHERE_LIST)
    assert len(joints.points) == len(joints.colors) == 17
    assert len(bones.points) == len(bones.colors) == 2 * len(skeletons.get("joints17").bones)
    assert all(0 < color.a <= 1 for color in joints.colors)

    stamp = running.send(body(standing(), "7"))
    shown = running.peer.until(lambda: markers_of(stamp), "markers")
    gone = {(m.ns, m.id) for m in shown if m.action == Marker.DELETE}
    assert gone == {("body_8", 0), ("body_8", 1)}


def test_nobody_is_left_on_the_screen_when_the_node_pauses(running: Running) -> None:
    def marked(action: int) -> bool:
        return any(
            (m.ns, m.action) == ("body_9", action)
            for array in running.markers
            for m in array.markers
        )

    running.send(body(standing(), "9"))
    running.peer.until(lambda: marked(Marker.ADD), "marker")
    assert running.peer.change_state(NODE, Transition.TRANSITION_DEACTIVATE)
    running.peer.until(lambda: marked(Marker.DELETE), "removal")
    assert running.peer.change_state(NODE, Transition.TRANSITION_ACTIVATE)
