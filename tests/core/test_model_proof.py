"""What a model file proves of itself: that it is whole, and what it gives."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.model_factory import check_vectors, make_graph, make_metadata, make_model
from tests.model_factory import write_unchecked as write_raw
from vipe_core import model_file
from vipe_core.errors import VipeError
from vipe_core.model_file import seal
from vipe_core.model_file.check import LIMITS, CheckVectors, example_inputs
from vipe_core.skeletons import SKELETONS


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.onnx"


def fields() -> dict[str, object]:
    return json.loads(make_metadata().to_json())


def fault(path: Path, words: str) -> None:
    """Reading must fail with one line that names the file and has these words."""
    with pytest.raises(VipeError, match=words) as caught:
        model_file.read_metadata(path)
    assert str(path) in str(caught.value)


def test_every_flipped_bit_is_noticed(path, capfd):
    data = make_model(path).read_bytes()
    rng = np.random.default_rng(0)
    for at in (0, len(data) - 1, *rng.integers(0, len(data), 60)):
        damaged = bytearray(data)
        damaged[at] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        with pytest.raises(VipeError, match=f"{path}"):
            model_file.read_metadata(path)
    assert capfd.readouterr() == ("", "")


def test_changed_after_it_was_written(path):
    data = make_model(path, version="1.2.3").read_bytes()
    path.write_bytes(data.replace(b"1.2.3", b"1.2.4"))
    fault(path, "is damaged or was changed after it was written: its checksum does not fit; copy")


def test_written_again_by_another_tool(path):
    model = onnx.load(make_model(path))
    kept = [p for p in model.metadata_props if p.key != seal.KEY]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    onnx.save(model, path)
    fault(path, "was changed after it was written: no checksum stands at its end; export it anew")


def test_a_sealed_file_is_still_onnx(path):
    onnx.checker.check_model(onnx.load(make_model(path)), full_check=True)
    assert path.read_bytes()[-64:].decode() == hashlib.sha256(path.read_bytes()[:-64]).hexdigest()


def test_no_check_vectors(path):
    write_raw(path, make_graph(), fields())
    fault(path, "has no check vectors")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("!", "are not base64"),
        ("AAAA", "are unreadable"),
        ("A" * 10_000_001, "are too long"),
    ],
)
def test_check_vectors_that_are_none(path, text, words):
    write_raw(path, make_graph(), fields(), text)
    fault(path, f"the check vectors {words}")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"points": np.zeros((4, 12, 2), np.float32)}, "do not fit the model's input"),
        ({"visibility": np.zeros((3, 13), np.float32)}, "do not fit the model's input"),
        ({"points": np.zeros(4, np.float32)}, "do not fit the model's input"),
        ({"visibility": np.float32(1)}, "do not fit the model's input"),
        (
            {"points": np.zeros((0, 13, 2), "f4"), "visibility": np.zeros((0, 13), "f4")},
            "do not fit the model's input",
        ),
        ({"outputs": {}}, "do not fit the model's outputs"),
        ({"outputs": {"age": np.zeros((16, 1), np.float32)}}, "do not fit the model's outputs"),
        ({"outputs": {"std": np.zeros((16, 9), np.float32)}}, "do not fit the model's outputs"),
        ({"outputs": {"mean": np.zeros((3, 16), np.float32)}}, "do not fit the model's outputs"),
        ({"points": np.zeros((16, 13, 2))}, "are not float32"),
    ],
)
def test_check_vectors_of_something_else(path, change, words):
    write_raw(path, make_graph(), fields(), replace(check_vectors(), **change).encode())
    fault(path, f"the check vectors {words}")


def test_check_vectors_survive_writing(path):
    before = check_vectors()
    after = CheckVectors.decode(before.encode(), make_metadata())
    np.testing.assert_array_equal(before.points, after.points)
    assert before.worst(after.outputs) == 0


@pytest.mark.parametrize("skeleton", SKELETONS)
def test_example_people_have_joints_and_hidden_ones(skeleton):
    points, visibility = example_inputs(make_metadata(skeleton_2d=skeleton))
    there = np.isfinite(points).all(-1)
    assert (visibility[0][there[0]] > 0.5).sum() >= 4
    assert there.any(1).all()
    assert ((visibility > 0) & (visibility < 0.5)).any()
    again, _ = example_inputs(make_metadata(skeleton_2d=skeleton))
    np.testing.assert_array_equal(points, again)


def test_a_wrong_weight_is_over_every_limit(path):
    check = check_vectors()
    outputs = {name: value + 3 for name, value in check.outputs.items()}
    assert check.worst(outputs) > max(LIMITS.values())
    zeros = {name: value * 0 for name, value in check.outputs.items()}
    assert check.worst(zeros) > max(LIMITS.values())
    assert np.isnan(check.worst(outputs | {"mean": outputs["mean"] * np.nan}))
