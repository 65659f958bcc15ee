"""A video file as a camera: image and camera_info at the rate of the file."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rclpy.duration import Duration
from rclpy.qos import ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Empty, Header

from vipe_core.errors import VipeError
from vipe_ros import image
from vipe_ros.camera import camera_info_topic
from vipe_ros.node import BaseNode
from vipe_ros.parameters import VideoParameters
from vipe_ros.process import run

POLL_S = 0.05
FLUSH_S = 5.0
# A subscriber in the graph is one that this node has found; its publisher may need a moment
# longer. So wait_for_topics must hold for as many polls in a row.
SETTLED = 10


class VideoNode(BaseNode):
    """Plays a video once, as soon as somebody watches, then says ``finished``."""

    parameters_type = VideoParameters
    settings: VideoParameters
    _capture: Any = None
    _timer: Any = None

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("video_node", **kwargs)

    def autostart(self) -> bool:
        started = super().autostart()
        if not started and self.settings.exit_at_end:
            self.finished, self.exit_status = True, 2
        return started

    def configure(self) -> None:
        self._capture = _open(self.settings.video)
        self._wanted = dict(_topic_and_count(entry) for entry in self.settings.wait_for_topics)
        self._count, self._next = 0, self._read()
        if self._next is None:
            raise VipeError(f"video {self.settings.video} has no image that can be decoded")
        self._rate = self.settings.rate or _rate(self._capture)
        reliable = self.settings.output_reliability == "reliable"
        reliability = ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT
        self._images = self.add_output(Image, "image", reliability=reliability)
        self._infos = self.add_output(CameraInfo, camera_info_topic(self), reliability=reliability)
        self._finished = self.add_output(Empty, "finished", latched=True)
        self.report.facts |= {"video": self.settings.video, "rate": f"{self._rate:g} Hz"}

    def activate(self) -> None:
        self._settled = 0
        self._timer = self.create_timer(POLL_S, lambda: self.guard(self._poll), clock=self.steady)

    def deactivate(self) -> None:
        self._stop()

    def release(self) -> None:
        if self._capture is not None:
            self._capture.release()
        self._capture = self._next = None

    def _stop(self) -> None:
        if self._timer is not None:
            self.destroy_timer(self._timer)
        self._timer = None

    def _poll(self) -> None:
        """Start playing when everybody who is waited for is there."""
        here = self._images.get_subscription_count() >= self.settings.wait_for_subscribers
        for topic, count in self._wanted.items():
            here = here and self.count_subscribers(self.resolve_topic_name(topic)) >= count
        self._settled = self._settled + 1 if here else 0
        if self._settled >= (SETTLED if self._wanted else 1):
            self._stop()
            self._timer = self.create_timer(
                1 / self._rate, lambda: self.guard(self._play), clock=self.steady
            )

    def _play(self) -> None:
        """Publish one image; decode the next one when this one is out."""
        if self._next is None:
            self._end()
            return
        message = image.from_bgr(self._next)
        message.header = Header(stamp=self.get_clock().now().to_msg())
        message.header.frame_id = self.settings.frame_id
        self.publish(self._images, message)
        info = camera_info(message.width, message.height, self.settings.fov)
        info.header = message.header
        self._infos.publish(info)
        self._count += 1
        self._next = self._read()

    def _read(self) -> np.ndarray | None:
        """The next image, scaled; None at the end."""
        import cv2

        success, pixels = self._capture.read()
        if not success:
            return None
        width = self.settings.width
        if not width or width >= pixels.shape[1]:
            return pixels
        size = (width, max(round(pixels.shape[0] * width / pixels.shape[1]), 1))
        return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)

    def _end(self) -> None:
        self._stop()
        self.get_logger().info(f"the video ended after {self._count} images")
        self._finished.publish(Empty())
        if self.settings.exit_at_end:
            for publisher in (self._images, self._finished):
                publisher.wait_for_all_acked(Duration(seconds=FLUSH_S))
            self.finished = True


def camera_info(width: int, height: int, fov: float) -> CameraInfo:
    """What is known of a lens without distortion that looks through the middle of its images.

    Args:
        width, height: of the images in pixels, which are square.
        fov: horizontal field of view in degrees; 0 when unknown: not calibrated, K is zero.
    """
    info = CameraInfo(width=width, height=height)
    if fov:
        focal = width / 2 / math.tan(math.radians(fov) / 2)
        x, y = width / 2, height / 2
        info.distortion_model, info.d = "plumb_bob", [0.0] * 5
        info.k = [focal, 0.0, x, 0.0, focal, y, 0.0, 0.0, 1.0]
        info.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
        info.p = [focal, 0.0, x, 0.0, 0.0, focal, y, 0.0, 0.0, 0.0, 1.0, 0.0]
    return info


def _topic_and_count(entry: str) -> tuple[str, int]:
    """("bodies_2d", 2) of "bodies_2d:2"; one subscriber when no number is given."""
    topic, _, count = entry.partition(":")
    if not topic or not (count or "1").isdecimal():
        raise VipeError(f"wait_for_topics has {entry!r}; write `topic` or `topic:2`")
    return topic, int(count or 1)


def _open(path: str) -> Any:
    """The opened video; VipeError when there is none."""
    import cv2

    if not path:
        raise VipeError("the parameter video is empty: give the path of a video file")
    if not Path(path).is_file():
        raise VipeError(f"video {path} does not exist")
    capture = cv2.VideoCapture(path)
    if not capture.isOpened():
        raise VipeError(f"video {path} cannot be opened: it is no video, or damaged")
    return capture


def _rate(capture: Any) -> float:
    """Images per second of an open video; VipeError when it does not say."""
    import cv2

    rate = capture.get(cv2.CAP_PROP_FPS)
    if not 0 < rate <= 1000:
        raise VipeError("the video does not say how many images a second it has; set rate")
    return rate


def main(args: Sequence[str] | None = None) -> int:
    """The executable."""
    return run(VideoNode, args=args)


if __name__ == "__main__":
    sys.exit(main())
