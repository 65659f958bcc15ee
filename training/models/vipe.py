"""VIPE, the shipped default: one network gives the embedding and the canonical pose."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vipe_core.skeletons import JOINTS17
from vipe_training.augment.batch import Batch
from vipe_training.features import FEATURES
from vipe_training.kernels import likelihood_distance
from vipe_training.losses import (
    contrastive_loss,
    expected_distance,
    gaussian_prior,
    joint_nll,
)
from vipe_training.mining import alike
from vipe_training.models.base import Heads, System
from vipe_training.models.layers import GaussianHead, PreNormTrunk

_JOINTS = len(JOINTS17)
# Poses vary by about a tenth of the stature. Without this factor one optimiser step moves
# the joints by more than that: the rate that suits the embedding would drown them.
_JOINT_SCALE = 0.1
_DISTANCES = {"likelihood": likelihood_distance, "expected": expected_distance}


@dataclass(frozen=True)
class VipeConfig:
    """Network and loss weights.

    Attributes:
        width, blocks, expansion: of the trunk.
        frames: T of a window; 1 for single poses.
        window_blocks: of the trunk over all frames of a window.
        embedding: size D.
        distance: of two embeddings: ``likelihood`` or ``expected`` (ablation).
        same_pose: poses closer than this in the body frame (root mean square over
            joints, statures) are not each other's negatives.
        joints_weight: of the L1 error of the canonical joints.
        std_weight: of the likelihood that fits the joint standard deviations.
        prior_weight: of the KL divergence of the embedding to N(0, I).
    """

    width: int = 768
    blocks: int = 3
    expansion: float = 1.0
    frames: int = 1
    window_blocks: int = 1
    embedding: int = 16
    distance: str = "likelihood"
    same_pose: float = 0.015
    joints_weight: float = 20.0
    std_weight: float = 0.1
    prior_weight: float = 0.0


class Vipe(System):
    """Contrastive embedding and canonical lifting on one pre-norm trunk."""

    task = "embedding+pose"
    averages_twin = True

    def __init__(self, config: VipeConfig) -> None:
        super().__init__()
        self.config = config
        self.frames = config.frames
        self.trunk = PreNormTrunk(FEATURES, config.width, config.blocks, config.expansion)
        if config.frames > 1:
            # One trunk looks at each frame, another at what it saw in all of them.
            self.window_trunk = PreNormTrunk(
                config.frames * config.width, config.width, config.window_blocks, config.expansion
            )
        self.embedding = GaussianHead(config.width, config.embedding)
        self.joints = nn.Linear(config.width, _JOINTS * 3)
        self.joint_log_std = nn.Linear(config.width, _JOINTS)
        self.log_scale = nn.Parameter(torch.tensor(1.0))

    @property
    def embedding_size(self) -> int:
        return self.config.embedding

    def heads(self, features: Tensor) -> Heads:
        x = self.trunk(features)  # (N, W), or (N, T, W)
        if self.frames > 1:
            x = self.window_trunk(x.flatten(1))  # (N, W)
        mean, std = self.embedding(x)
        joints = _JOINT_SCALE * self.joints(x).reshape(-1, _JOINTS, 3)
        log_std = -3 + _JOINT_SCALE * self.joint_log_std(x)  # starts at 5 % of the stature
        return Heads(mean, std, joints, log_std.clamp(-6, 1).exp())

    def loss(
        self, batch: Batch, progress: float, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        config = self.config
        views = batch.features.shape[1]
        heads = self.batch_heads(batch.features)
        mean, std = (v.reshape(-1, views, v.shape[-1]) for v in heads.embedding())
        distance = _DISTANCES[config.distance](mean[:, 0], std[:, 0], mean[:, 1], std[:, 1])
        same = alike(batch.joints, config.same_pose)
        match = contrastive_loss(distance, self.log_scale.exp(), same)
        joints, joint_std = heads.pose()
        error = joints - batch.pose.repeat_interleave(views, 0)
        l1 = error.norm(dim=-1).mean()
        # The error is detached: the standard deviation learns how wrong the pose is, and
        # the pose does not trade accuracy for an excuse.
        nll = joint_nll(error.detach(), joint_std.log())
        loss = match + config.joints_weight * l1 + config.std_weight * nll
        if config.prior_weight:
            loss = loss + config.prior_weight * gaussian_prior(*heads.embedding())
        top = (distance.argmin(1) == torch.arange(len(distance), device=distance.device)).float()
        return loss, {"match": match, "l1": l1, "nll": nll, "batch_hit1": top.mean()}
