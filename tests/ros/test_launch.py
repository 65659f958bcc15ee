"""Our launch files, run as on a robot; and the runner that stands in for ``launch``."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import yaml
from vipe_msgs.msg import Bodies2D, Bodies3D

from tests.ros.harness import ROOT, Peer, body, people, standing
from tools import launch_runner
from tools.launch_runner import LaunchError

RUNNER = [sys.executable, "-m", "tools.launch_runner"]
VIPE, DEMO = (ROOT / "launch" / f"{name}.launch.py" for name in ("vipe", "demo"))
HEAD = """
from launch import LaunchDescription
from launch.actions import *
from launch.conditions import *
from launch.event_handlers import *
from launch.launch_description_sources import *
from launch.substitutions import *
from launch_ros.actions import *
from launch_ros.parameter_descriptions import *
from launch_ros.substitutions import *
"""
stand_ins = pytest.mark.skipif(launch_runner.real_launch(), reason="the real launch is here")


def arguments(command: list[str]) -> dict[str, str]:
    """Remappings of a command by what is remapped."""
    return dict(word.split(":=", 1) for flag, word in pairwise(command) if flag == "-r")


def given_parameters(command: list[str]) -> list[dict]:
    """What the parameter files of a command hold, in order."""
    files = [word for flag, word in pairwise(command) if flag == "--params-file"]
    return [yaml.safe_load(Path(file).read_text()) for file in files]


class Visit:
    """Visits launch files as the runner does, without starting anything."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def file(self, path: Path, **given: str) -> dict[str, list[str]]:
        """Commands by executable."""
        context = launch_runner.load(path, given, self.folder)
        return {Path(node.command[0]).name: node.command for node in context.nodes}

    def text(self, entities: str, **given: str) -> dict[str, list[str]]:
        """Commands of a launch file with these entities, Python source."""
        path = self.folder / "test.launch.py"
        function = "def generate_launch_description():\n    return LaunchDescription"
        path.write_text(f"{HEAD}\n{function}([{entities}])\n")
        return self.file(path, **given)


@pytest.fixture
def visit(tmp_path: Path) -> Visit:
    return Visit(tmp_path)


@stand_ins
def test_vipe_launch_wires_the_nodes(visit: Visit) -> None:
    commands = visit.file(
        VIPE, image="/cam/image_raw", namespace="robot", model="007", examples_dir="/examples"
    )
    assert set(commands) == {"keypoints_node", "vipe_node", "action_node"}
    assert arguments(commands["keypoints_node"]) == {
        "__node": "keypoints_node",
        "__ns": "/robot",
        "image": "/cam/image_raw",
        "image/compressed": "/cam/image_raw/compressed",
        "bodies_2d": "bodies_2d",
    }
    file, extra = given_parameters(commands["vipe_node"])
    assert file == yaml.safe_load((ROOT / "config" / "vipe.yaml").read_text())
    # A path that looks like a number stays text.
    expected = {"use_sim_time": False, "model": "007", "backend": "auto"}
    assert extra == {"/**": {"ros__parameters": expected}}


@stand_ins
def test_vipe_launch_without_camera_and_examples(visit: Visit) -> None:
    assert set(visit.file(VIPE, keypoints_source="topic")) == {"vipe_node"}


@stand_ins
def test_demo_launch_adds_a_video(visit: Visit) -> None:
    commands = visit.file(DEMO, video="/a b.mp4", actions="doings", examples_dir="/x")
    assert set(commands) == {"keypoints_node", "vipe_node", "action_node", "video_node"}
    file, extra = given_parameters(commands["video_node"])
    assert file == yaml.safe_load((ROOT / "config" / "demo.yaml").read_text())
    assert extra["/**"]["ros__parameters"] == {
        "video": "/a b.mp4",
        "width": 960,
        "exit_at_end": False,
        "wait_for_subscribers": 1,
        "wait_for_topics": ["bodies_2d"],
    }
    assert arguments(commands["action_node"])["actions"] == "doings"


@stand_ins
@pytest.mark.parametrize(
    ("file", "given", "words"),
    [
        (DEMO, {}, "required launch argument 'video' was not provided"),
        (VIPE, {"modle": "x"}, "no launch argument modle"),
        (VIPE, {"image_transport": "pigeon"}, "choices: raw, compressed"),
        (VIPE, {"params_file": "/no/such.yaml"}, "/no/such.yaml: No such file"),
        (VIPE, {"use_sim_time": "perhaps"}, "'perhaps' is no bool"),
        (ROOT / "launch" / "none.launch.py", {}, "does not exist"),
    ],
)
def test_wrong_arguments(visit: Visit, file: Path, given: dict[str, str], words: str) -> None:
    with pytest.raises(LaunchError, match=words):
        visit.file(file, **given)


