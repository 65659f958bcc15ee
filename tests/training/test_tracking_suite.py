"""Crowds: who hides whom, what the detector makes of it; and the suite that tracks them."""

from __future__ import annotations

import numpy as np
import pytest

from tests.bodies import standing, write_motion_file
from tests.model_factory import make_model
from tests.training.clip_files import contestant_of, make_task
from vipe_core.bodies import Bodies2D
from vipe_core.errors import VipeError
from vipe_core.geometry import Camera
from vipe_core.skeletons import BODY13
from vipe_core.tracking import Tracker
from vipe_training.evaluate.coders import KeypointCoder
from vipe_training.evaluate.metrics.identity import split_at_gaps
from vipe_training.evaluate.samples import crowds
from vipe_training.evaluate.samples.crowd_detections import NOBODY
from vipe_training.evaluate.samples.crowds import Walk, load_walks, make_crowd
from vipe_training.evaluate.samples.source import Source
from vipe_training.evaluate.suites import tracking
from vipe_training.evaluate.task import Contestant

CAMERA = Camera.look_at(
    np.array([0, 1.0, 5.0]), np.array([0, 1.0, 0]), np.array([0, 1.0, 0]), 800, (1280, 720)
)
ASIDE = (9.0, 0.0)  # a pillar that hides nobody


def walks(count: int, frames: int = 200) -> list[Walk]:
    """People walking in circles of their own sizes, turned into their way."""
    found = []
    for number in range(count):
        angle = np.linspace(0, 2 + 0.3 * number, frames)
        radius = 0.5 + 0.2 * number
        path = np.stack([np.sin(angle), np.zeros(frames), np.cos(angle)], axis=-1) * radius
        c, s, zero, one = np.cos(angle), np.sin(angle), np.zeros(frames), np.ones(frames)
        turn = np.moveaxis(np.array([[c, zero, s], [zero, one, zero], [-s, zero, c]]), -1, 0)
        joints = standing() @ np.swapaxes(turn, -1, -2) + path[:, None]
        found.append(Walk(f"walk {number}", joints))
    return found


@pytest.fixture(scope="module")
def crowd():
    return make_crowd(walks(4), 4, 3)


def at(*places) -> np.ndarray:
    """(P, 1, 17, 3) standing people at x and z."""
    return np.stack([standing() + np.array([x, 0, z]) for x, z in places])[:, None]


class TestVisible:
    def test_the_nearer_one_hides_the_farther_one(self):
        seen = crowds.visible(at((0, 1), (0, -1)), CAMERA, ASIDE)[:, 0]
        assert seen[0].all()
        hidden = {BODY13.joints[j] for j in np.flatnonzero(~seen[1])}
        assert {"left_hip", "right_hip", "nose"} <= hidden

    def test_beside_each_other_nobody_is_hidden(self):
        assert crowds.visible(at((-1, 0), (1, 0)), CAMERA, ASIDE).all()

    def test_a_pillar_hides_who_is_behind_it(self):
        seen = crowds.visible(at((0, -1), (0, 2), (2, -1)), CAMERA, (0.0, 1.0))[:, 0]
        assert not seen[0, BODY13.indices("nose", "left_hip", "right_hip")].any()
        assert seen[1].all()
        assert seen[2].all()

    def test_the_image_ends(self):
        seen = crowds.visible(at((-3.9, 0), (20, 0)), CAMERA, ASIDE)[:, 0]
        assert 0 < seen[0].sum() < 13
        assert not seen[1].any()

    def test_who_is_not_there_is_not_seen_and_hides_nobody(self):
        people = at((0, 1), (0, -1))
        people[0] = np.nan
        seen = crowds.visible(people, CAMERA, ASIDE)
        assert not seen[0].any()
        assert seen[1].all()


class TestPlace:
    def test_people_keep_apart_and_come_and_go(self):
        clips = [walk.joints for walk in walks(3, frames=100)]
        placed = crowds.place(clips, np.random.default_rng(0))
        there = np.isfinite(placed).all(axis=(2, 3))
        np.testing.assert_array_equal(there.sum(axis=1), 100)
        for a in range(3):
            for b in range(a):
                gap = np.linalg.norm((placed[a] - placed[b])[:, 0, ::2], axis=-1)
                assert np.nanmin(gap, initial=9) >= 0.5

    def test_bodies_and_heights_stay_as_they_are(self):
        clip = walks(1)[0].joints
        placed = crowds.place([clip], np.random.default_rng(1))[0]
        there = placed[np.isfinite(placed).all(axis=(1, 2))]
        np.testing.assert_allclose(there[..., 1], clip[..., 1])
        bones = [np.linalg.norm(np.diff(x, axis=1), axis=-1) for x in (there, clip)]
        np.testing.assert_allclose(*bones, atol=1e-12)


class TestCrowd:
    def test_the_same_seed_gives_the_same_scene(self, crowd):
        again, other = make_crowd(walks(4), 4, 3), make_crowd(walks(4), 4, 4)
        np.testing.assert_array_equal(crowd.points, again.points)
        np.testing.assert_array_equal(crowd.person, again.person)
        assert len(other) != len(crowd) or not np.array_equal(other.points, crowd.points)

    def test_is_what_a_detector_says(self, crowd):
        assert (np.diff(crowd.frame) >= 0).all()
        assert set(np.unique(crowd.person)) == {NOBODY, 0, 1, 2, 3}
        there = np.isfinite(crowd.points).all(axis=-1)
        assert (crowd.visibility[~there] == 0).all()
        assert (there.sum(axis=1) >= 4).all()
        for person in range(4):
            assert len(np.unique(crowd.frame[crowd.person == person])) == np.sum(
                crowd.person == person
            )

    def test_somebody_is_away_for_a_second(self):
        longest = []
        for seed in range(6):
            scene = make_crowd(walks(2, frames=240), 2, seed)
            for person in range(2):
                longest.append(np.diff(scene.frame[scene.person == person]).max())
        assert sum(gap >= 30 for gap in longest) >= 3

    def test_too_few_clips(self):
        with pytest.raises(VipeError, match="3 people need as many clips, there are 2"):
            make_crowd(walks(2), 3, 0)


