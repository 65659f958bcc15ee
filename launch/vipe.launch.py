"""VIPE on a robot: camera image -> bodies_2d -> embeddings, bodies_3d, tf, markers -> actions.

ros2 launch vipe vipe.launch.py camera:=/camera index:=/path/to/index

Actions are taught while the nodes run. With an ``index`` the poses seen can be searched. With
``keypoints_source:=topic`` another node publishes ``bodies_2d`` and no image is read.
``--show-args`` lists the arguments. Those that are parameters of nodes win over ``params_file``
when they are given, and leave it alone when empty.
"""

import os
from datetime import datetime

from launch.actions import DeclareLaunchArgument, ExecuteProcess, OpaqueFunction
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription
from vipe_ros import launch_names

# Arguments that are parameters of the nodes.
PARAMETERS = {
    "keypoints_node": {"image_transport": str, "detector": str},
    "vipe_node": {
        "model": str,
        "backend": str,
        "keypoints_type": str,
        "placement": str,
        "height": float,
        "joints_tf": bool,
        "humans": bool,
    },
    "action_node": {"model": str, "backend": str, "examples_file": str, "examples_dir": str},
    "search_node": {"model": str, "backend": str, "index": str, "remember": bool},
}
# Topics of the nodes, and what they are called. A remapping leaves the topics below it alone,
# so those have remappings of their own.
CAMERA = {"image": ["image"], "image/compressed": ["image", "/compressed"]}
REMAPPINGS = {
    "keypoints_node": {
        **CAMERA,
        "bodies_2d": ["bodies_2d"],
        "bodies_2d/skeleton": ["bodies_2d", "/skeleton"],
    },
    "vipe_node": {
        **CAMERA,  # camera_info is looked for beside it
        "camera_info": ["camera_info"],
        "depth": ["depth"],
        "bodies_2d": ["bodies_2d"],
        "embeddings": ["embeddings"],
        "bodies_3d": ["bodies_3d"],
        "bodies_3d/skeleton": ["bodies_3d", "/skeleton"],
        "markers": ["markers"],
        "/tf": ["tf"],
    },
    "action_node": {
        "embeddings": ["embeddings"],
        "actions": ["actions"],
        "following": ["following"],
    },
    "search_node": {"embeddings": ["embeddings"]},
}
OUTPUTS = {
    "embeddings": "Mean and variance of every person.",
    "bodies_3d": "Lifted poses.",
    "actions": "What people do.",
    "following": "How far somebody has come along a reference.",
    "markers": "For RViz and Foxglove.",
}
RECORDED = ("bodies_2d", *OUTPUTS, "tf")


def argument(name, default, description, choices=None):
    return DeclareLaunchArgument(
        name, default_value=default, description=description, choices=choices
    )


def node(context, name):
    """A node of this package with the parameters that were given and its topics' names."""
    given = {"use_sim_time": bool}
    given |= {
        parameter: kind
        for parameter, kind in PARAMETERS[name].items()
        if LaunchConfiguration(parameter).perform(context)
    }
    return Node(
        package="vipe",
        executable=name,
        name=name,
        namespace=LaunchConfiguration("namespace"),
        parameters=[
            LaunchConfiguration("params_file"),
            {
                parameter: ParameterValue(LaunchConfiguration(parameter), value_type=kind)
                for parameter, kind in given.items()
            },
        ],
        remappings=[
            (topic, [LaunchConfiguration(parts[0]), *parts[1:]])
            for topic, parts in REMAPPINGS[name].items()
        ],
        output="screen",
    )


def nodes(context):
    """The nodes that the arguments ask for."""
    wanted = ["vipe_node"]
    if LaunchConfiguration("keypoints_source").perform(context) == "detector":
        wanted.append("keypoints_node")
    if LaunchConfiguration("recognition").perform(context) == "true":
        wanted.append("action_node")
    if LaunchConfiguration("index").perform(context):
        wanted.append("search_node")
    elif LaunchConfiguration("remember").perform(context) == "true":
        raise ValueError("remember:=true needs index:=FOLDER: nothing would be remembered")
    return [node(context, name) for name in wanted]


