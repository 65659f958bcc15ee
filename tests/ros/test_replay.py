"""Bags recorded from VIPE and played into it, by the real launch files."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.serialization import serialize_message
from rosbags.rosbag2 import Reader, StoragePlugin, Writer
from sensor_msgs.msg import CameraInfo
from vipe_msgs.msg import Bodies2D, Bodies3D, Embeddings

from tests.ros import ros2_command
from tests.ros.harness import ROOT, Peer, Process, body, header, people, standing
from tests.ros.launching import RUNNER
from vipe_ros.convert import seconds

COUNT = 20
OURS = "vipe_msgs/msg/Bodies2D"
EXPECTED = [seconds(header(index).stamp) for index in range(COUNT)]


@pytest.fixture(autouse=True)
def ros2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command ``ros2`` in PATH."""
    folder = ros2_command.install(tmp_path / "bin")
    monkeypatch.setenv("PATH", str(folder), prepend=":")


@pytest.fixture
def nothing_dropped(tmp_path: Path) -> Path:
    """A parameter file in which every message counts."""
    path = tmp_path / "reliable.yaml"
    inputs = {"input_reliability": "reliable", "input_depth": 300, "output_depth": 300}
    path.write_text(yaml.safe_dump({"/**": {"ros__parameters": inputs}}))
    return path


def launch(peer: Peer, name: str, **words: object) -> Process:
    given = [f"{word}:={value}" for word, value in words.items()]
    return peer.spawn([*RUNNER, str(ROOT / "launch" / f"{name}.launch.py"), *given])


