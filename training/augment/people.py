"""New people from recorded ones: other bones, mirrored sides, limbs of other poses.

Poses here are canonical: body frame, statures (see vipe_core.geometry.body_frame), so
a limb of one person fits another's trunk. B is the batch, T the frames of a window: a
person keeps their bones from frame to frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vipe_core.skeletons import JOINTS17, mirror_name

# Parent of each joint of joints17; parents come before their children.
PARENTS = (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 8, 8, 11, 12, 8, 14, 15)
_LEG, _ARM = ("knee", "ankle"), ("elbow", "wrist")
LIMBS = tuple(
    tuple(JOINTS17.indices(*(f"{side}_{joint}" for joint in joints)))
    for side in ("left", "right")
    for joints in (_LEG, _ARM)
)
# Left and right bones of a person are equally long.
_BONE_GROUPS = sorted({min(name, mirror_name(name)) for name in JOINTS17.joints[1:]})
_GROUP_OF = [
    _BONE_GROUPS.index(min(name, mirror_name(name))) if i else 0
    for i, name in enumerate(JOINTS17.joints)
]


@dataclass(frozen=True)
class PeopleConfig:
    """How a recorded pose becomes a new person.

    Attributes:
        mirror: probability of exchanging left and right.
        limb_mix: probability, per limb, of taking that limb from another pose.
        bone_scale: each bone is scaled by 1 +- this, uniformly.
        donor: probability of taking the bone lengths of another recorded person first.
    """

    mirror: float = 0.0
    limb_mix: float = 0.0
    bone_scale: float = 0.0
    donor: float = 0.0


def bone_vectors(joints: Tensor) -> Tensor:
    """(..., 17, 3) vector from each joint's parent; the pelvis keeps its position."""
    vectors = joints.clone()
    vectors[..., 1:, :] -= joints[..., list(PARENTS[1:]), :]
    return vectors


def assemble(vectors: Tensor) -> Tensor:
    """Inverse of :func:`bone_vectors`."""
    joints = list(vectors.unbind(-2))
    for joint, parent in enumerate(PARENTS[1:], start=1):
        joints[joint] = joints[parent] + vectors[..., joint, :]
    return torch.stack(joints, -2)


def bone_lengths(joints: Tensor) -> Tensor:
    """(..., 17) length of the bone above each joint, sides averaged; 0 for the pelvis."""
    length = bone_vectors(joints).norm(dim=-1)
    length[..., 0] = 0
    return (length + length[..., list(JOINTS17.mirror)]) / 2


def mirror(joints: Tensor, rotation: Tensor) -> tuple[Tensor, Tensor]:
    """The mirrored people: canonical joints (..., 17, 3) and their world rotation.

    The body's y (left) is negated in the body frame and the world is mirrored at the
    same plane, so that up stays up.
    """
    flip = joints.new_tensor([1.0, -1.0, 1.0])
    # Mirror the world's x: the body axes as columns become M R F, with F undoing the
    # handedness that M took away.
    world = rotation.new_tensor([-1.0, 1.0, 1.0])
    return joints[..., list(JOINTS17.mirror), :] * flip, world[:, None] * rotation * flip


def draw_people(
    joints: Tensor,
    rotation: Tensor,
    donors: Tensor,
    config: PeopleConfig,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """New people in the poses of recorded ones.

    Args:
        joints: (B, T, 17, 3) canonical.
        rotation: (B, T, 3, 3) body axes in the world, as columns.
        donors: (S, 17) bone lengths of recorded people, in statures.
        config: what to change.
        generator: source of randomness.

    Returns:
        canonical joints (B, T, 17, 3), in statures of the new person, and rotation.
    """

    def rand(*size: int) -> Tensor:
        return torch.rand(*size, generator=generator, device=joints.device)

    batch = len(joints)
    if config.mirror:
        flipped, flipped_rotation = mirror(joints, rotation)
        chosen = (rand(batch) < config.mirror)[:, None, None, None]
        joints = torch.where(chosen, flipped, joints)
        rotation = torch.where(chosen, flipped_rotation, rotation)
    vectors = bone_vectors(joints)
    if config.limb_mix:
        vectors = _mix_limbs(vectors, config.limb_mix, rand)
    if config.donor:
        pick = (rand(batch) * len(donors)).long()
        now = bone_lengths(assemble(vectors)).clamp_min(1e-6)  # (B, T, 17)
        take = (rand(batch) < config.donor)[:, None, None]
        ratio = torch.where(take, donors[pick][:, None] / now, 1.0)
        vectors = vectors * ratio[..., None]
    if config.bone_scale:
        scale = 1 + config.bone_scale * (2 * rand(batch, len(_BONE_GROUPS)) - 1)
        vectors = vectors * scale[:, None, _GROUP_OF, None]
    joints = assemble(vectors)
    # One stature for all frames of a window: bones of noisy motion breathe a little.
    size = stature(joints[:, joints.shape[1] // 2])
    return joints / size[:, None, None, None], rotation


def _mix_limbs(vectors: Tensor, probability: float, rand) -> Tensor:
    vectors = vectors.clone()  # (B, T, 17, 3)
    batch = len(vectors)
    for limb in LIMBS:
        other = (rand(batch) * batch).long()
        take = (rand(batch) < probability)[:, None, None, None]
        for_limb = vectors[:, :, limb]
        directions = vectors[other][:, :, limb]
        # The direction is the other's, the length stays: arms and legs keep their person.
        directions = directions * (
            for_limb.norm(dim=-1, keepdim=True)
            / directions.norm(dim=-1, keepdim=True).clamp_min(1e-6)
        )
        vectors[:, :, limb] = torch.where(take, directions, for_limb)
    return vectors


def stature(joints: Tensor) -> Tensor:
    """(B,) standing height; the torch twin of vipe_core.geometry.stature."""
    length = bone_lengths(joints)
    index = JOINTS17.index
    chain = length[:, JOINTS17.indices("head", "neck", "spine")].sum(-1)
    leg = length[:, index("left_knee")] + length[:, index("left_ankle")]
    return (chain + leg) / 0.961


def trunk_length(joints: Tensor) -> Tensor:
    """(B,) pelvis-spine plus spine-neck of joints (B, 17, 3)."""
    chain = joints[:, JOINTS17.indices("pelvis", "spine", "neck")]
    return chain.diff(dim=1).norm(dim=-1).sum(-1)
