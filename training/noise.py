"""Errors of a 2D detector."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vipe_core.skeletons import BODY13

TORSO = BODY13.indices("left_shoulder", "right_shoulder", "left_hip", "right_hip")


@dataclass(frozen=True)
class NoiseConfig:
    """Detector noise: Gaussian, sigma uniform up to ``sigma`` of the longest torso distance."""

    sigma: float = 0.0


def add_noise(points: Tensor, config: NoiseConfig, generator: torch.Generator) -> Tensor:
    """Noisy copies of image points (B, V, T, 13, 2)."""
    if not config.sigma:
        return points
    torso = points[..., TORSO, :]
    longest = torch.cdist(torso, torso).amax((-2, -1))[..., None, None]
    sigma = config.sigma * torch.rand(
        *points.shape[:2], 1, 1, 1, generator=generator, device=points.device
    )
    noise = torch.randn(points.shape, generator=generator, device=points.device)
    return points + sigma * longest * noise