@stand_ins
@pytest.mark.parametrize(
    "entities",
    [
        "Node(package='vipe', executable='vipe_node', nmae='x')",
        "Node('vipe')",
        "DeclareLaunchArgument('a', default='1')",
        "IncludeLaunchDescription(PythonLaunchDescriptionSource('x'), arguments={})",
        "Shutdown('now')",
        "LaunchConfiguration('a', 'b')",
        "FindPackageShare('vipe', 'x')",
        "ParameterValue('1', type=int)",
    ],
)
def test_misspelt_keyword_is_a_type_error(visit: Visit, entities: str) -> None:
    with pytest.raises(TypeError):
        visit.text(entities)


@stand_ins
@pytest.mark.parametrize(
    ("entities", "words"),
    [
        ("Node(package='vipe', executable='no_node')", "executable 'no_node' of package 'vipe'"),
        ("Node(package='vipe', executable=LaunchConfiguration('e'))", "'e' does not exist"),
        (
            "Node(package='vipe', executable='vipe_node', "
            "parameters=[{'a': TextSubstitution(text='')}])",
            "'' is no parameter value",
        ),
        ("Shutdown(condition=IfCondition('maybe'))", "a condition says 'maybe'"),
        ("IncludeLaunchDescription(PythonLaunchDescriptionSource('/none.py'))", "does not exist"),
        (
            f"IncludeLaunchDescription(PythonLaunchDescriptionSource('{VIPE}'), "
            "launch_arguments={'imgae': 'x'}.items())",
            "no launch argument imgae",
        ),
        ("DeclareLaunchArgument('p', default_value=[FindPackageShare('nobodys')])", "'nobodys'"),
    ],
)
def test_wrong_launch_file(visit: Visit, entities: str, words: str) -> None:
    with pytest.raises(LaunchError, match=words):
        visit.text(entities)


@stand_ins
@pytest.mark.parametrize("content", ["a: [", "- 1", "node: {}", "node: {ros__parameters: 3}"])
def test_malformed_parameter_file(visit: Visit, tmp_path: Path, content: str) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(content)
    with pytest.raises(LaunchError, match=r"parameter file .*bad\.yaml"):
        visit.text(f"Node(package='vipe', executable='vipe_node', parameters=['{file}'])")


@stand_ins
def test_parameters_are_typed_as_by_launch_ros(visit: Visit) -> None:
    commands = visit.text(
        "DeclareLaunchArgument('n', default_value='2'),"
        "Node(package='vipe', executable='vipe_node', parameters=[{"
        "'yaml': LaunchConfiguration('n'), 'list': TextSubstitution(text='[a, b]'),"
        "'text': ParameterValue(LaunchConfiguration('n'), value_type=str),"
        "'float': ParameterValue(LaunchConfiguration('n'), value_type=float),"
        "'plain': 1.5}])"
    )
    (found,) = given_parameters(commands["vipe_node"])
    expected = {"yaml": 2, "list": ["a", "b"], "text": "2", "float": 2.0, "plain": 1.5}
    assert found["/**"]["ros__parameters"] == expected


@stand_ins
def test_conditions(visit: Visit) -> None:
    commands = visit.text(
        "DeclareLaunchArgument('yes', default_value='true'),"
        "Node(package='vipe', executable='vipe_node',"
        "     condition=IfCondition(LaunchConfiguration('yes'))),"
        "Node(package='vipe', executable='action_node',"
        "     condition=UnlessCondition(LaunchConfiguration('yes'))),"
        "Node(package='vipe', executable='video_node', condition=IfCondition("
        "     NotEqualsSubstitution(LaunchConfiguration('yes'), 'true')))"
    )
    assert set(commands) == {"vipe_node"}


def test_folder_of_launch_files_is_not_taken_for_the_package() -> None:
    code = "from tools import launch_runner; print(launch_runner.real_launch())"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str(launch_runner.real_launch())


@stand_ins
@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([str(DEMO)], "launch: required launch argument 'video'"),
        ([str(VIPE), "image=/cam"], "launch: 'image=/cam' is no launch argument"),
        (["none.launch.py"], "launch: launch file none.launch.py does not exist"),
    ],
)
def test_status_2_and_one_line(words: list[str], said: str) -> None:
    done = subprocess.run([*RUNNER, *words], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(said)


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
    assert launch.said("ended with status") == 3
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


def test_failure_of_a_required_node_is_the_failure_of_the_launch(
    fresh_peer: Peer, tmp_path: Path, model_path: Path
) -> None:
    words = [f"video:={tmp_path / 'none.mp4'}", f"model:={model_path}", "exit_at_end:=true"]
    launch = fresh_peer.spawn([*RUNNER, str(DEMO), *words])
    assert launch.wait() == 1
    assert launch.said("none.mp4 does not exist") == 1
    fresh_peer.processes.clear()  # its status is not 0
