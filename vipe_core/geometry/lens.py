"""The lens of a real camera: from pixels to rays, as a ROS CameraInfo describes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from vipe_core.errors import VipeError

# Distortion models of sensor_msgs/distortion_models.hpp -> how many coefficients OpenCV takes.
MODELS = {"plumb_bob": (4, 5), "rational_polynomial": (8, 12, 14), "equidistant": (4,)}
_CRITERIA = (3, 20, 1e-3)  # OpenCV: at most so many steps, or this exact in pixels
_TOLERANCE = 0.5  # pixels by which the ray of a point may miss it


@dataclass(frozen=True)
class Lens:
    """Intrinsics of one camera.

    Attributes:
        matrix: (3, 3) K in pixels.
        distortion: (k,) coefficients in OpenCV's order; () or zeros for none.
        model: ``plumb_bob``, ``rational_polynomial``, ``equidistant`` (OpenCV's fisheye), or
            "" for none.
        size: (width, height) in pixels that the matrix belongs to; None when unknown.
        rectification: (3, 3) rotation of the rays into the camera's optical frame: R of a
            stereo camera; None for none.
    """

    matrix: np.ndarray
    distortion: np.ndarray
    model: str = ""
    size: tuple[int, int] | None = None
    rectification: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.matrix.shape != (3, 3):
            raise VipeError(f"camera matrix has shape {self.matrix.shape}, (3, 3) needed")
        rotation = () if self.rectification is None else self.rectification
        for name, values in (("K", self.matrix), ("D", self.distortion), ("R", rotation)):
            if not np.isfinite(values).all():
                raise VipeError(f"{name} of the camera holds numbers that are not finite")
        if self.matrix[0, 0] <= 0 or self.matrix[1, 1] <= 0:
            raise VipeError("the camera is not calibrated: its focal length is 0")
        if not np.any(self.distortion):
            return
        if self.model not in MODELS:
            raise VipeError(
                f"unknown distortion model {self.model!r}; known: {', '.join(MODELS)}, and '' "
                "for an image without distortion"
            )
        if len(self.distortion) not in MODELS[self.model]:
            takes = " or ".join(map(str, MODELS[self.model]))
            raise VipeError(
                f"{len(self.distortion)} distortion coefficients, {self.model} takes {takes}"
            )

    @classmethod
    def from_camera_info(
        cls,
        k: Sequence[float],
        d: Sequence[float] = (),
        distortion_model: str = "",
        p: Sequence[float] = (),
        r: Sequence[float] = (),
        width: int = 0,
        height: int = 0,
        rectified: bool = False,
    ) -> Lens:
        """From the fields of a ``sensor_msgs/CameraInfo``.

        Args:
            k, d, distortion_model, width, height: as in the message, row-major.
            p: (12,) needed with ``rectified`` only. Its fourth column, the place of the
                second camera of a stereo pair, is not used: positions are about the camera's
                own centre.
            r: (9,) rectification of a stereo camera; empty or zeros for none.
            rectified: whether the image is the rectified one (``image_rect``): P instead of K,
                no distortion.

        Raises:
            VipeError: the camera is not calibrated (k[0] is 0), arrays of other lengths, or a
                distortion model that is not known.

        Source: sensor_msgs/CameraInfo, REP-104.
        """
        if len(k) != 9:
            raise VipeError(f"K of the camera has {len(k)} values, 9 needed")
        if k[0] == 0:
            raise VipeError("the camera is not calibrated: K of its CameraInfo is 0")
        size = (int(width), int(height)) if width and height else None
        if rectified:
            if len(p) != 12 or p[0] == 0:
                raise VipeError("a rectified image needs P of the CameraInfo, which is not there")
            return cls(np.array(p, np.float64).reshape(3, 4)[:, :3], np.zeros(0), "", size)
        turn = np.array(r, np.float64) if np.any(r) else np.eye(3).ravel()
        if turn.shape != (9,):
            raise VipeError(f"R of the camera has {len(turn)} values, 9 needed")
        rotation = None if np.allclose(turn, np.eye(3).ravel()) else turn.reshape(3, 3)
        matrix = np.array(k, np.float64).reshape(3, 3)
        return cls(matrix, np.array(d, np.float64).ravel(), distortion_model, size, rotation)

    @property
    def focal(self) -> float:
        """Mean focal length in pixels."""
        return float(self.matrix[0, 0] + self.matrix[1, 1]) / 2

    def for_size(self, size: tuple[int, int] | None) -> Lens:
        """The lens of the same image, scaled to ``size`` (width, height).

        Raises:
            VipeError: an image of another shape, which is a part of the camera's or another
                camera's.
        """
        if size is None or self.size is None or tuple(size) == tuple(self.size):
            return self
        across, down = size[0] / self.size[0], size[1] / self.size[1]
        if abs(across / down - 1) > 0.02:
            raise VipeError(
                f"the image is {size[0]}x{size[1]} and its camera is calibrated for "
                f"{self.size[0]}x{self.size[1]}: not the same picture"
            )
        # Pixel centres are at whole numbers: the corner of the image is at (-0.5, -0.5).
        scale = np.diag([across, down, 1.0])
        scale[:2, 2] = [(across - 1) / 2, (down - 1) / 2]
        return replace(self, matrix=scale @ self.matrix, size=(int(size[0]), int(size[1])))

    def undistort(self, points: np.ndarray) -> np.ndarray:
        """Normalised image coordinates of pixels: the ray of a point is (x, y, 1).

        Args:
            points: (..., 2) pixels, x right, y down, in the image as the camera gave it.

        Returns:
            (..., 2) float64. NaN stays NaN; a point that no ray of this lens can have made
            (beyond the edge of what the distortion describes) becomes NaN, too.
        """
        points = np.asarray(points, np.float64)
        if not np.any(self.distortion):
            return self._turned(self._normalised(points))
        flat = points.reshape(-1, 2)
        rays = np.full_like(flat, np.nan)
        there = np.flatnonzero(np.isfinite(flat).all(axis=-1))
        if len(there):
            rays[there] = self._straight(np.ascontiguousarray(flat[there]))
        return self._turned(rays.reshape(points.shape))

    def _normalised(self, points: np.ndarray) -> np.ndarray:
        k = self.matrix
        y = (points[..., 1] - k[1, 2]) / k[1, 1]
        x = (points[..., 0] - k[0, 2] - k[0, 1] * y) / k[0, 0]
        return np.stack([x, y], axis=-1)

    def _straight(self, pixels: np.ndarray) -> np.ndarray:
        """Rays (N, 2) of finite pixels (N, 2); NaN where going back does not lead there."""
        import cv2

        source = pixels[:, None]
        if self.model == "equidistant":
            rays = cv2.fisheye.undistortPoints(source, self.matrix, self.distortion)[:, 0]
            back = cv2.fisheye.distortPoints(rays[:, None], self.matrix, self.distortion)[:, 0]
        else:
            straight = cv2.undistortImagePoints(
                source, self.matrix, self.distortion, None, _CRITERIA
            )
            rays = self._normalised(np.asarray(straight, np.float64)[:, 0])
            solid = np.concatenate([rays, np.ones((len(rays), 1))], axis=1)
            zero = np.zeros(3)
            back = cv2.projectPoints(solid, zero, zero, self.matrix, self.distortion)[0][:, 0]
        missed = np.abs(back - pixels).max(axis=-1)
        return np.where((missed < _TOLERANCE)[:, None], rays, np.nan)

    def _turned(self, rays: np.ndarray) -> np.ndarray:
        if self.rectification is None:
            return rays
        solid = np.concatenate([rays, np.ones((*rays.shape[:-1], 1))], axis=-1)
        solid = solid @ self.rectification.T
        return solid[..., :2] / np.where(solid[..., 2:] > 0, solid[..., 2:], np.nan)
