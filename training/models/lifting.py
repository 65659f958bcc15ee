"""Single-frame lifting as a baseline: the 3D pose in camera axes, no embedding."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vipe_core.skeletons import JOINTS17
from vipe_training.augment.batch import Batch
from vipe_training.features import FEATURES
from vipe_training.losses import joint_nll
from vipe_training.models.base import Heads, System
from vipe_training.models.canonical import camera_joints, canonicalize
from vipe_training.models.checks import check_frames
from vipe_training.models.layers import MartinezTrunk, Standard

_JOINTS = len(JOINTS17)
# A step of the optimiser moves a sum over a thousand features far; so it moves a tenth.
_SPREAD_SCALE = 0.1


@dataclass
class LifterHeads(Heads):
    """Heads of a lifter, with what it predicts before the change of frame.

    Attributes:
        camera: (N, 17, 3) joints about the pelvis in camera axes, statures.
    """

    camera: Tensor | None = None

    def map(self, function: Callable[[Tensor], Tensor]) -> LifterHeads:
        heads = (self.mean, self.std, self.joints, self.joint_std, self.camera)
        return LifterHeads(*(None if head is None else function(head) for head in heads))

    def in_camera(self) -> Tensor:
        """The joints in camera axes."""
        if self.camera is None:
            raise TypeError("this system does not predict in camera axes")
        return self.camera


class Lifter(System):
    """Predicts in camera axes, as published, and answers in the body frame.

    A subclass gives :meth:`predict` and :meth:`pose_loss`. The standard deviations come
    from a linear layer of their own; it learns the size of the error in the body frame and
    nothing of it reaches the network that makes the pose.
    """

    task = "pose"

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.joint_log_std = nn.Linear(width, _JOINTS)
        nn.init.zeros_(self.joint_log_std.weight)
        nn.init.zeros_(self.joint_log_std.bias)

    @property
    def embedding_size(self) -> int:
        return 0

    def predict(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Joints about the pelvis in camera axes (N, 17, 3), statures, and what the spread
        is read from (N, width), of features (N, 39)."""
        raise NotImplementedError

    def heads(self, features: Tensor) -> LifterHeads:
        """Heads for features (..., 39); frames of a window count as rows of their own."""
        camera, x = self.predict(features.reshape(-1, FEATURES))
        # The change of frame divides by small differences: not in eight bits.
        with torch.autocast(features.device.type, enabled=False):
            dtype = self.joint_log_std.weight.dtype  # float32 also where the network ran in less
            joints = canonicalize(camera.to(dtype))
            x = self.norm(x.detach().to(dtype))
            log_std = (-3 + _SPREAD_SCALE * self.joint_log_std(x)).clamp(-6, 1)
        return LifterHeads(None, None, joints, log_std.exp(), camera)

    def loss(
        self, batch: Batch, progress: float, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        check_frames(batch, 1)
        heads = self.batch_heads(batch.features)
        assert isinstance(heads, LifterHeads)
        target = camera_joints(batch).flatten(0, 1)  # (B V, 17, 3)
        pose = self.pose_loss(heads.in_camera(), target)
        joints, joint_std = heads.pose()
        error = joints.detach() - canonicalize(target)
        nll = joint_nll(error, joint_std.log())
        return pose + nll, {"pose": pose, "nll": nll, "error": error.norm(dim=-1).mean()}

    def pose_loss(self, predicted: Tensor, target: Tensor) -> Tensor:
        """Scalar loss of joints (N, 17, 3) about the pelvis in camera axes."""
        raise NotImplementedError


@dataclass(frozen=True)
class LiftingConfig:
    """Network of Martinez et al.: width, residual blocks, dropout."""

    width: int = 1024
    blocks: int = 2
    dropout: float = 0.5


class Lifting(Lifter):
    """Martinez et al. 2017: squared error on standardised root-relative coordinates.

    16 joints are predicted, the pelvis is the root. Source: "A simple yet effective
    baseline for 3D human pose estimation", section 3.
    """

    def __init__(self, config: LiftingConfig) -> None:
        super().__init__(config.width)
        self.trunk = MartinezTrunk(FEATURES, config.width, config.blocks, config.dropout)
        self.output = nn.Linear(config.width, (_JOINTS - 1) * 3)
        self.standard = Standard((_JOINTS - 1) * 3)

    def predict(self, features: Tensor) -> tuple[Tensor, Tensor]:
        x = self.trunk(features)
        joints = self.standard.undo(self.output(x)).reshape(-1, _JOINTS - 1, 3)
        return F.pad(joints, (0, 0, 1, 0)), x  # the pelvis, joint 0, at the origin

    def pose_loss(self, predicted: Tensor, target: Tensor) -> Tensor:
        # In standardised coordinates the difference is the difference over their spread.
        flat = target[:, 1:].flatten(1)
        gap = (predicted[:, 1:].flatten(1) - flat) / self.standard.std
        if self.training:
            self.standard.update(flat)
        return (gap * gap).mean()

    def normalized_trunk(self) -> nn.Module:
        return self.trunk

    def inference_parameters(self) -> Iterator[nn.Parameter]:
        return self.parameters()
