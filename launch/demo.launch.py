"""A video file as the camera of vipe.launch.py, and nothing dropped on the way.

ros2 launch vipe demo.launch.py video:=/path/to/clip.mp4 examples_dir:=/path/to/examples

Every argument of vipe.launch.py works here too. The video starts when its subscribers are there.
Its end is told on the topic ``finished``; with ``exit_at_end:=true`` it also ends the launch.
"""

from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, Shutdown
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution, ThisLaunchFileDir
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription

CHANGED = ("image", "params_file")  # arguments of vipe.launch.py with another default here


def argument(name, default, description):
    return DeclareLaunchArgument(name, default_value=default, description=description)


def value(name, kind):
    return ParameterValue(LaunchConfiguration(name), value_type=kind)


def generate_launch_description():
    vipe = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(
            PathJoinSubstitution([ThisLaunchFileDir(), "vipe.launch.py"])
        ),
        launch_arguments={name: LaunchConfiguration(name) for name in CHANGED}.items(),
    )
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
                "fov": value("fov", float),
                "exit_at_end": value("exit_at_end", bool),
                "wait_for_subscribers": value("wait_for_subscribers", int),
                "wait_for_topics": LaunchConfiguration("wait_for_topics"),
            },
        ],
        remappings=[
            ("image", LaunchConfiguration("image")),
            ("camera_info", LaunchConfiguration("camera_info")),
        ],
        output="screen",
        on_exit=Shutdown(reason="the video has ended"),
    )
    params_file = PathJoinSubstitution([FindPackageShare("vipe"), "config", "demo.yaml"])
    return LaunchDescription(
        [
            DeclareLaunchArgument("video", description="Path of the video file."),
            argument("width", "960", "Scale images down to this width in pixels; 0: do not."),
            argument("fov", "0.0", "Horizontal field of view in degrees; 0: nobody is placed."),
            argument("exit_at_end", "false", "End the launch when the video has ended."),
            argument("wait_for_subscribers", "1", "Subscribers of the image to wait for."),
            argument(
                "wait_for_topics",
                "[bodies_2d]",
                "Topics that must have a subscriber before the video starts; `name:2` for two.",
            ),
            argument("image", "image", "Topic of the images."),
            argument("params_file", params_file, "Parameters of all nodes, one file."),
            vipe,
            video,
        ]
    )
