"""Ten things that a re-implementation of Pr-VIPE gets wrong, each asked of our own code."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.bodies import random_people, standing
from tests.training.systems import small, untrained
from vipe_core.geometry import normalize_2d, normalize_3d, np_mpjpe
from vipe_core.geometry import stature as core_stature
from vipe_core.skeletons import BODY13, JOINTS17
from vipe_training.augment.batch import BatchSource
from vipe_training.augment.cameras import camera_rotation, pose_rotation
from vipe_training.datasets import load_motion
from vipe_training.evaluate import protocol
from vipe_training.evaluate.coders import EmbeddingCoder
from vipe_training.evaluate.metrics.retrieval import hit_at_k
from vipe_training.features import encode_input
from vipe_training.loop.averaging import Average, averaged
from vipe_training.loop.train import make_system
from vipe_training.loop.validation import infer
from vipe_training.losses import (
    gaussian_prior,
    ratio_triplet_loss,
    sample_distance,
    squeezed_sigmoid,
)
from vipe_training.mining import normalize_3d as normalize_poses
from vipe_training.mining import semi_hard_negatives
from vipe_training.models.layers import GaussianHead, MatchSigmoid

BODY = JOINTS17.indices(*BODY13.joints)
TORSO = BODY13.indices("left_shoulder", "right_shoulder", "left_hip", "right_hip")


def normal(count: int = 30, seed: int = 0) -> np.ndarray:
    return normalize_3d(random_people(count, seed), "joints17")


def seen(count: int = 30) -> torch.Tensor:
    """Keypoints (N, 13, 2) in pixels."""
    return torch.from_numpy(protocol.render(random_people(count), protocol.novel8()[:1])[0]).float()


def test_1_np_mpjpe_forgives_a_similarity_and_nothing_else():
    poses = normal()
    turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))
    turn *= np.sign(np.linalg.det(turn))
    assert np_mpjpe(poses, 1.7 * poses @ turn + [1, 2, 3]).max() < 1e-5
    mirrored = poses[:, list(JOINTS17.mirror)] * [-1, 1, 1]
    assert np_mpjpe(poses, mirrored).min() > 0.02
    there, back = np_mpjpe(poses[:1], poses[1:2]), np_mpjpe(poses[1:2], poses[:1])
    assert abs(there - back) > 1e-4
    line, point = np.linspace(0, 1, 17)[:, None] * np.ones(3), np.zeros((17, 3))
    for degenerate in (line, point):
        assert np.isfinite(np_mpjpe(poses[0], degenerate))
        assert np.isfinite(np_mpjpe(degenerate, poses[0]))


def test_2_the_2d_normaliser_takes_position_and_scale_but_not_roll():
    points = seen()
    for normalise in (
        lambda p: torch.from_numpy(normalize_2d(p.numpy(), "body13")),
        lambda p: encode_input(p, torch.ones(len(p), 13))[:, :26].reshape(-1, 13, 2),
    ):
        flat = normalise(points)
        torch.testing.assert_close(normalise(points * 3 + 700), flat, atol=1e-4, rtol=0)
        longest = torch.cdist(flat[:, TORSO], flat[:, TORSO]).amax((1, 2))
        torch.testing.assert_close(longest, torch.full_like(longest, 0.5))
        turn = torch.tensor([[0.8, 0.6], [-0.6, 0.8]])
        assert (normalise(points @ turn) - flat).abs().amax((1, 2)).min() > 0.05


def test_3_the_3d_normaliser_puts_the_pelvis_at_0_and_the_trunk_to_1():
    people = random_people(20)
    for poses in (normalize_3d(people, "joints17"), normalize_poses(torch.from_numpy(people))):
        poses = np.asarray(poses)
        np.testing.assert_allclose(poses[:, 0], 0, atol=1e-12)
        pelvis, spine, neck = (poses[:, JOINTS17.index(j)] for j in ("pelvis", "spine", "neck"))
        trunk = np.linalg.norm(spine - pelvis, axis=1) + np.linalg.norm(neck - spine, axis=1)
        np.testing.assert_allclose(trunk, 1, atol=1e-9)


# The paper's camera stands behind a person who faces +z, so that half a turn faces it.
@pytest.mark.parametrize(("to_camera", "facing"), [(camera_rotation, 0.0), (pose_rotation, np.pi)])
def test_4_projection_is_upright_and_not_mirrored(to_camera, facing):
    person = torch.from_numpy(standing() - standing()[:1]).float()[BODY]
    zero = torch.zeros(())

    def image(azimuth: float) -> torch.Tensor:
        turn = to_camera(torch.tensor(facing + azimuth, dtype=torch.float32), zero, zero)
        in_camera = person @ turn.T
        return in_camera[:, :2] / (in_camera[:, 2:] + 4)

    front = image(0.0)
    nose, hip = BODY13.index("nose"), BODY13.index("left_hip")
    left, right = BODY13.indices("left_shoulder", "right_shoulder")
    assert front[nose, 1] < front[hip, 1]
    assert front[left, 0] > front[right, 0]
    torch.testing.assert_close(image(2 * np.pi), front, atol=1e-5, rtol=0)
    behind = image(np.pi)
    assert behind[left, 0] < behind[right, 0]
    # The evaluation's cameras, which are written apart from the training's, agree.
    pixels = protocol.render(standing()[None] - standing()[:1], [protocol.View(0)])[0][0]
    assert pixels[left, 0] > pixels[right, 0]
    assert pixels[nose, 1] < pixels[hip, 1]


def test_5_the_matching_probability():
    gap = torch.linspace(0, 50, 400)
    for raw in (-9.0, -0.65, 0.0, 3.0):
        a = MatchSigmoid(raw).a.detach()
        assert a > 0
        p = squeezed_sigmoid(-0.5 - a * gap)
        assert p.min() >= 0.05
        assert p.max() <= 0.95
        assert (p.diff() <= 0).all()
    match = MatchSigmoid()
    assert squeezed_sigmoid(match.b).item() == pytest.approx(0.39, abs=0.005)
    x, y = torch.randn(2, 6, 20, 16)
    torch.testing.assert_close(
        sample_distance(x, y, match.a, match.b), sample_distance(y, x, match.a, match.b)
    )


def test_6_triplets():
    poses = torch.from_numpy(normal(40))
    index, valid = semi_hard_negatives(torch.rand(40, 40), poses, 0.1, 0)
    assert valid.any()
    assert (index[valid] != torch.arange(40)[valid]).all()
    same = poses[:1] + 0.001 * torch.randn(40, 17, 3)
    index, valid = semi_hard_negatives(torch.rand(40, 40), same, 0.1, 0)
    positive = torch.rand(40, requires_grad=True)
    loss, _ = ratio_triplet_loss(positive, torch.rand(40), valid)
    loss.backward()
    assert loss.item() == 0
    assert torch.isfinite(positive.grad).all()
    positive, negative = torch.rand(50), torch.rand(50)
    loss, active = ratio_triplet_loss(positive, negative, torch.ones(50, dtype=torch.bool), 0.1)
    terms = [max(0, p - n + 0.1) for p, n in zip(positive.tolist(), negative.tolist(), strict=True)]
    terms = [t for t in terms if t > 0]
    assert loss.item() == pytest.approx(sum(terms) / len(terms), rel=1e-5)
    assert active.item() == pytest.approx(len(terms) / 50)


def test_7_the_prior_is_zero_at_the_standard_normal_that_s_0_gives():
    head = GaussianHead(4, 16)
    for parameter in head.parameters():
        torch.nn.init.zeros_(parameter)
    mean, std = head(torch.randn(3, 4))
    assert gaussian_prior(mean, std).item() == pytest.approx(0, abs=1e-9)
    assert gaussian_prior(mean + 0.1, std) > 0
    assert gaussian_prior(mean, std * 1.1) > 0


@pytest.mark.parametrize("name", ["vipe", "pr_vipe", "pr_vipe_temporal", "v_vipe", "semgcn"])
def test_8_masked_points_have_no_influence_whatever_they_say(name):
    system = untrained(name).system
    points, visibility = seen().numpy(), np.ones((30, 13))
    hidden = BODY13.indices("nose", "left_wrist", "right_knee")
    visibility[:, hidden] = 0.1

    def output(points: np.ndarray) -> torch.Tensor:
        if system.frames == 1:
            heads = infer(system, points, visibility)
        else:
            windows = (np.repeat(v[:, None], system.frames, 1) for v in (points, visibility))
            heads = infer(system, *windows)
        return heads.joints if heads.mean is None else heads.mean

    before = output(points)
    for lie in (0.0, 1e5, -300.0, np.nan):
        moved = points.copy()
        moved[:, hidden] = lie
        torch.testing.assert_close(output(moved), before, rtol=0, atol=1e-5)


def test_9_inference_has_averaged_weights_and_its_own_statistics(data):
    config = small("pr_vipe")
    source = BatchSource(load_motion(config.data.train), config.batch)
    system = make_system(config)
    average = Average(system, 0.9)
    with torch.no_grad():
        for parameter in system.parameters():
            parameter.add_(0.5)
    average.update(system, 1)
    model = averaged(system, average, source, seed=0)
    for name, weight in model.named_parameters():
        assert torch.equal(weight, average.weights[name])
        assert not torch.equal(weight, dict(system.named_parameters())[name])
    assert not any(module.training for module in model.modules())
    points = seen().numpy()
    whole = infer(model, points, np.ones((30, 13))).mean
    for rows in (slice(0, 1), slice(3, 9), slice(29, 30)):
        part = infer(model, points[rows], np.ones(points[rows].shape[:2])).mean
        torch.testing.assert_close(part, whole[rows], atol=1e-5, rtol=1e-4)


def test_10_the_oracle_finds_everything_and_more_answers_never_hurt():
    people = random_people(60)
    matches = protocol.match_matrix(people)
    truth = normal(60).reshape(60, -1)
    # An oracle that ranks by the labels' own distance must be right at once, from any side.
    error = np_mpjpe(normal(60)[:, None], normal(60)[None])
    ranking = error.argsort(axis=1, kind="stable")
    assert protocol.hits(ranking, matches)[:, 0].all()
    zero = np.zeros_like(truth)
    noisy = [(truth + np.random.default_rng(k).normal(0, 0.5, truth.shape), zero) for k in range(3)]
    coder = EmbeddingCoder(lambda points, visibility: (points, visibility))
    curve = hit_at_k(coder, noisy, noisy, matches)
    assert 0 < curve[0] < 100
    assert (np.diff(curve) >= 0).all()
    assert (core_stature(people) > 1).all()  # metres went in, so the scale was taken out
