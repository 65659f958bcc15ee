"""Geometry against naive oracles and hand-made bodies."""

from __future__ import annotations

import numpy as np
import pytest

from tests.bodies import random_people, random_rotations, standing
from vipe_core.errors import VipeError
from vipe_core.geometry import (
    Camera,
    body_frame,
    mirror_points,
    mpjpe,
    normalize_2d,
    normalize_3d,
    np_mpjpe,
    pairwise_np_mpjpe,
    procrustes,
    project,
    ranked_np_mpjpe,
    stature,
    to_body_frame,
)
from vipe_core.skeletons import BODY13, COCO17, JOINTS17

IN_17 = JOINTS17.indices(*BODY13.joints)


def similar(joints: np.ndarray, seed: int = 0) -> np.ndarray:
    """Every pose turned, scaled and moved by its own random similarity."""
    rng = np.random.default_rng(seed)
    turn = random_rotations(len(joints), rng)
    scale = rng.uniform(0.3, 3, (len(joints), 1, 1))
    return scale * joints @ turn + rng.normal(0, 5, (len(joints), 1, 3))


def naive_np_mpjpe(target: np.ndarray, source: np.ndarray) -> float:
    """The definition, joint by joint."""
    a, b = target - target.mean(0), source - source.mean(0)
    u, s, vt = np.linalg.svd(a.T @ b)
    if np.linalg.det(u @ vt) < 0:
        s[-1] = -s[-1]
        vt[-1] = -vt[-1]
    aligned = s.sum() / (b**2).sum() * b @ (u @ vt).T + target.mean(0)
    return np.mean([np.sqrt(((p - q) ** 2).sum()) for p, q in zip(target, aligned, strict=True)])


class TestNormalize2D:
    def test_hips_at_origin_and_longest_torso_distance_is_a_half(self):
        points = random_people(20)[:, IN_17, :2]
        normal = normalize_2d(points, "body13")
        hips = normal[:, BODY13.indices("left_hip", "right_hip")].mean(1)
        torso = normal[
            :, BODY13.indices("left_shoulder", "right_shoulder", "left_hip", "right_hip")
        ]
        longest = max(np.linalg.norm(torso[0, i] - torso[0, j]) for i in range(4) for j in range(4))
        np.testing.assert_allclose(hips, 0, atol=1e-12)
        assert longest == pytest.approx(0.5, abs=1e-12)

    def test_translation_and_scale_do_not_matter_but_rotation_does(self):
        points = random_people(5)[:, IN_17, :2]
        normal = normalize_2d(points, "body13")
        np.testing.assert_allclose(normalize_2d(7 * points + [300, -20], "body13"), normal)
        turned = points @ np.array([[0.0, 1], [-1, 0]])
        assert np.abs(normalize_2d(turned, "body13") - normal).max() > 0.1

    def test_one_point_body_stays_finite(self):
        assert np.isfinite(normalize_2d(np.ones((2, 13, 2)), "body13")).all()

    def test_works_on_any_skeleton_with_a_torso(self):
        assert normalize_2d(np.random.default_rng(0).random((17, 2)), COCO17).shape == (17, 2)

    def test_dtype_is_kept(self):
        points = np.random.default_rng(0).random((13, 2))
        assert normalize_2d(points, "body13").dtype == np.float64
        assert normalize_2d(points.astype(np.float32), "body13").dtype == np.float32

    def test_unknown_skeleton_is_one_clear_line(self):
        with pytest.raises(VipeError, match="unknown skeleton 'body14'"):
            normalize_2d(np.zeros((13, 2)), "body14")


class TestNormalize3D:
    def test_pelvis_at_origin_and_trunk_is_one(self):
        normal = normalize_3d(random_people(10) + 3, "joints17")
        pelvis, spine, neck = (normal[:, JOINTS17.index(j)] for j in ("pelvis", "spine", "neck"))
        trunk = np.linalg.norm(spine - pelvis, axis=1) + np.linalg.norm(neck - spine, axis=1)
        np.testing.assert_allclose(pelvis, 0, atol=1e-12)
        np.testing.assert_allclose(trunk, 1)

    def test_body13_uses_hips_and_shoulders(self):
        normal = normalize_3d(random_people(3)[:, IN_17], "body13")
        shoulders = normal[:, BODY13.indices("left_shoulder", "right_shoulder")].mean(1)
        np.testing.assert_allclose(np.linalg.norm(shoulders, axis=1), 1)

    def test_point_body_stays_finite(self):
        assert np.isfinite(normalize_3d(np.zeros((17, 3)), "joints17")).all()


