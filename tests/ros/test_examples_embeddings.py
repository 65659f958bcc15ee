"""examples/subscribe_embeddings.py and compare_with_stored_pose.py as a user runs them, with
embeddings of the model that ships."""

from __future__ import annotations

import dataclasses
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from std_msgs.msg import Float32
from vipe_msgs.msg import Embedding, Embeddings

from tests import bodies
from tests.cli import vipe
from tests.ros.examples import ELSE, FRONT, MODEL, OTHER, RAISED, SIDE, example, robot, seen_from
from tests.ros.harness import Peer, Process, header
from vipe_core import embedding_file, keypoint_file, runtime
from vipe_core.embedding import likelihood_match_probability
from vipe_core.geometry import mirror_points
from vipe_core.keypoint_file import KeypointFile
from vipe_ros import convert


@pytest.fixture(scope="module")
def model() -> runtime.Model:
    return runtime.load(MODEL)


def embedded(
    model: runtime.Model, index: int, *poses: np.ndarray, ids: str = "12", hidden: int | None = None
) -> Embeddings:
    """What vipe_node says of people (13, 2)."""
    info, visibility = model.metadata, np.ones((len(poses), 13), np.float32)
    if hidden is not None:
        visibility[:, hidden] = 0
    found = model(np.reshape(poses, (-1, 13, 2)), visibility)
    names = ("mean", "variance", "mirror_mean", "mirror_variance")
    people = [
        Embedding(
            track_id=ids[row],
            visibility=array("f", visibility[row].tolist()),
            **{name: array("f", getattr(found, name)[row].tolist()) for name in names},
        )
        for row in range(len(poses))
    ]
    return Embeddings(
        header=header(index),
        model=info.name,
        model_version=info.version,
        fingerprint=model.fingerprint,
        sigmoid_a=info.sigmoid_a,
        sigmoid_b=info.sigmoid_b,
        bodies=people,
    )


def probability(message: Embeddings, a: Embedding, b: Embedding) -> float:
    one, two = ((np.array(of.mean), np.array(of.variance)) for of in (a, b))
    odds = message.sigmoid_a, message.sigmoid_b
    return float(likelihood_match_probability(*one, *two, *odds))


@dataclass
class Listening:
    """A subscribe_embeddings that is shown people."""

    peer: Peer
    process: Process
    model: runtime.Model
    publish: Callable[[Embeddings], None]
    sent: list[Embeddings] = field(default_factory=list)
    index: int = 0

    def show(self, *poses: np.ndarray, until: str, fingerprint: str = "") -> None:
        """Images of these people, a third of a second apart, until it says so once more. Of
        another model: all at one time."""
        before = self.process.said(until)

        def said() -> bool:
            self.index += 0 if fingerprint else 10
            self.sent.append(embedded(self.model, self.index, *poses))
            self.sent[-1].fingerprint = fingerprint or self.model.fingerprint
            self.publish(self.sent[-1])
            return self.process.said(until) > before

        self.peer.until(said, until)

    def alike(self, a: np.ndarray, b: np.ndarray) -> str:
        message = embedded(self.model, 0, a, b)
        return f"{probability(message, *message.bodies):.2f}"


@pytest.fixture(scope="module")
def listening(peer: Peer, model: runtime.Model, tmp_path_factory: Any) -> Listening:
    name, saved = "subscribe_embeddings", tmp_path_factory.mktemp("seen") / "seen.npz"
    process = example(peer, name, "--ago", 1, "--every", 0.1, "--save", saved)
    publish = peer.talk(Embeddings, f"/{name}/embeddings")
    peer.until(lambda: process.said(f"nothing on /{name}/embeddings: is vipe_node"), "a hint")
    return Listening(peer, process, model, publish)


def test_who_is_alike_and_who_has_moved(listening: Listening) -> None:
    same, other = listening.alike(FRONT, SIDE), listening.alike(ELSE, SIDE)
    moved, still = listening.alike(FRONT, ELSE), listening.alike(SIDE, SIDE)
    assert float(other) < 0.2 < 0.8 < float(same)
    listening.show(FRONT, SIDE, until=f"2 people, 1 and 2: {same}, 1 and 1 s ago: {still}")
    then = f"1 and 1 s ago: {moved}, 2 and 1 s ago: {still}"
    listening.show(ELSE, SIDE, until=f"2 people, 1 and 2: {other}, {then}")
    listening.show(FRONT, until="1 people, 1 and 1 s ago:")
    listening.show(until="0 people")


def test_two_models_have_nothing_in_common(listening: Listening) -> None:
    listening.show(FRONT, SIDE, until="2 and 1 s ago: 0.9")
    change = f"another model ({listening.model.fingerprint} -> 0123456789ab): what came before is"
    listening.show(FRONT, SIDE, until=change, fingerprint="0123456789ab")

    def reports() -> list[str]:
        after = listening.process.output.partition(change)[2].splitlines()
        return [line for line in after if "2 people" in line]

    listening.peer.until(reports, "a report of the other model")
    assert all("1 and 2: 0.9" in line and "ago" not in line for line in reports())


