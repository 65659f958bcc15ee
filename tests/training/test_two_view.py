"""Two uncalibrated views against the truth that they were rendered from."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.bodies import random_people, random_rotations
from vipe_core.skeletons import BODY13, JOINTS17
from vipe_training import two_view
from vipe_training.models.epipolar import EpipolarConfig, complete, pseudo_poses

BODY = JOINTS17.indices(*BODY13.joints)
WINDOW = 5


def scene(count: int = 20, noise: float = 0.0):
    """Windows of points about 3 units away in two cameras: points (N, 2, P, 2), relative
    rotation (N, 3, 3), unit translation (N, 3), and depths in baselines (N, P)."""
    rng = np.random.default_rng(0)
    points = rng.uniform(-0.5, 0.5, (count, 30, 3))
    rotation = random_rotations(count, rng, 0.3)
    centre = np.array([0, 0, 3.0])
    first = points + centre
    second = np.einsum("nij,npj->npi", rotation, points) + centre
    translation = centre - rotation @ centre
    length = np.linalg.norm(translation, axis=1, keepdims=True)
    images = np.stack([v[..., :2] / v[..., 2:] for v in (first, second)], 1)
    images += noise * rng.standard_normal(images.shape)
    depth = first[..., 2] / length
    return tuple(torch.from_numpy(v) for v in (images, rotation, translation / length, depth))


def test_the_pose_of_the_cameras_and_the_points_are_found_again():
    images, rotation, translation, depth = scene()
    found = two_view.reconstruct(images[:, 0], images[:, 1], torch.ones(20, 30))
    torch.testing.assert_close(found.rotation, rotation, atol=1e-6, rtol=0)
    torch.testing.assert_close(found.translation, translation, atol=1e-6, rtol=0)
    torch.testing.assert_close(found.points[..., 2], depth, atol=1e-5, rtol=1e-5)
    assert (found.in_front == 1).all()
    assert found.residual.max() < 1e-8


def test_refinement_lowers_the_residual_under_noise():
    images, rotation, *_ = scene(noise=0.004)
    weight = torch.ones(20, 30)
    rough = two_view.reconstruct(images[:, 0], images[:, 1], weight, refinements=0)
    fine = two_view.reconstruct(images[:, 0], images[:, 1], weight, refinements=8)
    assert (fine.residual <= rough.residual + 1e-12).all()
    assert fine.residual.mean() < 0.01

    def degrees(found):
        trace = (found.rotation.transpose(1, 2) @ rotation).diagonal(dim1=1, dim2=2).sum(1)
        return torch.rad2deg(torch.arccos(((trace - 1) / 2).clamp(-1, 1)))

    assert degrees(fine).median() < degrees(rough).median()


def test_points_of_no_weight_do_not_matter():
    images, rotation, *_ = scene()
    weight = torch.ones(20, 30)
    weight[:, :6] = 0
    images[:, 0, :6] += 5
    found = two_view.reconstruct(images[:, 0], images[:, 1], weight)
    torch.testing.assert_close(found.rotation, rotation, atol=1e-6, rtol=0)


def test_essential_matrix_and_its_four_decompositions():
    images, rotation, translation, _ = scene()
    e = two_view.essential_matrix(images[:, 0], images[:, 1], torch.ones(20, 30).double())
    a, b = (two_view.homogeneous(images[:, v]) for v in (0, 1))
    assert torch.einsum("npi,nij,npj->np", b, e, a).abs().max() < 1e-9
    rotations, translations = two_view.decompose(e)
    assert (torch.linalg.det(rotations) - 1).abs().max() < 1e-9
    right = (rotations - rotation[:, None]).abs().amax((2, 3)) < 1e-6
    right &= (translations - translation[:, None]).abs().amax(2) < 1e-6
    assert (right.sum(1) == 1).all()


def test_sampson_distance_and_depths_against_loops():
    images, rotation, translation, _ = scene(3, noise=0.01)
    e = two_view.cross_matrix(translation) @ rotation
    distance = two_view.sampson(images[:, 0], images[:, 1], e)
    first, second = two_view.depths(images[:, 0], images[:, 1], rotation, translation)
    for n in range(3):
        for p in range(30):
            a, b = (np.append(images[n, v, p].numpy(), 1) for v in (0, 1))
            matrix = e[n].numpy()
            line, other = matrix @ a, matrix.T @ b
            slope = np.sqrt(line[0] ** 2 + line[1] ** 2 + other[0] ** 2 + other[1] ** 2)
            assert distance[n, p].item() == pytest.approx(b @ matrix @ a / slope, abs=1e-12)
            system = np.stack([rotation[n].numpy() @ a, -b], 1)
            (s, r), *_ = np.linalg.lstsq(system, -translation[n].numpy(), rcond=None)
            assert first[n, p].item() == pytest.approx(s, rel=1e-6)
            assert second[n, p].item() == pytest.approx(r, rel=1e-6)


def people(noise: float = 0.0):
    """Windows of moving people, seen by two cameras: points (B, 2, T, 13, 2), and the truth
    about mid-hip in either camera's axes (B, 2, T, 13, 3), in statures."""
    rng = np.random.default_rng(0)
    joints = random_people(8 * WINDOW)[:, BODY] / 1.7
    joints = joints.reshape(8, WINDOW, 13, 3)
    centred = joints - joints[..., 7:9, :].mean(-2, keepdims=True)
    angles = rng.uniform(-np.pi, np.pi, (8, 1)) + np.array([0, 1.2])
    c, s, zero = np.cos(angles), np.sin(angles), np.zeros_like(angles)
    look = np.stack([c, zero, s, zero, zero - 1, zero, s, zero, -c], -1).reshape(8, 2, 1, 3, 3)
    truth = centred[:, None] @ look.swapaxes(-1, -2)
    seen = truth + np.array([0, 0, 2.0])
    points = seen[..., :2] / seen[..., 2:]
    points = points + noise * rng.standard_normal(points.shape)
    return torch.from_numpy(points), torch.from_numpy(truth)


