"""Partial visibility: which points are hidden, what then is right, and the protocol of 3DPW."""

from __future__ import annotations

import numpy as np
import pytest

from tests.bodies import write_motion_file
from tests.training import data_sets
from tests.training.scenes import camera_cache, oracle, task
from vipe_core.errors import VipeError
from vipe_core.geometry import normalize_3d, np_mpjpe
from vipe_core.skeletons import BODY13, JOINTS17
from vipe_training.datasets import load_motion
from vipe_training.datasets.prepare import prepare
from vipe_training.datasets.sets import open_set
from vipe_training.datasets.visibility import PATTERNS, pattern, write_table
from vipe_training.evaluate import protocol
from vipe_training.evaluate.coders import EmbeddingCoder
from vipe_training.evaluate.metrics.matches import VOTING
from vipe_training.evaluate.metrics.occlusion import TORSO, joints_shown, top_patterns
from vipe_training.evaluate.samples.in_the_wild import answerable, split, wild_hits, wild_scene
from vipe_training.evaluate.suites import partial

FULL = np.ones(13, bool)


def hide(*joints: str) -> np.ndarray:
    shown = FULL.copy()
    shown[BODY13.indices(*joints)] = False
    return shown


def counts(**by_number) -> np.ndarray:
    table = np.zeros(PATTERNS, np.int64)
    for shown, number in by_number.values():
        table[pattern(shown)] = number
    return table


class TestPatterns:
    TABLE = counts(
        full=(FULL, 60),
        wrist=(hide("left_wrist"), 30),
        arm=(hide("left_wrist", "left_elbow"), 9),
        nose=(hide("nose"), 1),
        torso=(hide("left_hip"), 500),  # hips that are not there: not of this protocol
    )

    def test_the_commonest_that_show_the_torso_and_their_share(self):
        patterns = top_patterns(self.TABLE, top=3)
        assert patterns.names() == ["nothing", "left_wrist", "left_elbow, left_wrist"]
        np.testing.assert_allclose(patterns.weight, np.array([60, 30, 9]) / 99)
        assert patterns.covered == pytest.approx(0.99)
        assert patterns.visible[:, TORSO].all()

    def test_items_of_the_index_show_what_the_query_shows(self):
        patterns = top_patterns(self.TABLE)
        drawn = patterns.supersets(2, 4000, np.random.default_rng(0))
        assert (drawn >= patterns.visible[2]).all()
        share = [(drawn == one).all(axis=1).mean() for one in patterns.visible]
        # Without the nose it is no superset.
        np.testing.assert_allclose(share, np.array([60, 30, 9, 0]) / 99, atol=0.03)
        assert (patterns.supersets(0, 50, np.random.default_rng(0)) == FULL).all()

    def test_nobody_whose_torso_is_visible(self):
        with pytest.raises(VipeError, match="nobody whose shoulders and hips"):
            top_patterns(counts(torso=(hide("left_hip"), 5)))


def test_hidden_points_hide_the_joints_that_need_them():
    shown = joints_shown(np.stack([FULL, hide("left_shoulder"), hide("nose", "left_knee")]))
    assert shown[0].all()
    hidden = [set(np.array(JOINTS17.joints)[~row].tolist()) for row in shown[1:]]
    assert hidden == [{"left_shoulder", "neck", "spine"}, {"nose", "head", "left_knee"}]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("VIPE_DATA", str(tmp_path))
    write_motion_file(tmp_path / "m.npz", 50)
    return tmp_path


def views(poses: int) -> tuple[np.ndarray, np.ndarray]:
    joints = protocol.choose(load_motion(["m.npz"]), poses)
    cameras = [*protocol.chest4(), *protocol.novel8()]
    return joints, protocol.render(joints, cameras)


def test_the_oracle_finds_everything_and_the_shuffled_one_does_not(folder):
    known = views(30)
    table = folder / "table.npz"
    write_table(table, TestPatterns.TABLE, "made up")
    rivals = [oracle(*known), oracle(*known, shuffled=True)]
    findings = partial.run(task(rivals, "m.npz", 30, visibility=table))
    for name in ("partial", "partial novel8", "partial real"):
        assert findings.summary["oracle"][f"{name} hit@1"] == 100
        assert findings.summary["shuffled"][f"{name} hit@1"] < 20
    by_hidden = {t.title.split(":")[1]: t for t in findings.tables}[" Hit@1 by what is hidden, %"]
    assert len(by_hidden.rows) == 10
    only = partial.run(task(rivals[:1], "m.npz", 30, protocol="targeted"))
    assert "partial real hit@1" not in only.summary["oracle"]


def test_the_real_distribution_weighs_by_frequency(folder):
    """A contestant that is right when nothing is hidden and wrong otherwise."""
    joints, points = views(20)
    good, bad = oracle(joints, points), oracle(joints, points, shuffled=True)

    def code(view, visible):
        shown = good.coder if visible.all() else bad.coder
        return shown.code(view, visible)

    half = oracle(joints, points)
    half.coder.code = code
    table = folder / "table.npz"
    write_table(table, counts(full=(FULL, 75), wrist=(hide("left_wrist"), 25)), "made up")
    findings = partial.run(task([half], "m.npz", 20, protocol="real", visibility=table))
    by_hidden = findings.tables[1].rows
    assert by_hidden["nothing"] == [100]
    assert by_hidden["left_wrist"][0] < 25
    wanted = 0.75 * 100 + 0.25 * by_hidden["left_wrist"][0]
    assert findings.summary["oracle"]["partial real hit@1"] == pytest.approx(wanted, abs=0.01)


