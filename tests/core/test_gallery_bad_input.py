"""What a gallery refuses: one line each, that says what to do."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.core.gallery_rows import ORIGIN, filled, rows
from tests.model_factory import make_model
from vipe_core import runtime
from vipe_core.errors import VipeError
from vipe_core.gallery import Filter, Gallery, Rows

QUERY = np.zeros(16), np.full(16, 0.1)


@pytest.fixture(scope="module")
def gallery(tmp_path_factory) -> Gallery:
    return filled(tmp_path_factory.mktemp("good"), rows(5))


def test_another_model(tmp_path):
    gallery = filled(tmp_path)
    other = replace(ORIGIN, fingerprint="ffffffffffff")
    line = (
        r"is of model test 1 \(0123456789ab\), not of the model given \(ffffffffffff\): "
        r"index anew, into another folder, with `vipe index"
    )
    with pytest.raises(VipeError, match=line):
        Gallery.create(gallery.address, other)
    with pytest.raises(VipeError, match=line):
        Gallery.open(gallery.address, other.fingerprint)


def test_no_index(tmp_path):
    with pytest.raises(VipeError, match=r"no index of poses at .*: make it with `vipe index"):
        Gallery.open(tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_folder_of_something_else(tmp_path):
    with pytest.raises(VipeError, match="no index of poses at"):
        Gallery.open(tmp_path)


def test_a_file(tmp_path):
    (tmp_path / "file").write_text("hello")
    with pytest.raises(VipeError, match="is a file, not the folder of an index"):
        Gallery.open(tmp_path / "file")
    with pytest.raises(VipeError, match="it is a file; an index is a folder"):
        Gallery.create(tmp_path / "file", ORIGIN)


def test_a_table_of_somebody_else(tmp_path):
    import lancedb

    lancedb.connect(tmp_path).create_table("poses", [{"a": 1}])
    with pytest.raises(VipeError, match="the table is none that vipe made"):
        Gallery.open(tmp_path)


def test_a_damaged_table(tmp_path):
    gallery = filled(tmp_path, rows(5))
    for manifest in Path(gallery.address).glob("poses.lance/_versions/*.manifest"):
        manifest.write_bytes(manifest.read_bytes()[:20])
    with pytest.raises(VipeError, match=r"gallery: damaged or out of reach \(") as caught:
        Gallery.open(gallery.address)
    assert ".rs" not in str(caught.value)


def test_a_data_file_that_is_gone(tmp_path):
    gallery = filled(tmp_path, rows(5))
    for file in Path(gallery.address).glob("poses.lance/data/*.lance"):
        file.unlink()
    with pytest.raises(VipeError, match="damaged or out of reach"):
        Gallery.open(gallery.address).search(*QUERY)


def test_an_unknown_scheme():
    with pytest.raises(VipeError, match=r"index nowhere://x: .*nowhere"):
        Gallery.open("nowhere://x")


def test_without_lancedb(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "lancedb", None)
    line = r"an index of poses needs LanceDB: pip install -e '\.\[search\]'"
    with pytest.raises(VipeError, match=line):
        Gallery.open(tmp_path)
    with pytest.raises(VipeError, match=line):
        Gallery.create(tmp_path / "new", ORIGIN)


def test_a_model_without_embedding(tmp_path):
    model = runtime.load(make_model(tmp_path / "pose.onnx", "pose"))
    with pytest.raises(VipeError, match="gives no embedding, its task is 'pose'"):
        Gallery.create(tmp_path / "gallery", model)


@pytest.mark.parametrize("k", [0, -3, 100_001])
def test_k_out_of_range(gallery, k):
    with pytest.raises(VipeError, match=f"k must be from 1 to 100,000, not {k}"):
        gallery.search(*QUERY, k=k)


def test_embeddings_of_another_size(gallery):
    line = "has embeddings of size 16, the pose asked for has 8"
    with pytest.raises(VipeError, match=line):
        gallery.search(np.zeros(8), np.zeros(8))
    with pytest.raises(VipeError, match="has embeddings of size 16, the rows have 8"):
        gallery.add(Rows(np.zeros((2, 8)), np.zeros((2, 8)), "a", [0, 1]))


def test_nobody(gallery):
    with pytest.raises(VipeError, match="nobody to search for"):
        gallery.search(np.full(16, np.nan), np.zeros(16))


def test_a_query_of_negative_variance(gallery):
    with pytest.raises(VipeError, match="variance: negative"):
        gallery.search(np.zeros(16), np.where(np.arange(16) == 3, -0.1, 0.1))


def test_a_time_after_its_end(gallery):
    with pytest.raises(VipeError, match="since 3 s lies after until 2 s"):
        gallery.search(*QUERY, where=Filter(since=3, until=2))


def test_a_query_of_no_shape(gallery):
    with pytest.raises(VipeError, match=r"mean of shape \(2, 16\).*\(D,\) both needed"):
        gallery.search(np.zeros((2, 16)), np.zeros((2, 16)))


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ({"variance": np.zeros((3, 2))}, r"mean of shape \(3, 4\) and variance of \(3, 2\)"),
        ({"variance": np.full((3, 4), -1.0)}, "variance: negative"),
        ({"stamp_s": [0, 1]}, "stamp_s: 3 finite seconds needed"),
        ({"stamp_s": [0, 1, np.nan]}, "stamp_s: 3 finite seconds needed"),
        ({"label": ["a"]}, "label: 1 values for 3 rows"),
    ],
)
def test_rows_that_do_not_fit(more, line):
    good = {"mean": np.zeros((3, 4)), "variance": np.zeros((3, 4)), "stamp_s": [0, 1, 2]}
    with pytest.raises(VipeError, match=line):
        Rows(**(good | {"source": "a"} | more))
