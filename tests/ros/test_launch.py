"""Our launch files, run as on a robot."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from sensor_msgs.msg import CameraInfo
from tf2_msgs.msg import TFMessage
from vipe_msgs.msg import Bodies2D, Bodies3D

from tests.ros import ros2_command
from tests.ros.harness import ROOT, Peer, body, people, standing
from tests.ros.launching import (
    DEMO,
    FILES,
    REPLAY,
    RUNNER,
    VIPE,
    Visit,
    arguments,
    given_parameters,
    stand_ins,
)
from tools.launch_runner import LaunchError, files
from vipe_ros.parameters import NODES
from vipe_ros.video_node import camera_info


@pytest.fixture
def visit(tmp_path: Path) -> Visit:
    return Visit(tmp_path)


@pytest.fixture
def ros2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command ``ros2`` in PATH."""
    folder = ros2_command.install(tmp_path / "bin")
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)


def changed(commands: dict[str, list[str]]) -> dict[str, dict[str, str]]:
    """Remappings of every node that rename something."""
    return {
        node: {old: new for old, new in arguments(command).items() if old.lstrip("/") != new}
        for node, command in commands.items()
    }


def own_parameters(command: list[str]) -> dict[str, Any]:
    """What the launch file itself gives a node."""
    _, extra = given_parameters(command)
    return extra["/**"]["ros__parameters"]


@stand_ins
def test_vipe_launch_wires_the_nodes(visit: Visit) -> None:
    commands = visit.file(VIPE, camera="/cam", namespace="robot", index="/index")
    assert set(commands) == {"keypoints_node", "vipe_node", "action_node", "search_node"}
    camera = {"image": "/cam/image_raw", "image/compressed": "/cam/image_raw/compressed"}
    for name, renamed in changed(commands).items():
        watches = name in ("keypoints_node", "vipe_node")
        expected = {"__node": name, "__ns": "/robot", **(camera if watches else {})}
        assert {k: v for k, v in renamed.items() if v != "/tf"} == expected
    file, _ = given_parameters(commands["vipe_node"])
    assert file == yaml.safe_load((ROOT / "config" / "vipe.yaml").read_text())


@stand_ins
def test_parameters_that_are_not_given_are_left_to_the_file(visit: Visit) -> None:
    commands = visit.file(VIPE)
    for node in ("keypoints_node", "vipe_node", "action_node"):
        assert own_parameters(commands[node]) == {"use_sim_time": False}


@stand_ins
@pytest.mark.parametrize(
    ("argument", "given", "node", "value"),
    [
        ("image_transport", "compressed", "keypoints_node", "compressed"),
        ("detector", "/yolo.yaml", "keypoints_node", "/yolo.yaml"),
        ("model", "007", "vipe_node", "007"),  # a path that looks like a number stays text
        ("backend", "cpu", "vipe_node", "cpu"),
        ("keypoints_type", "yolo_msgs/msg/DetectionArray", "vipe_node", None),
        ("placement", "none", "vipe_node", "none"),
        ("placement", "depth", "vipe_node", "depth"),
        ("height", "2", "vipe_node", 2.0),
        ("joints_tf", "true", "vipe_node", True),
        ("humans", "true", "vipe_node", True),
        ("model", "/m.onnx", "action_node", "/m.onnx"),
        ("backend", "cpu", "action_node", "cpu"),
        ("examples_dir", "/examples", "action_node", "/examples"),
        ("examples_file", "/taught.npz", "action_node", "/taught.npz"),
        ("model", "/m.onnx", "search_node", "/m.onnx"),
        ("backend", "cpu", "search_node", "cpu"),
        ("index", "/poses", "search_node", "/poses"),
        ("remember", "true", "search_node", True),
        ("use_sim_time", "true", "keypoints_node", True),
        ("use_sim_time", "true", "vipe_node", True),
        ("use_sim_time", "true", "action_node", True),
        ("use_sim_time", "true", "search_node", True),
    ],
)
def test_argument_is_a_parameter(
    visit: Visit, argument: str, given: str, node: str, value: Any
) -> None:
    command = visit.file(VIPE, **{"index": "/x", argument: given})[node]
    found = own_parameters(command)[argument]
    assert (found, type(found)) == (value or given, type(value or given))


