"""video_node: a real file, written here, played as a camera."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from lifecycle_msgs.msg import Transition
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Empty

from tests.ros.harness import Peer
from vipe_ros import convert, image
from vipe_ros.video_node import camera_info

cv2 = pytest.importorskip("cv2")
NODE = "/video_node"
COUNT, RATE = 12, 25.0
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve grey images of 64 x 48, each brighter than the one before, at 25 Hz."""
    path = tmp_path_factory.mktemp("clip") / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), RATE, (64, 48))
    for index in range(COUNT):
        writer.write(np.full((48, 64, 3), 10 + 15 * index, np.uint8))
    writer.release()
    return path


def test_plays_every_image_at_its_rate(fresh_peer: Peer, clip: Path) -> None:
    images = fresh_peer.listen(Image, "image")
    infos = fresh_peer.listen(CameraInfo, "camera_info")
    process = fresh_peer.start(
        "video_node",
        video=str(clip),
        wait_for_topics=["camera_info"],
        exit_at_end=True,
    )
    assert process.wait() == 0
    fresh_peer.until(lambda: len(images) == len(infos) == COUNT, "all images")
    stamps = [convert.seconds(message.header.stamp) for message in images]
    assert stamps == [convert.seconds(message.header.stamp) for message in infos]
    # Never faster than the file; a busy machine may be late.
    assert np.median(np.diff(stamps)) > 0.8 / RATE
    assert stamps[-1] - stamps[0] > 0.9 * (COUNT - 1) / RATE
    shades = [image.to_bgr(message).mean() for message in images]
    np.testing.assert_allclose(shades, 10 + 15 * np.arange(COUNT), atol=4)
    assert {m.header.frame_id for m in images} == {"camera_optical_frame"}
    assert (infos[0].width, infos[0].height) == (64, 48)


def test_lens_of_known_width_beside_the_image(fresh_peer: Peer, clip: Path) -> None:
    infos = fresh_peer.listen(CameraInfo, "/cam/camera_info")
    fresh_peer.start(
        "video_node", "-r", "image:=/cam/image_raw",
        video=str(clip), rate=200.0, fov=90.0, wait_for_subscribers=0,
        wait_for_topics=["/cam/camera_info"],
    )  # fmt: skip
    fresh_peer.until(lambda: len(infos) == COUNT, "camera_info")
    info = infos[0]
    assert info.header.frame_id == "camera_optical_frame"
    assert (info.distortion_model, list(info.d)) == ("plumb_bob", [0.0] * 5)
    # Half the width of 64 pixels is 45 degrees: as far away as it is wide.
    np.testing.assert_allclose(info.k, [32, 0, 32, 0, 32, 24, 0, 0, 1])
    np.testing.assert_allclose(info.r, np.eye(3).ravel())
    np.testing.assert_allclose(info.p, [32, 0, 32, 0, 0, 32, 24, 0, 0, 0, 1, 0])
    # The pixel at the right edge is seen fov / 2 to the right.
    (x, _, depth) = np.linalg.inv(np.array(info.k).reshape(3, 3)) @ (64, 24, 1)
    assert np.degrees(np.arctan2(x, depth)) == pytest.approx(45)


def test_lens_of_unknown_width_is_not_calibrated() -> None:
    info = camera_info(64, 48, 0.0)
    assert (info.width, info.height, info.distortion_model) == (64, 48, "")
    assert not any(info.k)
    assert not any(info.p)


def test_stays_after_the_end_and_says_so(fresh_peer: Peer, clip: Path) -> None:
    images = fresh_peer.listen(Image, "image")
    fresh_peer.start("video_node", video=str(clip), width=32, rate=200.0)
    fresh_peer.until(lambda: len(images) == COUNT, "all images")
    assert (images[0].width, images[0].height) == (32, 24)
    # Latched: also for who comes after the end.
    assert fresh_peer.until(fresh_peer.listen(Empty, "finished", LATCHED).copy, "finished")
    status = fresh_peer.status(NODE)
    assert status.count("published image") == COUNT
    assert fresh_peer.state(NODE) == "active"


def test_waits_for_subscribers(fresh_peer: Peer, clip: Path) -> None:
    images = fresh_peer.listen(Image, "image")
    fresh_peer.start("video_node", video=str(clip), rate=200.0, wait_for_subscribers=2)
    for _ in range(2):
        assert fresh_peer.status(NODE).count("published image") == 0
    second = fresh_peer.listen(Image, "image")
    fresh_peer.until(lambda: len(images) == len(second) == COUNT, "all images for both")


def test_bad_video(fresh_peer: Peer, clip: Path, tmp_path: Path) -> None:
    process = fresh_peer.start("video_node", video="")
    nonsense, empty = tmp_path / "nonsense.mp4", tmp_path / "empty.mp4"
    nonsense.write_bytes(b"this is no video")
    empty.touch()
    for video, words in {
        "": "the parameter video is empty",
        tmp_path / "none.mp4": "does not exist",
        nonsense: "cannot be opened",
        empty: "cannot be opened",
    }.items():
        fresh_peer.set_text(NODE, "video", video)
        assert not fresh_peer.change_state(NODE, Transition.TRANSITION_CONFIGURE)
        status = fresh_peer.status(NODE, lambda s, words=words: words in s.message)
        assert status.level == b"\x02"
        assert str(video) in status.message
    assert fresh_peer.state(NODE) == "unconfigured"
    assert process.said("cannot configure") == 5  # with the one at start
    fresh_peer.set_text(NODE, "video", clip)
    assert fresh_peer.change_state(NODE, Transition.TRANSITION_CONFIGURE)


def test_bad_video_ends_a_process_that_should_end(fresh_peer: Peer, tmp_path: Path) -> None:
    process = fresh_peer.start("video_node", video=str(tmp_path / "no.mp4"), exit_at_end=True)
    assert process.wait() == 2
    assert process.said("does not exist") == 1
    fresh_peer.processes.clear()  # its status is not 0


def test_damaged_in_the_middle(fresh_peer: Peer, clip: Path, tmp_path: Path) -> None:
    damaged, whole = tmp_path / "damaged.avi", bytearray(clip.read_bytes())
    first, last = len(whole) // 2, len(whole) * 8 // 10
    whole[first:last] = bytes(last - first)
    damaged.write_bytes(whole)
    images = fresh_peer.listen(Image, "image")
    process = fresh_peer.start("video_node", video=str(damaged), rate=200.0, exit_at_end=True)
    assert process.wait() == 0
    fresh_peer.until(lambda: images, "an image")
    assert len(images) < COUNT
