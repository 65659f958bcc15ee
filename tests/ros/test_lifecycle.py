"""Every transition twice round, and models that cannot be used."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from lifecycle_msgs.msg import Transition
from vipe_msgs.msg import Bodies2D, Embeddings

from tests.model_factory import make_model
from tests.ros.harness import Peer, Process, body, people, standing

NODE = "/vipe_node"
CONFIGURE, CLEANUP, ACTIVATE, DEACTIVATE = (
    Transition.TRANSITION_CONFIGURE,
    Transition.TRANSITION_CLEANUP,
    Transition.TRANSITION_ACTIVATE,
    Transition.TRANSITION_DEACTIVATE,
)


@pytest.fixture(scope="module")
def started(peer: Peer, tmp_path_factory: pytest.TempPathFactory) -> Process:
    """A node whose model is missing."""
    missing = tmp_path_factory.mktemp("none") / "missing.onnx"
    return peer.start("vipe_node", model=str(missing))


def refused(peer: Peer, model: Path, *words: str) -> None:
    """Configuring with this model fails with one line that says why; the node lives on."""
    peer.set_text(NODE, "model", model)
    assert not peer.change_state(NODE, CONFIGURE)
    assert peer.state(NODE) == "unconfigured"
    status = peer.status(NODE, lambda s: str(model) in s.message)
    assert status.level == b"\x02"
    assert all(word in status.message for word in words), status.message


def test_missing_model(peer: Peer, started: Process) -> None:
    status = peer.status(NODE, lambda s: s.level == b"\x02")
    assert "cannot configure" in status.message
    assert "missing.onnx does not exist" in status.message
    assert peer.state(NODE) == "unconfigured"
    assert started.said("cannot configure") == len(started.output.splitlines()) == 1


def test_corrupt_model(peer: Peer, started: Process, model_path: Path, tmp_path: Path) -> None:
    truncated = tmp_path / "truncated.onnx"
    truncated.write_bytes(model_path.read_bytes()[:1000])
    refused(peer, truncated, "truncated")
    nonsense = tmp_path / "nonsense.onnx"
    nonsense.write_text("not a model")
    refused(peer, nonsense, "not an ONNX file")
    assert "Traceback" not in started.output


def test_model_for_another_skeleton(peer: Peer, started: Process, tmp_path: Path) -> None:
    refused(peer, make_model(tmp_path / "coco.onnx", skeleton_2d="coco17"), "coco17", "body13")


def test_model_of_windows_of_frames(peer: Peer, started: Process, tmp_path: Path) -> None:
    refused(peer, make_model(tmp_path / "w.onnx", frames=7), "windows of 7 frames")
    assert "Traceback" not in started.output


def test_twice_round(peer: Peer, started: Process, model_path: Path) -> None:
    peer.set_text(NODE, "model", model_path)
    embeddings = peer.listen(Embeddings, "embeddings")
    for _ in range(2):
        assert peer.change_state(NODE, CONFIGURE)
        assert peer.state(NODE) == "inactive"
        assert peer.node.count_subscribers("/bodies_2d") == 0
        for _ in range(2):
            embeddings.clear()
            assert peer.change_state(NODE, ACTIVATE)
            publish = peer.talk(Bodies2D, "bodies_2d")
            peer.until(lambda: peer.node.count_publishers("/embeddings"), "publisher")

            def answered(publish=publish) -> bool:
                publish(people(1, body(standing())))
                return bool(embeddings)

            peer.until(answered, "embeddings")
            assert peer.change_state(NODE, DEACTIVATE)
            peer.until(lambda: not peer.node.count_subscribers("/bodies_2d"), "end of input")
        assert peer.change_state(NODE, CLEANUP)
        peer.until(lambda: not peer.node.count_publishers("/embeddings"), "end of outputs")
        assert peer.state(NODE) == "unconfigured"
    assert not peer.change_state(NODE, ACTIVATE)  # not from here
    status = peer.status(NODE, lambda s: s.values["state"] == "unconfigured")
    assert status.level == b"\x00"


def test_shutdown_is_the_end(peer: Peer, started: Process) -> None:
    assert peer.change_state(NODE, Transition.TRANSITION_UNCONFIGURED_SHUTDOWN)
    assert peer.state(NODE) == "finalized"
    assert started.process.poll() is None


@pytest.mark.parametrize(
    ("parameter", "value", "words"),
    [
        ("height", 9.0, "out of range"),
        ("input_reliability", "sometimes", "best_effort, reliable"),
        ("min_joints", "many", "min_joints"),
    ],
)
def test_wrong_parameter_at_start(
    fresh_peer: Peer, parameter: str, value: object, words: str
) -> None:
    process = fresh_peer.start("vipe_node", **{parameter: value})
    assert process.wait() == 2
    (line,) = process.output.splitlines()
    assert line.startswith(f"error: parameter {parameter}")
    assert words in line
    fresh_peer.processes.clear()  # its status is not 0


def test_without_autostart_nothing_happens(fresh_peer: Peer, model_path: Path) -> None:
    process = fresh_peer.start("vipe_node", model=str(model_path), autostart=False)
    assert fresh_peer.state(NODE) == "unconfigured"
    assert fresh_peer.change_state(NODE, CONFIGURE)
    assert fresh_peer.change_state(NODE, ACTIVATE)
    assert fresh_peer.state(NODE) == "active"
    assert process.stop(signal.SIGTERM) == 0
    assert "Traceback" not in process.output


def test_action_node_without_examples(fresh_peer: Peer, model_path: Path, tmp_path: Path) -> None:
    process = fresh_peer.start("action_node", model=str(model_path), examples_dir="")
    status = fresh_peer.status("/action_node", lambda s: s.values["state"] == "active")
    assert status.values["examples"] == "0"
    for transition in (DEACTIVATE, CLEANUP):
        assert fresh_peer.change_state("/action_node", transition)
    fresh_peer.set_text("/action_node", "examples_dir", tmp_path / "nowhere")
    assert not fresh_peer.change_state("/action_node", CONFIGURE)
    status = fresh_peer.status("/action_node", lambda s: "nowhere" in s.message)
    assert not fresh_peer.node.count_publishers("/actions")
    assert "Traceback" not in process.output
