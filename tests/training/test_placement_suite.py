"""The suite of placement: shots and depth images against what they are made of, figures against
known errors, and the whole suite on a lifter that knows a little."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.bodies import random_people, standing, write_motion_file
from tests.training.scenes import task
from vipe_core.errors import VipeError
from vipe_core.geometry import (
    body_frame,
    project,
    rotation_matrix,
    stature,
    to_body_frame,
)
from vipe_core.placement import Placements
from vipe_core.skeletons import BLAZEPOSE33, BODY13, JOINTS17
from vipe_training.evaluate import protocol
from vipe_training.evaluate.metrics import placement, smoothness
from vipe_training.evaluate.samples import depth_images, shots
from vipe_training.evaluate.suites import placement as suite
from vipe_training.evaluate.suites import placement_figures, smoothing_findings
from vipe_training.evaluate.task import Contestant

IN_17 = protocol.BODY13_IN_17


def knows(people: np.ndarray):
    """Lifts people (N, 17, 3) in their order, whatever it sees."""
    truth = to_body_frame(people, "joints17") / stature(people)[:, None, None]
    return lambda points, visibility: (truth[: len(points)], np.full((len(points), 17), 0.01))


def guesses(points: np.ndarray, visibility: np.ndarray):
    """Everybody just stands."""
    one = standing()[None]
    pose = to_body_frame(one, "joints17") / stature(one)[:, None, None]
    return np.repeat(pose, len(points), axis=0), np.full((len(points), 17), 0.05)


def write_video(path, frames: int = 100, swap: bool = False):
    """A person filmed by two cameras; the detector "full" is 2 px off, and may swap the sides in
    the first half."""
    people = random_people(1).repeat(frames, axis=0)
    people = people[:, IN_17] + 0.3 * np.sin(np.arange(frames) / 20)[:, None, None]
    views = [protocol.View(45, 13, 0, 4.4).camera(), protocol.View(20, 5).camera()]
    points = np.stack([project(people, camera) for camera in views])
    found = points + 2
    if swap:
        found[:, : frames // 2] = found[:, : frames // 2, list(BODY13.mirror)]
    kp33 = np.zeros((2, frames, 33, 4), np.float32)
    kp33[:, :, BLAZEPOSE33.indices(*BODY13.joints), :2] = found
    kp33[..., 3] = 1
    np.savez(
        path,
        K=np.stack([camera.matrix for camera in views]),
        R=np.stack([camera.rotation for camera in views]),
        T=np.stack([camera.translation for camera in views]),
        points3d=people,
        kp33_full=kp33,
        fps=np.float32(60),
    )
    return path


class TestShots:
    def test_rendered_people_are_where_they_are_said_to_be(self):
        seen = shots.rendered(random_people(60), 0.0, 1)
        assert seen.joints is not None
        np.testing.assert_allclose(stature(seen.joints), seen.height)
        assert abs(seen.height.mean() - 1.7) < 0.05
        rays = seen.lens.undistort(seen.points)
        flat = seen.joints[:, IN_17, :2] / seen.joints[:, IN_17, 2:]
        there = seen.visibility > 0
        np.testing.assert_allclose(rays[there], flat[there], atol=1e-9)
        turned, origin = body_frame(seen.joints, "joints17")
        np.testing.assert_allclose(seen.rotation, turned)
        np.testing.assert_allclose(seen.root, origin)
        away = np.linalg.norm(seen.root, axis=1)
        assert away.min() >= shots.NEAR - 0.01
        assert away.max() <= shots.FAR + 0.01
        assert len(seen[3:7]) == 4

    def test_a_take_is_of_one_person_by_one_camera(self):
        people = random_people(6)
        who, camera = np.zeros(6, int), np.array([0, 0, 0, 1, 1, 1])
        seen = shots.rendered(people, 0.0, 1, who, camera)
        assert len(set(seen.height)) == 1
        np.testing.assert_allclose(seen.root[:3], seen.root[:1].repeat(3, 0), atol=1e-9)
        assert np.abs(seen.root[3] - seen.root[0]).max() > 0.1

    def test_noise_is_a_share_of_the_torso(self):
        people = random_people(300)
        exact, noisy = (shots.rendered(people, noise, 4).points for noise in (0.0, 0.02))
        torso = exact[:, BODY13.indices("left_shoulder", "right_shoulder", "left_hip", "right_hip")]
        longest = np.linalg.norm(torso[:, :, None] - torso[:, None], axis=-1).max(axis=(1, 2))
        relative = (noisy - exact) / longest[:, None, None]
        assert np.nanstd(relative) == pytest.approx(0.02, rel=0.05)

    def test_own_height(self):
        people = random_people(40, seed=2)
        assert shots.own_height(people[:, IN_17]) == pytest.approx(stature(people).mean(), rel=0.04)

    def test_filmed(self, tmp_path):
        found = shots.filmed(write_video(tmp_path / "v.npz", swap=True))
        assert set(found) == {"full", "exact projections"}
        assert [int(each.swapped.sum()) for each in found["full"]] == [50, 50]
        assert not any(each.swapped.any() for each in found["exact projections"])
        for each in found["exact projections"]:
            hips = each.points[:, BODY13.indices("left_hip", "right_hip")].mean(axis=1)
            rays = each.root[:, :2] / each.root[:, 2:]
            np.testing.assert_allclose(each.lens.undistort(hips), rays, atol=0.01)


class TestDepthImages:
    def test_distance_against_a_loop(self):
        rng = np.random.default_rng(0)
        points, start, way = rng.normal(size=(20, 3)), *rng.normal(size=(2, 4, 3))
        radii = rng.uniform(0.1, 0.3, 4)
        found = depth_images._distance(points, start, way, radii)
        steps = np.linspace(0, 1, 2001)[:, None]
        for n, point in enumerate(points):
            gaps = [
                np.linalg.norm(start[c] + steps * way[c] - point, axis=1).min() - radii[c]
                for c in range(4)
            ]
            assert found[n] == pytest.approx(min(gaps), abs=1e-3)

    def test_skin_is_before_the_joints_and_the_wall_behind(self):
        seen, rng = shots.rendered(random_people(5), 0.0, 3), np.random.default_rng(0)
        assert seen.joints is not None
        small = seen.lens.for_size(depth_images.SIZE)
        for joints, height in zip(seen.joints, seen.height, strict=True):
            image = depth_images.depth_image(joints, height, seen.lens, 1.0, rng)
            assert image.dtype == np.uint16
            assert image.shape == (240, 320)
            assert (image == 0).mean() == pytest.approx(0.05, abs=0.01)
            assert image.max() / 1000 == pytest.approx(joints[0, 2] + 2, rel=0.03)
            for name in ("left_knee", "right_knee", "neck"):
                joint = joints[JOINTS17.index(name)]
                x, y = np.rint((small.matrix @ joint)[:2] / joint[2]).astype(int)
                if 1 < x < 318 and 1 < y < 238:
                    near = image[y - 1 : y + 2, x - 1 : x + 2] / 1000
                    assert 0 < np.median(near[near > 0]) < joint[2]


class TestFigures:
    def known(self):
        """Two people with known errors and one who is not placed."""
        seen = shots.rendered(random_people(3), 0.0, 0)
        ray = seen.root / np.linalg.norm(seen.root, axis=1, keepdims=True)
        aside = np.cross(ray, [0, 1.0, 0])
        aside /= np.linalg.norm(aside, axis=1, keepdims=True)
        gap = np.array([0.3, -0.1, 0])[:, None] * ray + np.array([0.0, 0.04, 0])[:, None] * aside
        turn = rotation_matrix(np.array([[0.5, 0, 0], [0, 0, 0], [0, 0, 0]]))
        # Turned about the body's own z axis, the chest is off by as much.
        turn[0] = seen.rotation[0] @ rotation_matrix(np.array([0, 0, 0.5])) @ seen.rotation[0].T
        covariance = np.stack([np.diag([0.01] * 3 + [1.0] * 3)] * 3)
        found = Placements(
            np.array([True, True, False]),
            np.where(np.arange(3)[:, None, None] < 2, turn @ seen.rotation, np.nan),
            np.where(np.arange(3)[:, None] < 2, seen.root + gap, np.nan),
            covariance,
            seen.height + 0.05,
            np.full(3, 0.08),
            ("height", "height", ""),
        )
        return placement.errors(found, seen)

    def test_errors(self):
        found = self.known()
        np.testing.assert_allclose(found.along[:2], [0.3, -0.1], atol=1e-9)
        np.testing.assert_allclose(found.across[:2], [0, 0.04], atol=1e-9)
        np.testing.assert_allclose(found.total[:2], [0.3, np.hypot(0.1, 0.04)])
        np.testing.assert_allclose(found.chest[:2], [0.5, 0], atol=1e-6)
        # 0.3 m are three standard deviations; the ellipsoid ends at 2.5.
        np.testing.assert_array_equal(found.inside, [False, True, False])

    def test_summary(self):
        said = placement.summarize(self.known())
        assert said["views"] == 3
        assert said["placed"] == pytest.approx(200 / 3)
        assert said["along"] == pytest.approx(200)
        assert said["bias"] == pytest.approx(100)
        assert said["inside"] == 50
        assert said["height"] == pytest.approx(50)
        nobody = placement.summarize(self.known(), np.array([False, False, True]))
        assert nobody == {"views": 1, "placed": 0}
        twice = placement.summarize(placement.join([self.known()] * 2))
        assert twice["along"] == said["along"]

    def test_who_knows_pose_and_height_knows_the_place(self):
        people = random_people(20)
        seen = shots.rendered(people, 0.0, 2)
        found = placement.summarize(placement_figures._own(knows(people), seen))
        assert found["placed"] == 100
        assert found["total90"] < 2
        assert found["chest90"] < 0.2
        rng = np.random.default_rng(0)
        deep = placement.summarize(placement_figures._deep(knows(people), seen, rng))
        assumed = placement_figures._at_once(knows(people), seen, placement_figures.Placer())
        assert deep["total"] < placement.summarize(assumed)["total"] / 2

    def test_swapped_views_are_counted_apart(self, tmp_path):
        cameras = shots.filmed(write_video(tmp_path / "v.npz", swap=True))["full"]
        found = placement_figures.filmed_figures(guesses, cameras, 1.7, 0.08)
        assert [found[name]["views"] for name in found] == [200, 100, 100]
        assert list(found) == ["all views", "sides right", "sides swapped"]


class TestSmoothness:
    def test_acceleration_of_a_parabola(self):
        stamps = np.arange(50) / 25
        motion = np.zeros((50, 2, 3))
        motion[..., 1] = 0.5 * 3 * stamps[:, None] ** 2
        assert smoothness.acceleration(motion, 25) == pytest.approx(3)

    @pytest.mark.parametrize("late", [0.0, 0.05, 0.2])
    def test_lag_of_a_late_motion(self, late):
        stamps = np.arange(300) / 50

        def motion(t):
            return np.stack([np.sin(2 * t), np.cos(3 * t)], axis=-1)[:, None]

        found = smoothness.lag(motion(stamps - late) + 7, motion(stamps), 50)
        assert found == pytest.approx(late, abs=0.003)

    def test_a_filter_is_steadier_and_later(self):
        stamps = np.arange(300) / 50
        truth = 0.2 * np.stack([np.sin(2 * stamps)] * 3, axis=-1)[:, None]
        noise = np.random.default_rng(0).normal(0, 0.01, truth.shape)
        take = smoothing_findings.Take(truth + noise, truth, 50)
        plain, smooth = (smoothing_findings.figures([take], s) for s in (None, (2.0, 0.0)))
        assert plain[1:3] == [0, 0]
        assert smooth[0] < plain[0] / 4
        assert smooth[1] == pytest.approx(smooth[2], abs=6)
        assert smooth[2] == pytest.approx(1000 / (2 * np.pi * 2), abs=0.1)


def test_the_suite(tmp_path, monkeypatch):
    monkeypatch.setenv("VIPE_DATA", str(tmp_path))
    write_motion_file(tmp_path / "m.npz", 240)
    rivals = [Contestant("stands", "stands", lift=guesses), Contestant("mute", "mute")]
    options: dict[str, Any] = {"multiview": None, "draws": 2, "deep": 10}
    with pytest.raises(VipeError, match="nothing to measure: mute does not lift single frames"):
        suite.run(task(rivals[1:], "m.npz", 12, **options))
    for wrong in ({"draws": 0}, {"deep": 9}):
        bad: dict[str, Any] = {**options, **wrong}
        with pytest.raises(VipeError, match="--draws must be at least 1 and --deep at least 10"):
            suite.run(task(rivals, "m.npz", 12, **bad))
    with pytest.raises(VipeError, match="no multi-view video"):
        suite.run(task(rivals, "m.npz", 12, **options | {"multiview": tmp_path / "none.npz"}))
    findings = suite.run(task(rivals, "m.npz", 12, **options))
    assert findings.skipped == [
        "mute does not lift single frames",
        f"the real video: no {suite.VIDEO} in the data folder",
    ]
    rendered, smoothing = findings.tables
    assert [name.split(", ")[1] for name in rendered.rows] == 2 * [
        *("assumed height", "own height", "depth", "takes with depth", "learned height")
    ]
    assert rendered.rows["exact, assumed height"][0] == "24"
    assert "±" in str(rendered.rows["exact, depth"][2])
    said = findings.summary["stands"]
    assert said["placement mm, exact, depth"] < said["placement mm, exact, assumed height"]
    assert next(iter(smoothing.rows)) == "none"

    path = write_video(tmp_path / "v.npz", swap=True)
    options |= {"multiview": path, "draws": 1}
    films = suite.run(task(rivals[:1], "m.npz", 12, **options))
    filmed = films.tables[0]
    assert len(filmed.rows) == 8  # 2 heights x (3 kinds of views, 1 where nothing is swapped)
    assert [row[0] for row in filmed.rows.values()] == [200, 100, 100] * 2 + [200] * 2
    titles = [table.title for table in films.tables]
    assert titles[2:] == [
        f"Smoothing of {kind}: stands"
        for kind in ("joints, rendered motion", "joints, real video", "place, real video")
    ]
