"""A pinhole camera."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vipe_core.geometry.normalize import as_float


@dataclass(frozen=True)
class Camera:
    """World to image: ``x = K (R X + T)``, OpenCV axes (x right, y down, z forward).

    Attributes:
        matrix: (..., 3, 3) intrinsics K in pixels.
        rotation: (..., 3, 3) world to camera.
        translation: (..., 3) in the world's unit.
    """

    matrix: np.ndarray
    rotation: np.ndarray
    translation: np.ndarray

    @classmethod
    def look_at(
        cls,
        position: np.ndarray,
        target: np.ndarray,
        up: np.ndarray,
        focal: float = 1000.0,
        size: tuple[int, int] = (1000, 1000),
        roll: float = 0.0,
    ) -> Camera:
        """A camera at ``position`` (3,) that looks at ``target`` (3,).

        Args:
            up: (3,) world direction that appears upwards when roll is 0.
            focal: focal length in pixels.
            size: (width, height) in pixels; the principal point is its centre.
            roll: rotation about the optical axis in radians; positive turns the image
                clockwise as seen on the screen.
        """
        position, target, up = (np.asarray(v, np.float64) for v in (position, target, up))
        forward = target - position
        forward = forward / np.linalg.norm(forward)
        right = np.cross(forward, up)
        right = right / np.linalg.norm(right)
        down = np.cross(forward, right)
        c, s = np.cos(roll), np.sin(roll)
        rotation = np.stack([c * right - s * down, s * right + c * down, forward])
        width, height = size
        matrix = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1.0]])
        return cls(matrix, rotation, -rotation @ position)


def project(joints: np.ndarray, camera: Camera) -> np.ndarray:
    """Pixels (..., J, 2), x right, y down, of joints (..., J, 3) in the world.

    A point on or behind the camera plane has no image: it becomes NaN, never a huge
    number that would pass for a pixel.

    Source: REP-103 optical frame; Hartley and Zisserman, pinhole model.
    """
    joints = as_float(joints)
    in_camera = joints @ np.swapaxes(camera.rotation, -1, -2) + camera.translation[..., None, :]
    depth = in_camera[..., 2:]
    homogeneous = in_camera @ np.swapaxes(camera.matrix, -1, -2)
    pixels = homogeneous[..., :2] / np.where(depth > 0, depth, np.nan)
    return pixels.astype(joints.dtype)