def recorder(context):
    """``ros2 bag record`` of what VIPE reads and says, images apart, when asked for.

    The names go in as a regular expression: Humble knows no ``--topics``, Kilted no names
    without it, and a person's REP-155 topics are not known before.
    """
    folder = LaunchConfiguration("capture").perform(context)
    if not folder:
        return []
    given = {
        name: LaunchConfiguration(name).perform(context)
        for name in (*RECORDED, "namespace", "image", "camera_info", "use_sim_time")
    }
    namespace = given["namespace"]
    names = {launch_names.absolute(given[name], namespace) for name in RECORDED}
    for topic, parts in (("bodies_2d", "/skeleton"), ("bodies_3d", "/skeleton")):
        names.add(launch_names.absolute(given[topic], namespace) + parts)
    names.add(launch_names.absolute("bodies_2d/tracked", namespace))
    names.add(launch_names.camera_info(given["camera_info"], given["image"], namespace))
    names |= {"/diagnostics", "/tf_static", "/humans/bodies/.+"}
    started = datetime.now().strftime("vipe_%Y-%m-%d_%H-%M-%S_%f")
    bag = os.path.join(os.path.expanduser(folder), started)
    command = ["ros2", "bag", "record", "-s", "mcap", "-o", bag]
    command += ["-e", f"^({'|'.join(sorted(names))})$"]
    if given["use_sim_time"].lower() == "true":
        command.append("--use-sim-time")
    return [ExecuteProcess(cmd=command, output="screen")]


def generate_launch_description():
    params_file = PathJoinSubstitution([FindPackageShare("vipe"), "config", "vipe.yaml"])
    image = [LaunchConfiguration("camera"), "/image_raw"]
    bools = ["", "true", "false"]
    return LaunchDescription(
        [
            argument("camera", "camera", "Namespace of the camera."),
            argument("image", image, "Topic of its images; camera_info is looked for beside it."),
            argument(
                "image_transport", "", "raw, or compressed: reads `image/compressed`.",
                ["", "raw", "compressed"],
            ),
            argument("camera_info", "camera_info", "Topic of the lens, where it is not there."),
            argument("depth", "depth", "Topic of depth images registered to the image."),
            argument(
                "keypoints_source", "detector",
                "Who makes `bodies_2d`: our detector, or another node on that topic.",
                ["detector", "topic"],
            ),
            argument("detector", "", "YAML file of a pose model of your own; empty: BlazePose."),
            argument("bodies_2d", "bodies_2d", "Topic of the keypoints, of any 2D pose node."),
            argument("keypoints_type", "", "Their type; empty: what is published there."),
            argument("model", "", "Path of the model file; empty: the one that ships with VIPE."),
            argument("backend", "", "What runs the model: auto or the name of a backend."),
            argument(
                "placement", "", "What gives people's distance: stature, depth image, nothing.",
                ["", "height", "depth", "none"],
            ),
            argument("height", "", "Assumed stature of every person in metres."),
            argument("joints_tf", "", "Also every joint as a frame on /tf.", bools),
            argument("humans", "", "REP-155 topics below /humans/bodies.", bools),
            argument(
                "recognition", "true", "Whether actions are taught and recognised.",
                ["true", "false"],
            ),
            argument("examples_file", "", "Where what is taught is kept; empty: in ROS_HOME."),
            argument("examples_dir", "", "Folder of recordings of actions, read only."),
            argument("index", "", "Folder of an index of the poses seen; empty: no search."),
            argument("remember", "", "Add the people in view to the index.", bools),
            argument(
                "capture", "", "Folder: record a bag in it, named after the time; empty: do not."
            ),
            argument("namespace", "", "Namespace of the nodes and their topics."),
            argument("params_file", params_file, "Parameters of all nodes, one file."),
            argument("use_sim_time", "false", "Take the time from /clock."),
            argument("tf", "/tf", "Topic of the frames; `tf` for one tree per namespace."),
            *(argument(topic, topic, meaning) for topic, meaning in OUTPUTS.items()),
            OpaqueFunction(function=nodes),
            OpaqueFunction(function=recorder),
        ]
    )  # fmt: skip