@stand_ins
@pytest.mark.parametrize(
    ("argument", "renamed"),
    [
        (
            "image",
            {
                node: {"image": "/new", "image/compressed": "/new/compressed"}
                for node in ("keypoints_node", "vipe_node")
            },
        ),
        ("camera_info", {"vipe_node": {"camera_info": "/new"}}),
        ("depth", {"vipe_node": {"depth": "/new"}}),
        (
            "bodies_2d",
            {
                "keypoints_node": {"bodies_2d": "/new", "bodies_2d/skeleton": "/new/skeleton"},
                "vipe_node": {"bodies_2d": "/new"},
            },
        ),
        (
            "embeddings",
            {n: {"embeddings": "/new"} for n in ("vipe_node", "action_node", "search_node")},
        ),
        ("bodies_3d", {"vipe_node": {"bodies_3d": "/new", "bodies_3d/skeleton": "/new/skeleton"}}),
        ("markers", {"vipe_node": {"markers": "/new"}}),
        ("tf", {"vipe_node": {"/tf": "/new"}}),
        ("actions", {"action_node": {"actions": "/new"}}),
        ("following", {"action_node": {"following": "/new"}}),
    ],
)
def test_argument_is_a_name_of_topics(
    visit: Visit, argument: str, renamed: dict[str, dict[str, str]]
) -> None:
    commands = visit.file(VIPE, **{"index": "/x", argument: "/new"})
    found = {
        node: {old: new for old, new in names.items() if new.startswith("/new")}
        for node, names in changed(commands).items()
    }
    assert {node: names for node, names in found.items() if names} == renamed


@stand_ins
def test_vipe_launch_without_camera_and_recognition(visit: Visit) -> None:
    words = {"keypoints_source": "topic", "recognition": "false"}
    assert set(visit.file(VIPE, **words)) == {"vipe_node"}


@stand_ins
def test_capture_records_what_vipe_reads_and_says(visit: Visit, ros2: None) -> None:
    words = {"capture": "~/bags", "namespace": "robot", "bodies_3d": "/poses", "image": "/cam/raw"}
    (*command, folder, flag, pattern) = visit.file(VIPE, **words)["ros2"]
    assert command[1:] == ["bag", "record", "-s", "mcap", "-o"]
    assert Path(folder).parent == Path.home() / "bags"
    assert flag == "-e"
    recorded = {
        *("/cam/camera_info", "/robot/bodies_2d", "/robot/bodies_2d/skeleton"),
        *("/robot/bodies_2d/tracked", "/robot/embeddings", "/poses", "/poses/skeleton", "/tf"),
        *(
            "/robot/markers",
            "/robot/actions",
            "/robot/following",
            "/humans/bodies/ab/skeleton2d",
            "/diagnostics",
        ),
    }
    for topic in recorded:
        assert re.search(pattern, topic), topic
    for topic in ("/cam/raw", "/bodies_2d", "/bodies_3d", "/robot/robot/bodies_2d", "/tf2"):
        assert not re.search(pattern, topic), topic
    second = visit.file(VIPE, **words)["ros2"]
    assert second[-3] != folder
    assert visit.file(VIPE, **words, use_sim_time="true")["ros2"][-1] == "--use-sim-time"


@stand_ins
def test_replay_plays_what_the_nodes_read(visit: Visit, ros2: None) -> None:
    words = {"bag": "/bag", "namespace": "robot", "camera": "/cam", "index": "/x"}
    words |= {"rate": "0.5", "delay": "2", "loop": "true", "extra_topics": "/a b"}
    commands = visit.file(REPLAY, **words)
    for node in ("keypoints_node", "vipe_node", "action_node", "search_node"):
        assert own_parameters(commands[node])["use_sim_time"] is True
    waiting = commands[Path(sys.executable).name]
    assert waiting[1:3] == ["-m", "vipe_ros.wait_until_active"]
    assert sorted(waiting[3:]) == [
        "/robot/action_node",
        "/robot/keypoints_node",
        "/robot/search_node",
        "/robot/vipe_node",
    ]
    playing = commands["ros2"]
    topics = playing.index("--topics")
    assert playing[1:topics] == [
        *("bag", "play", "/bag", "--clock", "100", "--rate", "0.5", "--delay", "2"),
        *("--disable-keyboard-controls", "--loop"),
    ]
    expected = {
        *("/cam/image_raw", "/cam/image_raw/compressed", "/cam/camera_info", "/robot/depth"),
        *("/tf_static", "/a", "/robot/b"),
    }
    assert set(playing[topics + 1 :]) == expected
    played = visit.file(REPLAY, **words, keypoints_source="topic")["ros2"][topics + 1 :]
    assert set(played) == expected | {"/robot/bodies_2d"}
    assert "--loop" not in visit.file(REPLAY, bag="/bag")["ros2"]


