"""Recordings into a gallery: whole, cut off, changed, broken."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.core.gallery_rows import Stop, StopAfter
from tests.model_factory import make_model
from vipe_core import embedding_file, keypoint_file, runtime
from vipe_core.embedding_file import EmbeddingFile
from vipe_core.errors import VipeError
from vipe_core.estimate import estimate
from vipe_core.gallery import Filter, Gallery, indexing, schema
from vipe_core.gallery.indexing import Settings, Watch
from vipe_core.keypoint_file import KeypointFile


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> runtime.Model:
    return runtime.load(make_model(tmp_path_factory.mktemp("model") / "model.onnx"))


@pytest.fixture
def gallery(tmp_path, model) -> Gallery:
    return Gallery.create(tmp_path / "gallery", model, refresh_s=0)


def clip(path: Path, *lead: int, seed: int = 0, **more: object) -> Path:
    """A keypoint file of random poses, ten a second."""
    points = np.random.default_rng(seed).normal(300, 80, (*lead, 13, 2))
    fields = {"fps": 10.0} | more
    path.parent.mkdir(exist_ok=True)
    keypoint_file.write(path, KeypointFile(points, np.ones((*lead, 13)), "body13", **fields))
    return path


def contents(gallery: Gallery) -> list[tuple[str, float, str, str]]:
    """Source's name, stamp, body and label of every row, sorted."""
    return sorted(
        (Path(row["source"]).name, round(row["stamp_s"], 6), row["body"], row["label"])
        for row in gallery.table.to_arrow().to_pylist()
    )


