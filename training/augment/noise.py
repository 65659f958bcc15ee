"""Errors of a 2D detector."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vipe_core.skeletons import BODY13

TORSO = BODY13.indices("left_shoulder", "right_shoulder", "left_hip", "right_hip")
# Errors of BlazePose (lite, full, heavy; 1,200 views of one person by four calibrated cameras,
# against the triangulated points): scale of a Student t distribution with three degrees of
# freedom, per joint, in longest torso distances. Left and right are averaged.
_SCALE = {
    "nose": 0.048,
    "shoulder": 0.031,
    "elbow": 0.032,
    "wrist": 0.031,
    "hip": 0.039,
    "knee": 0.034,
    "ankle": 0.038,
}
_FREEDOM = 3
# Correlation of an error with that of the same joint 0.08 s later.
_STEADY = 0.7
_OUTSIDE = 4.0  # how much worse points are that a detector guesses outside the image


@dataclass(frozen=True)
class NoiseConfig:
    """Detector noise; sizes in longest torso distances of the view.

    Attributes:
        sigma: Gaussian noise, its sigma uniform from 0 to this in each view.
        detector: share of views that have a real detector's errors instead: heavy tails,
            each joint its own size, steady over the frames of a window.
        swap: share of views with the whole body swapped left to right.
        outside: share of views that an image edge cuts; what lies beyond it is a guess,
            four times as wrong.
    """

    sigma: float = 0.0
    detector: float = 0.0
    swap: float = 0.0
    outside: float = 0.0


def add_noise(points: Tensor, config: NoiseConfig, generator: torch.Generator) -> Tensor:
    """Noisy copies of image points (B, V, T, 13, 2)."""
    if config == NoiseConfig():
        return points
    torso = points[..., TORSO, :]
    longest = torch.cdist(torso, torso).amax((-2, -1))[..., None, None]  # (B, V, T, 1, 1)

    def rand(*size: int) -> Tensor:
        return torch.rand(*points.shape[:2], *size, generator=generator, device=points.device)

    noise = torch.randn(points.shape, generator=generator, device=points.device)
    noise = config.sigma * rand(1, 1, 1) * noise
    if config.detector:
        noise = torch.where(
            rand(1, 1, 1) < config.detector, _detector_errors(points, generator), noise
        )
    if config.outside:
        cut = (rand(1, 1, 1) < config.outside) & _beyond_edge(points, rand)
        noise = torch.where(cut, _OUTSIDE * noise, noise)
    points = points + longest * noise
    if config.swap:
        swapped = points[..., list(BODY13.mirror), :]
        points = torch.where(rand(1, 1, 1) < config.swap, swapped, points)
    return points


def _detector_errors(points: Tensor, generator: torch.Generator) -> Tensor:
    """Errors like points (B, V, T, 13, 2), in longest torso distances."""
    batch, views, frames = points.shape[:3]
    steady = _student(generator, batch, views, 1)
    if frames > 1:
        own = _student(generator, batch, views, frames)
        steady = _STEADY**0.5 * steady + (1 - _STEADY) ** 0.5 * own
    scale = points.new_tensor([_SCALE[joint.split("_")[-1]] for joint in BODY13.joints])
    # No detector is always equally good: sizes from half to one and a half of the measured.
    level = 0.5 + torch.rand(batch, views, 1, 1, generator=generator, device=points.device)
    return (level * scale)[..., None] * steady.to(points.dtype)


def _student(generator: torch.Generator, *lead: int) -> Tensor:
    """(*lead, 13, 2) of a two-dimensional Student t distribution, at most 10."""
    normal = torch.randn(
        *lead, len(BODY13), 2 + _FREEDOM, generator=generator, device=generator.device
    )
    spread = normal[..., 2:].square().mean(-1, keepdim=True).sqrt()
    return (normal[..., :2] / spread.clamp_min(1e-3)).clamp(-10, 10)


def _beyond_edge(points: Tensor, rand) -> Tensor:
    """(B, V, T, 13, 1) bool: what lies beyond a random upright or level line that
    leaves at least half of the body on this side."""
    upright = rand(1, 1, 1) < 0.5
    sign = torch.where(rand(1, 1, 1) < 0.5, -1.0, 1.0)
    along = sign * torch.where(upright, points[..., :1], points[..., 1:])
    middle = along.median(-2, keepdim=True).values
    edge = middle + rand(1, 1, 1) * (along.amax(-2, keepdim=True) - middle)
    return along > edge
