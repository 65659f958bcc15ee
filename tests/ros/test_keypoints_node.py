"""keypoints_node on frames of the real video, and on images that are none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage, Image
from vipe_msgs.msg import Bodies2D

from tests.ros.harness import Peer, Process, header
from vipe_core import assets
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


def start(peer: Peer, kind: type, topic: str, **parameters: Any) -> Running:
    assets.fetch()
    process = peer.start(
        "keypoints_node", threads=1, input_reliability="reliable", input_depth=50, **parameters
    )
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


def test_finds_and_follows_the_person(running: Running, frames: list[np.ndarray]) -> None:
    answers = [running.ask(image.from_bgr(frame)) for frame in frames]
    last = answers[-1]
    assert last.header.frame_id == "camera_optical_frame"
    assert (last.skeleton, last.detector) == ("blazepose33", "blazepose-full")
    assert (last.image_width, last.image_height) == (640, 360)
    found = [answer.bodies[0] for answer in answers if answer.bodies]
    assert len(found) >= 8
    assert {entry.track_id for entry in found} == {found[0].track_id} != {""}
    points = np.array(found[-1].points).reshape(33, 2)
    inside = (points >= 0) & (points < (640, 360))
    assert inside.all(axis=1).mean() > 0.9
    assert len(found[-1].visibility) == 33


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
