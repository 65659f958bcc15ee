"""Camera image -> bodies_2d, by BlazePose and a tracker."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from sensor_msgs.msg import CompressedImage, Image
from vipe_msgs.msg import Bodies2D

from vipe_core.detectors import BlazePose
from vipe_core.tracking import Tracker
from vipe_ros import convert, image
from vipe_ros.node import BaseNode, run
from vipe_ros.parameters import KeypointsParameters


class KeypointsNode(BaseNode):
    """Finds and follows people in images."""

    parameters_type = KeypointsParameters
    settings: KeypointsParameters
    _detector: Any = None
    _tracker: Any = None

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("keypoints_node", **kwargs)

    def configure(self) -> None:
        given = self.settings
        self._detector = BlazePose(given.assets_dir or None, given.variant, given.threads)
        # A first run takes several times as long: not in the first image's time.
        self._detector(np.zeros((256, 256, 3), np.uint8))
        self._tracker = Tracker()
        self._name = f"blazepose-{given.variant}"
        self._bodies = self.add_output(Bodies2D, "bodies_2d")
        self.report.facts |= {"backend": "ai-edge-litert", "model": self._name}

    def activate(self) -> None:
        self._detector.reset()  # what was in sight before a pause is not any more
        if self.settings.image_transport == "compressed":
            self.add_input(CompressedImage, "image/compressed", self._on_compressed)
        else:
            self.add_input(Image, "image", self._on_image)

    def release(self) -> None:
        self._detector = self._tracker = None

    def _on_image(self, message: Image) -> None:
        with self.report.timed("decode"):
            pixels = image.to_bgr(message)
        self._detect(message.header, pixels)

    def _on_compressed(self, message: CompressedImage) -> None:
        with self.report.timed("decode"):
            pixels = image.decompress(message)
        self._detect(message.header, pixels)

    def _detect(self, header: Any, pixels: Any) -> None:
        with self.report.timed("detect"):
            people = self._detector(pixels)
        people = self._tracker.update(people, convert.seconds(header.stamp))
        self.report.counts["bodies"] += len(people)
        self.publish(self._bodies, convert.bodies_2d_message(header, people, self._name))


def main(args: Sequence[str] | None = None) -> int:
    """The executable."""
    return run(KeypointsNode, args=args)


if __name__ == "__main__":
    sys.exit(main())
