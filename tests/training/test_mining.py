"""Labels on visible joints and on windows, and the distances that rank negatives."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from tests.bodies import random_people
from vipe_core.geometry import normalize_3d as normalize_3d_core
from vipe_core.geometry import np_mpjpe as np_mpjpe_core
from vipe_core.skeletons import BODY13, JOINTS17
from vipe_training.losses import pairwise_sample_distance, sample_distance, squared_distance
from vipe_training.mining import (
    JOINTS16,
    normalize_3d,
    np_mpjpe,
    semi_hard_negatives,
    visible_joints,
)


def poses(count: int = 40, seed: int = 0) -> torch.Tensor:
    return normalize_3d(torch.from_numpy(random_people(count, seed)))


def test_np_mpjpe_is_the_cores_with_and_without_hidden_joints():
    a, b = poses(30), poses(30, seed=1)
    rng = np.random.default_rng(0)
    for weights in (np.ones((30, 17)), (rng.random((30, 17)) < 0.7).astype(float)):
        ours = np_mpjpe(a, b, torch.from_numpy(weights))
        core = np_mpjpe_core(a.numpy(), b.numpy(), weights)
        np.testing.assert_allclose(ours, core, atol=1e-9)


def test_np_mpjpe_does_not_reflect_and_survives_degenerate_bodies():
    pose = poses(1)
    mirrored = pose[:, list(JOINTS17.mirror)] * torch.tensor([-1.0, 1, 1])
    assert np_mpjpe(pose, mirrored, torch.ones(1, 17)) > 0.05
    point = torch.zeros(1, 17, 3, dtype=pose.dtype)
    assert torch.isfinite(np_mpjpe(pose, point, torch.ones(1, 17))).all()
    assert torch.isnan(np_mpjpe(pose, pose, torch.zeros(1, 17))).all()


def test_normalisation_of_windows_is_that_of_their_frames():
    people = random_people(12)
    windows = torch.from_numpy(people).reshape(4, 3, 17, 3)
    expected = normalize_3d_core(people, "joints17").reshape(4, 3, 17, 3)
    np.testing.assert_allclose(normalize_3d(windows), expected, atol=1e-12)


@pytest.mark.parametrize(
    ("hidden", "gone"),
    [
        ("nose", {"nose", "head"}),
        ("left_wrist", {"left_wrist"}),
        ("left_hip", {"left_hip", "pelvis", "spine"}),
        ("right_shoulder", {"right_shoulder", "neck", "spine"}),
    ],
)
def test_a_joint_between_points_is_visible_where_all_of_them_are(hidden, gone):
    seen = torch.ones(2, 13, dtype=torch.bool)
    seen[1, BODY13.index(hidden)] = False
    visible = visible_joints(seen)
    assert visible[0].all()
    assert {JOINTS17.joints[j] for j in torch.where(~visible[1])[0]} == gone


def test_the_sixteen_joints_are_all_but_the_nose():
    assert {JOINTS17.joints[j] for j in range(17)} - {JOINTS17.joints[j] for j in JOINTS16} == {
        "nose"
    }


def test_negatives_on_visible_joints_against_a_loop():
    generator = torch.Generator().manual_seed(1)
    pose, distance = poses(), torch.rand(40, 40, generator=generator)
    anchor = torch.rand(40, 17, generator=generator) < 0.25  # so few that it shows
    match = torch.rand(40, 17, generator=generator) < 0.9
    index, valid = semi_hard_negatives(distance, pose, 0.1, 0, (anchor, match))
    plain, _ = semi_hard_negatives(distance, pose, 0.1, 0)
    assert (index != plain).any()
    for i in range(40):
        allowed = []
        for j in range(40):
            both = (anchor[i] & match[j]).double().numpy()
            error = np_mpjpe_core(pose[i].numpy(), pose[j].numpy(), both)
            if distance[i, j] > distance[i, i] and error >= 0.1:
                allowed.append(j)
        assert bool(valid[i]) == bool(allowed)
        if allowed:
            assert index[i] == min(allowed, key=lambda j: distance[i, j].item())


def test_windows_are_as_far_apart_as_their_farthest_frames():
    one = poses(1).expand(6, 3, 17, 3).clone()
    one[1, 2] = poses(1, seed=5)[0]  # window 1 differs from the others in its last frame only
    distance = torch.rand(6, 6)
    index, valid = semi_hard_negatives(distance, one, 0.05, 0)
    farther = distance > distance.diagonal()[:, None]
    for i in range(6):
        others = [1] if i != 1 else [j for j in range(6) if j != 1]
        assert bool(valid[i]) == any(farther[i, j] for j in others)
        if valid[i]:
            assert int(index[i]) in others


def test_pairwise_sampled_distance_is_the_pairs_own():
    z_a, z_b = torch.randn(5, 4, 8), torch.randn(7, 4, 8)
    a, b = torch.tensor(0.7), torch.tensor(-0.3)
    table = pairwise_sample_distance(z_a, z_b, a, b, rows=2)
    assert table.shape == (5, 7)
    for i in range(5):
        for j in range(7):
            pair = sample_distance(z_a[i : i + 1], z_b[j : j + 1], a, b)
            assert table[i, j].item() == pytest.approx(pair.item(), rel=1e-4)


def test_squared_distance_against_a_loop():
    a, b = torch.randn(4, 6), torch.randn(4, 6)
    for i in range(4):
        expected = math.dist(a[i].tolist(), b[i].tolist()) ** 2
        assert squared_distance(a, b)[i].item() == pytest.approx(expected, rel=1e-5)
