"""Which pairs count as matches, and semi-hard negatives."""

from __future__ import annotations

import torch
from torch import Tensor

from vipe_core.geometry.distance import np_mpjpe
from vipe_training.people import trunk_length


def normalize_3d(joints: Tensor) -> Tensor:
    """Pelvis to the origin, pelvis-spine plus spine-neck to 1; (B, 17, 3)."""
    return (joints - joints[:, :1]) / trunk_length(joints).clamp_min(1e-12)[:, None, None]


def semi_hard_negatives(
    distance: Tensor, poses: Tensor, threshold: float, candidates: int = 6
) -> tuple[Tensor, Tensor]:
    """For each anchor the nearest negative that lies farther than its positive.

    Labels cost a Procrustes alignment each, so only the few nearest candidates of each
    anchor are labelled: N x candidates alignments instead of N x N. An anchor whose
    candidates are all near-duplicates of its pose has no negative in this batch.

    Args:
        distance: (N, N) anchors x positives; the diagonal is the true pair. No gradient.
        poses: (N, 17, 3) normalised 3D poses (:func:`normalize_3d`).
        threshold: NP-MPJPE from which a pair is a negative (kappa, 0.1).

    Returns:
        index (N,) of the negative among the positives, valid (N,) bool.

    Source: Pr-VIPE section 4.2, semi-hard mining without an upper bound, as released.
    """
    farther = distance > distance.diagonal()[:, None]
    ranked = distance.masked_fill(~farther, torch.inf)
    candidates = min(candidates, len(distance))
    near, index = ranked.topk(candidates, dim=1, largest=False)  # (N, C), nearest first
    target = poses[:, None].expand(-1, candidates, -1, -1)
    error = torch.from_numpy(np_mpjpe(target.cpu().numpy(), poses[index].cpu().numpy()))
    negative = (error.to(near.device) >= threshold) & near.isfinite()
    first = negative.float().argmax(1)
    return index.gather(1, first[:, None])[:, 0], negative.any(1)


def alike(joints: Tensor, threshold: float) -> Tensor:
    """(N, N) bool: canonical poses (N, 17, 3) whose mean squared joint distance is small.

    The body frame stands in for Procrustes: two poses this close in it are closer still
    once aligned, so every pair found is a true near-duplicate.
    """
    flat = joints.flatten(1)
    gap = torch.cdist(flat, flat) / joints.shape[1] ** 0.5
    return gap < threshold
