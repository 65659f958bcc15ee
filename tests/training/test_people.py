"""New people out of recorded ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.bodies import random_people
from vipe_core import geometry
from vipe_core.skeletons import JOINTS17
from vipe_training.augment.people import (
    LIMBS,
    PARENTS,
    PeopleConfig,
    assemble,
    bone_lengths,
    bone_vectors,
    draw_people,
    mirror,
    stature,
)
from vipe_training.datasets import canonical


@pytest.fixture
def people():
    joints = random_people(64).astype(np.float32)
    upright, rotation = canonical(joints)
    return joints, torch.from_numpy(upright), torch.from_numpy(rotation)


def draw(people, generator, **config):
    _, upright, rotation = people
    donors = bone_lengths(upright[:3])
    drawn = draw_people(
        upright[:, None], rotation[:, None], donors, PeopleConfig(**config), generator
    )
    return tuple(v[:, 0] for v in drawn)


def test_bones_take_apart_and_reassemble(people):
    _, canonical, _ = people
    torch.testing.assert_close(assemble(bone_vectors(canonical)), canonical)
    for joint, parent in enumerate(PARENTS[1:], start=1):
        naive = (canonical[:, joint] - canonical[:, parent]).norm(dim=-1)
        vectors = bone_vectors(canonical)[:, joint].norm(dim=-1)
        torch.testing.assert_close(vectors, naive)


def test_stature_agrees_with_the_core(people):
    joints, _, _ = people
    ours = stature(torch.from_numpy(joints)).numpy()
    np.testing.assert_allclose(ours, geometry.stature(joints), rtol=1e-5)


def test_canonical_and_rotation_give_the_world_back(people):
    joints, canonical, rotation = people
    world = canonical @ rotation.transpose(1, 2)
    height = geometry.stature(joints)[:, None, None]
    np.testing.assert_allclose(world.numpy() * height, joints, atol=1e-5)


def test_mirrored_world_is_the_mirror_of_the_world(people):
    joints, canonical, rotation = people
    flipped, flipped_rotation = mirror(canonical, rotation)
    world = (flipped @ flipped_rotation.transpose(1, 2)).numpy()
    expected = geometry.mirror_points(joints / geometry.stature(joints)[:, None, None], "joints17")
    np.testing.assert_allclose(world, expected, atol=1e-5)
    torch.testing.assert_close(torch.linalg.det(flipped_rotation), torch.ones(64))


def test_without_settings_nothing_changes(people, generator):
    joints, rotation = draw(people, generator)
    torch.testing.assert_close(joints, people[1])
    torch.testing.assert_close(rotation, people[2])


def test_new_bones_keep_sides_equal_directions_and_stature(people, generator):
    joints, _ = draw(people, generator, bone_scale=0.12, donor=0.5)
    torch.testing.assert_close(stature(joints), torch.ones(64))
    torch.testing.assert_close(
        joints[:, JOINTS17.indices("left_hip", "right_hip")].mean(1),
        torch.zeros(64, 3),
        atol=1e-4,
        rtol=0,
    )
    before, after = bone_vectors(people[1])[:, 1:], bone_vectors(joints)[:, 1:]
    cosine = torch.nn.functional.cosine_similarity(before, after, dim=-1)
    assert cosine.min() > 0.9999
    assert (bone_lengths(joints) - bone_lengths(people[1])).abs().max() > 0.01


def test_mixed_limbs_keep_the_trunk_and_the_lengths(people, generator):
    joints, _ = draw(people, generator, limb_mix=1.0)
    before, after = bone_vectors(people[1]), bone_vectors(joints)
    limb_joints = {j for limb in LIMBS for j in limb}
    trunk = [j for j in range(17) if j not in limb_joints]
    torch.testing.assert_close(after[:, trunk], before[:, trunk], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(after.norm(dim=-1), before.norm(dim=-1), atol=1e-5, rtol=1e-4)
    assert (after - before).norm(dim=-1)[:, list(limb_joints)].mean() > 0.05


def test_the_generator_alone_decides(people):
    config = {"mirror": 0.5, "limb_mix": 0.5, "bone_scale": 0.1, "donor": 0.5}
    first = draw(people, torch.Generator().manual_seed(3), **config)
    second = draw(people, torch.Generator().manual_seed(3), **config)
    torch.testing.assert_close(first, second, rtol=0, atol=0)


def test_a_window_keeps_its_person(generator):
    upright = canonical(random_people(60).astype(np.float32))
    joints, rotation = (torch.from_numpy(v) for v in upright)
    joints, rotation = joints.reshape(20, 3, 17, 3), rotation.reshape(20, 3, 3, 3)
    config = PeopleConfig(mirror=0.5, limb_mix=0.5, bone_scale=0.2, donor=1.0)
    donors = bone_lengths(joints[:3, 0])
    new, turned = draw_people(joints, rotation, donors, config, generator)
    lengths = bone_lengths(new)
    # All frames get the bones of one donor, in one stature.
    torch.testing.assert_close(lengths, lengths[:, :1].expand_as(lengths), rtol=1e-3, atol=1e-4)
    mirrored = (turned - rotation).abs().amax((-2, -1)) > 1e-3  # (20, 3)
    assert (mirrored == mirrored[:, :1]).all()
    assert mirrored[:, 0].any()
    assert not mirrored[:, 0].all()
