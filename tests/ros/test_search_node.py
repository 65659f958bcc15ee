"""search_node remembers and finds: a real process, a real LanceDB index, and kill -9."""

from __future__ import annotations

import os
import shutil
import signal
import time
from array import array
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from lifecycle_msgs.msg import Transition
from vipe_msgs.srv import Search

from tests.model_factory import make_model
from tests.ros.classroom import LOSSLESS, Scene, squat, still, wave
from tests.ros.harness import BIN, Peer, Status, check_services, check_topics, header, standing
from vipe_core import keypoint_file
from vipe_core.keypoint_file import KeypointFile

cv2 = pytest.importorskip("cv2")
pytest.importorskip("lancedb")
from vipe_core.gallery import Gallery  # noqa: E402

NODE = "/search_node"


class Archive(Scene):
    """A running search_node, and the people that it remembers."""

    def __init__(self, peer: Peer, model: Path, index: Path, **parameters: Any) -> None:
        given = {"model": str(model), "index": str(index), "source": "test", **LOSSLESS}
        given |= {"remember": True, "remember_rate": 100.0, "stale_after": 60.0, **parameters}
        self.process, self.address = peer.start("search_node", **given), index
        super().__init__(peer, model)
        peer.until(self.keypoints.get_subscription_count, "a reader of keypoints")
        peer.status(NODE, self._hears)

    def _hears(self, status: Status) -> bool:
        """Whether the node has heard of an image."""
        self.image()
        return status.count("received") > 0

    def show(self, performance: np.ndarray) -> None:
        """Somebody does something (T, 13, 2), the first thing that the node sees, until all of
        it is remembered."""
        for points in performance:
            self.image(points)
        count = len(performance)
        self.peer.status(NODE, lambda status: status.count("remembered") == count)

    def search(self, *poses: np.ndarray, ids: str = "1", **request: Any) -> Any:
        """The answer, while these people are in view; they are not remembered."""
        client = self.peer.node.create_client(Search, "search")
        self.peer.until(client.service_is_ready, "service search")
        self.image(*poses, ids=ids)
        future = client.call_async(Search.Request(**request))
        self.peer.until(future.done, "answer of search")
        self.peer.node.destroy_client(client)
        return future.result()

    def embedding(self, points: np.ndarray) -> dict[str, array]:
        """A request for this pose (13, 2)."""
        found = self.model(points[None])
        return {name: array("f", getattr(found, name)[0]) for name in ("mean", "variance")}


