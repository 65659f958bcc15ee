"""Between camera axes and the body frame, inside the exported graph too."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from vipe_core.skeletons import JOINTS17
from vipe_training.augment.batch import Batch

_EPSILON = 1e-9
_ANKLE_TO_TOP = 0.961  # of the standing height; see vipe_core.geometry.stature


def body_frame(joints: Tensor) -> Tensor:
    """Body axes (..., 3, 3), as columns, of joints (..., 17, 3) in any right-handed frame.

    The torch twin of vipe_core.geometry.body_frame: y from the right hip to the left, z
    from pelvis to neck made orthogonal to y, x out of the chest; the same fallbacks.
    """

    def across(part: str) -> Tensor:
        return _joint(joints, f"left_{part}") - _joint(joints, f"right_{part}")

    hips = across("hip")
    y = torch.where(_length(hips) > _EPSILON, hips, across("shoulder"))
    spare = torch.zeros_like(y) + y.new_tensor([0.0, 1.0, 0.0])
    y = torch.where(_length(y) > _EPSILON, y / _length(y).clamp_min(_EPSILON), spare)
    z = _orthogonal(_joint(joints, "neck") - _joint(joints, "pelvis"), y)
    steep = y[..., 2:].abs() < 0.9
    spare = torch.where(steep, y.new_tensor([0.0, 0.0, 1.0]), y.new_tensor([1.0, 0.0, 0.0]))
    z = torch.where(_length(z) > _EPSILON, z, _orthogonal(spare, y))
    z = z / _length(z)
    return torch.stack([_cross(y, z), y, z], -1)


def stature(joints: Tensor) -> Tensor:
    """Standing height (...) of joints (..., 17, 3); twin of vipe_core.geometry.stature."""

    def chain(*names: str) -> Tensor:
        places = [_joint(joints, name) for name in names]
        bones = [_length(b - a) for a, b in pairwise(places)]
        return torch.stack(bones).sum(0)[..., 0]

    legs = [chain(*(f"{side}_{j}" for j in ("hip", "knee", "ankle"))) for side in ("left", "right")]
    return (chain("head", "neck", "spine", "pelvis") + (legs[0] + legs[1]) / 2) / _ANKLE_TO_TOP


def canonicalize(joints: Tensor) -> Tensor:
    """Joints (..., 17, 3) of any right-handed frame and unit, brought into the body frame
    and into statures."""
    centred = joints - joints[..., :1, :]  # the pelvis is joint 0
    size = stature(joints).clamp_min(1e-6)[..., None, None]
    return centred @ body_frame(joints) / size


def camera_joints(batch: Batch) -> Tensor:
    """(B, V, 17, 3) poses of a single-frame batch about the pelvis in camera axes."""
    centred = batch.joints - batch.joints[:, :1]
    return centred[:, None] @ batch.to_camera.transpose(-1, -2)


def _joint(joints: Tensor, name: str) -> Tensor:
    return joints[..., JOINTS17.index(name), :]


def _cross(a: Tensor, b: Tensor) -> Tensor:
    # Written out: the exporter does not know torch.linalg.cross.
    ax, ay, az = a.unbind(-1)
    bx, by, bz = b.unbind(-1)
    return torch.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], -1)


def _length(v: Tensor) -> Tensor:
    # The floor keeps the root's slope finite at zero.
    return (v * v).sum(-1, keepdim=True).clamp_min(1e-24).sqrt()


def _orthogonal(v: Tensor, y: Tensor) -> Tensor:
    return v - (v * y).sum(-1, keepdim=True) * y
