"""What the networks see: 2D normalisation and masking, inside the exported graph too.

The same function makes the features in training and on the robot, so they cannot
drift apart.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vipe_core.skeletons import BODY13

VISIBILITY_THRESHOLD = 0.5
FEATURES = len(BODY13) * 3
_HIPS = BODY13.indices("left_hip", "right_hip")
_TORSO = BODY13.indices("left_shoulder", "right_shoulder", "left_hip", "right_hip")
_TINY = 1e-12
_LIMIT = 10.0  # torso lengths; what lies farther out is no body


def normalize(points: Tensor, present: Tensor) -> Tensor:
    """Mid-hip to the origin, longest torso distance to 0.5 (Pr-VIPE section 4.1).

    Where a hip is absent, the mean of the torso points that are there takes its place,
    then the mean of all points; where fewer than two torso points are there, the extent
    of all points gives the scale. Masks tell the network which case it is.

    Args:
        points: (N, 13, 2), finite.
        present: (N, 13) float, 1 where a point has coordinates.

    Returns:
        (N, 13, 2).
    """
    torso, torso_here = points[:, _TORSO], present[:, _TORSO]
    hips, hips_here = points[:, _HIPS], present[:, _HIPS]
    both_hips = hips_here.prod(1)[:, None]
    any_torso = (torso_here.sum(1) > 0).to(points.dtype)[:, None]
    centre = _mean(points, present) * (1 - any_torso) + _mean(torso, torso_here) * any_torso
    centre = centre * (1 - both_hips) + _mean(hips, hips_here) * both_hips
    torso_extent = _extent(torso, torso_here)
    extent = _extent(points, present)
    longest = torch.where(torso_extent > 1e-6 * extent, torso_extent, extent)
    scaled = (points - centre[:, None]) * (0.5 / longest.clamp_min(_TINY))[:, None, None]
    return scaled.clamp(-_LIMIT, _LIMIT)


def encode_input(points: Tensor, visibility: Tensor) -> Tensor:
    """Detector output to network input.

    Args:
        points: (N, 13, 2) pixels; NaN or infinite where a point is missing.
        visibility: (N, 13) in 0..1; a point below 0.5 is masked, its coordinates still
            serve the normalisation (as in Pr-VIPE).

    Returns:
        (N, 39): coordinates, zero where masked, then the mask.
    """
    finite = ((points == points) & (points.abs() < 1e8)).to(points.dtype)
    present = finite.prod(2)
    visible = present * (visibility >= VISIBILITY_THRESHOLD).to(points.dtype)
    points = torch.where(present[..., None] > 0, points, torch.zeros_like(points))
    scaled = normalize(points, present) * visible[..., None]
    return torch.cat([scaled.flatten(1), visible], 1)


def mirror_features(features: Tensor) -> Tensor:
    """The features (N, 39) of the mirrored person."""
    order = list(BODY13.mirror)
    points = features[:, : 2 * len(BODY13)].reshape(-1, len(BODY13), 2)[:, order]
    points = points * points.new_tensor([-1.0, 1.0])
    return torch.cat([points.flatten(1), features[:, 2 * len(BODY13) :][:, order]], 1)


def _mean(points: Tensor, here: Tensor) -> Tensor:
    return (points * here[..., None]).sum(1) / here.sum(1).clamp_min(1.0)[:, None]


def _extent(points: Tensor, here: Tensor) -> Tensor:
    """(N,) longest distance between two present points; 0 where there are fewer."""
    gap = points[:, :, None] - points[:, None]
    both = here[:, :, None] * here[:, None]
    return ((gap * gap).sum(-1) * both).flatten(1).amax(1).sqrt()
