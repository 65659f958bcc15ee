"""The embedding file, one test per promised error."""

from __future__ import annotations

import numpy as np
import pytest

from vipe_core import embedding_file
from vipe_core.embedding_file import EmbeddingFile
from vipe_core.errors import VipeError


def content(shape: tuple[int, ...] = (5, 4), **overrides: object) -> EmbeddingFile:
    fields: dict[str, object] = {
        "mean": np.random.default_rng(0).normal(size=shape).astype(np.float32),
        "variance": np.full(shape, 0.1, np.float32),
        "skeleton": "coco17",
        "model": "test-model 1.2.3",
        "fingerprint": "0123456789ab",
        "sigmoid_a": 1.5,
        "sigmoid_b": 0.75,
    }
    return EmbeddingFile(**(fields | overrides))


@pytest.mark.parametrize("shape", [(5, 4), (0, 4), (5, 2, 4)])
@pytest.mark.parametrize("optional", [{}, {"fps": 30.0, "label": "wave"}])
def test_what_is_written_is_read(tmp_path, shape, optional):
    given = content(shape, **optional)
    found = embedding_file.read(embedding_file.write(tmp_path / "x.npz", given))
    for name, value in vars(given).items():
        np.testing.assert_array_equal(getattr(found, name), value)
    assert found.mean.dtype == np.float32


def test_people_are_flattened_frame_by_frame():
    given = content((3, 2, 4))
    mean, variance = given.rows()
    np.testing.assert_array_equal(mean[2 * 2 + 1], given.mean[2, 1])
    assert variance.shape == (6, 4)


def test_missing_people_are_nan():
    given = content()
    mean = given.mean.copy()
    mean[2] = np.nan
    assert np.isnan(content(mean=mean, variance=np.where(np.isnan(mean), mean, 1)).mean[2]).all()


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"mean": np.ones(4)}, r"mean: shape \(4,\)"),
        ({"mean": np.ones((3, 0))}, r"mean: shape \(3, 0\)"),
        ({"variance": np.ones((4, 4))}, r"variance: shape \(4, 4\), mean has \(5, 4\)"),
        ({"variance": -np.ones((5, 4))}, "variance: negative"),
        ({"sigmoid_a": 0.0}, "sigmoid_a, sigmoid_b"),
        ({"sigmoid_b": float("nan")}, "sigmoid_a, sigmoid_b"),
    ],
)
def test_arrays_that_do_not_fit(overrides, words):
    with pytest.raises(VipeError, match=words):
        content(**overrides)


@pytest.mark.parametrize(
    "name", ["mean", "variance", "skeleton", "model", "fingerprint", "sigmoid_a", "sigmoid_b"]
)
def test_each_missing_field(tmp_path, name):
    values = {n: v for n, v in vars(content()).items() if n != name and v is not None}
    np.savez(tmp_path / "x.npz", **values)
    with pytest.raises(VipeError, match=f"embedding file .*x.npz: {name}: missing"):
        embedding_file.read(tmp_path / "x.npz")


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"mean": np.full((5, 4), "x")}, "mean: type <U1, numbers needed"),
        ({"model": 7}, "model: type int64"),
        ({"sigmoid_a": np.ones(2)}, r"sigmoid_a: shape \(2,\), one number needed"),
        ({"sigmoid_a": "x"}, "sigmoid_a: type <U1, numbers needed"),
    ],
)
def test_each_ill_typed_field(tmp_path, overrides, words):
    values = {n: v for n, v in vars(content()).items() if v is not None} | overrides
    np.savez(tmp_path / "x.npz", **values)
    with pytest.raises(VipeError, match=words):
        embedding_file.read(tmp_path / "x.npz")


def test_a_keypoint_file_is_recognised(tmp_path):
    np.savez(tmp_path / "x.npz", points=np.ones((1, 13, 2)))
    with pytest.raises(VipeError, match="make it with `vipe embed`"):
        embedding_file.read(tmp_path / "x.npz")