def test_what_was_seen_is_an_index_for_search(listening: Listening, tmp_path: Path) -> None:
    listening.show(FRONT, until="1 people")
    listening.show(ELSE, SIDE, until="2 people")
    listening.show(FRONT, SIDE, until="2 people", fingerprint="0123456789ab")
    assert listening.process.stop() == 0
    (line,) = [line for line in listening.process.output.splitlines() if "images of 1, 2" in line]
    path = line.partition(": ")[0]
    file = embedding_file.read(path)
    assert (file.fingerprint, file.skeleton) == (listening.model.fingerprint, "body13")
    assert f"{len(file.mean)} images" in line
    ours = [message for message in listening.sent if message.fingerprint == file.fingerprint]
    sent = {convert.seconds(message.header.stamp): list(message.bodies) for message in ours}
    assert file.stamp is not None
    for stamp, mean, variance in zip(file.stamp, file.mean, file.variance, strict=True):
        for column, person in enumerate(sent[stamp]):
            np.testing.assert_array_equal(mean[column], person.mean)
            np.testing.assert_array_equal(variance[column], person.variance)
        assert np.isnan(mean[len(sent[stamp]) :]).all()

    query = np.asarray([p.mean for p in embedded(listening.model, 0, ELSE, SIDE).bodies])
    embedding_file.write(
        tmp_path / "query.npz",
        dataclasses.replace(file, mean=query, variance=np.zeros_like(query), stamp=None),
    )
    done = vipe("search", path, tmp_path / "query.npz", tmp_path / "found.npz", "-k", 1)
    assert done.returncode == 0, done.stderr
    row, person = np.divmod(np.load(tmp_path / "found.npz")["indices"][:, 0], 2)
    assert person.tolist() == [0, 1]
    np.testing.assert_array_equal(file.mean[row, person], query)


@pytest.fixture(scope="module")
def stored(peer: Peer, model: runtime.Model, tmp_path_factory: Any) -> Path:
    """The raised arm, stored by the script from the front."""
    path = tmp_path_factory.mktemp("poses") / "raised.npz"
    process = example(
        peer, "compare_with_stored_pose", "--store", path, "--countdown", 0.1, space="store"
    )
    publish = peer.talk(Embeddings, "/store/embeddings")

    def show(text: str, *poses: np.ndarray, **given: Any) -> None:
        peer.until(lambda: publish(embedded(model, 0, *poses, **given)) or process.said(text), text)

    show("1 s left", FRONT, ELSE)
    show("2 people in view: one is needed", FRONT, ELSE)
    show("0 people in view: one is needed")
    show("not seen well: left_wrist", FRONT, hidden=5)
    assert not path.exists()
    show(f"stored {path}", FRONT)
    assert process.wait() == 0
    return path


def test_stored_pose_is_recognised_from_another_side(
    peer: Peer, model: runtime.Model, stored: Path
) -> None:
    topics = ("/compare/similarity", "/compare/similarity_mirrored")
    outputs = [peer.listen(Float32, topic) for topic in topics]
    process = example(peer, "compare_with_stored_pose", "--with", stored, space="compare")
    publish = peer.talk(Embeddings, "/compare/embeddings")
    peer.until(lambda: all(map(peer.node.count_publishers, topics)), "outputs")

    def ask(*poses: np.ndarray) -> list[float]:
        counts = [len(output) for output in outputs]
        publish(embedded(model, 0, *poses))
        peer.until(lambda: all(len(o) > n for o, n in zip(outputs, counts, strict=True)), "both")
        return [output[-1].data for output in outputs]

    for pose in (FRONT, SIDE, seen_from(RAISED, -60)):
        as_is, mirror = ask(pose)
        assert as_is > 0.8
        assert mirror < 0.2
        as_is, mirror = ask(mirror_points(pose, "body13", width=640))
        assert as_is < 0.2
        assert mirror > 0.8
    assert max(ask(seen_from(OTHER, 50))) < 0.4
    assert ask(ELSE, SIDE)[0] == ask(SIDE)[0]  # the best of all people
    assert np.isnan(ask()).all()
    peer.until(lambda: process.said(f"person 1 as in {stored}: 0.9"), "who it is")


def test_other_model(peer: Peer, model: runtime.Model, stored: Path, tmp_path: Path) -> None:
    ours = embedding_file.read(stored)
    foreign = tmp_path / "old.npz"
    embedding_file.write(foreign, dataclasses.replace(ours, fingerprint="0123456789ab"))
    process = example(peer, "compare_with_stored_pose", "--with", stored, foreign, space="other")
    publish = peer.talk(Embeddings, "/other/embeddings")
    publish(embedded(model, 0, FRONT))
    assert process.wait() == 2
    peer.processes.remove(process)  # the others end with status 0
    (line,) = [line for line in process.output.splitlines() if "cannot be compared" in line]
    assert f"{foreign} is of model" in line
    assert "(0123456789ab)" in line
    assert f"({model.fingerprint})" in line
    assert "store the pose again" in line
    assert "Traceback" not in process.output


def test_pose_of_vipe_embed_is_recognised_by_the_nodes(peer: Peer, tmp_path: Path) -> None:
    """A clip -> `vipe embed` -> compare_with_stored_pose <- vipe_node <- keypoints."""
    clip, pose = tmp_path / "clip.npz", tmp_path / "raised.npz"
    points = np.stack([ELSE, FRONT])  # any of the poses of a clip counts
    keypoint_file.write(clip, KeypointFile(points, np.ones((2, 13)), "body13"))
    assert vipe("embed", clip, pose, "--model", MODEL).returncode == 0
    show, found = robot(peer, "robot"), peer.listen(Float32, "/robot/similarity")
    example(peer, "compare_with_stored_pose", "--with", pose, space="robot")
    third = seen_from(bodies.random_people(5, seed=1)[0], 50)
    peer.until(lambda: show(third) or (found and found[-1].data < 0.3), "another pose")
    peer.until(lambda: show(SIDE) or found[-1].data > 0.8, "the pose, from another side")
