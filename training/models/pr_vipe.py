"""Pr-VIPE, faithful to the paper and its released code (single frame, visibility mask)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from vipe_training.batch import Batch
from vipe_training.features import FEATURES
from vipe_training.losses import (
    expected_distance,
    gaussian_prior,
    ratio_triplet_loss,
    sample_distance,
)
from vipe_training.mining import normalize_3d, semi_hard_negatives
from vipe_training.models.base import Heads, System
from vipe_training.models.layers import GaussianHead, MartinezTrunk, MatchSigmoid


@dataclass(frozen=True)
class PrVipeConfig:
    """Defaults of the released code.

    Attributes:
        width, blocks, dropout: of the trunk.
        embedding: size D.
        samples: K, drawn per instance and step.
        kappa: NP-MPJPE from which a pair is a negative.
        beta: ratio of matching probabilities; the margin is its logarithm.
        positive_weight, prior_weight: of the pairwise and the KL term.
    """

    width: int = 1024
    blocks: int = 2
    dropout: float = 0.3
    embedding: int = 16
    samples: int = 20
    kappa: float = 0.1
    beta: float = 2.0
    positive_weight: float = 0.005
    prior_weight: float = 0.001


class PrVipe(System):
    """Triplet ratio loss on sampled matching probabilities."""

    task = "embedding"

    def __init__(self, config: PrVipeConfig) -> None:
        super().__init__()
        self.config = config
        self.trunk = MartinezTrunk(FEATURES, config.width, config.blocks, config.dropout)
        self.embedding = GaussianHead(config.width, config.embedding)
        self.match = MatchSigmoid()

    @property
    def embedding_size(self) -> int:
        return self.config.embedding

    def heads(self, features: Tensor) -> Heads:
        return Heads(*self.embedding(self.trunk(features)))

    def loss(
        self, batch: Batch, progress: float, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        config = self.config
        embedding = self.batch_heads(batch.features).embedding()
        size = config.embedding
        mean, std = (v.reshape(-1, 2, size) for v in embedding)  # (B, 2, D)
        negative, valid = self._mine(mean.detach(), std.detach(), batch.joints)
        noise = torch.randn(
            *mean.shape[:2], config.samples, size, generator=generator, device=mean.device
        )
        samples = mean[:, :, None] + std[:, :, None] * noise  # (B, 2, K, D)
        anchor, match = samples[:, 0], samples[:, 1]
        a, b = self.match.a, self.match.b
        d_positive = sample_distance(anchor, match, a, b)
        d_negative = sample_distance(anchor, match[negative], a, b)
        triplet, active = ratio_triplet_loss(d_positive, d_negative, valid, math.log(config.beta))
        prior = gaussian_prior(*embedding)
        loss = triplet + config.positive_weight * d_positive.mean() + config.prior_weight * prior
        return loss, {"triplet": triplet, "active": active, "prior": prior, "a": a, "b": b}

    def _mine(self, mean: Tensor, std: Tensor, joints: Tensor) -> tuple[Tensor, Tensor]:
        # Mining by the expected distance of the Gaussians: the sampled distance of all
        # pairs would cost a hundred times the network, and only ranks candidates here.
        with torch.no_grad():
            distance = expected_distance(mean[:, 0], std[:, 0], mean[:, 1], std[:, 1])
            return semi_hard_negatives(distance, normalize_3d(joints), self.config.kappa)

    def sigmoid(self) -> tuple[float, float]:
        return self.match.a.item(), self.match.b.item()