@pytest.fixture(scope="module")
def archive(peer: Peer, model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Archive:
    return Archive(peer, model_path, tmp_path_factory.mktemp("index") / "poses")


@pytest.fixture(scope="module")
def full(archive: Archive) -> int:
    """Number of the image of the first remembered pose: stills, a squat, a wave."""
    first = archive.index + 1
    archive.show(np.concatenate([still(10), squat(), wave()]))
    assert archive.peer.set(NODE, "remember", False).successful
    archive.peer.status(NODE, lambda s: s.values["poses"] == "70")
    return first


def stamps(answer: Any) -> list[tuple[int, int]]:
    return [(match.stamp.sec, match.stamp.nanosec) for match in answer.matches]


def at(index: int) -> tuple[int, int]:
    stamp = header(index).stamp
    return stamp.sec, stamp.nanosec


def is_near(answer: Any, index: int) -> bool:
    """Whether the best answer is within a tenth of a second of an image: there is hardly any
    movement where a movement turns back."""
    stamp = answer.matches[0].stamp
    return abs(stamp.sec + 1e-9 * stamp.nanosec - 1000 - index / 30) < 0.11


def test_empty_index(archive: Archive) -> None:
    answer = archive.search(**archive.embedding(standing()))
    assert not answer.success
    assert answer.message == f"index {archive.address} is empty: nothing was remembered yet"
    check_topics(archive.peer, "search_node")
    check_services(archive.peer, "search_node")


def test_an_embedding(archive: Archive, full: int) -> None:
    answer = archive.search(**archive.embedding(squat()[15]), k=3)
    assert answer.success, answer.message
    assert len(answer.matches) == 3
    assert is_near(answer, full + 10 + 15)
    best = answer.matches[0]
    assert (best.source, best.body, best.label) == ("test", "1", "")
    assert best.probability > answer.matches[2].probability - 1e-6
    picture = cv2.imdecode(np.frombuffer(best.thumbnail.data, np.uint8), cv2.IMREAD_COLOR)
    assert best.thumbnail.format == "jpeg"
    assert picture.shape == (96, 96, 3)
    assert picture.std() > 5


def test_somebody_in_view(archive: Archive, full: int) -> None:
    answer = archive.search(wave()[15], k=2)
    assert answer.success, answer.message
    assert is_near(answer, full + 40 + 15)
    two = wave()[15], squat()[15] + np.array([200, 0])
    answer = archive.search(*two, ids="AB", track_id="B", k=2)
    assert is_near(answer, full + 10 + 15)


def test_only_some_joints(archive: Archive, full: int) -> None:
    joints = ["left_shoulder", "right_shoulder", "left_elbow", "left_wrist", "left_hip"]
    answer = archive.search(wave()[15], k=4, joints=joints)
    assert answer.success, answer.message
    whole = archive.search(wave()[15], k=4)
    assert [m.probability for m in answer.matches] != [m.probability for m in whole.matches]


def test_a_moment_of_a_file(archive: Archive, full: int, tmp_path: Path) -> None:
    points = np.concatenate([still(), squat()])
    content = KeypointFile(points, np.ones(points.shape[:2]), "body13", fps=30)
    keypoint_file.write(tmp_path / "clip.npz", content)
    answer = archive.search(file=str(tmp_path / "clip.npz"), file_time=30 / 30, k=2)
    assert answer.success, answer.message
    assert is_near(answer, full + 10 + 15)


@pytest.mark.parametrize(
    ("given", "count"),
    [
        ({}, 20),
        ({"k": 100}, 70),
        ({"source": "test"}, 20),
        ({"source": "elsewhere"}, 0),
        ({"label": "dance"}, 0),
        ({"since": Time(sec=1), "until": Time(sec=2)}, 0),
        ({"k": 100, "apart": 10.0}, 1),
    ],
)
def test_filters(archive: Archive, full: int, given: dict[str, Any], count: int) -> None:
    answer = archive.search(**archive.embedding(standing()), **given)
    assert (answer.success, answer.message) == (True, f"{count} found")
    assert len(answer.matches) == count


def test_a_span_of_time(archive: Archive, full: int) -> None:
    bounds = {"since": header(full + 12).stamp, "until": header(full + 15).stamp}
    answer = archive.search(**archive.embedding(standing()), **bounds)
    assert sorted(stamps(answer)) == [at(full + i) for i in (12, 13, 14, 15)]


@pytest.mark.parametrize(
    ("poses", "given", "words"),
    [
        ((), {}, "nobody is in view"),
        ((standing(), standing()), {}, "2 people are in view"),
        ((standing(),), {"track_id": "x"}, "person x is not in view"),
        ((standing(),), {"joints": ["left_wrist", "tail"]}, "unknown joint tail"),
        ((), {"mean": [1.0], "variance": [1.0]}, "mean has 1 values, 16 needed"),
        ((), {"mean": [1.0] * 16}, "variance has 0 values, 16 needed"),
        ((), {"mean": [np.nan] * 16, "variance": [1.0] * 16}, "finite"),
        ((), {"mean": [0.0] * 16, "variance": [1.0] * 16, "joints": ["nose"]}, "not of an embed"),
        ((), {"mean": [1.0], "file": "x.npz"}, "a file and an embedding"),
        ((), {"file": "/nowhere/x.npz"}, "/nowhere/x.npz"),
        ((standing(),), {"k": 2_000_000}, "k must be from 1"),
        ((standing(),), {"apart": -1.0}, "apart is -1: seconds, 0 or more"),
        ((standing(),), {"apart": np.nan}, "apart is nan"),
        ((), {"file": "x.npz", "file_time": -1.0}, "file_time is -1: seconds, 0 or more"),
        ((), {"file": "x.npz", "file_time": np.nan}, "file_time is nan"),
    ],
)
def test_requests_that_are_refused(
    archive: Archive, full: int, poses: tuple, given: dict[str, Any], words: str
) -> None:
    answer = archive.search(*poses, ids="AB", **given)
    assert not answer.success
    assert words in answer.message
    assert "\n" not in answer.message
    assert not answer.matches


def test_not_active(archive: Archive) -> None:
    assert archive.peer.change_state(NODE, Transition.TRANSITION_DEACTIVATE)
    answer = archive.search(**archive.embedding(standing()))
    assert not answer.success
    assert "search_node is inactive" in answer.message
    assert archive.peer.change_state(NODE, Transition.TRANSITION_CLEANUP)


@pytest.mark.parametrize(("given", "words"), [("", "the parameter index is empty"), ("m", "anew")])
def test_configurations_that_are_refused(
    archive: Archive, full: int, tmp_path: Path, given: str, words: str
) -> None:
    """No index named, and one of another model."""
    other = make_model(tmp_path / "other.onnx", mirror=True, name="other")
    archive.peer.set_text(NODE, "index", archive.address if given else "")
    archive.peer.set_text(NODE, "model", other if given else archive.model.path)
    assert not archive.peer.change_state(NODE, Transition.TRANSITION_CONFIGURE)
    status = archive.peer.status(NODE, lambda s: words in s.message)
    assert status.level == b"\x02"
    assert not given or archive.model.fingerprint in status.message


def test_last_poses_are_kept_at_the_end(fresh_peer: Peer, model_path: Path, tmp_path: Path) -> None:
    archive = Archive(fresh_peer, model_path, tmp_path / "poses", source="")
    archive.show(squat())
    answer = archive.search(wave()[15])  # so it has been seen
    assert answer.success, answer.message
    assert archive.process.stop() == 0
    assert "Traceback" not in archive.process.output
    found = Gallery.open(archive.address).search(np.zeros(16), np.ones(16), k=100)
    assert len(found) == 31
    assert max(match.stamp_s for match in found) == pytest.approx(1000 + archive.index / 30)
    (source,) = {match.source for match in found}
    assert source.startswith(f"{os.uname().nodename}/search_node/20")


def test_killed(fresh_peer: Peer, model_path: Path, tmp_path: Path) -> None:
    """At most the last second is lost, and never an earlier row."""
    archive, shown = Archive(fresh_peer, model_path, tmp_path / "poses"), {}

    def seen() -> bool:
        archive.image(standing())
        shown[round(1000 + archive.index / 30, 4)] = time.monotonic()
        return fresh_peer.last_count(NODE, "remembered") > 20

    fresh_peer.until(seen, "poses remembered")
    killed = time.monotonic()
    archive.process.process.send_signal(signal.SIGKILL)
    archive.process.process.wait()
    fresh_peer.processes.clear()  # its status is not 0
    found = Gallery.open(archive.address).search(np.zeros(16), np.ones(16), k=10_000)
    kept = sorted(round(match.stamp_s, 4) for match in found)
    assert kept == sorted(shown)[: len(kept)]
    lost = [moment for stamp, moment in shown.items() if stamp not in kept]
    assert not lost or killed - min(lost) < 2.0  # a second, and another for a busy machine

    again = Archive(fresh_peer, model_path, tmp_path / "poses", source="second life")
    again.show(wave())
    answer = again.search(**again.embedding(standing()), k=10_000)
    assert {match.source for match in answer.matches} == {"test", "second life"}
    assert len(answer.matches) == len(kept) + 30


@pytest.fixture(scope="module")
def long_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """It takes minutes to find people in all of it."""
    path = tmp_path_factory.mktemp("video") / "long.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30, (64, 64))
    for _ in range(15_000):
        writer.write(np.zeros((64, 64, 3), np.uint8))
    writer.release()
    return path


@pytest.mark.parametrize("how", ["cleanup", "SIGINT", "SIGTERM"])
def test_told_to_stop_while_a_recording_is_read(
    fresh_peer: Peer, model_path: Path, tmp_path: Path, long_video: Path, how: str
) -> None:
    archive = Archive(fresh_peer, model_path, tmp_path / "poses")
    client = fresh_peer.node.create_client(Search, "search")
    fresh_peer.until(client.service_is_ready, "service search")
    future = client.call_async(Search.Request(file=str(long_video), file_time=400.0))
    process = archive.process.process.pid
    fresh_peer.until(lambda: future.done() or reads(process, long_video), "a reader")
    assert not future.done(), future.result()
    if how == "cleanup":
        for transition in (Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_CLEANUP):
            assert fresh_peer.change_state(NODE, transition)
        fresh_peer.until(future.done, "answer of search")
        answer = future.result()
        assert (answer.success, answer.message) == (False, "given up: the node was deactivated")
    else:
        assert archive.process.stop(signal.Signals[how]) == 0
    assert "Traceback" not in archive.process.output
    assert "internal error" not in archive.process.output


def reads(process: int, path: Path) -> bool:
    """Whether a process has a file open."""
    files = Path(f"/proc/{process}/fd").iterdir()
    return any(file.is_symlink() and os.path.realpath(file) == str(path) for file in files)


def test_people_without_id_are_all_remembered(
    fresh_peer: Peer, model_path: Path, tmp_path: Path
) -> None:
    archive = Archive(fresh_peer, model_path, tmp_path / "poses", remember_rate=0.01)
    archive.image(standing(), standing(shift=200), squat()[15], ids=["", "", "7"])
    fresh_peer.status(NODE, lambda status: status.count("remembered") == 3)


def test_batch_that_cannot_be_written_is_counted(
    fresh_peer: Peer, model_path: Path, tmp_path: Path
) -> None:
    index = tmp_path / "poses"
    archive = Archive(fresh_peer, model_path, index)
    shutil.rmtree(index)
    index.write_text("no folder")
    archive.image(standing())
    status = fresh_peer.status(NODE, lambda status: status.count("not remembered") == 1)
    assert status.count("remembered") == 0


def test_without_lancedb(fresh_peer: Peer, model_path: Path, tmp_path: Path) -> None:
    (tmp_path / "lancedb.py").write_text("raise ModuleNotFoundError('no lancedb here')\n")
    words = [str(BIN / "search_node"), "--ros-args", "-p", f"index:={tmp_path / 'poses'}"]
    paths = f"PYTHONPATH={tmp_path}"
    fresh_peer.spawn(["/usr/bin/env", paths, *words, "-p", f"model:={model_path}"])
    status = fresh_peer.status(NODE, lambda s: s.level == b"\x02")
    assert "needs LanceDB: pip install" in status.message
    assert fresh_peer.state(NODE) == "unconfigured"
