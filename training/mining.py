"""Which pairs count as matches, and semi-hard negatives."""

from __future__ import annotations

import torch
from torch import Tensor

from vipe_core.skeletons import BODY13, JOINTS17
from vipe_training.augment.people import trunk_length

# The 16 points of Pr-VIPE's temporal and masked labels: all but the face.
JOINTS16 = [i for i, joint in enumerate(JOINTS17.joints) if joint != "nose"]
_SHOULDERS = ("left_shoulder", "right_shoulder")
_HIPS = ("left_hip", "right_hip")
# A 3D joint without a 2D twin is visible where all of these are.
_SEEN_BY = {
    "pelvis": _HIPS,
    "spine": (*_SHOULDERS, *_HIPS),
    "neck": _SHOULDERS,
    "head": ("nose",),
}


def normalize_3d(joints: Tensor) -> Tensor:
    """Pelvis to the origin, pelvis-spine plus spine-neck to 1; (..., 17, 3)."""
    flat = joints.flatten(0, -3)
    size = trunk_length(flat).clamp_min(1e-12)[:, None, None]
    return ((flat - flat[:, :1]) / size).reshape(joints.shape)


def visible_joints(visible: Tensor) -> Tensor:
    """Which 3D joints (..., 17) are visible, from the 2D points (..., 13) that are.

    Pelvis, spine and neck are visible where all points that they lie between are, the
    head where the nose is. Source: Pr-VIPE section 6, masks for labels.
    """
    columns = [
        visible[..., BODY13.indices(*_SEEN_BY.get(joint, (joint,)))].all(-1)
        for joint in JOINTS17.joints
    ]
    return torch.stack(columns, -1)


def np_mpjpe(target: Tensor, source: Tensor, weights: Tensor) -> Tensor:
    """NP-MPJPE (...,) of normalised poses; the torch twin of vipe_core.geometry.np_mpjpe.

    Args:
        target, source: (..., J, 3); the source is aligned to the target by a similarity
            without reflection.
        weights: (..., J), 1 where a joint counts, 0 where not; nowhere 1 gives NaN.
    """
    weights = weights.to(target.dtype)[..., None]
    total = weights.sum(-2, keepdim=True)
    share = weights / total.clamp_min(1e-12)
    a = target - (share * target).sum(-2, keepdim=True)
    b = source - (share * source).sum(-2, keepdim=True)
    u, singular, vt = torch.linalg.svd((share * a).transpose(-1, -2) @ b)
    proper = torch.ones_like(singular)
    proper[..., 2] = torch.linalg.det(u @ vt).sign()
    rotation = (u * proper[..., None, :] @ vt).transpose(-1, -2)
    spread = (share * b * b).sum((-2, -1)).clamp_min(1e-12)
    scale = (singular * proper).sum(-1) / spread
    error = (scale[..., None, None] * b @ rotation - a).norm(dim=-1, keepdim=True)
    mean = (share * error).sum((-2, -1))
    return mean.masked_fill(total[..., 0, 0] == 0, torch.nan)


def semi_hard_negatives(
    distance: Tensor,
    poses: Tensor,
    threshold: float,
    candidates: int = 6,
    visible: tuple[Tensor, Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """For each anchor the nearest negative that lies farther than its positive.

    Labels cost a Procrustes alignment each, so only the few nearest candidates of each
    anchor are labelled: N x candidates alignments instead of N x N. An anchor whose
    candidates are all near-duplicates of its pose has no negative in this batch.

    Args:
        distance: (N, N) anchors x positives; the diagonal is the true pair. No gradient.
        poses: (N, [T,] J, 3) normalised 3D poses (:func:`normalize_3d`); the distance of
            two windows is the largest over their frames.
        threshold: NP-MPJPE from which a pair is a negative (kappa, 0.1).
        candidates: how many are labelled per anchor; 0 for all.
        visible: (N, [T,] J) bool of the anchors and of the positives; a label is decided
            by the joints that both show. None: by all.

    Returns:
        index (N,) of the negative among the positives, valid (N,) bool.

    Source: Pr-VIPE section 4.2, semi-hard mining without an upper bound, as released;
    section 6 (labels on visible joints) and 7 (windows).
    """
    farther = distance > distance.diagonal()[:, None]
    ranked = distance.masked_fill(~farther, torch.inf)
    candidates = min(candidates or len(distance), len(distance))
    near, index = ranked.topk(candidates, dim=1, largest=False)  # (N, C), nearest first
    source = poses[index]  # (N, C, [T,] J, 3)
    target = poses[:, None].expand_as(source)
    if visible is None:
        weights = torch.ones_like(source[..., 0])
    else:
        weights = visible[0][:, None] & visible[1][index]
    error = np_mpjpe(target, source, weights)
    if error.ndim == 3:
        error = error.amax(2)
    negative = (error >= threshold) & near.isfinite()
    first = negative.float().argmax(1)
    return index.gather(1, first[:, None])[:, 0], negative.any(1)


def alike(joints: Tensor, threshold: float) -> Tensor:
    """(N, N) bool: canonical poses (N, [T,] 17, 3) whose mean squared joint distance is small.

    The body frame stands in for Procrustes: two poses this close in it are closer still
    once aligned, so every pair found is a true near-duplicate.
    """
    flat = joints.flatten(1)
    gap = torch.cdist(flat, flat) / (flat.shape[1] / 3) ** 0.5  # root mean square over joints
    return gap < threshold
