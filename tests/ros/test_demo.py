"""The demo as a user runs it, on the first 90 frames of its video, and the bag it leaves.

The model has random weights: what is tested here is that everything passes through.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from demo import report
from demo.record import typestore
from vipe_core import keypoint_file

ROOT = Path(__file__).resolve().parents[2]
FRAMES = 90
STAGES = ("/bodies_2d", "/embeddings", "/bodies_3d", "/actions")


def run_demo(domain: int, *arguments: str | Path) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "demo", *map(str, arguments)]
    environment = os.environ | {"ROS_DOMAIN_ID": str(domain)}
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory, domain, model_path) -> Path:
    out = tmp_path_factory.mktemp("demo")
    done = run_demo(domain, "--frames", FRAMES, "--out", out, "--model", model_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "frames in" in done.stdout
    return out


@pytest.fixture(scope="module")
def bag(folder) -> dict[str, list]:
    """Topic -> its messages, read by rosbags."""
    from rosbags.highlevel import AnyReader

    store, messages = typestore(), {}
    with AnyReader([folder / "bag"], default_typestore=store) as reader:
        for connection, _, data in reader.messages():
            message = reader.deserialize(data, connection.msgtype)
            messages.setdefault(connection.topic, []).append(message)
    return messages


def stamps(messages: list) -> list[int]:
    return [m.header.stamp.sec * 10**9 + m.header.stamp.nanosec for m in messages]


def test_summary_says_that_nothing_was_lost(folder):
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["frames_in"] == FRAMES
    assert summary["frames_with_a_body"] >= 0.95 * FRAMES
    assert summary["embedded_share"] == 1.0
    for stage in summary["stages"].values():
        assert stage["lost_frames"] == 0
        assert 0 < stage["latency_ms"]["median"] <= stage["latency_ms"]["p99"]


def test_bag_holds_every_frame_of_every_stage_under_the_stamp_of_its_image(bag):
    images = stamps(bag["/camera_info"])
    assert len(set(images)) == FRAMES
    for topic in STAGES:
        assert stamps(bag[topic]) == images


def test_bag_holds_whole_messages(bag):
    found = next(message for message in bag["/bodies_3d"] if message.bodies)
    body = found.bodies[0]
    assert len(body.joints) == 51
    assert np.isfinite(body.joints).all()
    assert found.header.frame_id == "camera_optical_frame"
    assert any(message.markers for message in bag["/markers"])
    assert bag["/diagnostics"]


def test_types_in_the_bag_are_those_of_rosidl(folder):
    """A robot that has vipe_msgs recognises the bag's messages by their hash."""
    from rosbags.rosbag2 import Reader

    prefix = Path(sys.prefix) / "share" / "vipe_msgs" / "msg"
    with Reader(folder / "bag") as reader:
        digests = {connection.msgtype: connection.digest for connection in reader.connections}
    for name in ("Bodies2D", "Embeddings", "Bodies3D", "Actions"):
        described = json.loads((prefix / f"{name}.json").read_text())
        own = {entry["type_name"]: entry["hash_string"] for entry in described["type_hashes"]}
        assert digests[f"vipe_msgs/msg/{name}"] == own[f"vipe_msgs/msg/{name}"]


def test_examples_are_keypoint_files(folder):
    clips = [keypoint_file.read(path) for path in sorted((folder / "examples").glob("*.npz"))]
    assert [clip.label for clip in clips] == ["jack_open", "jack_close"]
    assert [len(clip) for clip in clips] == [19, 16]


@pytest.mark.parametrize("name", ["skeletons.png", "actions.png"])
def test_pictures_show_something(folder, name):
    picture = cv2.imread(str(folder / name))
    assert min(picture.shape[:2]) > 500
    assert picture.std() > 20


def test_a_missing_model_is_one_line_and_status_2(tmp_path, domain):
    done = run_demo(domain, "--out", tmp_path, "--model", tmp_path / "absent.onnx")
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("demo:")]
    assert "absent.onnx" in line
    assert "Traceback" not in done.stderr


def test_broken_promises_are_named(folder):
    summary = json.loads((folder / "summary.json").read_text())
    assert report.failures(summary, FRAMES) == []
    summary["stages"]["bodies_3d"]["lost_frames"] = 2
    summary["embedded_share"] = 0.94
    lost, embedded = report.failures(summary, FRAMES)
    assert lost == "2 frames never came out of bodies_3d"
    assert "95%" in embedded
    assert "of 91" in report.failures(summary, FRAMES + 1)[0]
