"""Cameras, noise and missing points of the training views."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from tests.bodies import random_people, standing
from vipe_core.geometry import project
from vipe_core.skeletons import BODY13
from vipe_training import datasets
from vipe_training.augment.cameras import CameraConfig, camera_rotation, pose_rotation
from vipe_training.augment.noise import TORSO, NoiseConfig, add_noise
from vipe_training.augment.occlusion import LIMB_POINTS, OcclusionConfig
from vipe_training.augment.views import BODY13_IN_JOINTS17, ViewConfig, Views, draw_views
from vipe_training.evaluate.protocol import BODY13_IN_17, View

LEFT, RIGHT, NOSE, HIP = BODY13.indices("left_shoulder", "right_shoulder", "nose", "left_hip")


def canonical(joints: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    return tuple(
        torch.from_numpy(v)[:, None] for v in datasets.canonical(joints.astype(np.float32))
    )


def see(rotation: torch.Tensor) -> torch.Tensor:
    """Image points (13, 2) of the standing person, from afar."""
    joints = torch.from_numpy(standing() - standing()[0])[BODY13_IN_17]
    points = joints.float() @ rotation.T
    return points[:, :2] / (points[:, 2:] + 10)


def angle(degrees: float) -> torch.Tensor:
    return torch.tensor(math.radians(degrees))


@pytest.mark.parametrize("rotation", [camera_rotation, pose_rotation])
def test_chirality_at_zero_angles(rotation):
    # The paper's camera looks along +x of a z-up frame; this person faces +z of a y-up one,
    # which maps to +x: away from that camera. Half a turn makes either person face it.
    azimuth = 0 if rotation is camera_rotation else 180
    front = see(rotation(angle(azimuth), angle(0), angle(0)))
    back = see(rotation(angle(azimuth + 180), angle(0), angle(0)))
    assert front[LEFT, 0] > front[RIGHT, 0]
    assert back[LEFT, 0] < back[RIGHT, 0]
    assert front[NOSE, 1] < front[HIP, 1]
    around = see(rotation(angle(azimuth + 360), angle(0), angle(0)))
    torch.testing.assert_close(around, front, atol=1e-5, rtol=0)


@pytest.mark.parametrize("rotation", [camera_rotation, pose_rotation])
def test_rotations_are_proper(rotation):
    angles = torch.rand(3, 50) * 6 - 3
    turn = rotation(*angles)
    torch.testing.assert_close(torch.linalg.det(turn), torch.ones(50))
    eye = torch.eye(3).expand(50, 3, 3)
    torch.testing.assert_close(turn @ turn.transpose(1, 2), eye, atol=1e-5, rtol=0)


def test_pose_rotation_is_the_written_formula():
    a, e, r = (math.radians(v) for v in (50, 20, -10))
    rz = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    ry = np.array([[np.cos(e), 0, np.sin(e)], [0, 1, 0], [-np.sin(e), 0, np.cos(e)]])
    rx = np.array([[1, 0, 0], [0, np.cos(r), -np.sin(r)], [0, np.sin(r), np.cos(r)]])
    x, y, z = rz @ ry @ rx @ np.array([0.3, 0.1, 0.2])  # z-up (x, y, z) is y-up (y, z, x)
    turned = pose_rotation(*(torch.tensor(v) for v in (a, e, r))).numpy() @ [0.1, 0.2, 0.3]
    np.testing.assert_allclose(turned, [-y, -z, x], atol=1e-6)


def test_camera_rotation_agrees_with_the_cores_camera():
    view = View(azimuth=37, elevation=-21, roll=12, distance=4)
    joints = random_people(1)[0]
    pixels = project(joints, view.camera())
    turn = camera_rotation(angle(37), angle(-21), angle(12)).double().numpy()
    seen = joints @ turn.T + [0, 0, 4]
    expected = 1000 * seen[:, :2] / seen[:, 2:] + 500
    np.testing.assert_allclose(pixels, expected, atol=0.01)


def test_no_point_comes_near_the_camera_plane(generator):
    joints, rotation = canonical(random_people(200))
    # A camera inside the body, as the paper's constant depth allows.
    config = ViewConfig(CameraConfig(90, 180, distance=(0.01,), clearance=0.2, rotate_pose=True))
    points = draw_views(joints, rotation, 2, config, generator).points
    assert torch.isfinite(points).all()
    assert points.abs().max() < 1.2 / 0.2


def test_noise_has_the_stated_size(generator):
    joints, rotation = canonical(random_people(400))
    camera = CameraConfig(distance=(3.0,))
    seed = torch.Generator().manual_seed
    clean = draw_views(joints, rotation, 2, ViewConfig(camera), seed(1)).points
    noisy = draw_views(
        joints,
        rotation,
        2,
        ViewConfig(camera, NoiseConfig(0.04)),
        seed(1),
    ).points
    torso = clean[..., TORSO, :]
    longest = torch.cdist(torso, torso).amax((-2, -1))[..., None, None]
    error = (noisy - clean) / longest
    # Uniform sigma up to 0.04: the second moment is a third of its square.
    assert error.std().item() == pytest.approx(0.04 / math.sqrt(3), rel=0.08)


def test_occlusion_hides_what_it_says(generator):
    joints, rotation = canonical(random_people(500))

    def visible(**config):
        views = ViewConfig(occlusion=OcclusionConfig(**config))
        return draw_views(joints, rotation, 2, views, generator).visible[:, :, 0]

    assert visible().all()
    independent = visible(independent=1.0, q=0.2)
    assert independent[..., TORSO].all()
    assert independent[..., LIMB_POINTS].float().mean().item() == pytest.approx(0.8, abs=0.02)
    structured = visible(structured=1.0)
    assert structured[..., TORSO].all()
    assert not structured.all()
    limbs = visible(limbs=1.0)
    arm = limbs[..., BODY13.indices("left_elbow", "left_wrist")]
    assert (arm[..., 0] == arm[..., 1]).all()
    cropped = visible(crop=1.0)
    assert not cropped[..., BODY13.indices("left_hip", "right_knee")].any()
    assert cropped[..., LEFT].all()
    first = visible(limbs=1.0, anchors_only=True)
    assert first[:, 1].all()
    assert not first[:, 0].all()
    assert visible(nose=0.5)[..., NOSE].float().mean().item() == pytest.approx(0.5, abs=0.05)


def test_to_camera_is_the_camera_that_took_the_picture(generator):
    joints, rotation = canonical(random_people(50))
    config = ViewConfig(CameraConfig(distance=(3.0,), elevation=40, roll=20))
    views = draw_views(joints, rotation, 2, config, generator)
    turned = joints[:, None] @ views.to_camera.transpose(-1, -2)  # (50, 2, 1, 17, 3)
    seen = turned[..., BODY13_IN_JOINTS17, :]
    expected = seen[..., :2] / (seen[..., 2:] + 3)
    torch.testing.assert_close(views.points, expected, atol=1e-5, rtol=1e-5)


def test_a_window_is_seen_by_one_camera(generator):
    joints, rotation = canonical(random_people(60))
    joints, rotation = joints.reshape(20, 3, 17, 3), rotation.reshape(20, 3, 3, 3)
    views = draw_views(joints, rotation, 2, ViewConfig(CameraConfig()), generator)
    assert views.points.shape == (20, 2, 3, 13, 2)
    world_to_camera = views.to_camera @ rotation[:, None].transpose(-1, -2)
    torch.testing.assert_close(
        world_to_camera, world_to_camera[:, :, :1].expand_as(world_to_camera), atol=1e-5, rtol=0
    )


def test_where_takes_whole_views(generator):
    joints, rotation = canonical(random_people(30))
    one, two = (draw_views(joints, rotation, 2, ViewConfig(), generator) for _ in range(2))
    take = torch.rand(30, 2, generator=generator) < 0.5
    mixed = one.where(take, two)
    for field in Views._fields:
        for b, v in ((0, 0), (7, 1), (29, 0)):
            source = one if take[b, v] else two
            torch.testing.assert_close(getattr(mixed, field)[b, v], getattr(source, field)[b, v])


def errors_of(config: NoiseConfig, generator, frames: int = 1) -> torch.Tensor:
    """(B, V, T, 13, 2) errors in longest torso distances."""
    joints, _ = canonical(random_people(400))
    points = joints[:, None].expand(-1, 2, frames, -1, -1)[..., BODY13_IN_JOINTS17, 1:]
    torso = points[..., TORSO, :]
    longest = torch.cdist(torso, torso).amax((-2, -1))[..., None, None]
    return (add_noise(points, config, generator) - points) / longest


def test_detector_noise_has_the_measured_size_and_heavy_tails(generator):
    errors = errors_of(NoiseConfig(sigma=0.01, detector=1.0), generator)
    nose = errors[..., NOSE, :].abs()
    # The median of |t| with three degrees of freedom is 0.765.
    assert nose.median().item() == pytest.approx(0.765 * 0.048, rel=0.15)
    hip = errors[..., HIP, :].abs()
    assert hip.median() < nose.median()
    # A Gaussian would keep 99.9 % within five medians.
    assert (nose > 5 * nose.median()).float().mean() > 0.01
    assert errors.abs().max() < 1.5 * 10 * 0.048


def test_detector_errors_are_steady_within_a_window(generator):
    errors = errors_of(NoiseConfig(detector=1.0), generator, frames=3).clamp(-0.1, 0.1)
    one, other = errors[:, :, 0].flatten(), errors[:, :, 1].flatten()
    assert torch.corrcoef(torch.stack([one, other]))[0, 1].item() == pytest.approx(0.7, abs=0.1)


def test_the_share_of_views_with_detector_noise(generator):
    errors = errors_of(NoiseConfig(detector=0.25), generator)
    assert (errors != 0).any((-3, -2, -1)).float().mean().item() == pytest.approx(0.25, abs=0.04)


def test_swapped_views_are_swapped_whole(generator):
    points = torch.rand(300, 2, 2, 13, 2, generator=generator)
    swapped = add_noise(points, NoiseConfig(swap=0.5), generator)
    other = points[..., list(BODY13.mirror), :]
    is_own = (swapped == points).all(-1).all(-1).all(-1)
    is_other = (swapped == other).all(-1).all(-1).all(-1)
    assert (is_own ^ is_other).all()
    assert is_other.float().mean().item() == pytest.approx(0.5, abs=0.06)


def test_points_beyond_an_edge_are_worse_and_half_of_the_body_is_not(generator):
    plain = errors_of(NoiseConfig(sigma=0.02), torch.Generator().manual_seed(5))
    cut = errors_of(NoiseConfig(sigma=0.02, outside=1.0), torch.Generator().manual_seed(5))
    ratio = (cut / plain).nan_to_num(1.0)
    worse = (ratio > 2).all(-1)
    torch.testing.assert_close(ratio[worse], torch.full_like(ratio[worse], 4), rtol=0.1, atol=0)
    torch.testing.assert_close(ratio[~worse], torch.ones_like(ratio[~worse]), rtol=0.1, atol=0)
    assert worse.sum(-1).max() <= 6
    assert worse.any(-1).float().mean() > 0.5
