"""The suite of alignment: order in time, and synchronisation against a known warp."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.model_factory import make_model
from tests.training.clip_files import (
    TRAIN,
    contestant_of,
    make_task,
    penn_cache,
    write_actions,
    write_bandai,
)
from vipe_core.errors import VipeError
from vipe_training.evaluate.coders import EmbeddingCoder, KeypointCoder
from vipe_training.evaluate.parts import Parts
from vipe_training.evaluate.report.findings import Findings
from vipe_training.evaluate.samples import clip_sets
from vipe_training.evaluate.suites import alignment
from vipe_training.evaluate.suites.order_findings import KINDS, add_order, every, order_sets
from vipe_training.evaluate.suites.synchronisation_findings import add_synchronisation, make_takes
from vipe_training.evaluate.task import Contestant

TEST = "actions/bandai_ccbync_test.npz"


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("VIPE_DATA", str(tmp_path))
    write_bandai(tmp_path, frames=24)
    return tmp_path


@pytest.fixture
def model(tmp_path) -> Contestant:
    return contestant_of(make_model(tmp_path / "model.onnx", mirror=True))


def told(*answers: np.ndarray) -> Contestant:
    """Codes the next answer (N,), a moment in time per frame."""
    left = iter(answers)

    def see(points, visibility):
        moments = next(left)
        assert len(moments) == len(points)
        return moments[:, None], np.zeros((len(points), 1))

    return Contestant("told", "told", EmbeddingCoder(see))


class TestOrder:
    def order(self, task, clips: dict) -> list:
        findings = Findings("")
        add_order(findings, task, task.contestants, clips)
        return findings.tables[0].rows["told"]

    def clips(self, root: Path) -> dict:
        motion = clip_sets.load_clips(TEST)[::3]  # two clips of bow
        return order_sets(make_task(alignment, []), motion, [])

    def test_who_knows_the_moment_keeps_the_order(self, root):
        moments = np.tile(np.arange(12.0), 2)  # every second frame of 24
        task = make_task(alignment, [told(moments, moments, np.zeros(24))])
        row = self.order(task, self.clips(root))
        assert [value for value in row if value is not None] == [1] * (len(row) - row.count(None))

    def test_backwards_is_minus_one_and_mirrored_may_save_it(self, root):
        moments = np.tile(np.arange(12.0), 2)
        back = -moments
        one = make_task(alignment, [told(moments, moments.max() + back, moments.max() + back)])
        assert self.order(one, self.clips(root))[0] == -1
        saved = make_task(alignment, [told(moments, moments.max() + back, moments)])
        row = self.order(saved, self.clips(root))
        assert (row[0], row[3]) == (1, -1)

    def test_cameras_same_and_different(self, root):
        write_actions(root / TEST, ["bow"] * 5, frames=24)  # four cameras: one sees two clips
        clips = order_sets(make_task(alignment, []), clip_sets.load_clips(TEST), [])["bow"]
        views = [clip.view for clip in clips]
        same = [views.count(view) > 1 for view in views]
        # Clips of the shared camera run forwards, the others backwards.
        moments = np.concatenate([np.arange(12.0) if s else np.arange(12.0)[::-1] for s in same])
        task = make_task(alignment, [told(moments, moments, moments)])
        row = self.order(task, {"bow": clips})
        # Twenty ordered pairs: 2 of the same camera; of the others 6 agree and 12 do not.
        assert row == [pytest.approx((8 - 12) / 20), 1, pytest.approx((6 - 12) / 18), row[0]]

    def test_sampling(self, root):
        clip = self.clips(root)["bow"][0]
        assert every(make_task(alignment, []), clip) == 2  # of 15 frames a second
        assert every(make_task(alignment, [], "--every", "7"), clip) == 7
        assert every(make_task(alignment, [], "--set", "penn-action"), clip) == 5

    def test_what_is_left_out(self, root):
        motion, skipped = clip_sets.load_clips(TEST)[:4], []
        assert list(order_sets(make_task(alignment, []), motion, skipped)) == ["bow"]
        assert skipped == ["order: 2 actions with a single clip"]
        with pytest.raises(VipeError, match="no action has two clips"):
            order_sets(make_task(alignment, [], "--every", "24"), motion, skipped)
        assert skipped[-1] == "order: 4 clips with under two sampled frames"


class TestSynchronisation:
    def takes(self):
        return make_takes(clip_sets.load_clips(TEST), 1.0, 0)

    def test_takes_are_one_clip_at_two_speeds_from_two_cameras(self, root):
        takes = self.takes()
        assert len(takes) == 6
        for take in takes:
            assert take.first.view != take.second.view
            assert take.truth[0] == 0
            assert take.truth[-1] == pytest.approx(23)
            assert take.milliseconds == pytest.approx(1000 / 15)

    def test_who_knows_the_moment_is_within_a_frame(self, root):
        motion, takes = clip_sets.load_clips(TEST), self.takes()
        first = np.concatenate([np.arange(len(take.first), dtype=float) for take in takes])
        knowing = told(first, np.concatenate([take.truth for take in takes]))
        findings = Findings("")
        add_synchronisation(findings, make_task(alignment, []), [knowing], motion)
        table = findings.tables[0]
        assert table.rows["told"][0] < 0.5 < table.rows["straight line"][0]
        assert table.rows["told"][2] == pytest.approx(1000 / 15 * table.rows["told"][0], rel=1e-5)
        errors, path = findings.plots
        assert errors.series["told"][1][-1] == 100
        assert path.ideal[1] in [take.truth.tolist() for take in takes]

    def test_the_straight_line_is_as_wrong_as_the_warp(self, root):
        motion, findings = clip_sets.load_clips(TEST), Findings("")
        add_synchronisation(findings, make_task(alignment, []), [], motion)
        error = [np.abs(take.truth - np.arange(24)) for take in self.takes()]
        assert findings.tables[0].rows["straight line"][:2] == [np.mean(error), np.median(error)]

    def test_short_clips_are_counted(self, root):
        motion = clip_sets.load_clips(TEST)
        motion[0] = clip_sets.MotionClip("x", "bow", "", motion[0].joints[:9], motion[0].stamps[:9])
        findings = Findings("")
        add_synchronisation(findings, make_task(alignment, []), [], motion)
        assert findings.skipped == ["synchronisation: 1 clips shorter than 1 s"]
        with pytest.raises(VipeError, match="no clip lasts 9 s"):
            make_takes(motion, 9, 0)


class TestSuite:
    def test_models_and_baselines(self, root, model, tmp_path):
        rows = [model, Contestant("keypoints", "keypoints", KeypointCoder())]
        task = make_task(alignment, rows, "--cost", "log-p", parts=Parts(tmp_path / "parts"))
        findings = alignment.run(task)
        order, per_action, synchronised = findings.tables
        assert list(order.rows) == ["test-model", "keypoints"]
        assert order.columns[:3] == list(KINDS)
        assert set(per_action.rows) == {"bow", "run", "wave"}
        assert list(synchronised.rows) == ["test-model", "keypoints", "straight line"]
        for name in order.rows:
            assert -1 <= order.rows[name][3] <= order.rows[name][0] <= 1
        assert "bandai tau, all pairs" in findings.summary["keypoints"]
        again = alignment.run(make_task(alignment, rows, "--cost", "log-p",
                                        parts=Parts(tmp_path / "parts")))  # fmt: skip
        assert again == findings

    def test_a_model_of_windows(self, root, tmp_path):
        model = contestant_of(make_model(tmp_path / "window.onnx", frames=3))
        findings = alignment.run(make_task(alignment, [model]))
        assert np.isfinite(findings.tables[0].rows["test-model"][0])

    def test_penn_action_has_order_only(self, tmp_path, monkeypatch, model):
        monkeypatch.setenv("VIPE_DATA", str(tmp_path))
        videos = [{"action": name} for name in ("squat", "bowl", "jump_rope")]
        penn_cache(tmp_path, TRAIN, *videos * 2)
        argv = ["--set", "penn-action", "--every", "1"]
        findings = alignment.run(make_task(alignment, [model], *argv))
        order, per_action = findings.tables
        assert order.rows["test-model"][1:3] == [None, None]  # views are not known
        assert set(per_action.rows) == {"squat", "bowl"}
        assert "action jump_rope, as in the paper" in findings.skipped
        assert any(line.startswith("synchronisation: it needs 3D") for line in findings.skipped)

    def test_the_true_poses_are_hardly_ever_wrong(self, root):
        findings = alignment.run(make_task(alignment, [], "--truth"))
        rows = findings.tables[-1].rows
        assert rows["true 3D poses"][0] < rows["straight line"][0] / 2

    def test_errors(self, root, model):
        with pytest.raises(VipeError, match="--every"):
            alignment.run(make_task(alignment, [model], "--every", "0"))
        with pytest.raises(VipeError, match="only lifts"):
            alignment.run(make_task(alignment, [Contestant("lifter", "x")]))