def lens(index: int) -> CameraInfo:
    info = CameraInfo(header=header(index), width=200, height=300)
    info.k = [300.0, 0.0, 100.0, 0.0, 300.0, 150.0, 0.0, 0.0, 1.0]
    info.p = [300.0, 0.0, 100.0, 0.0, 0.0, 300.0, 150.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    return info


def read(bag: Path) -> dict[str, list[tuple[int, Any]]]:
    """(recorded at in nanoseconds, message) by topic."""
    store = ros2_command.typestore()
    found: dict[str, list[tuple[int, Any]]] = {}
    with Reader(bag) as reader:
        for connection, moment, data in reader.messages():
            message = store.deserialize_cdr(data, connection.msgtype)
            found.setdefault(connection.topic, []).append((moment, message))
    return found


def write(bag: Path, messages: dict[str, list[Any]]) -> Path:
    """A bag of messages with headers, recorded when they were stamped."""
    store, entries = ros2_command.typestore(), []
    with Writer(bag, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        for topic, several in messages.items():
            kind = type(several[0])
            name = f"{kind.__module__.split('.')[0]}/msg/{kind.__name__}"
            connection = writer.add_connection(topic, name, typestore=store)
            for message in several:
                stamp = message.header.stamp
                moment = stamp.sec * 10**9 + stamp.nanosec
                entries.append((moment, connection, serialize_message(message)))
        for moment, connection, data in sorted(entries, key=lambda entry: entry[0]):
            writer.write(connection, moment, data)
    return bag


def stamps(messages: Iterable[Any]) -> list[float]:
    return [seconds(message.header.stamp) for message in messages]


def test_capture(fresh_peer: Peer, tmp_path: Path, model_path: Path, nothing_dropped: Path) -> None:
    poses = fresh_peer.listen(Bodies3D, "bodies_3d")
    folder = tmp_path / "not" / "there yet"
    process = launch(
        fresh_peer, "vipe", model=model_path, params_file=nothing_dropped,
        keypoints_source="topic", keypoints_type=OURS, capture=folder,
    )  # fmt: skip
    # Each has two readers, the node and the recorder; each output has the recorder.
    say_lens = fresh_peer.talk(CameraInfo, "camera/camera_info", readers=2)
    say = fresh_peer.talk(Bodies2D, "bodies_2d", readers=2)
    for topic in ("embeddings", "markers", "bodies_2d/tracked", "/tf", "bodies_3d/skeleton"):
        fresh_peer.until(lambda t=topic: fresh_peer.node.count_subscribers(t), topic)
    fresh_peer.until(lambda: fresh_peer.node.count_subscribers("bodies_3d") == 2, "bodies_3d")
    say_lens(lens(0))
    fresh_peer.status("/vipe_node", lambda status: "300 px" in status.values["camera"])
    for index in range(COUNT):
        say(people(index, body(standing(0.1 * index))))
        fresh_peer.until(lambda i=index: len(poses) > i, f"pose {index}")
    # A recorder that is stopped together with the nodes may lose what is on its way.
    every_image = ("/bodies_2d", "/bodies_2d/tracked", "/embeddings", "/bodies_3d")
    for topic in every_image:
        fresh_peer.until(lambda t=topic: process.said(f"wrote {t}.") == COUNT, f"{topic} in a bag")
    assert process.stop() == 0, process.output

    (bag,) = folder.iterdir()
    assert re.fullmatch(r"vipe_\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d_\d{6}", bag.name)
    found = read(bag)
    for topic in every_image:
        assert stamps(message for _, message in found[topic]) == EXPECTED, topic
    assert {"/camera/camera_info", "/markers", "/tf", "/diagnostics"} < found.keys()
    ((_, skeleton),) = found["/bodies_3d/skeleton"]  # latched: said before anybody listened
    assert len(skeleton.joints) == 17


def test_replay(fresh_peer: Peer, tmp_path: Path, model_path: Path, nothing_dropped: Path) -> None:
    bag = write(
        tmp_path / "bag",
        {
            "/bodies_2d": [people(i, body(standing(0.1 * i))) for i in range(COUNT)],
            "/camera/camera_info": [lens(i) for i in range(COUNT)],
            # What VIPE said then must not be heard again.
            "/embeddings": [Embeddings(header=header(i, "then")) for i in range(COUNT)],
            "/bodies_3d": [Bodies3D(header=header(i, "then")) for i in range(COUNT)],
        },
    )
    kinds = {"embeddings": Embeddings, "bodies_3d": Bodies3D, "bodies_2d/tracked": Bodies2D}
    heard = {topic: fresh_peer.listen(kind, topic) for topic, kind in kinds.items()}
    statuses = fresh_peer.listen(DiagnosticArray, "/diagnostics")
    process = launch(
        fresh_peer, "replay", bag=bag, model=model_path, params_file=nothing_dropped,
        keypoints_source="topic", keypoints_type=OURS, capture=tmp_path / "captured",
    )  # fmt: skip
    fresh_peer.until(lambda: process.said("ros2 ended with status 0"), "end of the bag")
    for topic, messages in heard.items():
        fresh_peer.until(lambda m=messages: stamps(m)[-1:] == EXPECTED[-1:], f"end of {topic}")
        # All of them, unless discovery took longer than the delay; none twice, none of then.
        assert stamps(messages) == EXPECTED[-len(messages) :], topic
        assert {message.header.frame_id for message in messages} == {"camera"}
    assert heard["bodies_3d"][-1].bodies[0].placement == "height"

    # The nodes' clock is the bag's: 1000 s and a little, and 0 before it begins.
    fresh_peer.status("/vipe_node")
    times = {s.header.stamp.sec for s in statuses if s.status[0].name == "/vipe_node"}
    assert times <= {0, 1000, 1001}
    assert 1000 in times
    fresh_peer.until(lambda: process.said("wrote /bodies_3d."), "poses in the new bag")
    assert process.stop() == 0, process.output
    (again,) = (tmp_path / "captured").iterdir()
    found = read(again)
    assert set(stamps(message for _, message in found["/bodies_3d"])) <= set(EXPECTED)
    assert {moment // 10**9 for entries in found.values() for moment, _ in entries} == {1000}


def test_bag_that_is_not_there(fresh_peer: Peer, tmp_path: Path, model_path: Path) -> None:
    process = launch(
        fresh_peer, "replay", bag=tmp_path / "none", model=model_path, keypoints_source="topic"
    )
    fresh_peer.until(lambda: process.said("ros2 ended with status 1"), "failure of the player")
    assert process.stop() == 1
    fresh_peer.processes.clear()  # its status is not 0


@pytest.mark.parametrize(
    "words",
    [
        "bag play there --topics /a",  # no clock
        "bag play there --clock 100 --topics /a --remap /a:=/b",
        "bag play there --clock 100 --rate 0 --topics /a",
        "bag record -s sqlite3 -o there -e a",
        "bag record -s mcap -o there -e a --topics /a",
        "launch vipe vipe.launch.py",
    ],
)
def test_other_options_are_refused(words: str) -> None:
    with pytest.raises(SystemExit) as ended:
        ros2_command.main(words.split())
    assert ended.value.code == 2


def test_a_bag_is_never_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bag").mkdir()
    words = ["bag", "record", "-s", "mcap", "-e", "a", "-o", str(tmp_path / "bag")]
    assert ros2_command.main(words) == 1
    assert "exists already" in capsys.readouterr().err
