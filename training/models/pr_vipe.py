"""Pr-VIPE, faithful to the paper and its released code, with the paper's variants: point
embeddings, the L2 baseline, windows of frames, labels on visible joints."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from vipe_core.errors import VipeError
from vipe_core.skeletons import JOINTS17
from vipe_training.augment.batch import Batch
from vipe_training.features import FEATURES
from vipe_training.losses import (
    expected_distance,
    gaussian_prior,
    pairwise_sample_distance,
    ratio_triplet_loss,
    sample_distance,
    squared_distance,
)
from vipe_training.mining import JOINTS16, normalize_3d, semi_hard_negatives, visible_joints
from vipe_training.models.base import Heads, System
from vipe_training.models.checks import check_frames
from vipe_training.models.layers import (
    GaussianHead,
    MartinezTrunk,
    MatchSigmoid,
    PointHead,
    WindowTrunk,
    he_normal_,
)

_EMBEDDINGS = ("gaussian", "point")
_KERNELS = ("l2_sigmoid", "squared_l2")
_LABELS = {17: list(range(len(JOINTS17))), 16: JOINTS16}


@dataclass(frozen=True)
class PrVipeConfig:
    """Defaults of the released code.

    Attributes:
        width, blocks, dropout: of the trunk.
        frames: T of the input window, 1 or an odd number.
        window_blocks: residual blocks behind the frames' concatenation, where T > 1.
        embedding: size D.
        kind: of the embedding: ``gaussian``, or ``point`` (a mean without a spread).
        normalized: point embeddings on the unit sphere.
        kernel: distance of two embeddings: ``l2_sigmoid``, -log of the (mean) matching
            probability with a learned sigmoid; or ``squared_l2``, for points.
        samples: K, drawn per instance and step from a Gaussian.
        mining_samples: how many of the K rank the candidate negatives; K is as published,
            fewer cost less, and 0 ranks by the expected distance of the Gaussians.
        candidates: nearest candidates labelled per anchor; 0 for all, as published.
        kappa: NP-MPJPE from which a pair is a negative.
        label_joints: joints that a label counts: 17, or 16 (without the nose).
        visible_labels: a label counts the joints visible in both poses only.
        beta: ratio of matching probabilities; the margin is its logarithm.
        margin: of the triplet loss, instead of the logarithm of beta.
        positive_weight, prior_weight: of the pairwise and the KL term; a point has none
            of the latter.
    """

    width: int = 1024
    blocks: int = 2
    dropout: float = 0.3
    frames: int = 1
    window_blocks: int = 1
    embedding: int = 16
    kind: str = "gaussian"
    normalized: bool = False
    kernel: str = "l2_sigmoid"
    samples: int = 20
    mining_samples: int = 5
    candidates: int = 6
    kappa: float = 0.1
    label_joints: int = 17
    visible_labels: bool = False
    beta: float = 2.0
    margin: float | None = None
    positive_weight: float = 0.005
    prior_weight: float = 0.001

    def check(self) -> None:
        """Raises VipeError for a setting that does not exist or contradicts another."""
        for name, value, known in (
            ("kind", self.kind, _EMBEDDINGS),
            ("kernel", self.kernel, _KERNELS),
            ("label_joints", self.label_joints, tuple(_LABELS)),
        ):
            if value not in known:
                raise VipeError(f"model.{name} is {value!r}; known: {', '.join(map(str, known))}")
        if self.kind == "gaussian" and (self.normalized or self.kernel == "squared_l2"):
            raise VipeError("model.normalized and the kernel squared_l2 are for kind: point")
        if self.frames < 1 or self.frames % 2 == 0:
            raise VipeError(f"model.frames is {self.frames}: it must be odd")
        if not 0 <= self.mining_samples <= self.samples:
            raise VipeError(f"model.mining_samples must lie in 0..{self.samples} (samples)")


class PrVipe(System):
    """Triplet ratio loss on matching probabilities."""

    task = "embedding"

    def __init__(self, config: PrVipeConfig) -> None:
        super().__init__()
        config.check()
        self.config = config
        self.frames = config.frames
        net = (config.width, config.blocks)
        if config.frames == 1:
            self.trunk = MartinezTrunk(FEATURES, *net, config.dropout)
        else:
            self.trunk = WindowTrunk(
                FEATURES, config.frames, *net, config.window_blocks, config.dropout
            )
        if config.kind == "gaussian":
            self.embedding = GaussianHead(config.width, config.embedding)
            he_normal_(self.embedding.spread)
        else:
            self.embedding = PointHead(config.width, config.embedding, config.normalized)
        he_normal_(self.embedding.mean)
        self.match = MatchSigmoid() if config.kernel == "l2_sigmoid" else None

    @property
    def embedding_size(self) -> int:
        return self.config.embedding

    def heads(self, features: Tensor) -> Heads:
        return Heads(*self.embedding(self.trunk(features)))

    def loss(
        self, batch: Batch, progress: float, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        config = self.config
        check_frames(batch, self.frames)
        embedding = self.batch_heads(batch.features).embedding()
        mean, std = (v.reshape(-1, 2, config.embedding) for v in embedding)  # (B, 2, D)
        z = self._samples(mean, std, generator)  # (B, 2, K, D)
        anchor, match = z[:, 0], z[:, 1]
        negative, valid = self._mine(mean.detach(), std.detach(), z.detach(), batch)
        d_positive = self._distance(anchor, match)
        d_negative = self._distance(anchor, match[negative])
        margin = math.log(config.beta) if config.margin is None else config.margin
        triplet, active = ratio_triplet_loss(d_positive, d_negative, valid, margin)
        loss = triplet + config.positive_weight * d_positive.mean()
        metrics = {"triplet": triplet, "active": active}
        if config.kind == "gaussian":
            metrics["prior"] = gaussian_prior(*embedding)
            loss = loss + config.prior_weight * metrics["prior"]
        if self.match is not None:
            metrics |= {"a": self.match.a, "b": self.match.b}
        return loss, metrics

    def _samples(self, mean: Tensor, std: Tensor, generator: torch.Generator) -> Tensor:
        """(B, 2, K, D); of points the point itself, K = 1."""
        if self.config.kind == "point":
            return mean[:, :, None]
        size = (*mean.shape[:2], self.config.samples, mean.shape[-1])
        noise = torch.randn(size, generator=generator, device=mean.device)
        return mean[:, :, None] + std[:, :, None] * noise

    def _distance(self, z_a: Tensor, z_b: Tensor) -> Tensor:
        """(N,) distances of pairs of samples (N, K, D)."""
        if self.match is None:
            return squared_distance(z_a[:, 0], z_b[:, 0])
        return sample_distance(z_a, z_b, self.match.a, self.match.b)

    def _mine(self, mean: Tensor, std: Tensor, z: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Semi-hard negatives: index (B,) and valid (B,).

        The sampled distance of all pairs costs a hundred times the network and only ranks
        candidates here, so a few of the samples do.
        """
        config = self.config
        kept = config.mining_samples
        with torch.no_grad():
            if config.kind == "gaussian" and self.match is not None and kept:
                pairs = (z[:, 0, :kept], z[:, 1, :kept], self.match.a, self.match.b)
                distance = pairwise_sample_distance(*pairs)
            else:
                # Of points this is the distance itself, in which either kernel rises.
                distance = expected_distance(mean[:, 0], std[:, 0], mean[:, 1], std[:, 1])
            joints = _LABELS[config.label_joints]
            visible = None
            if config.visible_labels:
                seen = visible_joints(batch.visible)[..., joints]  # (B, 2, [T,] J)
                visible = (seen[:, 0], seen[:, 1])
            poses = normalize_3d(batch.joints)[..., joints, :]
            return semi_hard_negatives(distance, poses, config.kappa, config.candidates, visible)
