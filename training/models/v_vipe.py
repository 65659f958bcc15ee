"""V-VIPE: a variational auto-encoder of canonical 3D poses, and a 2D network that maps
detections into its latent space, where the frozen decoder turns them into poses.

Layer sizes and loss weights are not published; those here are a reconstruction.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vipe_core.skeletons import JOINTS17
from vipe_training.batch import Batch
from vipe_training.features import FEATURES
from vipe_training.losses import gaussian_prior, joint_nll
from vipe_training.mining import normalize_3d, semi_hard_negatives
from vipe_training.models.base import Heads, System
from vipe_training.models.layers import GaussianHead, MartinezTrunk

_JOINTS = len(JOINTS17)


@dataclass(frozen=True)
class VVipeConfig:
    """Network and loss weights.

    Attributes:
        width: of the 2D trunk.
        pose_width: of the auto-encoder's two trunks.
        blocks: of all three.
        latent: size of the latent space.
        pretrain: share of the run spent on the auto-encoder.
        kl_weight: of the prior, after a linear warm-up over the first half of pretraining.
        triplet_weight, triplet_margin: of the triplet loss on latent means.
        joint_noise: statures; the positive of a triplet is the same pose with this noise.
        kappa: NP-MPJPE from which a pose is a negative.
        pose_weight: of the decoded pose in the mapping stage.
    """

    width: int = 1024
    pose_width: int = 512
    blocks: int = 2
    dropout: float = 0.1
    latent: int = 32
    pretrain: float = 0.3
    kl_weight: float = 0.003
    triplet_weight: float = 0.1
    triplet_margin: float = 1.0
    joint_noise: float = 0.01
    kappa: float = 0.1
    pose_weight: float = 10.0


class VVipe(System):
    """3D pose VAE network and 2D mapping network."""

    task = "embedding+pose"

    def __init__(self, config: VVipeConfig) -> None:
        super().__init__()
        self.config = config
        flat = _JOINTS * 3
        self.encoder_3d = nn.Sequential(
            MartinezTrunk(flat, config.pose_width, config.blocks, 0.0),
            GaussianHead(config.pose_width, config.latent),
        )
        self.decoder = nn.Sequential(
            MartinezTrunk(config.latent, config.pose_width, config.blocks, 0.0),
            nn.Linear(config.pose_width, flat),
        )
        self.trunk_2d = MartinezTrunk(FEATURES, config.width, config.blocks, config.dropout)
        self.latent_2d = GaussianHead(config.width, config.latent)
        self.joint_log_std = nn.Linear(config.width, _JOINTS)
        nn.init.constant_(self.joint_log_std.bias, -3.0)

    def decode(self, latent: Tensor) -> Tensor:
        """Canonical joints (N, 17, 3), statures, of latents (N, D)."""
        return self.decoder(latent).reshape(-1, _JOINTS, 3)

    @property
    def embedding_size(self) -> int:
        return self.config.latent

    def heads(self, features: Tensor) -> Heads:
        x = self.trunk_2d(features)
        mean, std = self.latent_2d(x)
        joint_std = self.joint_log_std(x).clamp(-6, 1).exp()
        return Heads(mean, std, self.decode(mean), joint_std)

    def normalized_trunk(self) -> nn.Module:
        return self.trunk_2d  # the decoder is frozen with its statistics

    def inference_parameters(self) -> Iterator[nn.Parameter]:
        parts = (self.trunk_2d, self.latent_2d, self.joint_log_std, self.decoder)
        return (p for part in parts for p in part.parameters())

    def loss(
        self, batch: Batch, progress: float, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        if progress < self.config.pretrain:
            return self._auto_encoder_loss(batch, progress, generator)
        return self._mapping_loss(batch)

    def _auto_encoder_loss(
        self, batch: Batch, progress: float, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        config = self.config
        joints = batch.joints
        noise = torch.randn(joints.shape, generator=generator, device=joints.device)
        both = torch.cat([joints, joints + config.joint_noise * noise])  # (2B, 17, 3)
        with self.low_precision():
            mean, std = (v.float() for v in self.encoder_3d(both.flatten(1)))
            noise = torch.randn(mean.shape, generator=generator, device=mean.device)
            decoded = self.decode(mean + std * noise).float()
        reconstruction = (decoded - joints.repeat(2, 1, 1)).norm(dim=-1).mean()
        kl = gaussian_prior(mean, std)
        warm = min(1.0, progress / max(1e-9, 0.5 * config.pretrain))
        anchor, positive = mean.chunk(2)
        triplet = self._triplet(anchor, positive, joints)
        loss = (
            config.pose_weight * reconstruction
            + warm * config.kl_weight * kl
            + config.triplet_weight * triplet
        )
        return loss, {"reconstruction": reconstruction, "kl": kl, "triplet": triplet}

    def _triplet(self, anchor: Tensor, positive: Tensor, joints: Tensor) -> Tensor:
        with torch.no_grad():
            distance = torch.cdist(anchor, positive)
            index, valid = semi_hard_negatives(distance, normalize_3d(joints), self.config.kappa)
        near = (anchor - positive).norm(dim=-1)
        far = (anchor - positive[index]).norm(dim=-1)
        return (F.relu(near - far + self.config.triplet_margin) * valid).mean()

    def _mapping_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        views = batch.features.shape[1]
        with torch.no_grad():
            self.encoder_3d.eval()
            target, _ = self.encoder_3d(batch.joints.flatten(1))
            target = target.repeat_interleave(views, 0)
        # The decoder is a frozen clone: its weights and statistics stay, gradients pass.
        self.decoder.eval().requires_grad_(False)
        self.encoder_3d.requires_grad_(False)
        heads = self.batch_heads(batch.features)
        mean, std = heads.embedding()
        gap = mean - target
        # Quadratic near the target, linear far out: a rare body has a latent mean so far from
        # all others that its square would drown the batch.
        latent = F.huber_loss(mean, target, reduction="none").sum(-1).mean()
        joints, joint_std = heads.pose()
        error = joints - batch.joints.repeat_interleave(views, 0)
        pose = error.norm(dim=-1).mean()
        # Both spreads learn the size of the error without moving the estimate; the rare body
        # must not drown this one either.
        spread = 0.5 * (gap.detach().clamp(-3, 3) / std) ** 2 + std.log()
        spread = spread.sum(-1).mean()
        nll = joint_nll(error.detach(), joint_std.log())
        loss = latent + self.config.pose_weight * pose + 0.1 * spread + 0.1 * nll
        return loss, {"latent": latent, "pose": pose, "spread": spread, "nll": nll}