def error(poses: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Mean joint error once the one unknown, the size, is put right; per window and view."""
    size = (poses * truth).sum((2, 3, 4), keepdim=True) / (poses**2).sum((2, 3, 4), keepdim=True)
    return (size * poses - truth).norm(dim=-1).mean((2, 3))


def test_pseudo_poses_are_the_truth_in_both_cameras():
    points, truth = people()
    visible = torch.ones(points.shape[:-1], dtype=torch.bool)
    poses, usable = pseudo_poses(points, visible, EpipolarConfig(asymmetry=1.0))
    assert usable.all()
    assert error(poses, truth).max() < 1e-4
    trunk = poses[..., 1:3, :].mean(-2).norm(dim=-1).mean((1, 2))
    torch.testing.assert_close(trunk, torch.full_like(trunk, 0.288), atol=1e-6, rtol=0)


def test_pseudo_poses_bear_noise_and_single_frames():
    points, truth = people(noise=0.0015)
    visible = torch.ones(points.shape[:-1], dtype=torch.bool)
    poses, usable = pseudo_poses(points, visible, EpipolarConfig(asymmetry=1.0, refinements=8))
    good = usable.any(-1).any(-1)
    assert good.sum() >= 5
    assert error(poses, truth)[good].median() < 0.05
    points, truth = people()
    one, usable = pseudo_poses(points[:, :, 2], visible[:, :, 2], EpipolarConfig(asymmetry=1.0))
    assert one.shape == (8, 2, 13, 3)
    assert usable.shape == (8, 2)
    assert error(one[:, :, None], truth[:, :, 2:3])[usable].max() < 1e-3


def test_a_hidden_or_lost_point_takes_its_frame_out_and_nothing_else():
    points, truth = people()
    visible = torch.ones(points.shape[:-1], dtype=torch.bool)
    visible[0, 1, 2, 6] = False
    points[0, 1, 2, 6] = 7.0
    points[1, 0, 3, 4] = torch.nan
    poses, usable = pseudo_poses(points, visible, EpipolarConfig(asymmetry=1.0))
    assert torch.isfinite(poses).all()
    lost = {tuple(where) for where in torch.argwhere(~usable).tolist()}
    assert lost == {(0, 0, 2), (0, 1, 2), (1, 0, 3), (1, 1, 3)}
    chosen = [0, 1, 3, 4]
    assert error(poses[:1, :, chosen], truth[:1, :, chosen]).max() < 1e-3


@pytest.mark.parametrize("how", ["swapped", "same view", "scrambled"])
def test_views_that_do_not_fit_teach_nothing(how):
    points, _ = people()
    visible = torch.ones(points.shape[:-1], dtype=torch.bool)
    if how == "swapped":  # the second detector takes left for right
        points[:, 1] = points[:, 1][..., list(BODY13.mirror), :]
    elif how == "same view":
        points[:, 1] = points[:, 0]
    else:
        points[:, 1] = points[:, 1].roll(1, 0)
    _, usable = pseudo_poses(points, visible, EpipolarConfig())
    assert usable.float().mean() < 0.3


def test_the_derived_joints_lie_where_they_are_said_to():
    points = torch.from_numpy(random_people(5)[:, BODY])
    whole = complete(points)
    index = JOINTS17.index
    hips = points[:, 7:9].mean(1)
    shoulders = points[:, 1:3].mean(1)
    torch.testing.assert_close(whole[:, BODY] + hips[:, None], points)
    torch.testing.assert_close(whole[:, index("pelvis")], torch.zeros_like(hips))
    torch.testing.assert_close(whole[:, index("neck")] + hips, shoulders)
    torch.testing.assert_close(whole[:, index("spine")] + hips, (hips + shoulders) / 2)
    head = shoulders + 0.6 * (shoulders - hips)
    torch.testing.assert_close(whole[:, index("head")] + hips, head)
