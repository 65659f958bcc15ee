"""Half-second clips: which match, stacks of frames, and the suite that retrieves them."""

from __future__ import annotations

from itertools import cycle

import numpy as np
import pytest

from tests.bodies import random_people
from tests.model_factory import make_model
from tests.training.clip_files import contestant_of, make_task, write_actions
from vipe_core.errors import VipeError
from vipe_core.geometry import normalize_3d
from vipe_training.datasets import windows
from vipe_training.evaluate import protocol
from vipe_training.evaluate.coders import EmbeddingCoder, KeypointCoder
from vipe_training.evaluate.metrics.clips import StackedCoder, match_rows, spread
from vipe_training.evaluate.samples.source import Source
from vipe_training.evaluate.suites import sequence
from vipe_training.evaluate.task import Contestant

SHOTS = {"chest4", "chest4+n", "novel8", "novel8+n"}


@pytest.fixture
def source(tmp_path, monkeypatch) -> Source:
    monkeypatch.setenv("VIPE_DATA", str(tmp_path))
    write_actions(tmp_path / "moves.npz", ["a", "b", "c"], frames=16)
    return Source(("moves.npz",))


def test_matches_are_those_of_every_frame():
    still = random_people(6)
    rng = np.random.default_rng(0)
    joints = np.stack([still + rng.normal(0, s, still.shape) for s in (0.01, 0.03, 0.05)], axis=1)
    joints = np.concatenate([joints, joints[::-1] + rng.normal(0, 0.02, joints.shape)])
    expected = protocol.match_matrix(joints)
    assert 12 < expected.sum() < 144
    for queries in (np.arange(12), np.array([3, 1])):
        np.testing.assert_array_equal(match_rows(joints, queries), expected[queries])


def test_frames_of_a_stack():
    assert spread(7, 1) == [3]
    assert spread(7, 3) == [0, 3, 6]
    assert spread(7, 7) == list(range(7))


def test_a_stack_of_embeddings_is_one_embedding():
    rng = np.random.default_rng(0)
    coder = EmbeddingCoder(lambda points, visibility: (points, visibility))
    sides = [[(rng.normal(size=(5, 4)), rng.uniform(size=(5, 4))) for _ in range(3)] for _ in "ab"]
    stack = StackedCoder(coder, [0, 2])
    queries, index = (stack.stacked(frames) for frames in sides)
    assert queries[0][0].shape == (5, 8)
    by_frame = [coder.distance(sides[0][t], sides[1][t]) ** 2 for t in (0, 2)]
    np.testing.assert_allclose(stack.distance(queries, index) ** 2, np.sum(by_frame, axis=0))
    best = stack.rank(queries, index, 5)
    np.testing.assert_array_equal(best, stack.distance(queries, index).argsort(axis=1))


def test_a_stack_of_anything_else_adds_up():
    views = protocol.render(random_people(6), protocol.chest4())[:2]
    coder = KeypointCoder()
    codes = [
        [coder.code(v, np.ones((6, 13))), coder.code(v[::-1], np.ones((6, 13)))] for v in views
    ]
    stack = StackedCoder(coder, [0, 1])
    queries, index = (stack.stacked(frames) for frames in codes)
    parts = [coder.distance(q, i) for q, i in zip(*codes, strict=True)]
    np.testing.assert_allclose(stack.distance(queries, index), np.hypot(*parts), rtol=1e-5)
    expected = np.hypot(*parts).argsort(axis=1)[:, :2]
    np.testing.assert_array_equal(stack.rank(queries, index, 2), expected)


def test_oracle_finds_everything(source):
    motion = source.load()
    rows = windows(motion, 7, 0.08)
    chosen = protocol.select_poses(motion.joints[rows[:, 3]], 2000, 0)
    truth = normalize_3d(motion.joints[rows[chosen]], "joints17")
    frames = cycle(truth.swapaxes(0, 1).reshape(7, len(truth), -1))

    def see(points, visibility):
        mean = next(frames)
        return mean, np.zeros_like(mean)

    oracle = Contestant("oracle", "oracle", EmbeddingCoder(see))
    findings = sequence.run(make_task(sequence, [oracle], "--stack", "7", source=source))
    assert [table.title.partition(":")[0] for table in findings.tables] == sorted(SHOTS)
    assert all(table.rows == {"oracle (7 frames)": [100] * 4} for table in findings.tables)


def test_models_of_frames_and_of_windows_side_by_side(tmp_path, source):
    single = contestant_of(make_model(tmp_path / "single.onnx", name="single"))
    window = contestant_of(make_model(tmp_path / "window.onnx", name="window", frames=7))
    findings = sequence.run(make_task(sequence, [single, window], source=source, poses=12))
    stacks = ["middle frame, 16-D", "3 frames, 48-D", "7 frames, 112-D"]
    assert list(findings.tables[0].rows) == [*(f"single ({s})" for s in stacks), "window"]
    for table in findings.tables:
        for row in table.rows.values():
            assert 0 <= row[0] <= row[1] <= row[2] <= row[3] <= 100
    assert set(findings.summary["window"]) == {
        f"clips {s} hit@{k}" for s in SHOTS for k in (1, 5, 10, 20)
    }
    assert findings.skipped == []


def test_short_clips_are_counted(tmp_path, source):
    path = write_actions(tmp_path / "some.npz", ["a", "b"], frames=16)
    with np.load(path) as stored:
        content = {**stored, "clip_start": np.array([0, 28, 32])}
    np.savez(path, **content)
    model = contestant_of(make_model(tmp_path / "single.onnx"))
    task = make_task(sequence, [model], "--stack", "1", source=Source(("some.npz",)), poses=5)
    assert sequence.run(task).skipped == ["1 clips shorter than 0.48 s"]


def test_errors(tmp_path, source):
    single = contestant_of(make_model(tmp_path / "single.onnx"))
    with pytest.raises(VipeError, match="1 to 7 frames"):
        sequence.run(make_task(sequence, [single], "--stack", "9", source=source))
    with pytest.raises(VipeError, match="only lifts"):
        sequence.run(make_task(sequence, [Contestant("lifter", "x")], source=source))
    several = [
        contestant_of(make_model(tmp_path / f"{n}.onnx", name=f"of {n}", frames=n)) for n in (3, 5)
    ]
    with pytest.raises(VipeError, match="different windows"):
        sequence.run(make_task(sequence, several, source=source))
    write_actions(tmp_path / "brief.npz", ["a", "b"], frames=5)
    with pytest.raises(VipeError, match="long enough"):
        sequence.run(make_task(sequence, [single], source=Source(("brief.npz",))))
