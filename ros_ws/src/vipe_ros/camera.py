"""The camera that people are seen with: where it says what it is, its lens, its depth."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import numpy as np
from sensor_msgs.msg import CameraInfo, Image

from vipe_core.errors import VipeError
from vipe_core.geometry.lens import Lens
from vipe_ros import convert, image
from vipe_ros.errors import InputError

if TYPE_CHECKING:
    from rclpy.node import Node

    from vipe_ros.vipe_node import VipeNode

# Transports publish below the topic of the raw image, under their names.
_TRANSPORTS = ("compressed", "compressedDepth", "theora", "ffmpeg", "zstd", "draco")
# Keypoints of an image come after its depth: as many depth images wait for them.
_WAITING = 12
_SAME_MOMENT_S = 0.05  # a depth image further away in time shows another scene


class CameraInputs:
    """Listens to ``camera_info`` and ``depth`` while the node is active.

    Args:
        node: with the parameters ``placement`` and ``rectified``.

    Attributes:
        lens: the latest; None before the first, and for a camera that is not calibrated.
        size: (width, height) of the camera's images; None before the first.
        frame: its optical frame; "" before the first.
    """

    def __init__(self, node: VipeNode) -> None:
        self._node = node
        self.lens: Lens | None = None
        self.size: tuple[int, int] | None = None
        self.frame = ""
        node.report.facts["camera"] = "no camera_info yet: nobody is placed"
        self._known: CameraInfo | None = None
        self._depths: deque[Image] = deque(maxlen=_WAITING)
        node.add_side_input(CameraInfo, camera_info_topic(node), self._on_info)
        if node.settings.placement == "depth":
            node.add_side_input(Image, "depth", self._depths.append)

    def depth(self, stamp_s: float) -> np.ndarray | None:
        """(H, W) metres of the depth image nearest in time; None without one.

        Raises:
            InputError: it is no depth image.
        """
        if self._node.settings.placement != "depth":
            return None
        gaps = [abs(convert.seconds(each.header.stamp) - stamp_s) for each in self._depths]
        if not gaps or min(gaps) > _SAME_MOMENT_S:
            self._node.report.counts["without depth"] += 1
            return None
        return image.to_metres(self._depths[int(np.argmin(gaps))])

    def _on_info(self, message: CameraInfo) -> None:
        self.frame = message.header.frame_id
        # Cameras repeat it with every image, and nearly always say the same.
        if self._known is not None and _same(self._known, message):
            return
        self._known, self.lens = message, None
        self.size = (message.width, message.height) if message.width and message.height else None
        facts = self._node.report.facts
        facts["camera"] = "not calibrated: nobody is placed"
        if not any(message.k):
            return
        try:
            self.lens = Lens.from_camera_info(
                tuple(message.k), message.d, message.distortion_model, tuple(message.p),
                tuple(message.r), message.width, message.height, self._node.settings.rectified,
            )  # fmt: skip
        except VipeError as error:
            facts["camera"] = f"cannot be used: {error}"
            raise InputError("camera_info", str(error)) from None
        focal = f"{self.lens.focal:.0f} px"
        facts["camera"] = f"{message.width} x {message.height}, focal length {focal}"


def _same(a: CameraInfo, b: CameraInfo) -> bool:
    """Whether two say the same of the lens."""
    return (
        (a.width, a.height, a.distortion_model) == (b.width, b.height, b.distortion_model)
        and a.d == b.d
        and all(np.array_equal(getattr(a, name), getattr(b, name)) for name in "kpr")
    )


def camera_info_topic(node: Node, image: str = "image") -> str:
    """The topic of the CameraInfo that belongs to an image topic of the node, fully resolved.

    As image_transport has it, ``camera_info`` lies beside the image: for
    ``image:=/cam/image_raw`` it is ``/cam/camera_info``, also where only ``image/compressed``
    is remapped. A ``camera_info`` that is remapped itself wins.

    Args:
        node: its remappings count.
        image: name of the image topic as the node knows it.
    """
    if _is_remapped(node, "camera_info"):
        return node.resolve_topic_name("camera_info")
    compressed = f"{image}/compressed"
    source = compressed if not _is_remapped(node, image) else image
    folder, _, last = node.resolve_topic_name(source).rpartition("/")
    if last in _TRANSPORTS and folder:
        folder = folder.rpartition("/")[0]
    return f"{folder}/camera_info"


def _is_remapped(node: Node, topic: str) -> bool:
    return node.resolve_topic_name(topic) != node.resolve_topic_name(topic, only_expand=True)
