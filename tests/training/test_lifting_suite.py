"""The lifting suite on known errors, and the real video of several cameras."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from tests.bodies import random_people, write_motion_file
from tests.training.scenes import task
from vipe_core.errors import VipeError
from vipe_core.geometry import Camera, mpjpe, project, stature, to_body_frame
from vipe_core.skeletons import BLAZEPOSE33, BODY13
from vipe_training.datasets import load_motion
from vipe_training.evaluate import protocol
from vipe_training.evaluate.metrics import lifting
from vipe_training.evaluate.samples import multiview
from vipe_training.evaluate.suites import lifting as suite
from vipe_training.evaluate.task import Contestant


class TestFigures:
    def test_coverage_of_a_gaussian_is_the_diagonal(self):
        z = np.abs(np.random.default_rng(0).standard_normal((4, 500, 16, 3)))
        found = lifting.calibration(z)
        np.testing.assert_allclose(found, lifting.SHARES, atol=0.01)
        for share, value in zip(lifting.SHARES, found, strict=True):
            width = norm.ppf((1 + share) / 2)
            assert value == pytest.approx((z <= width).mean(), abs=1e-4)

    def test_a_model_too_sure_of_itself_lies_below(self):
        z = 3 * np.abs(np.random.default_rng(0).standard_normal(5000))
        assert all(f < s for f, s in zip(lifting.calibration(z), lifting.SHARES, strict=True))

    def test_by_joint_against_a_loop(self):
        rng = np.random.default_rng(0)
        lifted, truth = rng.normal(size=(3, 5, 17, 3)), rng.normal(size=(5, 17, 3))
        for j, value in enumerate(lifting.by_joint(lifted, truth)):
            gaps = [
                np.linalg.norm(lifted[c, n, j] - truth[n, j]) for c in range(3) for n in range(5)
            ]
            assert value == pytest.approx(1000 * np.mean(gaps), abs=0.01)

    def test_alignment_takes_out_what_one_camera_cannot_know(self):
        truth = random_people(5)
        turned = 0.3 * truth @ protocol.View(50, 20).camera().rotation + 4
        np.testing.assert_allclose(lifting.aligned(truth, turned), 0, atol=1e-9)

    @pytest.mark.parametrize("low", [-60, 0, 50])
    def test_cameras_of_a_bin_are_in_it(self, low):
        for view in lifting.bin_views(low, seed=3):
            assert low <= view.elevation <= low + 10

    def test_summary_of_a_shifted_lifter(self):
        truth = to_body_frame(random_people(6), "joints17")
        lifted = truth[None] + [0.01, 0, 0]
        found = lifting.summarize(lifted, np.full(lifted.shape[:3], 0.01), truth)
        assert found["mpjpe"] == pytest.approx(10)
        assert found["pa_mpjpe"] == pytest.approx(0, abs=0.01)
        assert found["np_mpjpe"] == pytest.approx(0, abs=1e-4)
        # Two of three coordinates are exact, the third is one deviation off.
        assert found["coverage50"] == pytest.approx(66.67, abs=0.01)
        assert found["coverage90"] == 100


def known_by_height(joints: np.ndarray) -> Contestant:
    """Lifts in the order of the poses, whatever it sees."""
    truth = to_body_frame(joints, "joints17") / stature(joints)[:, None, None]
    return Contestant("truth", "truth", lift=lambda p, v: (truth, np.full(truth.shape[:2], 0.01)))


def test_the_suite_on_a_lifter_that_knows(tmp_path, monkeypatch):
    monkeypatch.setenv("VIPE_DATA", str(tmp_path))
    write_motion_file(tmp_path / "m.npz", 30)
    joints = protocol.choose(load_motion(["m.npz"]), 20)
    rivals = [known_by_height(joints), Contestant("mute", "mute")]
    with pytest.raises(VipeError, match="nothing to measure: mute does not lift"):
        suite.run(task(rivals[1:], "m.npz", 20))
    findings = suite.run(task(rivals, "m.npz", 20))
    assert findings.skipped == ["mute does not lift"]
    said = findings.summary["truth"]
    assert said["body frame mm"] == pytest.approx(0, abs=0.01)
    assert said["inside 50 %"] == 100
    truth = to_body_frame(joints, "joints17").astype(float)
    short = truth * (1.7 / stature(truth))[:, None, None]
    wanted = 1000 * mpjpe(truth, short).mean()
    assert said["body frame mm at 1.7 m"] == pytest.approx(wanted, abs=0.01)
    true, assumed, by_joint = findings.tables
    assert true.rows["truth"][0] == said["body frame mm"]
    assert assumed.rows["truth"][0] == said["body frame mm at 1.7 m"]
    assert len(by_joint.rows) == 16
    elevation, calibration = findings.plots
    assert elevation.series["truth"][0][0] == -55
    assert max(elevation.series["truth"][1]) < 0.01
    assert calibration.ideal == [[0.0, 1.0], [0.0, 1.0]]
    assert calibration.series["truth"][1] == [1.0] * 19


class TestVideo:
    def write(self, path, frames: int = 6, **changes):
        """People filmed by two cameras; the detector "full" is 3 px off everywhere."""
        people = random_people(frames)[:, protocol.BODY13_IN_17] + [0, 1, 0]
        views = [Camera.look_at((3, 1, 3), (0, 1, 0), (0, 1, 0)), protocol.View(20, 5).camera()]
        points = np.stack([project(people, camera) for camera in views])
        kp33 = np.zeros((2, frames, 33, 4), np.float32)
        kp33[:, :, BLAZEPOSE33.indices(*BODY13.joints), :2] = points + 3
        kp33[..., 3] = 1
        fields = {
            "K": np.stack([camera.matrix for camera in views]),
            "R": np.stack([camera.rotation for camera in views]),
            "T": np.stack([camera.translation for camera in views]),
            **{"points3d": people, "kp33_full": kp33, "fps": np.float32(60)},
            **changes,
        }
        np.savez(path, **{k: v for k, v in fields.items() if v is not None})
        return path, people, points

    def lift(self, people):
        """Knows the pose by its frame and puts the 13 into 17 joints."""

        def lift(points, visibility):
            out = np.zeros((len(points), 17, 3))
            out[:, protocol.BODY13_IN_17] = 2 * people
            return out, np.ones(out.shape[:2])

        return lift

    def test_medians_per_camera_and_detector(self, tmp_path):
        path, people, points = self.write(tmp_path / "v.npz")
        video = multiview.read_video(path)
        assert video.cameras == 2
        np.testing.assert_allclose(video.points["full"], points + 3, atol=1e-3)
        np.testing.assert_allclose(video.points[multiview.EXACT], points)
        rival = Contestant("truth", "truth", lift=self.lift(people))
        findings = suite.run(task([rival], "-", protocol="multiview", video=path))
        assert [table.title for table in findings.tables] == ["full, mm", "exact projections, mm"]
        assert findings.tables[0].rows["truth"] == pytest.approx([0, 0], abs=0.05)
        assert set(findings.summary["truth"]) == {
            *("multiview full mm", "multiview exact projections mm")
        }

    def test_the_median_is_of_the_aligned_error(self, tmp_path):
        path, people, _ = self.write(tmp_path / "v.npz")
        wrong = people.copy()
        wrong[:, 5] += 0.3  # in every frame
        video = multiview.read_video(path)
        found = multiview.medians(self.lift(wrong), video, "full")
        errors = [1000 * lifting.aligned(a, 2 * b) for a, b in zip(people, wrong, strict=True)]
        assert found == pytest.approx([np.median(errors)] * 2, abs=0.06)

    def test_windows_are_made_for_who_takes_them(self, tmp_path):
        path, people, points = self.write(tmp_path / "v.npz")
        seen = []

        def lift(view, visibility):
            seen.append(view)
            return self.lift(people)(view[:, 1], visibility)

        multiview.medians(lift, multiview.read_video(path), "full", frames=3, step=1 / 60)
        np.testing.assert_allclose(seen[0][2], points[0][[1, 2, 3]] + 3, atol=1e-3)

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"K": None}, "has no K"),
            ({"points3d": np.zeros((6, 17, 3))}, "points3d has shape"),
            ({"T": np.zeros((3, 3))}, "T has shape"),
            ({"kp33_full": np.zeros((2, 5, 33, 4))}, "kp33_full has shape"),
        ],
    )
    def test_an_unsuitable_file_is_one_clear_line(self, tmp_path, changes, said):
        path, _, _ = self.write(tmp_path / "v.npz", **changes)
        with pytest.raises(VipeError, match=said):
            multiview.read_video(path)

    def test_what_is_missing_is_said(self, tmp_path):
        path, people, _ = self.write(tmp_path / "v.npz")
        rival = Contestant("truth", "truth", lift=self.lift(people))
        with pytest.raises(VipeError, match="needs --video"):
            suite.run(task([rival], "-", protocol="multiview"))
        films = [tmp_path / "a.mp4"]
        options = {"protocol": "multiview", "video": path, "pictures": films}
        with pytest.raises(VipeError, match="1 films for 2 cameras"):
            suite.run(task([rival], "-", **options))
