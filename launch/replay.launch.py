"""A bag through VIPE: its images or keypoints go to the nodes of vipe.launch.py, on its time.

ros2 launch vipe replay.launch.py bag:=/path/to/bag keypoints_source:=topic capture:=/tmp

Every argument of vipe.launch.py works here too. Played is what the nodes read, under the names
that the arguments give: what VIPE said when the bag was recorded stays out of the way of what it
says now. The bag starts when the nodes are active.
"""

import sys

from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    IncludeLaunchDescription,
    OpaqueFunction,
    RegisterEventHandler,
    Shutdown,
)
from launch.event_handlers import OnProcessExit
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution, ThisLaunchFileDir

from launch import LaunchDescription
from vipe_ros import launch_names

CLOCK_HZ = "100"


def argument(name, default, description, choices=None):
    return DeclareLaunchArgument(
        name, default_value=default, description=description, choices=choices
    )


def text(context, name):
    return LaunchConfiguration(name).perform(context)


def played(context):
    """Full names of the topics that the nodes read, and of those asked for."""
    namespace = text(context, "namespace")
    names = [text(context, "image"), text(context, "image") + "/compressed"]
    names.append(text(context, "depth"))
    if text(context, "keypoints_source") == "topic":
        names.append(text(context, "bodies_2d"))
    names += text(context, "extra_topics").split()
    info = launch_names.camera_info(text(context, "camera_info"), names[0], namespace)
    return [*(launch_names.absolute(name, namespace) for name in names), info, "/tf_static"]


def player(context):
    """``ros2 bag play``, once the nodes are active."""
    nodes = ["vipe_node"]
    if text(context, "keypoints_source") == "detector":
        nodes.append("keypoints_node")
    if text(context, "recognition") == "true":
        nodes.append("action_node")
    if text(context, "index"):
        nodes.append("search_node")
    full_names = [launch_names.absolute(node, text(context, "namespace")) for node in nodes]
    waiting = ExecuteProcess(
        cmd=[sys.executable, "-m", "vipe_ros.wait_until_active", *full_names], output="screen"
    )
    command = ["ros2", "bag", "play", text(context, "bag"), "--clock", CLOCK_HZ]
    command += ["--rate", text(context, "rate"), "--delay", text(context, "delay")]
    command.append("--disable-keyboard-controls")
    if text(context, "loop") == "true":
        command.append("--loop")
    # Last: it takes every word that follows.
    command += ["--topics", *played(context)]
    playing = ExecuteProcess(cmd=command, output="screen")

    def play(event, context):
        if event.returncode == 0:
            return [playing]
        return [Shutdown(reason="a node is not ready: nothing is played")]

    return [
        RegisterEventHandler(OnProcessExit(target_action=waiting, on_exit=play)),
        waiting,
    ]


def generate_launch_description():
    vipe = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(
            PathJoinSubstitution([ThisLaunchFileDir(), "vipe.launch.py"])
        ),
        launch_arguments={"use_sim_time": "true"}.items(),
    )
    return LaunchDescription(
        [
            DeclareLaunchArgument("bag", description="Path of the bag."),
            argument("rate", "1.0", "How fast it is played."),
            argument("loop", "false", "Start again at its end.", ["true", "false"]),
            argument("delay", "1.0", "Seconds, above 0, for the nodes to find the player."),
            argument("extra_topics", "", "More topics to play, with spaces between them."),
            vipe,
            OpaqueFunction(function=player),
        ]
    )
