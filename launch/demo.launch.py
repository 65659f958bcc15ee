"""A video file as the camera of vipe.launch.py, and nothing dropped on the way.

ros2 launch vipe demo.launch.py video:=/path/to/clip.mp4 examples_dir:=/path/to/examples

The video starts when its subscribers are there. Its end is told on the topic ``finished``;
with ``exit_at_end:=true`` it also ends the launch.
"""

from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, Shutdown
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution, ThisLaunchFileDir
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription

PASSED_ON = ("model", "backend", "examples_dir", "namespace", "params_file", "image")
TOPICS = ("bodies_2d", "embeddings", "bodies_3d", "markers", "actions")


def argument(name, default, description):
    return DeclareLaunchArgument(name, default_value=default, description=description)


def value(name, kind):
    return ParameterValue(LaunchConfiguration(name), value_type=kind)


def generate_launch_description():
    video = Node(
        package="vipe",
        executable="video_node",
        name="video_node",
        namespace=LaunchConfiguration("namespace"),
        parameters=[
            LaunchConfiguration("params_file"),
            {
                "video": value("video", str),
                "width": value("width", int),
                "exit_at_end": value("exit_at_end", bool),
                "wait_for_subscribers": value("wait_for_subscribers", int),
                "wait_for_topics": LaunchConfiguration("wait_for_topics"),
            },
        ],
        remappings=[("image", LaunchConfiguration("image"))],
        output="screen",
        on_exit=Shutdown(reason="the video has ended"),
    )
    vipe = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(
            PathJoinSubstitution([ThisLaunchFileDir(), "vipe.launch.py"])
        ),
        launch_arguments={
            name: LaunchConfiguration(name) for name in (*PASSED_ON, *TOPICS)
        }.items(),
    )
    params_file = PathJoinSubstitution([FindPackageShare("vipe"), "config", "demo.yaml"])
    return LaunchDescription(
        [
            DeclareLaunchArgument("video", description="path of the video file"),
            argument("width", "960", "scale images down to this width in pixels; 0: do not"),
            argument("exit_at_end", "false", "end the launch when the video has ended"),
            argument("wait_for_subscribers", "1", "subscribers of the image to wait for"),
            argument(
                "wait_for_topics",
                "[bodies_2d]",
                "topics that must have a subscriber before the video starts; `name:2` for two",
            ),
            argument("image", "image", "topic of the images"),
            argument("model", "", "path of the model file; empty: the one that ships with VIPE"),
            argument("backend", "auto", "what runs the model"),
            argument("examples_dir", "", "folder of examples of actions; empty: no actions"),
            argument("namespace", "", "namespace of the nodes and their topics"),
            argument("params_file", params_file, "parameters of the nodes"),
            *(argument(topic, topic, f"name of the topic {topic}") for topic in TOPICS),
            vipe,
            video,
        ]
    )
