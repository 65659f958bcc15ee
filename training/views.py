"""From people to what a detector would say: cameras, noise, missing points.

B is the batch, V the number of views of each person.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from vipe_core.skeletons import BODY13, JOINTS17
from vipe_training.people import trunk_length

BODY13_IN_JOINTS17 = JOINTS17.indices(*BODY13.joints)
TORSO = BODY13.indices("left_shoulder", "right_shoulder", "left_hip", "right_hip")
LIMB_POINTS = BODY13.indices(
    *(f"{s}_{j}" for s in ("left", "right") for j in ("elbow", "wrist", "knee", "ankle"))
)
_WHOLE_LIMBS = tuple(
    tuple(BODY13.indices(*(f"{side}_{j}" for j in joints)))
    for side in ("left", "right")
    for joints in (("elbow", "wrist"), ("knee", "ankle"))
)
_LEGS = BODY13.indices(*(f"{s}_{j}" for s in ("left", "right") for j in ("hip", "knee", "ankle")))


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


@dataclass(frozen=True)
class NoiseConfig:
    """Detector noise: Gaussian, sigma uniform up to ``sigma`` of the longest torso distance."""

    sigma: float = 0.0


@dataclass(frozen=True)
class OcclusionConfig:
    """Missing points.

    Attributes:
        independent: share of views in which each limb point is hidden with ``q``.
        q: see above; 0.2 in Pr-VIPE.
        limbs: share of views in which one or two whole limbs are hidden.
        crop: share of views that end above the hips.
        nose: probability that the nose is hidden, in any view.
    """

    independent: float = 0.0
    q: float = 0.2
    limbs: float = 0.0
    crop: float = 0.0
    nose: float = 0.0


@dataclass(frozen=True)
class ViewConfig:
    """What a view of a person looks like."""

    camera: CameraConfig = field(default_factory=CameraConfig)
    noise: NoiseConfig = field(default_factory=NoiseConfig)
    occlusion: OcclusionConfig = field(default_factory=OcclusionConfig)


def draw_views(
    joints: Tensor,
    rotation: Tensor,
    views: int,
    config: ViewConfig,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Detections of every person from random cameras.

    Args:
        joints: (B, 17, 3) canonical, statures.
        rotation: (B, 3, 3) body axes in a y-up world.
        views: V.

    Returns:
        points (B, V, 13, 2), image units, x right, y down, and visible (B, V, 13) bool.
    """
    points = _project(joints, rotation, views, config.camera, generator)
    points = _add_noise(points, config.noise, generator)
    return points, _draw_visible(points.shape[:3], config.occlusion, generator).to(points.device)


def _project(
    joints: Tensor, rotation: Tensor, views: int, config: CameraConfig, generator: torch.Generator
) -> Tensor:
    batch, device = len(joints), joints.device

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(
            batch, views, *shape, generator=generator, device=device
        )

    rad = math.pi / 180
    if config.roll_gaussian:
        roll = torch.randn(batch, views, generator=generator, device=device) * config.roll * rad
    else:
        roll = uniform(-config.roll, config.roll) * rad
    angles = (
        uniform(-math.pi, math.pi),
        uniform(-config.elevation, config.elevation) * rad,
        roll,
    )
    turn = (pose_rotation if config.rotate_pose else camera_rotation)(*angles)  # (B, V, 3, 3)
    if config.unit == "trunk":
        joints = joints / trunk_length(joints)[:, None, None]
    in_world = joints[:, BODY13_IN_JOINTS17] @ rotation.transpose(1, 2)  # (B, 13, 3)
    in_camera = in_world[:, None] @ turn.transpose(-1, -2)  # (B, V, 13, 3)
    near, far = (math.log(d) for d in (config.distance[0], config.distance[-1]))
    # A limb that reaches the camera plane has no image; one such point, projected all the
    # same, lands so far out that it poisons batch statistics. So the camera steps back.
    distance = uniform(near, far).exp()
    distance = torch.maximum(distance, config.clearance - in_camera[..., 2].amin(-1))
    shift = uniform(-config.off_axis, config.off_axis, 2)
    depth = in_camera[..., 2] + distance[..., None]
    flat = in_camera[..., :2] + shift[..., None, :]
    return flat / depth[..., None]


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


def _add_noise(points: Tensor, config: NoiseConfig, generator: torch.Generator) -> Tensor:
    if not config.sigma:
        return points
    torso = points[..., TORSO, :]
    longest = torch.cdist(torso, torso).amax((-2, -1))[..., None, None]
    sigma = config.sigma * torch.rand(
        *points.shape[:2], 1, 1, generator=generator, device=points.device
    )
    noise = torch.randn(points.shape, generator=generator, device=points.device)
    return points + sigma * longest * noise


def _draw_visible(shape: torch.Size, config: OcclusionConfig, generator: torch.Generator) -> Tensor:
    batch, views = shape[:2]

    def happens(probability: float, *size: int) -> Tensor:
        return torch.rand(batch, views, *size, generator=generator, device=generator.device) < (
            probability
        )

    visible = torch.ones(shape, dtype=torch.bool, device=generator.device)
    if config.independent:
        hide = happens(config.q, len(LIMB_POINTS)) & happens(config.independent, 1)
        visible[..., LIMB_POINTS] &= ~hide
    if config.limbs:
        # On average one and a half of four limbs, whole.
        some = happens(config.limbs, 1)
        for limb in _WHOLE_LIMBS:
            visible[..., list(limb)] &= ~(happens(0.375, 1) & some)
    if config.crop:
        visible[..., _LEGS] &= ~happens(config.crop, 1)
    if config.nose:
        visible[..., 0] &= ~happens(config.nose)
    return visible
