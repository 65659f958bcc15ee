"""Where the CameraInfo of an image is, by real nodes with real remappings."""

from __future__ import annotations

import pytest
import rclpy

from tests.ros.harness import Peer
from vipe_ros.camera import camera_info_topic


@pytest.mark.parametrize(
    ("namespace", "remappings", "expected"),
    [
        ("/", [], "/camera_info"),
        ("/robot", [], "/robot/camera_info"),
        ("/", ["image:=/cam/image_raw"], "/cam/camera_info"),
        ("/", ["image:=/front/left/image_rect_color"], "/front/left/camera_info"),
        ("/", ["image:=/image"], "/camera_info"),
        ("/robot", ["image:=cam/image_raw"], "/robot/cam/camera_info"),
        ("/robot", ["image:=/cam/image_raw"], "/cam/camera_info"),
        # The compressed topic is remapped on its own, with the raw one or without.
        ("/", ["image/compressed:=/cam/image_raw/compressed"], "/cam/camera_info"),
        ("/", ["image:=/cam/image_raw", "image/compressed:=/cam/image_raw/compressed"],
         "/cam/camera_info"),
        ("/", ["image:=/cam/image_raw/compressed"], "/cam/camera_info"),
        ("/", ["image:=/cam/depth/compressedDepth"], "/cam/camera_info"),
        ("/", ["image:=/compressed"], "/camera_info"),
        # A camera_info of its own wins, one that stays where it is does not count as such.
        ("/", ["image:=/cam/image_raw", "camera_info:=/calibration/info"], "/calibration/info"),
        ("/", ["camera_info:=/calibration/info"], "/calibration/info"),
        ("/", ["image:=/cam/image_raw", "camera_info:=camera_info"], "/cam/camera_info"),
        # Names of the node.
        ("/", ["__ns:=/arm", "image:=wrist/image"], "/arm/wrist/camera_info"),
    ],
)  # fmt: skip
def test_beside_the_image(peer: Peer, namespace: str, remappings: list[str], expected: str) -> None:
    words = [word for rule in remappings for word in ("-r", rule)]
    node = rclpy.create_node(
        "looker",
        namespace=namespace,
        context=peer.node.context,
        cli_args=["--ros-args", *words],
        use_global_arguments=False,
    )
    try:
        assert camera_info_topic(node) == expected
    finally:
        node.destroy_node()


def test_another_image_topic(peer: Peer) -> None:
    node = rclpy.create_node(
        "looker",
        context=peer.node.context,
        cli_args=["--ros-args", "-r", "depth:=/cam/depth/image_rect"],
        use_global_arguments=False,
    )
    try:
        assert camera_info_topic(node, "depth") == "/cam/depth/camera_info"
        assert camera_info_topic(node) == "/camera_info"
    finally:
        node.destroy_node()