class TestProcrustes:
    def test_undoes_a_similarity(self):
        target = random_people(10)
        source = similar(target)
        rotation, scale, translation = procrustes(target, source)
        np.testing.assert_allclose(scale * source @ rotation + translation, target, atol=1e-9)
        np.testing.assert_allclose(np.linalg.det(rotation), 1)

    def test_weights_leave_joints_out(self):
        target = random_people(4)
        source = similar(target)
        source[:, 3] += 100
        weights = np.ones((4, 17))
        weights[:, 3] = 0
        rotation, scale, translation = procrustes(target, source, weights)
        aligned = scale * source @ rotation + translation
        np.testing.assert_allclose(mpjpe(target, aligned, weights), 0, atol=1e-9)

    def test_planar_points_and_no_reflection(self):
        points = np.random.default_rng(1).normal(size=(13, 2))
        rotation, *_ = procrustes(points, points * [-1, 1])
        assert np.linalg.det(rotation) == pytest.approx(1)

    @pytest.mark.parametrize("source", [np.zeros((17, 3)), np.outer(np.arange(17.0), [1, 2, 3])])
    def test_degenerate_bodies_stay_finite(self, source):
        for part in procrustes(standing(), source):
            assert np.isfinite(part).all()


class TestNpMpjpe:
    def test_similarity_transforms_are_distance_zero(self):
        poses = random_people(20)
        a, b = normalize_3d(poses, "joints17"), normalize_3d(similar(poses), "joints17")
        assert np_mpjpe(a, b).max() < 1e-5
        assert np.abs(pairwise_np_mpjpe(a, b).diagonal()).max() < 1e-5

    def test_mirrored_pose_is_another_pose(self):
        pose = normalize_3d(standing(), "joints17")
        assert np_mpjpe(pose, mirror_points(pose, "joints17")) > 0.1

    def test_it_is_not_symmetric(self):
        a, b = normalize_3d(random_people(2), "joints17")
        assert np_mpjpe(a, b) != pytest.approx(np_mpjpe(b, a), abs=1e-6)

    def test_batched_and_pairwise_agree_with_the_naive_loop(self):
        poses = normalize_3d(random_people(25), "joints17")
        pairs = pairwise_np_mpjpe(poses[:10], poses[10:])
        for i in range(10):
            for j in range(15):
                naive = naive_np_mpjpe(poses[i], poses[10 + j])
                assert np_mpjpe(poses[i], poses[10 + j]) == pytest.approx(naive, abs=1e-10)
                assert pairs[i, j] == pytest.approx(naive, abs=1e-6)

    def test_ranked_and_masked_pairs_agree_with_one_by_one(self):
        poses = normalize_3d(random_people(30), "joints17")
        ranking = np.random.default_rng(0).integers(0, 30, (10, 4))
        ranked = ranked_np_mpjpe(poses[:10], poses[ranking])
        rng = np.random.default_rng(1)
        shown = rng.random((30, 17)) > 0.4
        shown[0] = np.arange(17) < 8
        shown[20] = ~shown[0]
        masked = pairwise_np_mpjpe(poses[:10], poses[10:], shown[:10], shown[10:])
        for i in range(10):
            for k in range(4):
                naive = naive_np_mpjpe(poses[i], poses[ranking[i, k]])
                assert ranked[i, k] == pytest.approx(naive, abs=1e-6)
            for j in range(20):
                both = shown[i] & shown[10 + j]
                if not both.any():
                    assert np.isnan(masked[i, j])
                    continue
                one = float(np_mpjpe(poses[i], poses[10 + j], both))
                assert masked[i, j] == pytest.approx(one, abs=1e-6)
        assert np.isnan(masked[0, 10])

    def test_bodies_whose_best_rotation_is_not_unique(self):
        flat = normalize_3d(random_people(3), "joints17") * [1, 1, 0]
        line = np.outer(np.arange(17.0), [0, 1, 0])
        bodies = np.stack([line, *flat, *mirror_points(flat, "joints17"), np.zeros((17, 3))])
        pairs = pairwise_np_mpjpe(bodies, bodies)
        np.testing.assert_allclose(pairs, np_mpjpe(bodies[:, None], bodies[None]), atol=1e-5)

    def test_hidden_joints_do_not_count(self):
        a, b = normalize_3d(random_people(2), "joints17")
        weights = np.ones(17)
        weights[[3, 16]] = 0
        changed = b.copy()
        changed[[3, 16]] = 9
        assert np_mpjpe(a, b, weights) == pytest.approx(float(np_mpjpe(a, changed, weights)))

    @pytest.mark.parametrize("body", [np.zeros((17, 3)), np.outer(np.arange(17.0), [0, 1, 0])])
    def test_degenerate_bodies_give_finite_results(self, body):
        poses = np.stack([body, normalize_3d(standing(), "joints17")])
        assert np.isfinite(pairwise_np_mpjpe(poses, poses)).all()
        assert np.isfinite(np_mpjpe(poses[0], poses[1]))


def test_mpjpe_is_the_mean_distance_and_knows_about_nothing():
    a, b = np.zeros((2, 3)), np.array([[3.0, 4, 0], [0, 0, 1]])
    assert mpjpe(a, b) == 3
    assert mpjpe(a, b, np.array([1, 0])) == 5
    assert np.isnan(mpjpe(a, b, np.zeros(2)))
    assert mpjpe(a, np.array([[3.0, 4, 0], [np.nan] * 3]), np.array([1, 0])) == 5


