"""Which types are understood, and the source for one of them."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from vipe_core.bodies import Bodies2D
from vipe_ros.adapters import hri, openpose, trt_pose, vipe, yolo, zed
from vipe_ros.adapters.auto import Auto
from vipe_ros.adapters.link import Link, OneTopic, Size, Source
from vipe_ros.errors import InputError

if TYPE_CHECKING:
    from std_msgs.msg import Header

    from vipe_ros.node import BaseNode

AUTO = "auto"
OURS = "vipe_msgs/msg/Bodies2D"


@dataclass(frozen=True)
class Adapter:
    """How one type is read.

    Attributes:
        open: a source, from the type itself and the link to the node.
        upstream: where its package comes from.
    """

    open: Callable[[type, Link], Source]
    upstream: str


def message_type(name: str) -> type:
    """The class of ``package/msg/Type``.

    Raises:
        InputError: its package is not installed here, or has no such type.
    """
    package, _, kind = name.split("/")
    try:
        return getattr(importlib.import_module(f"{package}.msg"), kind)
    except (ImportError, AttributeError) as error:
        apt = f"ros-{os.environ.get('ROS_DISTRO', '$ROS_DISTRO')}-{package.replace('_', '-')}"
        known = ADAPTERS.get(name)
        build = f", or build {known.upstream}" if known else ""
        raise InputError(
            "package missing", f"cannot read {name} ({error}): apt install {apt}{build}; source it"
        ) from None


ADAPTERS: dict[str, Adapter] = {
    OURS: Adapter(partial(OneTopic, read=vipe.bodies), "this workspace (vipe_msgs)"),
    "yolo_msgs/msg/DetectionArray": Adapter(
        partial(OneTopic, read=yolo.bodies), "github.com/mgonzs13/yolo_ros"
    ),
    "hri_msgs/msg/IdsList": Adapter(
        partial(hri.Humans, skeleton=partial(message_type, "hri_msgs/msg/Skeleton2D")),
        "github.com/ros4hri/hri_msgs",
    ),
    "zed_msgs/msg/ObjectsStamped": Adapter(
        partial(OneTopic, read=zed.bodies), "github.com/stereolabs/zed-ros2-interfaces"
    ),
    "pose_msgs/msg/PersonDetection": Adapter(
        trt_pose.People, "github.com/NVIDIA-AI-IOT/ros2_trt_pose"
    ),
    "ros_openpose/msg/Frame": Adapter(
        partial(OneTopic, read=openpose.bodies), "github.com/ravijo/ros_openpose"
    ),
}


def check(keypoints_type: str) -> None:
    """For a parameter.

    Raises:
        VipeError: neither "auto" nor a type that is known and installed.
    """
    if keypoints_type != AUTO:
        find(keypoints_type)


def find(name: str) -> tuple[type, Adapter]:
    """A type and its adapter.

    Raises:
        InputError: it is not known or not installed.
    """
    if name not in ADAPTERS:
        known = ", ".join(ADAPTERS)
        raise InputError("unknown keypoints type", f"no adapter for {name!r}; known: {known}")
    return message_type(name), ADAPTERS[name]


def open_source(
    node: BaseNode,
    topic: str,
    keypoints_type: str,
    camera_size: Callable[[], Size | None],
    callback: Callable[[Header, Bodies2D], None],
) -> Source:
    """Listen for people on a topic of an active node. Close it when the node is deactivated.

    Args:
        node: opens the inputs and counts what cannot be used.
        topic: as the node names it; for hri_msgs that of the ids, ``/humans/bodies/tracked``.
        keypoints_type: a key of :data:`ADAPTERS`, or "auto": whatever is published there, at
            first and while nobody publishes ours.
        camera_size: (width, height) of the images in pixels, None while unknown.
        callback: gets the header and the people of each image.

    Raises:
        VipeError: the type that is asked for is not known or not installed.
    """
    link = Link(node, topic, camera_size, callback)
    if keypoints_type == AUTO:
        return Auto(link, OURS, start)
    return start(keypoints_type, link)


def start(name: str, link: Link) -> Source:
    """The source for a type; raises InputError like :func:`find`."""
    kind, adapter = find(name)
    return adapter.open(kind, link)