class Lines(Watch):
    """What was said, and how far it came."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.steps, self.counts = 0, []

    def begin(self, path: Path, count: int | None) -> None:
        self.counts.append((path.name, count))

    def step(self) -> None:
        self.steps += 1

    def say(self, line: str) -> None:
        self.lines.append(line)


def test_every_pose_is_there_as_the_model_sees_it(gallery, model, tmp_path):
    path = clip(tmp_path / "in" / "a.npz", 6, 2, label="wave")
    content = keypoint_file.read(path)
    content.points[2, 1] = np.nan
    keypoint_file.write(path, content)
    lines = Lines()
    summary = indexing.index(gallery, [path], model, watch=lines)
    assert (summary.indexed, summary.rows, summary.skipped, summary.failed) == (1, 11, 0, [])
    assert (lines.counts, lines.steps, lines.lines) == ([("a.npz", 6)], 6, [])
    expected = [
        ("a.npz", t / 10, str(p), "wave") for t in range(6) for p in range(2) if (t, p) != (2, 1)
    ]
    assert contents(gallery) == expected
    found = estimate(model, content.points, content.visibility, "body13")[0]
    table = gallery.table.to_arrow().sort_by([("stamp_s", "ascending"), ("body", "ascending")])
    there = np.isfinite(found.mean).all(-1)
    np.testing.assert_allclose(schema.vectors(table, "mean"), found.mean[there], atol=1e-6)
    np.testing.assert_allclose(schema.vectors(table, "variance"), found.variance[there], atol=1e-6)
    source = str(path.resolve())
    assert set(table.column("source").to_pylist()) == {source}
    assert all(picture[:2] == b"\xff\xd8" for picture in table.column("thumbnail").to_pylist())


def test_settings(gallery, model, tmp_path):
    path = clip(tmp_path / "a.npz", 30, label="wave")
    settings = Settings(label="mine", every_s=0.3, thumbnails=False)
    indexing.index(gallery, [path], model, settings)
    assert contents(gallery) == [("a.npz", round(t * 0.3, 6), "0", "mine") for t in range(10)]
    assert gallery.table.to_arrow().column("thumbnail").null_count == 10


def test_what_is_there_is_skipped_and_what_is_new_is_added(gallery, model, tmp_path):
    clip(tmp_path / "in" / "a.npz", 4)
    indexing.index(gallery, [tmp_path / "in"], model)
    clip(tmp_path / "in" / "b.npz", 3, seed=1)
    lines = Lines()
    summary = indexing.index(
        gallery, [tmp_path / "in", tmp_path / "in" / "a.npz"], model, watch=lines
    )
    assert (summary.indexed, summary.skipped, summary.rows) == (1, 1, 3)
    assert lines.counts == [("b.npz", 3)]
    assert len(gallery) == 7


@pytest.mark.parametrize("moments", [0, 1, 7, 19])
@pytest.mark.parametrize("every_s", [0.0, 0.25])
def test_what_was_cut_off_is_continued_without_duplicates(
    gallery, model, tmp_path, moments, every_s
):
    path, settings = clip(tmp_path / "a.npz", 20, 2), Settings(every_s=every_s)
    with pytest.raises(Stop):
        indexing.index(gallery, [path], model, settings, StopAfter(moments), flush_s=0)
    before = contents(gallery)
    summary = indexing.index(gallery, [path], model, settings)
    assert summary.rows == len(gallery) - len(before)
    stamps = [t / 10 for t in range(20)] if every_s == 0 else [0.3 * t for t in range(7)]
    assert contents(gallery) == [
        ("a.npz", round(t, 6), str(p), "") for t in stamps for p in range(2)
    ]
    assert set(before) <= set(contents(gallery))


@pytest.mark.parametrize("half", [False, True])
def test_what_has_changed_is_indexed_anew(gallery, model, tmp_path, half):
    path = clip(tmp_path / "a.npz", 8)
    other = clip(tmp_path / "b.npz", 2)
    indexing.index(gallery, [other], model)
    if half:
        with pytest.raises(Stop):
            indexing.index(gallery, [path], model, watch=StopAfter(5), flush_s=0)
    else:
        indexing.index(gallery, [path], model)
    clip(path, 5, seed=3, label="new")
    assert indexing.index(gallery, [path], model).rows == 5
    expected = [("a.npz", t / 10, "0", "new") for t in range(5)]
    assert contents(gallery) == [*expected, ("b.npz", 0.0, "0", ""), ("b.npz", 0.1, "0", "")]


def test_other_settings_index_anew(gallery, model, tmp_path):
    path = clip(tmp_path / "a.npz", 8)
    indexing.index(gallery, [path], model)
    indexing.index(gallery, [path], model, Settings(every_s=0.4))
    assert [row[1] for row in contents(gallery)] == [0.0, 0.4]


def test_a_bad_file_among_good_ones(gallery, model, tmp_path):
    files = [clip(tmp_path / f"{name}.npz", 3) for name in "abc"]
    files[1].write_bytes(b"hello")
    lines = Lines()
    missing = tmp_path / "none.npz"
    summary = indexing.index(gallery, [missing, *files], model, watch=lines)
    assert (summary.indexed, summary.rows) == (2, 6)
    assert summary.failed == lines.lines
    assert [Path(line.split(": ")[0].split()[-1]).name for line in lines.lines[1:]] == ["b.npz"]
    assert "none.npz does not exist" in lines.lines[0]
    assert {row[0] for row in contents(gallery)} == {"a.npz", "c.npz"}


def test_an_embedding_file(gallery, model, tmp_path):
    rng = np.random.default_rng(0)
    mean, variance = rng.normal(size=(4, 16)), rng.uniform(0.1, 1, (4, 16))
    mean[1] = np.nan
    info = model.metadata
    content = EmbeddingFile(
        mean, variance, "body13", "m", model.fingerprint, info.sigmoid_a, info.sigmoid_b, fps=2.0
    )
    embedding_file.write(tmp_path / "a.npz", content)
    summary = indexing.index(gallery, [tmp_path / "a.npz"], model)
    assert summary.rows == 3
    assert [row[1] for row in contents(gallery)] == [0.0, 1.0, 1.5]
    assert gallery.table.to_arrow().column("thumbnail").null_count == 3


def test_an_index_of_another_model(gallery, tmp_path):
    other = runtime.load(make_model(tmp_path / "other.onnx", version="2"))
    with pytest.raises(VipeError, match=r"is of model test-model 1\.2\.3 .* index anew"):
        indexing.index(gallery, [clip(tmp_path / "a.npz", 2)], other)


def test_a_name_with_a_quote(gallery, model, tmp_path):
    path = clip(tmp_path / "it's' OR 1=1 --.npz", 3)
    for moments in (1, 10):
        if moments == 1:
            with pytest.raises(Stop):
                indexing.index(gallery, [path], model, watch=StopAfter(1), flush_s=0)
        else:
            indexing.index(gallery, [path], model)
    assert len(gallery) == gallery.count(Filter(source=indexing.source_name(path))) == 3