class TestWalks:
    def test_of_a_motion_file(self, tmp_path, monkeypatch):
        monkeypatch.setenv("VIPE_DATA", str(tmp_path))
        write_motion_file(tmp_path / "m.npz", 120, subjects=("a", "b"))
        content = dict(np.load(tmp_path / "m.npz"))
        content["pelvis"] = np.arange(120)[:, None] * np.array([0.01, 0, 0], np.float32) + 1
        np.savez(tmp_path / "m.npz", **content)
        found = load_walks("m.npz")
        assert [len(walk.joints) for walk in found] == [59, 58]  # the bad frame is the first of b
        np.testing.assert_allclose(found[0].joints[10, 0], [1.1, 1, 1], atol=1e-3)
        assert [walk.name for walk in load_walks("m.npz", ["b"])] == ["m.npz:1"]
        del content["pelvis"]
        np.savez(tmp_path / "m.npz", **content)
        with pytest.raises(VipeError, match="no pelvis or no fps"):
            load_walks("m.npz")
        (tmp_path / "cache").mkdir()
        with pytest.raises(VipeError, match="is a cache"):
            load_walks("cache")

    def test_thirty_frames_a_second(self):
        stamps = np.array([0, 1, 2, 4]) / 24  # one is missing
        joints = np.zeros((4, 17, 3)) + stamps[:, None, None]
        again = crowds.resampled(joints, stamps)
        np.testing.assert_allclose(again[:, 0, 0], np.arange(5) / 30, atol=1e-9)


class Knowing:
    """A tracker that knows who is who; ``forgetful`` from the middle of the scene on it gives
    everybody another name."""

    def __init__(self, crowd, forgetful: bool = False):
        real = crowd.person != NOBODY
        who = np.full(len(crowd), NOBODY)
        stamps = crowd.stamps[crowd.frame]
        who[real] = split_at_gaps(crowd.person[real], stamps[real], 1.5)
        self.people = who[real]
        self.late = stamps[real] >= 4
        late = forgetful & (stamps >= 4)
        self.names = iter(
            [f"{one}{'!' * int(is_late)}" for one, is_late in zip(who, late, strict=True)]
        )

    def update(self, people: Bodies2D, stamp_s, estimates=None) -> Bodies2D:
        return people.with_track_ids([next(self.names) for _ in range(len(people))])


class TestScores:
    def row(self, tracker):
        return tracking._Row("knowing", "k", lambda: tracker)

    def test_who_knows_makes_no_mistake(self, crowd):
        tracker = Knowing(crowd)
        count = len(set(tracker.people.tolist()))
        assert count >= 4
        scores = tracking.scores(self.row(tracker), crowd)
        assert scores.pop("people in the room") == 4
        assert scores == {"people": count, "idf1": 100, "switches": 0, "shared": 0, "ids": count}

    def test_one_new_name_for_everybody(self, crowd):
        tracker = Knowing(crowd, forgetful=True)
        early, late = (set(tracker.people[tracker.late == x].tolist()) for x in (False, True))
        scores = tracking.scores(self.row(tracker), crowd)
        assert scores["switches"] == len(early & late) > 0
        assert scores["ids"] == len(early) + len(late)
        assert scores["idf1"] < 100

    def test_ids_are_asked_image_by_image(self, crowd):
        names = tracking.track(Tracker(), crowd)
        assert len(names) == len(crowd)
        assert all(names)


@pytest.fixture
def source(tmp_path, monkeypatch) -> Source:
    monkeypatch.setenv("VIPE_DATA", str(tmp_path))
    made = walks(4, frames=120)
    pelvis = np.concatenate([walk.joints[:, 0] for walk in made])
    pose = np.concatenate([walk.joints for walk in made]) - pelvis[:, None]
    np.savez(
        tmp_path / "walks.npz",
        pose=pose.astype(np.float16),
        pelvis=pelvis.astype(np.float32),
        frame_ok=np.ones(len(pose), bool),
        clip_start=np.arange(5) * 120,
        subject=np.array(["a", "b", "c", "d"]),
        fps=np.full(4, 30, np.float32),
    )
    return Source(("walks.npz",))


OPTIONS = ("--scenes", "2", "--seeds", "2", "--crowd", "2", "3")


def test_the_suite(source, tmp_path):
    rivals = [
        contestant_of(make_model(tmp_path / "model.onnx", mirror=True)),
        Contestant("keypoints", "k", KeypointCoder()),
    ]
    findings = tracking.run(make_task(tracking, rivals, *OPTIONS, source=source))
    rows = findings.tables[0].rows
    assert list(rows) == [
        "OKS where last seen",
        "+ constant velocity",
        "+ embeddings of test-model",
    ]
    assert set(findings.summary) == set(rows)
    for figures in findings.summary.values():
        assert 50 < figures["tracking IDF1 %"] <= 100
        assert figures["tracking switches"] < 40
    assert findings.tables[1].columns == ["2 people", "3 people"]
    assert findings.skipped == ["keypoints: it gives no embedding of a single frame"]


@pytest.mark.parametrize("word", ["--scenes", "--seeds", "--crowd"])
def test_nothing_to_measure(source, word):
    with pytest.raises(VipeError, match="must be at least 1"):
        tracking.run(make_task(tracking, [], word, "0", source=source))
