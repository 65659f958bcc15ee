"""keypoints_node on frames of the real video, with a pose model of one's own, and overloaded."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from lifecycle_msgs.msg import Transition
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CompressedImage, Image
from vipe_msgs.msg import Bodies2D, Skeleton

from tests import detector_factory as factory
from tests.ros.harness import Peer, Process, check_topics, header
from vipe_core import assets, skeletons
from vipe_ros import image

cv2 = pytest.importorskip("cv2")
NODE = "/keypoints_node"


@pytest.fixture(scope="module")
def frames() -> list[np.ndarray]:
    """Ten frames (H, W, 3) uint8 BGR of the demo video, 640 pixels wide."""
    assets.fetch()
    capture = cv2.VideoCapture(str(assets.path("demo.mp4")))
    frames = [cv2.resize(capture.read()[1], (640, 360)) for _ in range(10)]
    capture.release()
    return frames


@dataclass
class Running:
    peer: Peer
    process: Process
    publish: Callable[[Image], None]
    bodies: list[Bodies2D]
    index: int = 0

    def send(self, message: Image) -> Any:
        self.index += 1
        message.header = header(self.index, "camera_optical_frame")
        self.publish(message)
        return message.header.stamp

    def ask(self, message: Image) -> Bodies2D:
        """Publish, and the answer to exactly this image."""
        stamp = self.send(message)
        of_stamp = lambda: [m for m in self.bodies if m.header.stamp == stamp]  # noqa: E731
        return self.peer.until(of_stamp, "bodies_2d")[0]


LOSSLESS = {"input_reliability": "reliable", "input_depth": 50}


def start(peer: Peer, kind: type, topic: str, **parameters: Any) -> Running:
    if "detector" not in parameters:
        assets.fetch()
    process = peer.start("keypoints_node", **{"threads": 1, **LOSSLESS, **parameters})
    bodies = peer.listen(Bodies2D, "bodies_2d")
    publish = peer.talk(kind, topic)
    running = Running(peer, process, publish, bodies)
    black = np.zeros((40, 40, 3), np.uint8)
    message = image.from_bgr(black)
    if kind is CompressedImage:
        message = compressed(black)
    while not bodies:  # matched here is not yet matched there
        running.send(message)
        peer.until(lambda: peer.node.count_publishers("/bodies_2d"), "publisher")
        peer.until(lambda: bodies or running.index > 3, "first answer")
    return running


def compressed(pixels: np.ndarray) -> CompressedImage:
    data = cv2.imencode(".png", pixels)[1]
    return CompressedImage(format="png", data=data.tobytes())


@pytest.fixture(scope="module")
def running(peer: Peer) -> Running:
    return start(peer, Image, "image")


def test_finds_the_person(running: Running, frames: list[np.ndarray]) -> None:
    answers = [running.ask(image.from_bgr(frame)) for frame in frames]
    last = answers[-1]
    assert last.header.frame_id == "camera_optical_frame"
    assert (last.skeleton, last.detector) == ("blazepose33", "blazepose-full")
    assert (last.image_width, last.image_height) == (640, 360)
    found = [answer.bodies[0] for answer in answers if answer.bodies]
    assert len(found) >= 8
    assert {entry.track_id for entry in found} == {""}  # vipe_node names them
    points = np.array(found[-1].points).reshape(33, 2)
    inside = (points >= 0) & (points < (640, 360))
    assert inside.all(axis=1).mean() > 0.9
    assert len(found[-1].visibility) == 33


def test_topics_are_those_of_the_table(running: Running) -> None:
    check_topics(running.peer, "keypoints_node", but=("/image/compressed",))


def test_skeleton_is_described_to_who_comes_late(running: Running) -> None:
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    described = running.peer.listen(Skeleton, "bodies_2d/skeleton", latched)
    running.peer.until(lambda: described, "description")
    assert tuple(described[0].joints) == skeletons.get("blazepose33").joints


def test_nobody_in_sight_is_said(running: Running) -> None:
    answer = running.ask(image.from_bgr(np.full((120, 160, 3), 90, np.uint8)))
    assert list(answer.bodies) == []
    assert (answer.image_width, answer.image_height) == (160, 120)


def broken(**changes: Any) -> Image:
    message = image.from_bgr(np.zeros((8, 6, 3), np.uint8))
    for name, value in changes.items():
        setattr(message, name, value)
    return message


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("unknown encoding", {"encoding": "yuv422_made_up"}),
        ("unknown encoding", {"encoding": ""}),
        ("unknown encoding", {"encoding": "32FC1"}),
        ("wrong image size", {"encoding": "bgr16"}),
        ("wrong image size", {"height": 9}),
        ("wrong image size", {"step": 3}),
        ("wrong image size", {"height": 0, "width": 0, "step": 0, "data": b""}),
    ],
)
def test_bad_image(running: Running, kind: str, changes: dict[str, Any]) -> None:
    before = running.peer.last_count(NODE, f"errors: {kind}")
    for _ in range(3):
        running.send(broken(**changes))
    running.ask(image.from_bgr(np.zeros((40, 40, 3), np.uint8)))
    status = running.peer.status(NODE, lambda s: s.count(f"errors: {kind}") == before + 3)
    assert status.values["state"] == "active"
    assert status.values["backend"] == "ai-edge-litert"
    assert status.values["detector"] == "blazepose-full"
    assert status.values["model"] == "pose_landmark_full.tflite"
    assert status.values["image converter"] in ("cv_bridge", "opencv")
    assert running.process.said(f"{kind}:") == 1


def test_compressed(fresh_peer: Peer, frames: list[np.ndarray]) -> None:
    running = start(fresh_peer, CompressedImage, "image/compressed", image_transport="compressed")
    answer = running.ask(compressed(frames[-1]))
    assert len(answer.bodies) == 1
    running.send(CompressedImage(format="jpeg", data=b"no jpeg at all"))
    running.send(CompressedImage(format="jpeg"))
    running.ask(compressed(frames[-1]))
    fresh_peer.status(NODE, lambda s: s.count("errors: undecodable image") == 2)
    assert running.process.said("undecodable image:") == 1


def test_detector_files_missing(fresh_peer: Peer, tmp_path: Any) -> None:
    fresh_peer.start("keypoints_node", assets_dir=str(tmp_path))
    status = fresh_peer.status(NODE, lambda s: s.level == b"\x02")
    assert "pose_detection.tflite" in status.message
    assert fresh_peer.state(NODE) == "unconfigured"


# A pose model of one's own.

TWO = factory.figures(np.array([[160.0, 180.0], [430.0, 170.0]]), 70.0)
IMAGE = factory.paint((640, 360), TWO)


def write_detector(folder: Path, **given: Any) -> str:
    """The path of a YAML; a model of a whole image lies beside it."""
    folder.mkdir(exist_ok=True)
    factory.one_stage(folder / "pose.onnx", "yolo_pose", repeat=10)
    content = {"model": "pose.onnx", "layout": "yolo_pose", "skeleton": "coco17", **given}
    path = folder / "my_pose.yaml"
    path.write_text(yaml.safe_dump(content))
    return str(path)


def check_both(answer: Bodies2D) -> None:
    """Both painted people, from left to right, to half a pixel."""
    assert (answer.skeleton, answer.detector) == ("coco17", "my_pose")
    assert (answer.image_width, answer.image_height) == (640, 360)
    assert [entry.track_id for entry in answer.bodies] == ["", ""]
    points = sorted(np.array(entry.points).reshape(17, 2).tolist() for entry in answer.bodies)
    np.testing.assert_allclose(points, TWO, atol=0.6)
    assert min(min(entry.visibility) for entry in answer.bodies) > 0.9
    assert min(entry.score for entry in answer.bodies) > 0.9


def test_two_people_by_a_model_of_ones_own(fresh_peer: Peer, tmp_path: Path) -> None:
    running = start(fresh_peer, Image, "image", detector=write_detector(tmp_path / "mine"))
    check_both(running.ask(image.from_bgr(IMAGE)))
    rgb = image.from_bgr(IMAGE[..., ::-1])
    rgb.encoding = "rgb8"
    check_both(running.ask(rgb))
    bare = running.ask(image.from_bgr(np.zeros_like(IMAGE)))
    assert (list(bare.bodies), bare.skeleton) == ([], "coco17")
    unknown = image.from_bgr(IMAGE)
    unknown.encoding = "nv12"
    running.send(unknown)
    status = fresh_peer.status(NODE, lambda s: s.count("errors: unknown encoding") == 1)
    assert status.values["detector"] == "my_pose"
    assert status.values["model"] == "pose.onnx"
    assert status.values["backend"] == "onnxruntime-cpu"
    assert status.count("bodies") == 4
    check_both(running.ask(image.from_bgr(IMAGE)))


def test_two_people_compressed(fresh_peer: Peer, tmp_path: Path) -> None:
    detector = write_detector(tmp_path / "mine")
    running = start(
        fresh_peer,
        CompressedImage,
        "image/compressed",
        image_transport="compressed",
        detector=detector,
    )
    check_both(running.ask(compressed(IMAGE)))


def test_detector_that_cannot_be_used(fresh_peer: Peer, tmp_path: Path) -> None:
    """Configure fails with one line that says what to do, and succeeds when that is done."""
    wanted = tmp_path / "mine" / "my_pose.yaml"
    process = fresh_peer.start("keypoints_node", detector=str(wanted), threads=1)
    status = fresh_peer.status(NODE, lambda s: s.level == b"\x02")
    assert status.message == (
        f"cannot configure: detector {wanted} cannot be read: No such file or directory"
    )
    for given, message in (
        ({"skelton": "coco17"}, "unknown key 'skelton'; known: model, layout, skeleton, name"),
        ({"model": "other.onnx"}, f"no model file {wanted.parent / 'other.onnx'}"),
    ):
        write_detector(wanted.parent, **given)
        assert not fresh_peer.change_state(NODE, Transition.TRANSITION_CONFIGURE)
        found = fresh_peer.status(NODE, lambda s, old=status: s.message != old.message)
        assert re.search(message, found.message), found.message
        assert "\n" not in found.message
        status = found
    assert process.said("Traceback") == 0
    assert fresh_peer.state(NODE) == "unconfigured"
    write_detector(wanted.parent)
    assert fresh_peer.change_state(NODE, Transition.TRANSITION_CONFIGURE)


def test_overload_takes_the_newest(fresh_peer: Peer, tmp_path: Path) -> None:
    """Images come twice as fast as they can be worked on.

    Every image is either answered or counted as dropped, and none waits for more than the one
    that is being worked on.
    """
    detector = write_detector(tmp_path / "slow")
    factory.one_stage(tmp_path / "slow" / "pose.onnx", "yolo_pose", work=8, repeat=10)
    running = start(fresh_peer, Image, "image", detector=detector, input_depth=1)
    running.ask(image.from_bgr(IMAGE))  # nothing is on its way any more
    answers = lambda s: s.count("published bodies_2d") == len(running.bodies)  # noqa: E731
    before = fresh_peer.status(NODE, answers)
    sent_before, answered_before = running.index, len(running.bodies)

    last, message, seen = sent_before + 30, image.from_bgr(IMAGE), []
    duration_s = 1e-3 * float(before.values["latency detect median (ms)"])

    def send() -> None:
        if running.index < last:
            running.send(message)

    keep = lambda answer: seen.append((index_of(answer), running.index))  # noqa: E731
    fresh_peer.node.create_subscription(Bodies2D, "bodies_2d", keep, 1000)
    fresh_peer.node.create_timer(duration_s / 2, send)
    fresh_peer.until(lambda: seen and seen[-1][0] == last, "answer to the newest image")

    status = fresh_peer.status(NODE, answers)
    received, dropped = (status.count(k) - before.count(k) for k in ("received", "dropped"))
    assert received == len(running.bodies) - answered_before
    assert received + dropped == 30
    assert dropped > 5
    indices = [index_of(answer) for answer in running.bodies]
    assert indices == sorted(set(indices))
    # Two detections at most: no older than what had been sent when the answer before the last came.
    for (_, newest), (answered, _) in zip(seen, seen[2:], strict=False):
        assert answered >= newest
    assert all(len(answer.bodies) == 2 for answer in running.bodies[answered_before:])


def index_of(answer: Bodies2D) -> int:
    """Which image it answers, by the stamp that :func:`header` gave it."""
    stamp = answer.header.stamp
    return round(30 * (stamp.sec - 1000 + 1e-9 * stamp.nanosec))
