"""Every transition of every node, twice round, and the ways to its end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lifecycle_msgs.msg import Transition

from tests.ros.harness import Peer, standing
from vipe_core import assets, keypoint_file
from vipe_core.keypoint_file import KeypointFile
from vipe_ros import topics

cv2 = pytest.importorskip("cv2")
UP = (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE)
DOWN = (Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_CLEANUP)
ENDS = {
    "unconfigured": Transition.TRANSITION_UNCONFIGURED_SHUTDOWN,
    "inactive": Transition.TRANSITION_INACTIVE_SHUTDOWN,
    "active": Transition.TRANSITION_ACTIVE_SHUTDOWN,
}
Given = Callable[[Path, Path], dict[str, Any]]


def keypoints(model: Path, folder: Path) -> dict[str, Any]:
    assets.fetch()
    return {"threads": 1}


def vipe(model: Path, folder: Path) -> dict[str, Any]:
    return {"model": str(model), "humans": True, "placement": "depth"}


def action(model: Path, folder: Path) -> dict[str, Any]:
    points = np.repeat(standing()[None], 20, axis=0) + np.linspace(0, 9, 20)[:, None, None]
    content = KeypointFile(points, np.ones((20, 13)), "body13", fps=30, label="stand")
    keypoint_file.write(folder / "stand.npz", content)
    return {"model": str(model), "examples_dir": str(folder)}


def search(model: Path, folder: Path) -> dict[str, Any]:
    pytest.importorskip("lancedb")
    return {"model": str(model), "index": str(folder / "index"), "remember": True}


def video(model: Path, folder: Path) -> dict[str, Any]:
    path = folder / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (64, 48))
    writer.write(np.full((48, 64, 3), 90, np.uint8))
    writer.release()
    return {"video": str(path)}


NODES = pytest.mark.parametrize(
    ("name", "given"),
    [
        ("keypoints_node", keypoints),
        ("vipe_node", vipe),
        ("action_node", action),
        ("search_node", search),
        ("video_node", video),
    ],
)


def opened(peer: Peer, name: str, way: str) -> set[str]:
    """Topics of the table that a running node has open."""
    look = {
        topics.IN: peer.node.get_subscriber_names_and_types_by_node,
        topics.OUT: peer.node.get_publisher_names_and_types_by_node,
    }[way]
    table = {f"/{t.name.lstrip('/')}" for t in topics.TOPICS if (t.node, t.way) == (name, way)}
    return table & {topic for topic, _ in look(name, "/")}


def check_closed(peer: Peer, name: str) -> None:
    for way in (topics.IN, topics.OUT):
        peer.until(lambda way=way: not opened(peer, name, way), f"end of what is {way}")


@NODES
def test_twice_round(
    fresh_peer: Peer, model_path: Path, tmp_path: Path, name: str, given: Given
) -> None:
    peer, node = fresh_peer, f"/{name}"
    process = peer.start(name, autostart=False, **given(model_path, tmp_path))
    ways = {topic.way for topic in topics.TOPICS if topic.node == name}
    for _ in range(2):
        for transition, state in zip(UP, ("inactive", "active"), strict=True):
            assert peer.change_state(node, transition)
            assert peer.state(node) == state
        for way in ways:
            peer.until(lambda way=way: opened(peer, name, way), f"what is {way}")
        for wrong in UP:  # not from here, and no harm done
            assert not peer.change_state(node, wrong)
        assert peer.change_state(node, DOWN[0])
        peer.until(lambda: not opened(peer, name, topics.IN), "end of inputs")
        assert peer.change_state(node, DOWN[1])
        assert peer.state(node) == "unconfigured"
        check_closed(peer, name)
    assert peer.change_state(node, ENDS["unconfigured"])
    assert peer.state(node) == "finalized"
    assert process.stop() == 0
    assert "Traceback" not in process.output


@NODES
@pytest.mark.parametrize("state", ["inactive", "active"])
def test_end_from(
    fresh_peer: Peer, model_path: Path, tmp_path: Path, name: str, given: Given, state: str
) -> None:
    peer, node = fresh_peer, f"/{name}"
    process = peer.start(name, autostart=False, **given(model_path, tmp_path))
    for transition in UP[: 1 + (state == "active")]:
        assert peer.change_state(node, transition)
    assert peer.change_state(node, ENDS[state])
    assert peer.state(node) == "finalized"
    check_closed(peer, name)
    # Diagnostics go on: the process is there and says that the node is not.
    assert peer.status(node).values["state"] == "finalized"
    assert process.stop() == 0
    assert "Traceback" not in process.output