@stand_ins
def test_demo_launch_adds_a_video(visit: Visit) -> None:
    words = {"video": "/a b.mp4", "fov": "60", "camera_info": "/lens"}
    commands = visit.file(DEMO, **words, actions="doings", examples_dir="/x", height="1.8")
    assert set(commands) == {"keypoints_node", "vipe_node", "action_node", "video_node"}
    file, _ = given_parameters(commands["video_node"])
    assert file == yaml.safe_load((ROOT / "config" / "demo.yaml").read_text())
    assert own_parameters(commands["video_node"]) == {
        "video": "/a b.mp4",
        "width": 960,
        "fov": 60.0,
        "exit_at_end": False,
        "wait_for_subscribers": 1,
        "wait_for_topics": ["bodies_2d"],
    }
    # What its arguments do not say goes to vipe.launch.py as it is.
    assert arguments(commands["action_node"])["actions"] == "doings"
    assert own_parameters(commands["vipe_node"])["height"] == 1.8
    for node in ("video_node", "vipe_node"):
        assert arguments(commands[node])["camera_info"] == "/lens"
        assert arguments(commands[node])["image"] == "image"


@stand_ins
def test_recorder_or_player_without_ros2(
    visit: Visit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LaunchError, match="executable 'ros2' is not in PATH"):
        visit.file(VIPE, capture="/tmp")


@stand_ins
def test_every_parameter_in_the_files_exists() -> None:
    for name in ("vipe", "demo"):
        content = yaml.safe_load((ROOT / "config" / f"{name}.yaml").read_text())
        for key, entry in content.items():
            kind = NODES[key.removeprefix("/**/")]
            known = {field.name: field.default for field in fields(kind)}
            for parameter, value in entry["ros__parameters"].items():
                assert type(value) is type(known[parameter]), f"{parameter} of {key}"
                # The robot's file shows the defaults.
                assert name == "demo" or value == known[parameter]


def test_override_in_a_comment_of_the_file_is_one() -> None:
    lines = (ROOT / "config" / "vipe.yaml").read_text().splitlines()
    first = lines.index("    # qos_overrides:")
    block = "\n".join(line.replace("# ", "", 1) for line in lines[first : first + 5])
    expected = {"reliability": "reliable", "depth": 5}
    image = "/camera/image_raw"
    assert yaml.safe_load(block) == {"qos_overrides": {image: {"subscription": expected}}}


def test_every_argument_is_described() -> None:
    for path in FILES:
        rows = files.arguments_table(path).splitlines()[2:]
        assert len(rows) > 20
        assert all(row.count("|") == 4 and row.endswith(". |") for row in rows), rows


@stand_ins
@pytest.mark.parametrize(
    ("file", "given", "words"),
    [
        (DEMO, {}, "required launch argument 'video' was not provided"),
        (VIPE, {"modle": "x"}, "no launch argument modle"),
        (VIPE, {"image_transport": "pigeon"}, r"choices: \(empty\), raw, compressed"),
        (VIPE, {"params_file": "/no/such.yaml"}, "/no/such.yaml: No such file"),
        (VIPE, {"use_sim_time": "perhaps"}, "'perhaps' is no bool"),
        (VIPE, {"keypoints_source": "blazepose"}, "choices: detector, topic"),
        (VIPE, {"placement": "near"}, r"choices: \(empty\), height, depth, none"),
        (VIPE, {"height": "tall"}, "'tall' is no float"),
        (REPLAY, {}, "required launch argument 'bag' was not provided"),
        (ROOT / "launch" / "none.launch.py", {}, "does not exist"),
    ],
)
def test_wrong_arguments(visit: Visit, file: Path, given: dict[str, str], words: str) -> None:
    with pytest.raises(LaunchError, match=words):
        visit.file(file, **given)


