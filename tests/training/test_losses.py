"""Every formula against its naive loop, and the promises at the edges."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from tests.bodies import random_people
from vipe_core.geometry import normalize_3d as normalize_3d_core
from vipe_core.geometry import np_mpjpe
from vipe_training.losses import (
    contrastive_loss,
    expected_distance,
    gaussian_prior,
    joint_nll,
    ratio_triplet_loss,
    sample_distance,
)
from vipe_training.mining import alike, normalize_3d, semi_hard_negatives
from vipe_training.models.layers import MatchSigmoid


def test_sample_distance_against_a_loop():
    z_a, z_b = torch.randn(3, 4, 16), torch.randn(3, 4, 16)
    a, b = 0.8, 0.3
    result = sample_distance(z_a, z_b, torch.tensor(a), torch.tensor(b))
    for i in range(3):
        p = [
            0.9 / (1 + math.exp(a * math.dist(x, y) - b)) + 0.05
            for x in z_a[i].tolist()
            for y in z_b[i].tolist()
        ]
        assert result[i].item() == pytest.approx(-math.log(sum(p) / 16), rel=1e-4)


def test_sample_distance_range_symmetry_and_gradient_at_coincidence():
    z = torch.zeros(1, 4, 16, requires_grad=True)
    a, b = torch.tensor(1.0), torch.tensor(50.0)
    near = sample_distance(z, z, a, b)
    near.sum().backward()
    assert near.item() == pytest.approx(-math.log(0.95), abs=1e-4)
    assert torch.isfinite(z.grad).all()
    far = sample_distance(z.detach(), z.detach() + 1e3, a, b)
    assert far.item() == pytest.approx(-math.log(0.05), abs=1e-4)
    x, y = torch.randn(2, 4, 16), torch.randn(2, 4, 16)
    torch.testing.assert_close(sample_distance(x, y, a, b), sample_distance(y, x, a, b))


def test_sigmoid_slope_is_positive_for_any_raw_value():
    for raw in (-100.0, -0.65, 0.0, 5.0):
        assert MatchSigmoid(raw).a >= 0
    assert MatchSigmoid().a.item() == pytest.approx(math.exp(-0.65))


def test_triplet_loss_is_the_mean_over_active_triplets():
    positive = torch.tensor([0.5, 0.2, 1.0, 0.3])
    negative = torch.tensor([0.6, 2.0, 1.1, 0.1])
    valid = torch.tensor([True, True, True, False])
    loss, active = ratio_triplet_loss(positive, negative, valid)
    terms = [max(0, p - n + math.log(2)) for p, n in ((0.5, 0.6), (0.2, 2.0), (1.0, 1.1))]
    assert loss.item() == pytest.approx(sum(terms) / 2, abs=1e-6)
    assert active.item() == 0.5


def test_triplet_loss_without_negatives_is_zero_with_finite_gradients():
    positive = torch.rand(5, requires_grad=True)
    loss, _ = ratio_triplet_loss(positive, torch.rand(5), torch.zeros(5, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0
    assert torch.isfinite(positive.grad).all()


def test_prior_is_the_kl_divergence():
    mean, std = torch.randn(4, 6), torch.rand(4, 6) + 0.1
    normal = torch.distributions.Normal
    kl = torch.distributions.kl_divergence(normal(mean, std), normal(0.0, 1.0)).sum(-1).mean()
    assert gaussian_prior(mean, std).item() == pytest.approx(kl.item(), rel=1e-5)
    assert gaussian_prior(torch.zeros(2, 3), torch.ones(2, 3)).item() == 0


def test_expected_distance_against_a_loop():
    mean_a, mean_b = torch.randn(3, 8), torch.randn(4, 8)
    std_a, std_b = torch.rand(3, 8), torch.rand(4, 8)
    result = expected_distance(mean_a, std_a, mean_b, std_b)
    for i in range(3):
        for j in range(4):
            squared = sum(
                (mean_a[i, k] - mean_b[j, k]) ** 2 + std_a[i, k] ** 2 + std_b[j, k] ** 2
                for k in range(8)
            )
            assert result[i, j].item() == pytest.approx(math.sqrt(squared), rel=1e-4)


def test_contrastive_loss_against_a_loop_and_without_near_duplicates():
    distance, scale = torch.rand(4, 4), torch.tensor(2.0)
    same = torch.zeros(4, 4, dtype=torch.bool)
    same[0, 1] = same[1, 0] = True
    total = 0.0
    for table in (distance, distance.T):
        for i in range(4):
            weights = {j: math.exp(-2 * table[i, j]) for j in range(4) if j == i or not same[i, j]}
            total -= math.log(weights[i] / sum(weights.values())) / 8
    assert contrastive_loss(distance, scale, same).item() == pytest.approx(total, rel=1e-5)


def test_joint_nll_is_lowest_at_the_true_spread():
    torch.manual_seed(0)
    error = 0.05 * torch.randn(2000, 17, 3)
    values = {
        s: joint_nll(error, torch.full((2000, 17), math.log(s))).item() for s in (0.03, 0.05, 0.08)
    }
    assert min(values, key=values.get) == 0.05
    one = joint_nll(torch.tensor([[[0.1, 0.2, 0.0]]]), torch.tensor([[math.log(0.5)]]))
    assert one.item() == pytest.approx(0.05 / (2 * 0.25) + 3 * math.log(0.5), abs=1e-6)


class TestMining:
    def poses(self, count: int = 40) -> torch.Tensor:
        return normalize_3d(torch.from_numpy(random_people(count)))

    def test_normalisation_agrees_with_the_core(self):
        people = random_people(5)
        ours = normalize_3d(torch.from_numpy(people)).numpy()
        np.testing.assert_allclose(ours, normalize_3d_core(people, "joints17"))

    def test_chosen_negatives_are_the_nearest_that_are_farther_and_different(self):
        poses, distance = self.poses(), torch.rand(40, 40)
        index, valid = semi_hard_negatives(distance, poses, 0.1, candidates=40)
        for i in range(40):
            allowed = [
                j
                for j in range(40)
                if distance[i, j] > distance[i, i]
                and np_mpjpe(poses[i].numpy(), poses[j].numpy()) >= 0.1
            ]
            assert bool(valid[i]) == bool(allowed)
            if allowed:
                assert index[i] == min(allowed, key=lambda j: distance[i, j].item())

    def test_own_positive_is_never_chosen(self):
        index, valid = semi_hard_negatives(torch.rand(40, 40), self.poses(), 0.1)
        assert (index[valid] != torch.arange(40)[valid]).all()

    def test_a_batch_of_near_duplicates_has_no_negative(self):
        poses = self.poses(1).expand(10, -1, -1)
        _, valid = semi_hard_negatives(torch.rand(10, 10), poses, 0.1)
        assert not valid.any()

    def test_alike_finds_only_true_duplicates(self):
        poses = self.poses(20)
        poses[1] = poses[0] + 0.001
        found = alike(poses, 0.01)
        assert found[0, 1]
        assert found.sum() == 22
