"""Loss terms. Every formula has a naive-loop twin in the tests."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

_SQUEEZE = 0.1


def squeezed_sigmoid(logit: Tensor) -> Tensor:
    """Probability in [0.05, 0.95] (Pr-VIPE section 4.2)."""
    return (1 - _SQUEEZE) * torch.sigmoid(logit) + _SQUEEZE / 2


def sample_distance(z_a: Tensor, z_b: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """-log of the mean matching probability over all pairs of samples.

    Args:
        z_a, z_b: (N, K, D) samples of N pairs of embeddings.
        a, b: slope and offset.

    Returns:
        (N,), between 0.051 and 2.996. Source: Pr-VIPE, equations 5 and 6.
    """
    squared = (z_a * z_a).sum(-1)[:, :, None] + (z_b * z_b).sum(-1)[:, None]
    squared = squared - 2 * z_a @ z_b.transpose(1, 2)  # (N, K, K)
    # The floor keeps the root's slope finite where two samples coincide.
    distance = squared.clamp_min(1e-10).sqrt()
    return -squeezed_sigmoid(b - a * distance).mean((1, 2)).log()


def pairwise_sample_distance(
    z_a: Tensor, z_b: Tensor, a: Tensor, b: Tensor, rows: int = 32
) -> Tensor:
    """:func:`sample_distance` (N, M) of every pair; no gradient, bounded memory.

    Args:
        z_a, z_b: (N, K, D) and (M, K, D) samples.
        a, b: slope and offset.
        rows: anchors at a time; a block holds rows x K x M x K distances.
    """
    samples = z_a.shape[1]
    flat = z_b.flatten(0, 1)  # (M K, D)
    out = []
    with torch.no_grad():
        for block in z_a.split(rows):
            gap = torch.cdist(block.flatten(0, 1), flat).clamp_min(1e-5)
            p = squeezed_sigmoid(b - a * gap)
            p = p.reshape(len(block), samples, len(z_b), samples).mean((1, 3))
            out.append(-p.log())
    return torch.cat(out)


def squared_distance(a: Tensor, b: Tensor) -> Tensor:
    """Squared Euclidean distance (N,) of pairs of points (N, D)."""
    gap = a - b
    return (gap * gap).sum(-1)


def ratio_triplet_loss(
    positive: Tensor, negative: Tensor, valid: Tensor, margin: float = math.log(2)
) -> tuple[Tensor, Tensor]:
    """Mean over the active triplets of relu(D_positive - D_negative + log beta).

    Args:
        positive, negative: (N,) distances.
        valid: (N,) bool, False where an anchor has no negative.

    Returns:
        loss (scalar; 0 with a finite gradient when no triplet is active) and the share
        of active triplets. Source: Pr-VIPE, equation 4 with beta 2; the mean over active
        triplets is what the released code computes.
    """
    loss = F.relu(positive - negative + margin) * valid
    active = (loss > 0).sum().clamp_min(1).detach()
    return loss.sum() / active, (loss > 0).float().mean()


def gaussian_prior(mean: Tensor, std: Tensor) -> Tensor:
    """Mean KL divergence of N(mean, std^2) to N(0, I); inputs (N, D)."""
    return 0.5 * (std**2 + mean**2 - 1 - 2 * std.clamp_min(1e-12).log()).sum(-1).mean()


def expected_distance(mean_a: Tensor, std_a: Tensor, mean_b: Tensor, std_b: Tensor) -> Tensor:
    """Root of the expected squared distance (N, M) between two sets of Gaussians (., D)."""
    squared = (mean_a**2 + std_a**2).sum(-1)[:, None] + (mean_b**2 + std_b**2).sum(-1)[None]
    return (squared - 2 * mean_a @ mean_b.T).clamp_min(1e-8).sqrt()


def contrastive_loss(distance: Tensor, scale: Tensor, same: Tensor) -> Tensor:
    """Cross-entropy of finding the other view of each pose, both ways.

    Args:
        distance: (N, N), rows one view, columns the other; the diagonal is the match.
        scale: slope of the logits.
        same: (N, N) bool, poses too alike to be told apart: not negatives.

    Source: InfoNCE (van den Oord et al. 2018) on the expected distance.
    """
    eye = torch.eye(len(distance), dtype=torch.bool, device=distance.device)
    logits = (-scale * distance).masked_fill(same & ~eye, -torch.inf)
    target = torch.arange(len(distance), device=distance.device)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def joint_nll(error: Tensor, log_std: Tensor) -> Tensor:
    """Negative log-likelihood of joint errors (N, J, 3) under isotropic Gaussians whose
    log standard deviation per axis is (N, J); constants left out."""
    squared = (error**2).sum(-1)
    return (0.5 * squared * (-2 * log_std).exp() + 3 * log_std).mean()
