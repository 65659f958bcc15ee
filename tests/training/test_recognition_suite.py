"""The suite of recognition: whose clips, what is held against the truth, and its tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.model_factory import make_model
from tests.training.clip_files import contestant_of, make_task, write_actions, write_bandai
from vipe_core.actions import UNKNOWN, Action
from vipe_core.errors import VipeError
from vipe_core.track import Track
from vipe_training.evaluate.coders import KeypointCoder
from vipe_training.evaluate.metrics.detection import Span, area_under_curve, detections
from vipe_training.evaluate.parts import Parts
from vipe_training.evaluate.samples import clip_sets
from vipe_training.evaluate.samples.recognition_sets import draw, load_set, may_be
from vipe_training.evaluate.suites import recognition
from vipe_training.evaluate.suites.recognition_rows import best_of, joined
from vipe_training.evaluate.task import Contestant


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("VIPE_DATA", str(tmp_path))
    write_bandai(tmp_path)
    for part, labels in (("test", ["sit", "jump"]), ("val", ["walk"]), ("native", ["unlabelled"])):
        write_actions(tmp_path / f"mocap/cmu_mocap_{part}.npz", labels)
    return tmp_path


def options(*argv: str):
    return make_task(recognition, [], *argv).options


def test_examples_and_queries_share_neither_camera_nor_clip(root):
    found = load_set(options("--shots", "1", "2"), 0)
    assert found.labels == ["bow", "run", "wave"]
    assert found.shots == 2
    assert len(found.examples) == len(found.queries) == 6
    assert not {c.view for c in found.examples} & {c.view for c in found.queries}
    assert not {c.name for c in found.examples} & {c.name for c in found.queries}
    assert [c.label for c in found.others] == ["sit", "jump", "walk", "unlabelled"]
    assert found.taught(1) == [0, 2, 4]
    assert found.taught(2, ["run"]) == [2, 3]
    assert may_be(found.others[2], "run")
    assert not may_be(found.others[2], "bow")
    assert not may_be(found.others[0], "run")


def test_styles_take_turns(root):
    styles = np.array(["a", "a", "a", "b", "a", "a"])
    path = write_actions(root / "styles.npz", ["bow"] * 6, style=styles)
    clips = clip_sets.load_clips(path.name)
    for seed in range(5):
        drawn = draw(clips, "bow", 3, np.random.default_rng(seed))
        assert sorted(clip.group for clip in drawn) == ["a", "a", "b"]
        assert len({clip.name for clip in drawn}) == 3


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["--shots", "0"], "--shots and --draws are one or more"),
        (["--draws", "0"], "--shots and --draws are one or more"),
        (["--shots", "3"], "fewer than two actions have 3 examples"),
    ],
)
def test_bad_options(root, argv, line):
    with pytest.raises(VipeError, match=line):
        load_set(options(*argv), 0)


def test_detections_by_hand():
    truth = [Span("bow", 0, 4), Span("run", 5, 9), Span("bow", 10, 12)]
    matches = [Span("bow", 1, 3), Span("bow", 2, 5), Span("run", 0, 3), Span("bow", 12, 14)]
    found = detections(truth, matches)
    np.testing.assert_array_equal(found.found, [True, False, False])
    np.testing.assert_array_equal(found.right, [True, True, False, False])
    np.testing.assert_array_equal(found.first, [0, -1, -1])
    assert not detections(truth, []).found.any()


def test_area_under_curve_is_the_share_of_pairs():
    rng = np.random.default_rng(0)
    known, unknown = rng.integers(2, 9, 30), rng.integers(0, 7, 20)
    pairs = [(k > u) + 0.5 * (k == u) for k in known for u in unknown]
    assert area_under_curve(known, unknown) == pytest.approx(np.mean(pairs))
    with pytest.raises(VipeError, match="known and unknown ones"):
        area_under_curve(known, np.array([]))


def test_label_of_a_clip_is_that_of_its_best_moment():
    def said(**values: float) -> Action:
        names = tuple(sorted(values, key=lambda name: -values[name]))
        return Action(
            names[0], values[names[0]], None, None, names, tuple(values[n] for n in names)
        )

    moments = [said(bow=0.9, run=0.05, unknown=0.05), said(run=0.5, bow=0.48, unknown=0.02)]
    assert best_of(moments) == ("run", pytest.approx(0.98))
    assert best_of([said(unknown=0.9, bow=0.08, run=0.02)]) == ("bow", pytest.approx(0.1))
    assert UNKNOWN == "unknown"


def test_joined_tracks_follow_each_other():
    values = np.zeros((3, 2))
    one = Track(np.array([5.0, 5.5, 6.0]), *[values] * 4)
    stream, starts = joined([one, one])
    assert starts[0] == 0
    assert 1.0 < starts[1] < 1.2
    assert (np.diff(stream.stamp) > 0).all()


def test_suite(root, tmp_path):
    model = contestant_of(make_model(tmp_path / "model.onnx", mirror=True))
    rows = [model, Contestant("keypoints", "k", KeypointCoder())]
    argv = ["--shots", "1", "2", "--draws", "2", "--truth"]

    def run(parts: Parts):
        return recognition.run(make_task(recognition, rows, *argv, parts=parts))

    findings = run(Parts(tmp_path / "parts"))
    first, second = findings.tables[:2]
    assert first.title == "1 example of each action"
    assert second.title == "2 examples of each action"
    assert next(iter(first.rows)) == model.name
    assert len(first.rows) == 1 + 2 + 2
    assert "keypoints, nearest whole clip" in first.rows
    for table in (first, second):
        accuracy = [float(str(cells[0]).split(" ")[0]) for cells in table.rows.values()]
        assert all(0 <= value <= 100 for value in accuracy)
        # Clips of one label are nearly the same; the model that sees them is not trained.
        assert all(value > 60 for value in accuracy[-2:])
    again = run(Parts(tmp_path / "parts"))
    assert again.to_dict() == findings.to_dict()
