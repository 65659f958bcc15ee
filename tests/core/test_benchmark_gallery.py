"""The benchmark of the gallery: its rows and lines, and what it searches. No times."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest

from benchmarks import gallery, timing
from benchmarks.gallery import Poses
from benchmarks.timing import Row
from tests.bodies import random_people, write_motion_file
from tests.model_factory import make_model
from vipe_core.gallery import nearest

pytest.importorskip("torch", reason="the trainer, which reads motion files, is not installed")


@pytest.fixture
def path(tmp_path, monkeypatch) -> Path:
    """A model file; short turns, few queries, motion and a cache of this test's own."""
    monkeypatch.setattr(timing, "TURNS", 3)
    monkeypatch.setattr(timing, "TURN_SECONDS", 1e-5)
    monkeypatch.setattr(gallery, "QUERIES", 5)
    monkeypatch.setattr(gallery, "MOTION", ("train.npz",))
    monkeypatch.setattr(gallery, "ASKED", ("test.npz",))
    monkeypatch.setattr(gallery, "CACHE", tmp_path)
    monkeypatch.setenv("VIPE_DATA", str(tmp_path))
    write_motion_file(tmp_path / "train.npz", 300, seed=1, subjects=("a", "b"))
    write_motion_file(tmp_path / "test.npz", 1200, seed=2, subjects=("c",))
    return make_model(tmp_path / "model.onnx")


def test_rows_and_lines(path, capfd):
    found = list(gallery.rows(path, 3000))
    rows = [row for row in found if isinstance(row, Row)]
    lines = [line for line in found if isinstance(line, str)]
    assert [row.what for row in rows] == [
        *["search 3,000, k = 20"] * 4,
        "on disk, a million of 3,000",
        "in memory, 3,000 searched",
        "append 30 to 3,000",
    ]
    assert [row.unit for row in rows] == ["ms"] * 4 + ["MB"] * 2 + ["ms"]
    assert all(math.isfinite(row.ratio) and row.ratio > 0 for row in rows)
    assert len(lines) == 1 + 5
    ours, exact = (re.findall(r"\d\.\d{3}", line) for line in lines[1:3])
    assert exact == ["1.000", "1.000"]
    assert len(ours) == 2
    assert "WARN" not in capfd.readouterr().err


def test_without_motion_files_a_line_says_so(path, tmp_path, monkeypatch):
    monkeypatch.setenv("VIPE_DATA", str(tmp_path / "nowhere"))
    (line,) = gallery.rows(path, 100)
    assert str(line).startswith("gallery: skipped, ")
    assert "nowhere" in str(line)


def test_poses_are_kept_for_the_next_time(path, tmp_path, monkeypatch):
    first = gallery.embedded(path, gallery.MOTION, 500, seed=1)
    monkeypatch.setenv("VIPE_DATA", str(tmp_path / "nowhere"))
    again = gallery.embedded(path, gallery.MOTION, 500, seed=1)
    assert first.mean.shape == first.variance.shape == (500, 16)
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_film_is_of_the_whole_body_or_lacks_a_limb():
    joints = random_people(20)
    for hide, seen in ((False, 13), (True, 11)):
        points, visibility = gallery.film(joints, np.random.default_rng(0), hide)
        assert points.shape == (20, 13, 2)
        assert np.isfinite(points).all()
        assert (visibility.sum(1) == seen).all()


def test_every_way_of_searching_finds_what_is_near():
    """Where variances are equal, the nearest means are the answer, whoever looks for them."""
    rng = np.random.default_rng(0)
    index = Poses(*(rng.normal(size=(2000, 16)).astype("f4"), np.full((2000, 16), 0.1, "f4")))
    asked = Poses(index.mean[:5] + np.float32(0.01), index.variance[:5])
    exact = nearest(*index, *asked, 1.0, 0.0, gallery.K)[0]
    for name, search in gallery.others(index, 1.0, 0.0).items():
        least = 0.5 if "IVF" in name else 0.99  # an eighth of its cells is looked into
        assert gallery.recall(search, asked, exact) >= least, name
