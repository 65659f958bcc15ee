"""VIPE on a robot: camera image -> bodies_2d -> embeddings, bodies_3d, markers -> actions.

ros2 launch vipe vipe.launch.py image:=/camera/image_raw examples_dir:=/path/to/examples

Without examples no actions are recognised. With ``keypoints_source:=topic`` another node
publishes ``bodies_2d`` and no camera is read.
"""

from launch.actions import DeclareLaunchArgument
from launch.conditions import IfCondition
from launch.substitutions import (
    EqualsSubstitution,
    LaunchConfiguration,
    NotEqualsSubstitution,
    PathJoinSubstitution,
)
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription

TOPICS = ("bodies_2d", "embeddings", "bodies_3d", "markers", "actions")


def argument(name, default, description, **options):
    return DeclareLaunchArgument(name, default_value=default, description=description, **options)


def text(name):
    """An argument as a string parameter, also when it looks like a number."""
    return ParameterValue(LaunchConfiguration(name), value_type=str)


def node(executable, parameters, topics, condition=None):
    """A node of this package; its topics go by the names given to the launch file."""
    sim_time = ParameterValue(LaunchConfiguration("use_sim_time"), value_type=bool)
    # A remapping of `image` leaves `image/compressed` alone.
    compressed = [("image/compressed", [LaunchConfiguration("image"), "/compressed"])]
    return Node(
        package="vipe",
        executable=executable,
        name=executable,
        namespace=LaunchConfiguration("namespace"),
        parameters=[
            LaunchConfiguration("params_file"),
            {"use_sim_time": sim_time, **parameters},
        ],
        remappings=[(topic, LaunchConfiguration(topic)) for topic in topics] + compressed,
        output="screen",
        condition=condition,
    )


def generate_launch_description():
    camera = node(
        "keypoints_node",
        {"image_transport": text("image_transport")},
        ("image", "bodies_2d"),
        IfCondition(EqualsSubstitution(LaunchConfiguration("keypoints_source"), "blazepose")),
    )
    estimation = node(
        "vipe_node",
        {"model": text("model"), "backend": text("backend")},
        ("bodies_2d", "embeddings", "bodies_3d", "markers"),
    )
    recognition = node(
        "action_node",
        {
            "model": text("model"),
            "backend": text("backend"),
            "examples_dir": text("examples_dir"),
        },
        ("embeddings", "actions"),
        IfCondition(NotEqualsSubstitution(LaunchConfiguration("examples_dir"), "")),
    )
    params_file = PathJoinSubstitution([FindPackageShare("vipe"), "config", "vipe.yaml"])
    return LaunchDescription(
        [
            argument("image", "image", "topic of the camera's images"),
            argument("image_transport", "raw", "how they come", choices=["raw", "compressed"]),
            argument(
                "keypoints_source",
                "blazepose",
                "who makes bodies_2d: our detector, or another node on that topic",
                choices=["blazepose", "topic"],
            ),
            argument("model", "", "path of the model file; empty: the one that ships with VIPE"),
            argument("backend", "auto", "what runs the model"),
            argument("examples_dir", "", "folder of examples of actions; empty: no actions"),
            argument("namespace", "", "namespace of the nodes and their topics"),
            argument("params_file", params_file, "parameters of the nodes"),
            argument("use_sim_time", "false", "take the time from /clock"),
            *(argument(topic, topic, f"name of the topic {topic}") for topic in TOPICS),
            camera,
            estimation,
            recognition,
        ]
    )
