"""Camera image -> bodies_2d, by BlazePose or a pose model that the user brings.

Nobody is named here: vipe_node follows people, whatever found them.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from sensor_msgs.msg import CompressedImage, Image
from vipe_msgs.msg import Bodies2D, Skeleton

from vipe_core import detectors
from vipe_ros import convert, image
from vipe_ros.node import BaseNode
from vipe_ros.parameters import KeypointsParameters
from vipe_ros.process import run


class KeypointsNode(BaseNode):
    """Finds people in images."""

    parameters_type = KeypointsParameters
    settings: KeypointsParameters
    _detector: Any = None

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("keypoints_node", **kwargs)

    def configure(self) -> None:
        given = self.settings
        self._detector = detectors.load(
            given.detector, given.assets_dir or None, given.variant, given.threads
        )
        # A first run takes several times as long: not in the first image's time.
        self._detector(np.zeros((256, 256, 3), np.uint8))
        self._bodies = self.add_output(Bodies2D, "bodies_2d")
        self._skeleton = self.add_output(Skeleton, "bodies_2d/skeleton", latched=True)
        self.report.facts |= {
            "backend": self._detector.backend,
            "model": self._detector.model,
            "detector": self._detector.name,
            "image converter": image.converter(),
        }

    def activate(self) -> None:
        self._detector.reset()  # what was in sight before a pause is not any more
        self._skeleton.publish(convert.skeleton_message(self._detector.skeleton))
        if self.settings.image_transport == "compressed":
            self.add_input(CompressedImage, "image/compressed", self._on_compressed)
        else:
            self.add_input(Image, "image", self._on_image)

    def release(self) -> None:
        self._detector = None

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
        self.report.counts["bodies"] += len(people)
        self.report.facts["bodies in view"] = str(len(people))
        with self.report.timed("publish"):
            message = convert.bodies_2d_message(header, people, self._detector.name)
            self.publish(self._bodies, message)


def main(args: Sequence[str] | None = None) -> int:
    """The executable."""
    return run(KeypointsNode, args=args)


if __name__ == "__main__":
    sys.exit(main())
