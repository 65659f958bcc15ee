"""The lifters: change of frame, graph convolution, standardised targets, what teaches them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from tests.bodies import random_people, random_rotations
from tests.training.systems import small
from vipe_core.errors import VipeError
from vipe_core.geometry import body_frame, stature, to_body_frame
from vipe_core.skeletons import BODY13, JOINTS17
from vipe_training.augment.batch import BatchSource
from vipe_training.datasets import load_motion
from vipe_training.loop.train import make_system
from vipe_training.models import canonical, semgcn
from vipe_training.models.layers import Standard
from vipe_training.models.semgcn import NonLocal, SemanticConv, adjacency, graph_input

LIFTERS = ("lifting", "semgcn", "epipolar")


def drawn(name: str, *words: str):
    """A system and a batch for it."""
    config = small(name, *words)
    torch.manual_seed(0)
    system = make_system(config)
    source = BatchSource(load_motion(config.data.train), config.batch)
    return system, source.draw(torch.Generator().manual_seed(0))


class TestCanonical:
    def turned(self) -> np.ndarray:
        rng = np.random.default_rng(3)
        turn = random_rotations(40, rng)
        return random_people(40) @ turn + rng.normal(0, 2, (40, 1, 3))

    def test_twins_of_the_core(self):
        joints = self.turned()
        ours = torch.from_numpy(joints)
        rotation, _ = body_frame(joints, "joints17")
        np.testing.assert_allclose(canonical.body_frame(ours), rotation, atol=1e-9)
        np.testing.assert_allclose(canonical.stature(ours), stature(joints), atol=1e-9)
        expected = to_body_frame(joints, "joints17") / stature(joints)[:, None, None]
        np.testing.assert_allclose(canonical.canonicalize(ours), expected, atol=1e-9)

    def test_degenerate_bodies_as_the_core_takes_them(self):
        joints = self.turned()[:4]
        left, right = JOINTS17.indices("left_hip", "right_hip")
        joints[0, left] = joints[0, right]  # hips in one place: the shoulders give y
        joints[1] = 0
        joints[2, JOINTS17.index("neck")] = 2 * joints[2, left] - joints[2, right]
        joints[2, JOINTS17.index("pelvis")] = joints[2, left]
        rotation, _ = body_frame(joints, "joints17")
        np.testing.assert_allclose(
            canonical.body_frame(torch.from_numpy(joints)), rotation, atol=1e-9
        )

    def test_camera_joints_go_back_to_canonical_ones(self, data):
        # New bones bend a body by a thousandth of the stature; recorded ones do not.
        _, batch = drawn("lifting", "batch.people.bone_scale=0")
        camera = canonical.camera_joints(batch)
        for view in range(2):
            torch.testing.assert_close(
                canonical.canonicalize(camera[:, view]), batch.joints, atol=1e-4, rtol=0
            )


class TestSemGcn:
    def test_convolution_against_a_loop(self):
        torch.manual_seed(0)
        conv = SemanticConv(3, 5, adjacency())
        torch.nn.init.normal_(conv.mask)
        x = torch.randn(2, 17, 3)
        y = conv(x)
        for n in range(2):
            for i in range(17):
                near = [j for j in range(17) if adjacency()[i, j]]
                share = torch.softmax(conv.mask[i, near], 0)
                expected = conv.own.bias.clone()
                for weight, j in zip(share, near, strict=True):
                    matrix = conv.own.weight if i == j else conv.neighbours.weight
                    expected = expected + weight * (matrix @ x[n, j])
                torch.testing.assert_close(y[n, i], expected, atol=1e-5, rtol=1e-4)

    def test_only_neighbours_matter(self):
        conv = SemanticConv(3, 5, adjacency())
        x = torch.randn(1, 17, 3)
        before = conv(x)
        wrist = JOINTS17.index("left_wrist")
        x[0, wrist] += 1
        changed = (conv(x) - before).abs().amax((0, 2)) > 1e-6
        assert {JOINTS17.joints[j] for j in torch.where(changed)[0]} == {"left_wrist", "left_elbow"}

    def test_the_graph_is_one_tree(self):
        graph = adjacency()
        assert (graph == graph.T).all()
        assert graph.sum() == 17 + 2 * 16
        assert (torch.linalg.matrix_power(graph.double(), 17) > 0).all()

    def test_non_local_starts_as_the_identity(self):
        x = torch.randn(3, 17, 8)
        torch.testing.assert_close(NonLocal(8)(x), x)

    def test_nodes_and_their_visibility(self):
        features = torch.rand(1, 39)
        features[:, 26:] = 1
        hip = BODY13.index("left_hip")
        features[0, 26 + hip] = 0
        nodes = graph_input(features)[0]
        points = features[0, :26].reshape(13, 2)
        for name in ("left_wrist", "nose", "right_knee"):
            expected = torch.cat([points[BODY13.index(name)], torch.ones(1)])
            torch.testing.assert_close(nodes[JOINTS17.index(name)], expected)
        neck = points[BODY13.indices("left_shoulder", "right_shoulder")].mean(0)
        torch.testing.assert_close(nodes[JOINTS17.index("neck"), :2], neck)
        for name in ("left_hip", "pelvis", "spine"):
            assert (nodes[JOINTS17.index(name)] == 0).all()

    def test_loss_is_that_of_joints_and_bones(self):
        a, b = torch.randn(2, 4, 17, 3)
        system = make_system(small("semgcn"))
        total = 0.0
        for n in range(4):
            for j, parent in enumerate(semgcn.PARENTS):
                total += ((a[n, j] - b[n, j]) ** 2).sum().item() / 68
                if parent >= 0:
                    bone = (a[n, j] - a[n, parent]) - (b[n, j] - b[n, parent])
                    total += (bone**2).sum().item() / 64
        assert system.pose_loss(a, b).item() == pytest.approx(100 * total, rel=1e-4)


class TestLifting:
    def test_standard_gathers_the_first_batches_only(self):
        standard = Standard(3)
        batches = torch.randn(150, 8, 3) * torch.tensor([1.0, 2.0, 3.0]) + 5
        for batch in batches:
            standard.update(batch)
        first = batches[: Standard.BATCHES].reshape(-1, 3)
        torch.testing.assert_close(standard.mean, first.mean(0), atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(standard.std, first.std(0, correction=0), atol=1e-2, rtol=1e-3)
        ones = standard.undo(torch.ones(1, 3))[0]
        torch.testing.assert_close(ones, standard.mean + standard.std)

    def test_loss_is_the_squared_error_of_standardised_coordinates(self, data):
        system, batch = drawn("lifting")
        target = canonical.camera_joints(batch).flatten(0, 1)
        for _ in range(3):
            system.standard.update(target[:, 1:].flatten(1))
        predicted = torch.randn_like(target)
        mean, std = system.standard.mean.reshape(16, 3), system.standard.std.reshape(16, 3)

        def standardised(joints):
            return (joints[:, 1:] - mean) / std

        expected = (standardised(predicted) - standardised(target)).square().mean()
        assert system.pose_loss(predicted, target).item() == pytest.approx(
            expected.item(), rel=1e-4
        )


@pytest.mark.parametrize("name", LIFTERS)
def test_answers_are_in_the_body_frame_and_the_pelvis_is_the_root(name):
    system = make_system(small(name)).eval()
    with torch.no_grad():
        heads = system.heads(torch.randn(20, 39))
    joints, std = heads.pose()
    assert heads.mean is None
    assert (heads.in_camera()[:, 0] == 0).all()
    np.testing.assert_allclose(to_body_frame(joints.numpy(), "joints17"), joints, atol=1e-4)
    np.testing.assert_allclose(stature(joints.numpy()), 1, atol=1e-4)
    np.testing.assert_allclose(std, np.exp(-3), rtol=1e-5)


@pytest.mark.parametrize("name", LIFTERS)
def test_the_spread_teaches_the_pose_nothing(name, data):
    system, batch = drawn(name)
    _, metrics = system.loss(batch, 0.0, torch.Generator())
    metrics["nll"].backward()
    moved = {n for n, p in system.named_parameters() if p.grad is not None and p.grad.any()}
    assert moved <= {"joint_log_std.weight", "joint_log_std.bias"}
    assert moved


@pytest.mark.parametrize("name", LIFTERS)
def test_lifters_learn(name, data):
    system, batch = drawn(name, "batch.poses=32")
    optimizer = torch.optim.AdamW(system.parameters(), 3e-3)
    poses = []
    for _ in range(40):
        loss, metrics = system.loss(batch, 0.0, torch.Generator())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        poses.append(metrics["pose"].item())
    # The first losses of a standardised target are in a unit that is still being found.
    assert poses[-1] < 0.6 * poses[2]


def test_no_3d_truth_reaches_the_epipolar_loss(data):
    system, batch = drawn("epipolar")
    system.eval()
    loss, _ = system.loss(batch, 0.0, torch.Generator())
    rubbish = dataclasses.replace(
        batch,
        joints=torch.full_like(batch.joints, torch.nan),
        to_camera=torch.full_like(batch.to_camera, torch.nan),
    )
    other, metrics = system.loss(rubbish, 0.0, torch.Generator())
    assert loss.item() == other.item()
    assert metrics["usable"] > 0.3


def test_a_batch_that_teaches_nothing_is_finite(data):
    system, batch = drawn("epipolar", "model.parallax=179")
    loss, metrics = system.loss(batch, 0.0, torch.Generator())
    loss.backward()
    assert metrics["usable"] == 0
    assert loss.item() == 0
    assert all(torch.isfinite(p.grad).all() for p in system.parameters() if p.grad is not None)


def test_windows_are_refused_by_lifters_that_cannot_use_them(data):
    system, batch = drawn("lifting", "batch.frames=7")
    with pytest.raises(VipeError, match=r"batch\.frames is 7, but this system looks at 1"):
        system.loss(batch, 0.0, torch.Generator())
