"""Random cameras around a person.

B is the batch, V the number of views of each person, T the frames of a window: the
camera stands still while the person moves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from vipe_training.augment.people import trunk_length


@dataclass(frozen=True)
class CameraConfig:
    """Random cameras around the person.

    Attributes:
        elevation: degrees, uniform in +- this, against the horizon.
        roll: degrees; uniform in +- this, or the sigma of a Gaussian.
        roll_gaussian: which of the two.
        distance: nearest and farthest, log-uniform.
        clearance: the camera steps back until the nearest point is this far away.
        off_axis: the optical axis passes the pelvis at this distance at most.
        unit: of the three above, ``stature`` or ``trunk`` (pelvis-spine plus spine-neck).
        rotate_pose: tilt the pose, then turn it, as Pr-VIPE's camera augmentation does
            (Rz(azimuth) Ry(elevation) Rx(roll) before a camera that stays level); else
            the camera goes round the person and tilts.
    """

    elevation: float = 30.0
    roll: float = 30.0
    roll_gaussian: bool = False
    distance: tuple[float, ...] = (2.0, 2.0)
    clearance: float = 0.3
    off_axis: float = 0.0
    unit: str = "stature"
    rotate_pose: bool = False


def draw_cameras(
    rotation: Tensor, views: int, config: CameraConfig, generator: torch.Generator
) -> Tensor:
    """Body to camera (x right, y down, z forward), (B, V, T, 3, 3), for random cameras.

    Args:
        rotation: (B, T, 3, 3) body axes in a y-up world, as columns.
        views: V.
    """
    rand = _uniform(len(rotation), views, rotation.device, generator)
    rad = math.pi / 180
    roll = rand(-1, 1) * config.roll * rad
    if config.roll_gaussian:
        roll = torch.randn(roll.shape, generator=generator, device=roll.device) * config.roll * rad
    angles = (
        rand(-math.pi, math.pi),
        rand(-config.elevation, config.elevation) * rad,
        roll,
    )
    turn = (pose_rotation if config.rotate_pose else camera_rotation)(*angles)  # (B, V, 3, 3)
    return turn[:, :, None] @ rotation[:, None]


def project(
    landmarks: Tensor,
    size: Tensor,
    to_camera: Tensor,
    config: CameraConfig,
    generator: torch.Generator,
) -> Tensor:
    """Image points (B, V, T, J, 2), focal length 1, x right, y down.

    Args:
        landmarks: (B, T, J, 3) in the body frame.
        size: (B,) length of the configuration's unit in theirs.
        to_camera: (B, V, T, 3, 3), see :func:`draw_cameras`.
    """
    in_camera = landmarks[:, None] / size[:, None, None, None, None]
    in_camera = in_camera @ to_camera.transpose(-1, -2)  # (B, V, T, J, 3)
    rand = _uniform(len(landmarks), to_camera.shape[1], landmarks.device, generator)
    near, far = (math.log(d) for d in (config.distance[0], config.distance[-1]))
    # A limb that reaches the camera plane has no image; one such point, projected all the
    # same, lands so far out that it poisons batch statistics. So the camera steps back.
    distance = rand(near, far).exp()
    distance = torch.maximum(distance, config.clearance - in_camera[..., 2].amin((-2, -1)))
    shift = rand(-config.off_axis, config.off_axis, 2)
    depth = in_camera[..., 2] + distance[..., None, None]
    flat = in_camera[..., :2] + shift[:, :, None, None]
    return flat / depth[..., None]


def unit_length(joints: Tensor, config: CameraConfig) -> Tensor:
    """(B,) length of the configuration's unit for joints (B, 17, 3) in statures."""
    return trunk_length(joints) if config.unit == "trunk" else joints.new_ones(len(joints))


def camera_rotation(azimuth: Tensor, elevation: Tensor, roll: Tensor) -> Tensor:
    """World (y up) to camera (x right, y down, z forward), (..., 3, 3), angles in radians.

    At zero angles the camera stands on +z and looks at the origin; azimuth moves it
    about y, a positive elevation lifts it, roll turns it about its axis.
    """
    turn = _rotation(1, -azimuth)
    tilt = _rotation(0, elevation)
    look = torch.diag(azimuth.new_tensor([1.0, -1.0, -1.0]))
    return _rotation(2, roll) @ look @ tilt @ turn


def pose_rotation(azimuth: Tensor, elevation: Tensor, roll: Tensor) -> Tensor:
    """Pr-VIPE's augmentation: world (y up) to camera (..., 3, 3), angles in radians.

    In a z-up frame R = Rz(azimuth) Ry(elevation) Rx(roll); the camera looks along +x,
    image x is -y and image y is -z (code of the paper, after its mirroring fix).
    """
    y_up_to_z_up = azimuth.new_tensor([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    to_camera = azimuth.new_tensor([[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]])
    turn = _rotation(2, azimuth) @ _rotation(1, elevation) @ _rotation(0, roll)
    return to_camera @ turn @ y_up_to_z_up


def _rotation(axis: int, angle: Tensor) -> Tensor:
    """Right-handed rotation (..., 3, 3) about a coordinate axis."""
    matrix = torch.zeros(*angle.shape, 3, 3, device=angle.device)
    i, j = (axis + 1) % 3, (axis + 2) % 3
    matrix[..., axis, axis] = 1
    matrix[..., i, i] = matrix[..., j, j] = angle.cos()
    matrix[..., j, i] = angle.sin()
    matrix[..., i, j] = -angle.sin()
    return matrix


def _uniform(batch: int, views: int, device: torch.device, generator: torch.Generator):
    def draw(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(
            batch, views, *shape, generator=generator, device=device
        )

    return draw
