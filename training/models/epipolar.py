"""Lifting learnt from two uncalibrated views without any 3D truth.

What EpipolarPose adds, on keypoints: the 2D poses of one person in two views give the
relative pose of the cameras and, triangulated, a 3D pose that teaches a single-view lifter.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vipe_core.skeletons import BODY13, JOINTS17
from vipe_training.augment.batch import Batch
from vipe_training.features import FEATURES
from vipe_training.losses import joint_nll
from vipe_training.models.canonical import canonicalize
from vipe_training.models.layers import MartinezTrunk
from vipe_training.models.lifting import Lifter, LifterHeads
from vipe_training.two_view import reconstruct

_POINTS = len(BODY13)
_HIPS = BODY13.indices("left_hip", "right_hip")
_SHOULDERS = BODY13.indices("left_shoulder", "right_shoulder")
_BONES = (
    *(("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee")),
    *(("knee", "ankle"), ("shoulder", "hip")),
)
# Poses vary by about a tenth of the stature: a step of the optimiser should move them less.
_JOINT_SCALE = 0.1
# Hips at 53.0 % and shoulders at 81.8 % of the standing height (Winter, Biomechanics and
# Motor Control of Human Movement): the only thing known of a body's size.
_TRUNK = 0.288
_HEAD = 0.6  # head top above mid-shoulder, in trunks: from 81.8 to 100 % of the height


@dataclass(frozen=True)
class EpipolarConfig:
    """Network, and which triangulated poses may teach.

    Attributes:
        width, blocks, dropout: of the trunk.
        refinements: Gauss-Newton steps on the relative pose of the cameras.
        residual: largest root mean square distance from the epipolar lines, as a share of
            the longest torso distance in the image.
        in_front: smallest share of points in front of both cameras.
        parallax: smallest mean angle between the two rays of a point, degrees.
        asymmetry: largest mean difference of the lengths of left and right bones, as
            a share of the bone.
        extent: largest distance of a point from mid-hip, statures.
    """

    width: int = 1024
    blocks: int = 2
    dropout: float = 0.3
    refinements: int = 4
    residual: float = 0.05
    in_front: float = 0.95
    parallax: float = 20.0
    asymmetry: float = 0.2
    extent: float = 1.2


class Epipolar(Lifter):
    """Kocabas et al. 2019, "Self-supervised learning of 3D human pose using multi-view
    geometry", on keypoints instead of images.

    It takes batches of windows too: all frames that the same two cameras see share one
    relative pose. Only 2D points enter the loss, and that a trunk is 28.8 % of a person's
    height. 13 joints are learnt; of the 17 that come out, pelvis (mid-hip), spine (middle
    of the trunk), neck (mid-shoulder) and head (the trunk prolonged) are derived from them.
    """

    def __init__(self, config: EpipolarConfig) -> None:
        super().__init__(config.width)
        self.config = config
        self.trunk = MartinezTrunk(FEATURES, config.width, config.blocks, config.dropout)
        self.output = nn.Linear(config.width, _POINTS * 3)

    def predict(self, features: Tensor) -> tuple[Tensor, Tensor]:
        x = self.trunk(features)
        return complete(_JOINT_SCALE * self.output(x).reshape(-1, _POINTS, 3)), x

    def normalized_trunk(self) -> nn.Module:
        return self.trunk

    def inference_parameters(self) -> Iterator[nn.Parameter]:
        return self.parameters()

    def loss(
        self, batch: Batch, progress: float, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        heads = self.batch_heads(batch.features)  # rows: pose, view, frame
        assert isinstance(heads, LifterHeads)
        with torch.no_grad():
            pseudo, usable = pseudo_poses(batch.points, batch.visible, self.config)
            target = complete(pseudo).flatten(0, -3).float()  # (B V T, 17, 3)
        predicted = heads.in_camera()
        joints, joint_std = heads.pose()
        # Nowhere usable leaves a zero that still has a gradient.
        weight = usable.flatten().float() / usable.sum().clamp_min(1)
        gap = F.smooth_l1_loss(predicted, target, reduction="none", beta=0.05)
        pose = 10 * (weight * gap.sum(-1).mean(-1)).sum()
        error = joints.detach() - canonicalize(target)
        chosen = usable.flatten()
        nll = joints.new_zeros(()) + 0 * joint_std.sum()
        if chosen.any():
            nll = joint_nll(error[chosen], joint_std[chosen].log())
        metrics = {"pose": pose, "nll": nll, "usable": usable.float().mean()}
        return pose + nll, metrics


def pseudo_poses(points: Tensor, visible: Tensor, config: EpipolarConfig) -> tuple[Tensor, Tensor]:
    """3D poses triangulated from two views whose relative pose is found from them.

    Args:
        points: (B, 2, [T,] 13, 2) image units (focal length 1), x right, y down.
        visible: (B, 2, [T,] 13) bool.
        config: refinements and gates.

    Returns:
        poses (B, 2, [T,] 13, 3) about mid-hip in the axes of either camera, statures, and
        usable (B, 2, [T]) bool: False for all frames of a pair of views that fails a gate,
        and for frames where a view misses points.
    """
    windows = points if points.ndim == 5 else points[:, :, None]  # (B, 2, T, 13, 2)
    seen = (visible if visible.ndim == 4 else visible[:, :, None]).all(1)  # (B, T, 13)
    seen = seen & windows.isfinite().all(-1).all(1)
    windows = windows.nan_to_num(0.0, 0.0, 0.0)
    flat = windows.flatten(2, 3)  # (B, 2, T 13, 2)
    two = reconstruct(flat[:, 0], flat[:, 1], seen.flatten(1), config.refinements)
    first = two.points.reshape(*seen.shape, 3)  # (B, T, 13, 3)
    second = first @ two.rotation[:, None].transpose(-1, -2) + two.translation[:, None, None]
    both = torch.stack([first, second], 1)  # (B, 2, T, 13, 3)
    angle = _parallax(both, two.translation, two.rotation)
    centred = both - both[..., _HIPS, :].mean(-2, keepdim=True)
    trunk = centred[..., _SHOULDERS, :].mean(-2).norm(dim=-1)  # (B, 2, T)
    # A person keeps one size through the window.
    scale = _TRUNK / trunk.mean((1, 2)).clamp_min(1e-9)
    poses = centred * scale[:, None, None, None, None]
    whole = seen.all(-1)  # (B, T)
    count = whole.sum(1).clamp_min(1)

    def over_whole_frames(value: Tensor) -> Tensor:  # (B, T) -> (B,)
        return (value * whole).sum(1) / count

    torso = windows[..., [*_SHOULDERS, *_HIPS], :]
    longest = torch.cdist(torso, torso).amax((-2, -1)).mean((1, 2))  # (B,)
    good = two.residual <= config.residual * longest
    good &= two.in_front >= config.in_front
    good &= over_whole_frames(angle.mean(-1)) >= config.parallax
    good &= over_whole_frames(_asymmetry(poses[:, 0])) <= config.asymmetry
    near = poses.norm(dim=-1).amax(-1) <= config.extent  # (B, 2, T)
    usable = (good[:, None] & whole)[:, None] & near.all(1, keepdim=True)
    usable = usable.expand(-1, 2, -1)
    if points.ndim == 4:
        return poses[:, :, 0], usable[:, :, 0]
    return poses, usable


def _parallax(both: Tensor, translation: Tensor, rotation: Tensor) -> Tensor:
    """(B, T, 13) degrees between the rays from a point to the two cameras."""
    centre = -(rotation.transpose(1, 2) @ translation[..., None])[..., 0]  # of the second
    to_first = -both[:, 0]
    to_second = centre[:, None, None] + to_first
    cosine = F.cosine_similarity(to_first, to_second, dim=-1)
    return torch.rad2deg(torch.arccos(cosine.clamp(-1, 1)))


def _asymmetry(poses: Tensor) -> Tensor:
    """(...) mean relative difference of the lengths of left and right bones of poses
    (..., 13, 3)."""

    def lengths(side: str) -> Tensor:
        ends = [BODY13.indices(*(f"{side}_{end}" for end in bone)) for bone in _BONES]
        return torch.stack(
            [(poses[..., b, :] - poses[..., a, :]).norm(dim=-1) for a, b in ends], -1
        )

    left, right = lengths("left"), lengths("right")
    return (2 * (left - right).abs() / (left + right).clamp_min(1e-9)).mean(-1)


def complete(points: Tensor) -> Tensor:
    """joints17 (..., 17, 3) about the pelvis from the 13 points (..., 13, 3)."""
    pelvis = points[..., _HIPS, :].mean(-2)
    neck = points[..., _SHOULDERS, :].mean(-2)
    derived = {
        "pelvis": pelvis,
        "spine": (pelvis + neck) / 2,
        "neck": neck,
        "head": neck + _HEAD * (neck - pelvis),
    }
    joints = [
        derived[joint] if joint in derived else points[..., BODY13.index(joint), :]
        for joint in JOINTS17.joints
    ]
    return torch.stack(joints, -2) - pelvis[..., None, :]
