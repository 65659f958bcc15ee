"""The square, turned region of an image that a landmark model looks at.

Image coordinates are pixels, x right, y down, whole numbers at pixel centres; region
coordinates run 0..1 over the square, (0, 0) its upper left corner as the person sees up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

# The square reaches this much beyond the circle through the size point (BlazePose
# model card: the alignment circle encloses the body).
_MARGIN = 1.25


@dataclass(frozen=True)
class Roi:
    """A square in the image.

    Attributes:
        x, y: its middle, pixels.
        size: side length, pixels.
        angle: turn of the square in the image, radians, clockwise as seen (y is down).
    """

    x: float
    y: float
    size: float
    angle: float

    @classmethod
    def from_alignment(cls, middle: np.ndarray, top: np.ndarray) -> Roi:
        """The square of a person given by two points in image pixels.

        Args:
            middle: (2,) middle of the hips.
            top: (2,) point on the circle around the body, in the direction of the head.
        """
        dx, dy = float(top[0] - middle[0]), float(top[1] - middle[1])
        # Upright, the head lies at angle -90 deg in image axes: that is no turn.
        return cls(
            float(middle[0]),
            float(middle[1]),
            2 * _MARGIN * math.hypot(dx, dy),
            math.atan2(dx, -dy),
        )

    def affine(self, pixels: int) -> np.ndarray:
        """(2, 3) matrix from crop pixels (``pixels`` along a side) to image pixels."""
        scale = self.size / pixels
        cos, sin = scale * math.cos(self.angle), scale * math.sin(self.angle)
        # Pixel centres map to pixel centres, so the middle of the crop is (n - 1) / 2.
        half = (pixels - 1) / 2
        return np.array(
            [
                [cos, -sin, self.x - half * (cos - sin)],
                [sin, cos, self.y - half * (sin + cos)],
            ]
        )

    def to_image(self, points: np.ndarray) -> np.ndarray:
        """(..., 2) region coordinates 0..1 to image pixels."""
        cos, sin = self.size * math.cos(self.angle), self.size * math.sin(self.angle)
        turn = np.array([[cos, sin], [-sin, cos]])
        return (points - 0.5) @ turn + (self.x, self.y)

    def turn(self) -> np.ndarray:
        """(3, 3) float32: ``points @ turn`` brings 3D points of the region, x right, y down, to
        the axes of the image."""
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        return np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]], np.float32)

    def is_usable(self, width: int, height: int) -> bool:
        """Whether the square is finite, larger than a few pixels, and centred in the image."""
        finite = all(math.isfinite(v) for v in (self.x, self.y, self.size, self.angle))
        return finite and self.size >= 8 and 0 <= self.x < width and 0 <= self.y < height