class TestBodyFrame:
    def test_axes_of_a_known_person(self):
        joints = to_body_frame(standing(), "joints17")
        at = {name: joints[JOINTS17.index(name)] for name in JOINTS17.joints}
        np.testing.assert_allclose(at["pelvis"], 0, atol=1e-12)
        assert at["nose"][0] > 0.09  # x forward
        assert at["left_shoulder"][1] > 0.15  # y left
        assert at["head"][2] > 0.7  # z up
        assert at["right_ankle"][0] > 0.2  # the right foot is forward
        assert at["left_wrist"][2] > at["head"][2]  # the left hand is raised

    def test_rigid_motion_does_not_matter(self):
        people = random_people(30)
        moved = people @ random_rotations(30, np.random.default_rng(2)) + 4
        np.testing.assert_allclose(
            to_body_frame(moved, "joints17"), to_body_frame(people, "joints17"), atol=1e-9
        )

    def test_mirrored_person_has_the_mirrored_canonical_pose(self):
        people = random_people(10)
        mirrored = to_body_frame(mirror_points(people, "joints17", axis=0), "joints17")
        canonical = to_body_frame(people, "joints17")
        np.testing.assert_allclose(
            mirrored, mirror_points(canonical, "joints17", axis=1), atol=1e-9
        )

    def test_rotation_is_proper_and_works_on_body13(self):
        rotation, origin = body_frame(random_people(8)[:, IN_17], "body13")
        np.testing.assert_allclose(np.linalg.det(rotation), 1)
        assert origin.shape == (8, 3)

    def test_hips_in_one_place_fall_back_to_the_shoulders(self):
        person = standing()
        for joint in ("left_hip", "right_hip"):
            person[JOINTS17.index(joint)] = person[0]
        joints = to_body_frame(person, "joints17")
        assert joints[JOINTS17.index("left_shoulder"), 1] > 0.15

    @pytest.mark.parametrize("body", [np.zeros((17, 3)), np.outer(np.ones(17), [0.0, 1, 0])])
    def test_point_body_stays_finite(self, body):
        assert np.isfinite(to_body_frame(body, "joints17")).all()


class TestCamera:
    def view(self, azimuth: float, **options) -> np.ndarray:
        position = 4 * np.array([np.sin(azimuth), 0.0, np.cos(azimuth)]) + [0, 1, 0]
        camera = Camera.look_at(position, np.array([0, 1.0, 0]), np.array([0, 1.0, 0]), **options)
        return project(standing(), camera)

    def at(self, points: np.ndarray, joint: str) -> np.ndarray:
        return points[JOINTS17.index(joint)]

    def test_chirality_person_who_faces_the_camera_has_left_on_the_image_right(self):
        front, back = self.view(0), self.view(np.pi)
        assert self.at(front, "left_shoulder")[0] > self.at(front, "right_shoulder")[0]
        assert self.at(back, "left_shoulder")[0] < self.at(back, "right_shoulder")[0]

    def test_head_is_above_the_hips(self):
        points = self.view(0.3)
        assert self.at(points, "head")[1] < self.at(points, "left_hip")[1]

    def test_full_circle_returns_the_image(self):
        np.testing.assert_allclose(self.view(2 * np.pi), self.view(0), atol=1e-9)

    def test_hand_computed_pixel(self):
        camera = Camera(
            np.array([[100.0, 0, 50], [0, 200, 60], [0, 0, 1]]), np.eye(3), np.array([0, 0, 2.0])
        )
        np.testing.assert_allclose(project(np.array([[1.0, 2, 2]]), camera), [[75, 160]])

    def test_positive_roll_turns_the_image_clockwise(self):
        upright, rolled = self.view(0), self.view(0, roll=0.3)
        assert self.at(rolled, "head")[0] > self.at(upright, "head")[0] + 20

    def test_points_behind_the_camera_have_no_image(self):
        camera = Camera(np.eye(3), np.eye(3), np.zeros(3))
        points = project(np.array([[0.0, 0, -1], [0, 0, 0], [0, 0, 1]]), camera)
        assert np.isnan(points[:2]).all()
        assert np.isfinite(points[2]).all()


class TestStature:
    def test_known_person_and_any_pose(self):
        person = standing()
        assert 1.6 < stature(person) < 1.9
        turned = person @ random_rotations(1, np.random.default_rng(0))[0]
        assert stature(2 * turned + 1) == pytest.approx(2 * float(stature(person)))


def test_mirroring_twice_is_nothing():
    points = np.random.default_rng(0).random((5, 13, 2)) * 100
    twice = mirror_points(mirror_points(points, "body13", width=640), "body13", width=640)
    np.testing.assert_allclose(twice, points)
