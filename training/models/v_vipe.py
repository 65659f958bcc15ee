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

from vipe_core.errors import VipeError
from vipe_core.skeletons import JOINTS17
from vipe_training.augment.batch import Batch
from vipe_training.features import FEATURES
from vipe_training.losses import gaussian_prior, joint_nll
from vipe_training.mining import normalize_3d, semi_hard_negatives
from vipe_training.models.base import Heads, System
from vipe_training.models.canonical import camera_joints, canonicalize
from vipe_training.models.checks import check_frames
from vipe_training.models.layers import GaussianHead, MartinezTrunk, PointHead

_JOINTS = len(JOINTS17)


@dataclass(frozen=True)
class VVipeConfig:
    """Network and loss weights.

    Attributes:
        width: of the 2D trunk.
        pose_width: of the auto-encoder's two trunks.
        blocks: of all three.
        latent: size of the latent space.
        pretrain: share of the run spent on the auto-encoder; 0 trains it together with
            the 2D network.
        freeze_decoder: the decoder stays as it is once it is pretrained.
        canonical: poses have no rotation (the body frame); else they are as the camera
            sees them, an ablation.
        kl_weight: of the prior, after a linear warm-up over the first half of pretraining.
        triplet_weight, triplet_margin: of the triplet loss on latent means; 0 for none.
        joint_noise: statures; the positive of a triplet is the same pose with this noise
            (and, where poses are not canonical, from the other view).
        kappa: NP-MPJPE from which a pose is a negative.
        pose_weight: of the decoded pose in the mapping stage.
    """

    width: int = 1024
    pose_width: int = 512
    blocks: int = 2
    dropout: float = 0.1
    latent: int = 32
    pretrain: float = 0.3
    freeze_decoder: bool = True
    canonical: bool = True
    kl_weight: float = 0.003
    triplet_weight: float = 0.1
    triplet_margin: float = 1.0
    joint_noise: float = 0.01
    kappa: float = 0.1
    pose_weight: float = 10.0


class VVipe(System):
    """3D pose VAE network and 2D mapping network."""

    task = "embedding+pose"
    stages = True

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
        # As published, the 2D network gives a mean alone. A spread that learns the size of the
        # latent's error was tried: poses were found less often with it than without.
        self.latent_2d = PointHead(config.width, config.latent)
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
        return Heads(mean, std, self._body(self.decode(mean)), joint_std)

    def encode(self, joints: Tensor) -> Tensor:
        """Latent means (N, D) of canonical joints (N, 17, 3), statures.

        Raises:
            VipeError: the system was trained on poses that are not canonical.
        """
        if not self.config.canonical:
            raise VipeError("this V-VIPE knows poses in camera axes only (canonical: false)")
        return self.encoder_3d(joints.flatten(1))[0]

    def generate(self, latent: Tensor) -> Tensor:
        """People (N, 17, 3) in the body frame, one stature tall, of latents (N, D)."""
        return canonicalize(self.decode(latent))

    def around(
        self, latent: Tensor, noise: float, count: int, generator: torch.Generator
    ) -> Tensor:
        """Latents (count, D) about one (D,): Gaussian with this standard deviation."""
        shape = (count, len(latent))
        return latent + noise * torch.randn(shape, generator=generator, device=latent.device)

    def between(self, start: Tensor, end: Tensor, steps: int) -> Tensor:
        """Latents (steps, D) from one (D,) to another, both included, evenly spaced."""
        share = torch.linspace(0, 1, steps, device=start.device)[:, None]
        return start + share * (end - start)

    def _body(self, decoded: Tensor) -> Tensor:
        """What is decoded, in the body frame."""
        return decoded if self.config.canonical else canonicalize(decoded)

    def _poses(self, batch: Batch) -> Tensor:
        """(B, V, 17, 3) the poses that the auto-encoder knows, per view."""
        if not self.config.canonical:
            return camera_joints(batch)
        return batch.joints[:, None].expand(-1, batch.features.shape[1], -1, -1)

    @property
    def _frozen(self) -> bool:
        return self.config.freeze_decoder and self.config.pretrain > 0

    def normalized_trunk(self) -> nn.Module:
        if self._frozen:
            return self.trunk_2d  # the decoder keeps its statistics
        return nn.ModuleList([self.trunk_2d, self.decoder])

    def inference_parameters(self) -> Iterator[nn.Parameter]:
        parts = (self.trunk_2d, self.latent_2d, self.joint_log_std, self.decoder)
        return (p for part in parts for p in part.parameters())

    def loss(
        self, batch: Batch, progress: float, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        check_frames(batch, 1)
        if progress < self.config.pretrain:
            return self._auto_encoder_loss(batch, progress, generator)
        if self.config.pretrain > 0:
            return self._mapping_loss(batch)
        pose, pose_metrics = self._auto_encoder_loss(batch, progress, generator)
        mapping, metrics = self._mapping_loss(batch)
        return pose + mapping, pose_metrics | metrics

    def _auto_encoder_loss(
        self, batch: Batch, progress: float, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        config = self.config
        joints, other = self._poses(batch)[:, :2].unbind(1)
        noise = torch.randn(joints.shape, generator=generator, device=joints.device)
        both = torch.cat([joints, other + config.joint_noise * noise])  # (2B, 17, 3)
        with self.low_precision():
            mean, std = (v.float() for v in self.encoder_3d(both.flatten(1)))
            noise = torch.randn(mean.shape, generator=generator, device=mean.device)
            decoded = self.decode(mean + std * noise).float()
        reconstruction = (decoded - torch.cat([joints, other])).norm(dim=-1).mean()
        kl = gaussian_prior(mean, std)
        warm = min(1.0, progress / max(1e-9, 0.5 * config.pretrain))
        anchor, positive = mean.chunk(2)
        triplet = self._triplet(anchor, positive, batch.joints)
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
        poses = self._poses(batch).flatten(0, 1)  # (B V, 17, 3)
        if self.config.pretrain > 0:
            self.encoder_3d.eval().requires_grad_(False)
        if self._frozen:
            # The decoder is a frozen clone: weights and statistics stay, gradients pass.
            self.decoder.eval().requires_grad_(False)
        with torch.no_grad():
            target, _ = self.encoder_3d(poses.flatten(1))
        heads = self.batch_heads(batch.features)
        mean, _ = heads.embedding()
        # Quadratic near the target, linear far out: a rare body has a latent mean so far from
        # all others that its square would drown the batch.
        latent = F.huber_loss(mean, target, reduction="none").sum(-1).mean()
        joints, joint_std = heads.pose()
        error = joints - batch.joints.repeat_interleave(batch.features.shape[1], 0)
        decoded = error if self.config.canonical else self.decode(mean) - poses
        pose = decoded.norm(dim=-1).mean()
        # The stds learn the size of the error without moving the estimate.
        nll = joint_nll(error.detach(), joint_std.log())
        loss = latent + self.config.pose_weight * pose + 0.1 * nll
        return loss, {"latent": latent, "pose": pose, "nll": nll}
