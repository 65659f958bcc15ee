"""Images or embeddings in, actions out: real processes, real detector, real video."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sensor_msgs.msg import Image
from vipe_msgs.msg import Actions, Bodies2D, Bodies3D, Embeddings

from tests.model_factory import make_model
from tests.ros.classroom import embedded, squat, wave
from tests.ros.harness import Peer, Process, header, standing
from vipe_core import assets, keypoint_file, model_file, runtime
from vipe_core.errors import VipeError
from vipe_core.keypoint_file import KeypointFile
from vipe_ros import image

cv2 = pytest.importorskip("cv2")
LOSSLESS: dict[str, Any] = {"input_reliability": "reliable", "input_depth": 100}
FIRST, LAST, COUNT = 6, 24, 34  # frames of the demo video: a jumping jack opens, then closes


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("examples")
    for label, points in (("squat", squat()), ("wave", wave())):
        content = KeypointFile(points, np.ones(points.shape[:2]), "body13", fps=30, label=label)
        keypoint_file.write(folder / f"{label}.npz", content)
    return folder


@pytest.fixture(scope="module")
def action_node(peer: Peer, model_path: Path, examples: Path) -> Process:
    return peer.start(
        "action_node", model=str(model_path), examples_dir=str(examples), stale_after=60.0,
        **LOSSLESS,
    )  # fmt: skip


@pytest.fixture(scope="module")
def actions(peer: Peer) -> list[Actions]:
    return peer.listen(Actions, "actions")


@pytest.fixture(scope="module")
def publish(peer: Peer, action_node: Process, actions: list[Actions]) -> Callable[..., None]:
    talk = peer.talk(Embeddings, "embeddings")
    peer.until(lambda: peer.node.count_publishers("/actions"), "publisher of actions")
    return talk


def test_two_people_two_actions(
    peer: Peer, publish: Callable[..., None], actions: list[Actions], model_path: Path
) -> None:
    model = runtime.load(model_path)
    still = np.repeat(standing()[None], 10, axis=0)
    left = np.concatenate([still, squat(), still])
    right = np.concatenate([still, still, wave()])
    for index, poses in enumerate(zip(left, right, strict=True)):
        publish(embedded(model, index, *poses, ids="LR"))
    peer.until(lambda: len(actions) == len(left), "all actions")

    assert [m.header for m in actions] == [header(i) for i in range(len(left))]
    assert {(m.fingerprint, m.recognizer) for m in actions} == {(model.fingerprint, "dtw")}
    for column, label in enumerate(("squat", "wave")):
        of_person = [m.actions[column] for m in actions]
        assert {a.track_id for a in of_person} == {"LR"[column]}
        said = [a for a in of_person if a.label != "unknown"]
        assert {a.label for a in said} == {label}
        assert of_person[5].label == "unknown"
        best = max(said, key=lambda a: a.probability)
        assert sum(best.probabilities) == pytest.approx(1, abs=1e-5)
        assert set(best.labels) == {"squat", "wave", "unknown"}
        start, end = (t.sec + 1e-9 * t.nanosec for t in (best.start, best.end))
        first = 1000 + (10 if label == "squat" else 20) / 30
        assert start == pytest.approx(first, abs=0.4)
        assert end == pytest.approx(first + 1, abs=0.4)


def spoilt(message: Embeddings, **changes: Any) -> Embeddings:
    for name, value in changes.items():
        setattr(message if hasattr(message, name) else message.bodies[0], name, value)
    return message


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("fingerprint mismatch", {"fingerprint": "0123456789ab"}),
        ("wrong array length", {"mean": array("f", [1.0, 2.0])}),
        ("wrong array length", {"mirror_variance": array("f")}),
        ("embedding not finite", {"variance": array("f", [float("nan")] * 16)}),
    ],
)
def test_embeddings_that_cannot_be_used(
    peer: Peer, publish: Callable[..., None], actions: list[Actions], action_node: Process,
    model_path: Path, kind: str, changes: dict[str, Any],
) -> None:  # fmt: skip
    model = runtime.load(model_path)
    before, heard = peer.last_count("/action_node", f"errors: {kind}"), len(actions)
    for index in range(3):
        publish(spoilt(embedded(model, 500 + index, standing()), **changes))
    publish(embedded(model, 600, standing()))
    peer.until(lambda: len(actions) > heard, "an answer")
    assert actions[-1].header == header(600)
    status = peer.status("/action_node", lambda s: s.count(f"errors: {kind}") == before + 3)
    assert status.values["state"] == "active"
    assert action_node.said(f"{kind}:") == 1


def test_untracked_and_nobody(
    peer: Peer, publish: Callable[..., None], actions: list[Actions], action_node: Process,
    model_path: Path,
) -> None:  # fmt: skip
    model, heard = runtime.load(model_path), len(actions)
    publish(spoilt(embedded(model, 700, standing()), track_id=""))
    publish(embedded(model, 701))
    peer.until(lambda: len(actions) == heard + 2, "answers")
    assert [list(m.actions) for m in actions[-2:]] == [[], []]
    peer.status("/action_node", lambda s: s.count("errors: untracked body") == 1)


def test_examples_that_cannot_be_used(
    fresh_peer: Peer, model_path: Path, examples: Path, tmp_path: Path
) -> None:
    poseless = make_model(tmp_path / "pose.onnx", task="pose")
    fresh_peer.start("action_node", model=str(poseless), examples_dir=str(examples))
    status = fresh_peer.status("/action_node", lambda s: s.level == b"\x02")
    assert "makes no embeddings" in status.message


@pytest.fixture(scope="module")
def frames() -> list[np.ndarray]:
    """The first images of the demo video, 640 pixels wide."""
    assets.fetch()
    capture = cv2.VideoCapture(str(assets.path("demo.mp4")))
    frames = [cv2.resize(capture.read()[1], (640, 360)) for _ in range(COUNT)]
    capture.release()
    return frames


@pytest.fixture(scope="module")
def best_model(model_path: Path) -> Path:
    """The shipped model where there is one."""
    try:
        return model_file.default_path()
    except VipeError:
        return model_path


def play(
    peer: Peer, publish: Callable[..., None], frames: list[np.ndarray], outputs: list[list],
    first: int,
) -> None:  # fmt: skip
    """Publish image after image, each when all outputs of the one before have come."""
    for index, pixels in enumerate(frames):
        message = image.from_bgr(pixels)
        message.header = header(first + index, "camera_optical_frame")
        publish(message)
        stamp = message.header.stamp
        peer.until(
            lambda stamp=stamp: all(out and out[-1].header.stamp == stamp for out in outputs),
            f"outputs of image {index}",
        )


def taught(bodies: list[Bodies2D], folder: Path) -> Path:
    """One example out of what the detector saw."""
    clip = [message.bodies[0] for message in bodies[FIRST : LAST + 1]]
    content = KeypointFile(
        np.array([entry.points for entry in clip]).reshape(len(clip), 33, 2),
        np.array([entry.visibility for entry in clip]),
        "blazepose33",
        fps=30,
        label="jack_open",
    )
    keypoint_file.write(folder / "jack_open.npz", content)
    return folder


def test_image_to_actions(
    fresh_peer: Peer, frames: list[np.ndarray], best_model: Path, tmp_path: Path
) -> None:
    """Three processes. What the detector sees in a first showing is taught, and recognised
    in the second."""
    peer, model = fresh_peer, str(best_model)
    bodies = peer.listen(Bodies2D, "bodies_2d")
    peer.start("keypoints_node", threads=1, **LOSSLESS)
    publish = peer.talk(Image, "image")
    peer.until(lambda: peer.node.count_publishers("/bodies_2d"), "publisher of bodies_2d")
    play(peer, publish, frames, [bodies], first=0)
    examples = taught(bodies, tmp_path)

    outputs = [
        peer.listen(Bodies2D, "bodies_2d/tracked"),
        peer.listen(Embeddings, "embeddings"),
        peer.listen(Bodies3D, "bodies_3d"),
        peer.listen(Actions, "actions"),
    ]
    peer.start("vipe_node", model=model, **LOSSLESS)
    peer.start("action_node", model=model, examples_dir=str(examples), **LOSSLESS)
    for topic in ("bodies_2d/tracked", "embeddings", "bodies_3d", "actions"):
        peer.until(lambda topic=topic: peer.node.count_publishers(topic), f"publisher of {topic}")
    # The nodes among themselves: play something until it comes out at the far end.
    black, index = np.zeros((40, 40, 3), np.uint8), 100
    while not outputs[-1]:
        play(peer, publish, [black], [bodies], first=index)
        index += 1
    play(peer, publish, [black], [bodies, *outputs], first=index)

    for output in (bodies, *outputs):
        output.clear()
    play(peer, publish, frames, [bodies, *outputs], first=1000)

    expected = [header(1000 + i, "camera_optical_frame") for i in range(COUNT)]
    for output in (bodies, *outputs):
        assert [message.header for message in output] == expected
    tracked, embeddings, bodies_3d, actions = outputs
    for two, embedding, three in zip(tracked, embeddings, bodies_3d, strict=True):
        ids = [entry.track_id for entry in two.bodies]
        assert all(ids)
        assert [entry.track_id for entry in embedding.bodies] == ids
        assert [entry.track_id for entry in three.bodies] == ids
    assert sum(len(message.bodies) for message in bodies) >= 0.9 * COUNT
    said = [m.actions[0].label if m.actions else "" for m in actions]
    assert "jack_open" in said[LAST - 5 : LAST + 8]
    assert set(said[:FIRST]) <= {"unknown", ""}


def test_all_in_one(
    fresh_peer: Peer, frames: list[np.ndarray], model_path: Path, examples: Path, tmp_path: Path
) -> None:
    """The same three nodes in one process, each with its own parameters."""
    peer = fresh_peer
    outputs = [
        peer.listen(kind, topic)
        for kind, topic in (
            (Bodies2D, "bodies_2d"), (Embeddings, "embeddings"), (Bodies3D, "bodies_3d"),
            (Actions, "actions"),
        )
    ]  # fmt: skip
    model = str(model_path)
    assignments = {
        "vipe_node:model": model,
        "vipe_node:height": "1.5",
        "action_node:model": model,
        "action_node:examples_dir": str(examples),
        **{
            f"{node}:{name}": value
            for node in ("keypoints_node", "vipe_node", "action_node")
            for name, value in LOSSLESS.items()
        },
    }
    words = [word for name, value in assignments.items() for word in ("-p", f"{name}:={value}")]
    process = peer.start("all_in_one", *words)
    publish = peer.talk(Image, "image")
    for topic in ("bodies_2d", "embeddings", "bodies_3d", "actions"):
        peer.until(lambda topic=topic: peer.node.count_publishers(topic), topic)
    play(peer, publish, frames[:8], outputs, first=0)
    assert all(len(output) == 8 for output in outputs)
    heights = {entry.height for message in outputs[2] for entry in message.bodies}
    assert heights == {1.5}
    for node in ("/keypoints_node", "/vipe_node", "/action_node"):
        assert peer.status(node).values["state"] == "active"
    assert process.stop() == 0
