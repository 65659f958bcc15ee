"""The suite of actions: whose clips, through which cameras, and what it finds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.model_factory import make_model
from tests.training import data_sets
from tests.training.clip_files import (
    TRAIN,
    contestant_of,
    make_task,
    penn_cache,
    write_actions,
    write_bandai,
)
from vipe_core.embedding import likelihood_match_probability, pairwise_excess_distance
from vipe_core.errors import VipeError
from vipe_training.evaluate.coders import EmbeddingCoder, KeypointCoder
from vipe_training.evaluate.parts import Parts
from vipe_training.evaluate.samples import clip_sets
from vipe_training.evaluate.samples.action_sets import load_actions
from vipe_training.evaluate.samples.clip_codes import EXCESS, LOG_P, PLAIN, code_clips, frame_costs
from vipe_training.evaluate.samples.penn_clips import load_penn
from vipe_training.evaluate.suites import actions
from vipe_training.evaluate.task import Contestant


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("VIPE_DATA", str(tmp_path))
    write_bandai(tmp_path)
    return tmp_path


@pytest.fixture
def model(tmp_path) -> Contestant:
    return contestant_of(make_model(tmp_path / "model.onnx", mirror=True))


def options(*argv: str):
    return make_task(actions, [], *argv).options


class TestClips:
    def test_labels_styles_and_times_come_with_the_joints(self, root):
        clips = clip_sets.load_clips("actions/bandai_ccbync_test.npz")
        assert [clip.label for clip in clips] == ["bow", "run", "wave"] * 2
        assert {clip.group for clip in clips} == {"calm"}
        assert clips[1].name == "bandai_ccbync_test-1"
        assert clips[1].joints.shape == (20, 17, 3)
        np.testing.assert_allclose(clips[1].stamps, np.arange(20) / 15, rtol=1e-6)

    def test_queries_and_index_have_other_cameras(self, root):
        found = load_actions(options(), 0)
        asked, known = ({clip.view for clip in clips} for clips in (found.queries, found.index))
        assert not asked & known
        assert len(found.queries) == len(found.index) == 6
        assert not found.same.any()
        assert found.chiral

    def test_cameras_are_dealt_evenly(self, root):
        motion = clip_sets.load_clips("actions/bandai_ccbync_test.npz")
        views = dict(list(clip_sets.cameras(0)[0].items())[:2])
        filmed = clip_sets.film_all(motion, views, np.random.default_rng(0))
        for label in ("bow", "run", "wave"):
            assert sorted(clip.view for clip in filmed if clip.label == label) == sorted(views)

    def test_limit_is_drawn_by_the_seed(self, root):
        few, again, other = (load_actions(options("--limit", "2"), seed) for seed in (0, 0, 1))
        assert few.inputs() == again.inputs() != other.inputs()
        assert len(load_actions(options("--limit", "0"), 0).queries) == 6
        with pytest.raises(VipeError, match="two or more"):
            load_actions(options("--limit", "1"), 0)

    def test_thinning_keeps_the_times(self, root):
        clip = clip_sets.load_clips("actions/bandai_ccbync_test.npz")[0]
        thin = clip_sets.thinned(clip, 5)
        np.testing.assert_array_equal(thin.stamps, clip.stamps[::3])
        np.testing.assert_array_equal(thin.joints, clip.joints[::3])
        assert len(clip_sets.thinned(clip, 30).stamps) == 20

    def test_an_index_by_style(self, root):
        assert len(load_actions(options("--index", "calm"), 0).index) == 12
        with pytest.raises(VipeError, match=r"--index angry: take val, train or .* calm"):
            load_actions(options("--index", "angry"), 0)

    def test_cmu_leaves_out_what_cannot_be_told(self, root):
        write_actions(root / "mocap/cmu_mocap_test.npz", ["sit", "sit", "other", "dance"])
        write_actions(root / "mocap/cmu_mocap_val.npz", ["walk", "walk"])
        write_actions(root / "mocap/cmu_mocap_native.npz", ["walk", "unlabelled"])
        found = load_actions(options("--set", "cmu"), 0)
        assert [clip.label for clip in found.queries] == ["sit", "sit", "walk", "walk", "walk"]
        np.testing.assert_array_equal(found.same, np.eye(5, dtype=bool))
        assert found.skipped == [
            "2 clips without the name of an action",
            "1 clips whose action has no second clip",
        ]

    def test_one_class_is_no_task(self, tmp_path, monkeypatch):
        monkeypatch.setenv("VIPE_DATA", str(tmp_path))
        write_bandai(tmp_path, ("bow",))
        with pytest.raises(VipeError, match="1 class on both sides"):
            load_actions(options(), 0)

    def test_files_without_labels_or_rates(self, tmp_path, monkeypatch):
        monkeypatch.setenv("VIPE_DATA", str(tmp_path))
        write_actions(tmp_path / "a.npz", ["bow", "run"], category=None)
        write_actions(tmp_path / "b.npz", ["bow", "run"], fps=None)
        with pytest.raises(VipeError, match="no category"):
            clip_sets.load_clips("a.npz")
        with pytest.raises(VipeError, match="no fps"):
            clip_sets.load_clips("b.npz")


class TestCosts:
    def test_of_an_embedding(self, root, model):
        clips = load_actions(options(), 0).queries[:2]
        coded = code_clips(model, clips)
        (mean, variance), info = coded.code, model.model.metadata
        costs = frame_costs(model, coded.code, coded.code)
        expected = pairwise_excess_distance(mean, variance, mean, variance)
        np.testing.assert_allclose(costs[EXCESS], expected, atol=2e-3)
        p = likelihood_match_probability(
            mean[:, None], variance[:, None], mean, variance, info.sigmoid_a, info.sigmoid_b
        )
        np.testing.assert_allclose(costs[LOG_P], -np.log(p), rtol=1e-4, atol=1e-5)

    def test_of_anything_else(self, root):
        clips = load_actions(options(), 0).queries[:2]
        coded = code_clips(other := Contestant("keypoints", "k", KeypointCoder()), clips)
        assert list(frame_costs(other, coded.code, coded.code)) == [PLAIN]

    def test_nothing_in_common_costs_as_much_as_the_worst(self, root):
        other = Contestant("keypoints", "k", KeypointCoder())
        clip = load_actions(options(), 0).queries[0]
        upper, lower = np.arange(13) < 7, np.arange(13) >= 7
        visible = np.stack([upper, lower, lower | upper]).astype(float)
        code = other.coder.code(clip.points[[0, 1, 2]], visible)
        cost = frame_costs(other, code, code)[PLAIN]
        assert np.isfinite(cost).all()
        assert cost[0, 1] == cost.max()

    def test_the_mirrored_person_is_the_model_files_own(self, root, model):
        clips = load_actions(options(), 0).queries[:3]
        said = model.model(np.concatenate([clip.points for clip in clips]))
        found = code_clips(model, clips, mirrored=True).code
        np.testing.assert_allclose(found[0], said.mirror_mean, atol=1e-4)
        np.testing.assert_allclose(found[1], said.mirror_variance, atol=1e-5)

    def test_every_nth_frame_of_windows(self, root, tmp_path):
        path = make_model(tmp_path / "window.onnx", frames=5)
        clips = load_actions(options(), 0).queries[:2]
        whole, some = (code_clips(contestant_of(path), clips, every=n) for n in (1, 3))
        assert whole.starts.tolist() == [0, 20, 40]
        assert some.starts.tolist() == [0, 7, 14]
        np.testing.assert_allclose(some.code[0][7:], whole.code[0][20::3], atol=1e-5)


def oracle(found) -> Contestant:
    """Codes the label: queries, queries mirrored, index, in the order in which it is asked."""
    names = sorted({clip.label for clip in found.queries})
    sides = iter([found.queries, found.queries, found.index])

    def see(points, visibility):
        labels = np.concatenate([[names.index(c.label)] * len(c) for c in next(sides)])
        return 5.0 * np.eye(len(names))[labels], np.zeros((len(points), len(names)))

    return Contestant("oracle", "oracle", EmbeddingCoder(see))


class TestSuite:
    def test_oracle_is_always_right(self, root):
        task = make_task(actions, [oracle(load_actions(options(), 0))])
        findings = actions.run(task)
        assert findings.tables[0].rows == {"oracle": [100, 100]}
        assert findings.summary["oracle"] == {
            "bandai actions, excess": 100,
            "bandai actions, excess or mirrored": 100,
        }
        assert {tuple(row) for row in findings.tables[-1].rows.values()} == {(100.0,)}
        np.testing.assert_array_equal(findings.plots[0].values, 100 * np.eye(3))
        assert all(row[1].right for row in findings.galleries[0].rows)

    def test_models_and_baselines_in_one_table(self, root, model):
        rows = [model, Contestant("keypoints", "keypoints", KeypointCoder())]
        findings = actions.run(make_task(actions, rows, "--window", "released"))
        table = findings.tables[0]
        assert [name.partition(" or ")[0] for name in table.columns] == [
            *[EXCESS] * 2, *[LOG_P] * 2, *[PLAIN] * 2,
        ]  # fmt: skip
        assert table.rows["test-model"][4:] == [None, None]
        assert table.rows["keypoints"][:4] == [None] * 4
        assert "-6, -3, +0, +3, +6" in table.note
        assert "index of one view: no view has two classes with two clips" in findings.skipped

    def test_an_index_of_one_view(self, root, tmp_path):
        write_actions(root / "actions/bandai_ccbync_val.npz", ["bow", "run", "wave"] * 9)
        found = load_actions(options(), 0)
        findings = actions.run(make_task(actions, [oracle(found)]))
        table = next(table for table in findings.tables if "one view" in table.title)
        assert table.columns[0] == "mean"
        assert set(table.columns[1:]) <= {clip.view for clip in found.index}
        assert table.rows["oracle"][0] == 100

    def test_the_true_poses_set_the_limit(self, root):
        findings = actions.run(make_task(actions, [], "--truth"))
        assert findings.tables[0].rows == {"true 3D poses": [100, 100]}

    def test_a_second_run_computes_nothing(self, root, model, tmp_path):
        first = actions.run(make_task(actions, [model], parts=Parts(tmp_path / "parts")))
        silent = Contestant(model.name, model.fingerprint, EmbeddingCoder(None), model=model.model)
        again = actions.run(make_task(actions, [silent], parts=Parts(tmp_path / "parts")))
        assert again == first

    def test_who_only_lifts_is_refused(self, root):
        with pytest.raises(VipeError, match="only lifts"):
            actions.run(make_task(actions, [Contestant("lifter", "x")]))


HIDDEN = {"visibility": np.zeros((data_sets.FRAMES, 13), bool)}


class TestPennAction:
    def test_split_labels_and_views(self, tmp_path):
        cache, labels = penn_cache(
            tmp_path, TRAIN | {"action": "squat", "pose": "left"}, {"action": "bowl"}
        )
        train, test, skipped = load_penn(cache, labels)
        assert [(c.name, c.label, c.view) for c in train] == [("train/0001", "squat", "left")]
        assert [(c.name, c.label, c.view) for c in test] == [("test/0002", "bowl", "back")]
        assert skipped == []
        assert load_penn(cache)[0][0].view == ""
        np.testing.assert_allclose(np.diff(train[0].stamps), 1 / 30)

    def test_what_the_paper_leaves_out(self, tmp_path):
        cache, _ = penn_cache(
            tmp_path, TRAIN, {"action": "strum_guitar"}, {"action": "bowl"} | HIDDEN, {}
        )
        train, test, skipped = load_penn(cache)
        assert len(train) == len(test) == 1
        assert skipped == [
            "1 videos of strum_guitar, as in the paper",
            "1 videos with under a third of the person visible",
        ]

    def test_missing_frames_copy_the_nearest(self, tmp_path):
        visible = np.ones((data_sets.FRAMES, 13), bool)
        visible[2:] = False
        cache, _ = penn_cache(tmp_path, TRAIN | {"visibility": visible}, {})
        clip = load_penn(cache)[0][0]
        np.testing.assert_array_equal(clip.points[2], clip.points[1])
        np.testing.assert_array_equal(clip.points[3], clip.points[1])
        assert clip.visibility.all()

    def test_nothing_left_of_a_split(self, tmp_path):
        cache, labels = penn_cache(tmp_path, TRAIN, HIDDEN)
        with pytest.raises(VipeError, match="one of the two splits"):
            load_penn(cache)
        with pytest.raises(VipeError, match="cache"):
            load_penn(labels)

    def test_the_suite(self, tmp_path, monkeypatch, model):
        monkeypatch.setenv("VIPE_DATA", str(tmp_path))
        videos = [{"action": name} for name in ("squat", "bowl")]
        _, labels = penn_cache(tmp_path, *(TRAIN | v for v in videos * 2), *videos)
        task = make_task(actions, [model], "--set", "penn-action", "--labels", str(labels))
        findings = actions.run(task)
        assert findings.title == "Actions: Penn Action"
        assert any(table.columns == ["mean", "back"] for table in findings.tables)
        with pytest.raises(VipeError, match="nobody knows the 3D poses of test/"):
            actions.run(make_task(actions, [], "--set", "penn-action", "--truth"))
        without = actions.run(make_task(actions, [model], "--set", "penn-action"))
        assert "index of one view: views are not known" in without.skipped