@stand_ins
def test_nothing_is_remembered_without_an_index(visit: Visit) -> None:
    with pytest.raises(ValueError, match="remember:=true needs index:=FOLDER"):
        visit.file(VIPE, remember="true")
    assert "search_node" not in visit.file(VIPE, remember="false")


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Five grey images."""
    cv2 = pytest.importorskip("cv2")
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30, (64, 48))
    for _ in range(5):
        writer.write(np.full((48, 64, 3), 99, np.uint8))
    writer.release()
    return path


def test_demo_runs_to_the_end_of_its_video(fresh_peer: Peer, clip: Path, model_path: Path) -> None:
    bodies = fresh_peer.listen(Bodies2D, "robot/bodies_2d")
    words = {
        "video": clip,
        "model": model_path,
        "namespace": "robot",
        "wait_for_topics": "[bodies_2d:2]",
        "exit_at_end": "true",
    }
    launch = fresh_peer.spawn([*RUNNER, str(DEMO), *(f"{n}:={v}" for n, v in words.items())])
    assert launch.wait() == 0, launch.output
    assert launch.said("video_node ended with status 0") == 1
    assert launch.said("ended with status") == 4
    fresh_peer.until(lambda: bodies, "bodies_2d")
    assert len(bodies) <= 5


def test_vipe_runs_until_interrupted(fresh_peer: Peer, model_path: Path) -> None:
    poses = fresh_peer.listen(Bodies3D, "robot/poses")
    words = [f"model:={model_path}", "keypoints_source:=topic", "namespace:=robot"]
    launch = fresh_peer.spawn([*RUNNER, str(VIPE), *words, "bodies_3d:=poses"])
    publish = fresh_peer.talk(Bodies2D, "robot/bodies_2d")
    fresh_peer.until(lambda: fresh_peer.node.count_publishers("robot/poses"), "publisher")

    def answered() -> bool:
        publish(people(1, body(standing())))
        return bool(poses)

    fresh_peer.until(answered, "poses")
    assert fresh_peer.status("/robot/vipe_node").values["state"] == "active"
    assert launch.stop() == 0
    assert launch.said("shutting down: interrupted") == 1
    assert launch.said("vipe_node ended with status 0") == 1


def test_two_launches_in_two_namespaces(fresh_peer: Peer, tmp_path: Path, model_path: Path) -> None:
    """Neither hears the other; nor do their frames, where each has a topic of its own."""
    inputs = {"input_reliability": "reliable", "input_depth": 50}
    overrides = {"qos_overrides": {"/b/markers": {"publisher": {"reliability": "best_effort"}}}}
    params = tmp_path / "params.yaml"
    params.write_text(yaml.safe_dump({"/**": {"ros__parameters": {**inputs, **overrides}}}))
    words = [f"model:={model_path}", "keypoints_source:=topic", f"params_file:={params}"]
    words += ["keypoints_type:=vipe_msgs/msg/Bodies2D", "tf:=tf"]
    said, publish, frames = {}, {}, {}
    for name in ("a", "b"):
        fresh_peer.spawn([*RUNNER, str(VIPE), *words, f"namespace:={name}"])
        said[name] = fresh_peer.listen(Bodies3D, f"{name}/bodies_3d")
        frames[name] = fresh_peer.listen(TFMessage, f"{name}/tf")
        publish[name] = fresh_peer.talk(Bodies2D, f"{name}/bodies_2d")
        lens = fresh_peer.talk(CameraInfo, f"{name}/camera/camera_info")
        lens(camera_info(200, 300, 40.0))
        fresh_peer.status(f"/{name}/vipe_node", lambda s: "200 x 300" in s.values.get("camera", ""))
    shared = fresh_peer.listen(TFMessage, "/tf")
    for index in range(5):
        for name, several in said.items():
            message = people(index, body(standing(), track_id=name))
            message.header.frame_id = f"camera_{name}"
            publish[name](message)
            fresh_peer.until(lambda s=several, i=index: len(s) > i, f"pose {index} of {name}")
    for name, several in said.items():
        assert [message.header.frame_id for message in several] == [f"camera_{name}"] * 5
        assert {found.track_id for message in several for found in message.bodies} == {name}
        fresh_peer.until(lambda f=frames[name]: len(f) == 5, f"frames of {name}")
        children = {t.child_frame_id for message in frames[name] for t in message.transforms}
        assert children == {f"body_{name}"}
    assert not shared
    for name, reliability in (("a", "RELIABLE"), ("b", "BEST_EFFORT")):
        (info,) = fresh_peer.node.get_publishers_info_by_topic(f"/{name}/markers")
        assert info.qos_profile.reliability.name == reliability


def test_failure_of_a_required_node_is_the_failure_of_the_launch(
    fresh_peer: Peer, tmp_path: Path, model_path: Path
) -> None:
    words = [f"video:={tmp_path / 'none.mp4'}", f"model:={model_path}", "exit_at_end:=true"]
    launch = fresh_peer.spawn([*RUNNER, str(DEMO), *words])
    assert launch.wait() == 1
    assert launch.said("none.mp4 does not exist") == 1
    fresh_peer.processes.clear()  # its status is not 0
