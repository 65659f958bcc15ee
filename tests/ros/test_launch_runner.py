"""The runner that stands in for ``launch``: as strict as the original, or stricter."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.ros.harness import ROOT, Peer
from tests.ros.launching import (
    DEMO,
    HEAD,
    REPLAY,
    RUNNER,
    VIPE,
    Visit,
    given_parameters,
    stand_ins,
)
from tools import launch_runner
from tools.launch_runner import LaunchError


@pytest.fixture
def visit(tmp_path: Path) -> Visit:
    return Visit(tmp_path)


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
        "ExecuteProcess(cmd=['ls'], shel=True)",
        "ExecuteProcess(['ls'])",
        "OpaqueFunction(lambda context: [])",
        "OnProcessExit(target=None, on_exit=[])",
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
        ("ExecuteProcess(cmd=['no_such_command', '-x'])", "'no_such_command' is not in PATH"),
        ("OpaqueFunction(function=lambda c: [Shutdown(condition=IfCondition('so'))])", "'so'"),
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


@stand_ins
def test_functions_and_processes(visit: Visit) -> None:
    commands = visit.text(
        "DeclareLaunchArgument('n', default_value='2'),"
        "OpaqueFunction(function=lambda context, word, end: [ExecuteProcess("
        "     cmd=['echo', word + LaunchConfiguration('n').perform(context),"
        "          [LaunchConfiguration('n'), end]])], args=['a'], kwargs={'end': 'z'}),"
        "OpaqueFunction(function=lambda context: None)"
    )
    assert commands["echo"][1:] == ["a2", "2z"]


def test_what_follows_a_process_is_started(fresh_peer: Peer, tmp_path: Path) -> None:
    path = tmp_path / "test.launch.py"
    path.write_text(
        f"{HEAD}\ndef generate_launch_description():\n"
        "    first = ExecuteProcess(cmd=['echo', 'one'], output='screen')\n"
        "    then = ExecuteProcess(cmd=['echo', 'two'], output='screen')\n"
        "    never = ExecuteProcess(cmd=['echo', 'three'], output='screen')\n"
        "    return LaunchDescription([\n"
        "        RegisterEventHandler(OnProcessExit(target_action=first, on_exit=[then])),\n"
        "        RegisterEventHandler(OnProcessExit(target_action=then, on_exit=[\n"
        "            Shutdown(reason='enough'), never])),\n"
        "        first])\n"
    )
    launch = fresh_peer.spawn([*RUNNER, str(path)])
    assert launch.wait() == 0
    said = [line for line in launch.output.splitlines() if not line.startswith("[launch]")]
    assert said == ["one", "two"]


@pytest.mark.parametrize(("command", "expected"), [("true", ["went well"]), ("false", [])])
def test_what_follows_may_depend_on_the_status(
    fresh_peer: Peer, tmp_path: Path, command: str, expected: list[str]
) -> None:
    path = tmp_path / "test.launch.py"
    path.write_text(
        f"{HEAD}\ndef generate_launch_description():\n"
        f"    first = ExecuteProcess(cmd=['{command}'], output='screen')\n"
        "    then = ExecuteProcess(cmd=['echo', 'went well'], output='screen')\n"
        "    def on_exit(event, context):\n"
        "        return [then] if event.returncode == 0 else [Shutdown(reason='it failed')]\n"
        "    handler = OnProcessExit(target_action=first, on_exit=on_exit)\n"
        "    return LaunchDescription([RegisterEventHandler(handler), first])\n"
    )
    launch = fresh_peer.spawn([*RUNNER, str(path)])
    assert launch.wait() == (0 if expected else 1)
    said = [line for line in launch.output.splitlines() if not line.startswith("[launch]")]
    assert said == expected
    fresh_peer.processes.clear()


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


@pytest.mark.parametrize(
    ("flags", "lines"),
    [
        (
            ["--markdown"],
            [
                "| `bag` | required | Path of the bag. |",
                "| `loop` | `false` | Start again at its end. One of true, false. |",
                "| `image` | `[camera]/image_raw` | Topic of its images; camera_info is looked for "
                "beside it. |",
                "| `params_file` | `share/vipe/config/vipe.yaml` | Parameters of all nodes, one "
                "file. |",
            ],
        ),
        ([], ["    'bag':", "        Path of the bag.", "        (default: '[camera]/image_raw')"]),
    ],
)
def test_arguments_are_shown(flags: list[str], lines: list[str]) -> None:
    words = [*RUNNER, str(REPLAY), "--show-args", *flags]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert set(lines) <= set(done.stdout.splitlines()), done.stdout
