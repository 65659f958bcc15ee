"""The suite of alignment, live: what is played, and what is said of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.model_factory import make_model
from tests.training.clip_files import contestant_of, make_task, write_bandai
from vipe_training.evaluate.coders import KeypointCoder
from vipe_training.evaluate.report.findings import Findings
from vipe_training.evaluate.samples import clip_sets
from vipe_training.evaluate.suites import alignment
from vipe_training.evaluate.suites.following_findings import KINDS, add_following, streams
from vipe_training.evaluate.suites.synchronisation_findings import make_takes
from vipe_training.evaluate.task import Contestant

TEST = "actions/bandai_ccbync_test.npz"


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("VIPE_DATA", str(tmp_path))
    write_bandai(tmp_path, frames=24)
    return tmp_path


def test_what_is_played(root):
    take = make_takes(clip_sets.load_clips(TEST), 1.0, 0)[0]
    plain, disturbed = streams(take, np.random.default_rng(0)).values()
    np.testing.assert_array_equal(plain.frame, np.arange(24))
    assert plain.seen.all()
    # 15 frames a second: 1 s before, 1.5 s in the middle, 1 s at the end; 1 s out of sight.
    assert len(disturbed.frame) == 24 + 15 + 22 + 15 + 1
    assert set(np.diff(disturbed.frame)) == {0, 1}
    assert (disturbed.frame[:15] == 0).all()
    assert (disturbed.frame[-15:] == 23).all()
    assert (~disturbed.seen).sum() == 15


def test_a_row_for_each_kind_of_stream(root, tmp_path):
    model = contestant_of(make_model(tmp_path / "model.onnx", mirror=True))
    rivals = [model, Contestant("keypoints", "keypoints", KeypointCoder())]
    findings = alignment.run(make_task(alignment, rivals, "--live"))
    table = findings.tables[-1]
    assert table.title == "Following live: error in time"
    assert list(table.rows) == [f"test-model, {kind}" for kind in KINDS]
    for row in table.rows.values():
        median, mean, high, share, finished, early, spent = row
        assert 0 <= median <= high
        assert mean >= 0
        assert 0 <= share <= 100
        assert 0 <= early <= finished <= 100
        assert spent > 0


def test_nobody_has_a_match_probability(root):
    findings, rivals = Findings(""), [Contestant("keypoints", "keypoints", KeypointCoder())]
    add_following(findings, make_task(alignment, []), rivals, clip_sets.load_clips(TEST))
    assert findings.tables == []
    assert findings.skipped == ["following: no contestant has a match probability"]