class TestWild:
    def motion(self, folder, videos: int = 6):
        names = [f"test/v{number}" for number in range(videos)]
        # The same people in every video, so that every query has an answer.
        return camera_cache(folder, "3dpw", names, ("phone",), frames=8, fps=30.0, same=True)

    def test_half_of_the_frames_and_all_videos_are_in_a_split(self, folder):
        scene = wild_scene(self.motion(folder))
        assert len(scene) == 6 * 4
        queries, index = split(scene, 0)
        assert len(np.unique(scene.video[queries])) == 3  # 45 % of six
        assert not set(scene.video[queries]) & set(scene.video[index])
        assert len(queries) + len(index) == len(scene)
        assert not np.array_equal(queries, split(scene, 1)[0])

    def test_the_oracle_finds_everything(self, folder):
        motion = self.motion(folder)
        points = np.moveaxis(np.asarray(motion.detections.points), 1, 0)
        rivals = [oracle(np.asarray(motion.joints), points, shuffled=s) for s in (False, True)]
        findings = partial.run(task(rivals, "3dpw", protocol="3dpw"))
        assert findings.summary["oracle"]["3dpw hit@1"] == 100
        assert findings.summary["shuffled"]["3dpw hit@1"] < 70  # one of four poses is right
        assert "queries without an answer in the index, by split: 0 of 12, " in findings.skipped[0]

    def test_a_naive_loop_says_the_same(self, folder):
        motion = self.motion(folder)
        seen = np.random.default_rng(0).random((len(motion), 1, 13)) > 0.15
        np.save(folder / "3dpw" / "visibility.npy", seen.astype(np.float32))
        motion = load_motion(["3dpw"], root=folder)
        scene = wild_scene(motion)
        rng = np.random.default_rng(1)
        codes = rng.normal(size=(len(motion.joints), 4))
        rows = {p.tobytes(): i for i, p in enumerate(scene.points)}

        def embed(points, visibility):
            found = codes[[rows[p.tobytes()] for p in points]]
            return found, np.zeros_like(found)

        queries, index = split(scene, 0)
        kept = queries[answerable(scene, queries, index)]
        curve = wild_hits(EmbeddingCoder(embed), scene, kept, index)
        hit, answered = [], []
        keypoints = motion.detections.visibility[motion.frame % 2 == 0, 0] > 0.5
        usable = keypoints.sum(1) >= 4
        keypoints, joints = keypoints[usable], motion.joints[motion.frame % 2 == 0][usable]
        normal = normalize_3d(joints, "joints17")[:, VOTING]
        shown = joints_shown(keypoints)[:, VOTING]
        for query in queries:
            assert keypoints[query, TORSO].all()
            error = np.array(
                [np_mpjpe(normal[query], normal[i], shown[query] & shown[i]) for i in index]
            )
            answered.append((error <= 0.1).any())
            order = np.linalg.norm(codes[index] - codes[query], axis=1).argsort()
            if answered[-1]:
                hit.append(error[order[0]] <= 0.1)
        np.testing.assert_array_equal(answerable(scene, queries, index), answered)
        assert curve[0] == pytest.approx(100 * np.mean(hit))

    def test_only_the_test_part_of_the_set_counts(self, folder):
        names = ["train/a", "test/b", "test/c"]
        motion = camera_cache(folder, "3dpw", names, ("phone",), frames=8, same=True)
        assert len(np.unique(wild_scene(motion).video)) == 2

    def test_a_prepared_set_in_the_format_of_its_owners(self, folder):
        data_sets.three_dpw(folder / "raw")
        other = folder / "raw" / "sequenceFiles" / "test" / "downtown_bus_00.pkl"
        data_sets.python2_pickle(other, data_sets.three_dpw_content())
        prepare("3dpw", open_set("3dpw", folder / "raw"), folder / "3dpw")
        motion = load_motion(["3dpw"])
        points = np.moveaxis(np.asarray(motion.detections.points), 1, 0)
        findings = partial.run(
            task([oracle(np.asarray(motion.joints), points)], "3dpw", protocol="3dpw")
        )
        assert findings.summary["oracle"]["3dpw hit@1"] == 100

    def test_what_cannot_be_used_is_said(self, folder):
        rival = oracle(*views(5))
        with pytest.raises(VipeError, match="detections by one camera"):
            partial.run(task([rival], "m.npz", protocol="3dpw"))
        camera_cache(folder, "one", ["test/a"], ("phone",), frames=8)
        with pytest.raises(VipeError, match="two videos"):
            partial.run(task([rival], "one", protocol="3dpw"))
        motion = camera_cache(folder, "strangers", ["test/a", "test/b"], ("phone",), frames=3)
        points = np.moveaxis(np.asarray(motion.detections.points), 1, 0)
        rival = oracle(np.asarray(motion.joints), points)
        with pytest.raises(VipeError, match="no query of any split has an answer"):
            partial.run(task([rival], "strangers", protocol="3dpw"))
