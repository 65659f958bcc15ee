"""Examples files that cannot be believed, though their checksum is right."""

from __future__ import annotations

import io
import random
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.core.taught_examples import refuse, several
from vipe_core.actions import Examples, examples_file
from vipe_core.actions.examples_fields import from_fields, to_fields
from vipe_core.errors import VipeError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "taught.npz"


def sealed(path: Path, fields: dict, compressed: bool = False) -> Path:
    """A file as a hostile writer makes it."""
    buffer = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(buffer, **fields)
    return seal(path, buffer)


def seal(path: Path, buffer: io.BytesIO) -> Path:
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.comment = b"vipe sha256 " + b"0" * 64
    data = buffer.getvalue()[:-64]
    path.write_bytes(data + examples_file._checksum(data))
    return path


def test_a_file_that_says_it_holds_a_billion_frames(path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, value in to_fields(several()).items():
            content = io.BytesIO()
            np.save(content, value)
            data = content.getvalue()
            if name == "means":
                data = data.replace(b"(86, 4), }           ", b"(1000000000, 4), }   ")
                assert b"1000000000" in data
            archive.writestr(f"{name}.npy", data)
    seal(path, buffer)
    tracemalloc.start()
    with pytest.raises(
        VipeError, match=r"means: .*1376 bytes are no float32 of shape \(1000000000, 4\)"
    ):
        examples_file.read(path)
    assert tracemalloc.get_traced_memory()[1] < 2e6
    tracemalloc.stop()


def test_a_file_that_unpacks_to_much_more(path):
    sealed(path, to_fields(several()) | {"means": np.zeros((10**5, 4))}, compressed=True)
    with pytest.raises(VipeError, match="packed in a way that examples files are not"):
        examples_file.read(path)


def test_a_file_larger_than_any(path):
    with path.open("wb") as file:
        file.truncate(examples_file.MOST_BYTES + 1)
    with pytest.raises(VipeError, match="268,435,457 bytes, at most 268,435,456 are read"):
        examples_file.read(path)


def test_too_much_to_write(path, monkeypatch):
    monkeypatch.setattr(examples_file, "MOST_BYTES", 1000)
    with pytest.raises(VipeError, match=r"bytes, at most 1,000"):
        examples_file.write(path, several())
    assert not path.exists()


def test_nothing_is_unpickled(path):
    sealed(path, to_fields(several()) | {"labels": np.array([{}, {}, {}], object)})
    with pytest.raises(VipeError, match="labels: "):
        examples_file.read(path)


_NAN_MEAN = np.full((86, 4), np.nan, np.float32)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"kind": "vipe poses"}, "no examples file"),
        ({"format": 2}, "format 2, this vipe reads 1: update it"),
        ({"format": np.array([1, 1])}, r"format \[1 1\]"),
        ({"starts": np.array([0, 31, 76])}, "starts: not those of 86 frames"),
        ({"starts": np.array([0, 31, 86])}, "skeletons: 3 of 2 examples"),
        ({"starts": np.array([0, 31, 76, 87])}, "starts: not those of 86 frames"),
        ({"starts": np.array([0, 76, 31, 86])}, "starts: not those"),
        ({"starts": np.array([0.0, 31, 76, 86])}, "starts: not those"),
        ({"starts": np.array(86)}, "starts: not those"),
        ({"variances": np.ones((85, 4), np.float32)}, "differ in shape"),
        ({"means": _NAN_MEAN}, "not finite"),
        ({"labels": np.array(["wave", "bow"])}, "2 labels and 3 sources of 3 examples"),
        ({"labels": np.array(["wave", "unknown", "bow"])}, "'unknown' cannot be taught"),
        ({"skeletons": np.array(["body13"])}, "skeletons: 1 of 3"),
        ({"skeletons": np.array(["body13", "", "worm"])}, "unknown skeleton 'worm'"),
        ({"keypoints": np.ones(7, np.float32)}, "keypoints: not as many as"),
        ({"sigmoid_a": 0.0}, "sigmoid_a: a number over 0"),
        ({"sigmoid_b": np.nan}, "sigmoid_b: one finite number"),
        ({"sigmoid_a": np.ones(2)}, "sigmoid_a: one finite number"),
        ({"sigmoid_a": "2"}, "sigmoid_a: one finite number"),
        ({"labels": np.arange(3)}, r"labels: texts needed, not int64 of shape \(3,\)"),
        ({"sources": np.array("wave")}, r"sources: texts needed, .* of shape \(\)"),
        ({"stamps": np.arange(86)}, "floating point numbers needed"),
        ({"stamps": np.ones(86)}, "stamps do not rise"),
    ],
)
def test_fields_that_do_not_fit(path, change, line):
    sealed(path, to_fields(several()) | change)
    with pytest.raises(VipeError, match=line) as caught:
        examples_file.read(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", to_fields(several()))
def test_a_field_that_is_missing(path, name):
    fields = to_fields(several())
    del fields[name]
    sealed(path, fields)
    with pytest.raises(VipeError, match=rf"{name}: missing|no examples file|format None"):
        examples_file.read(path)


def test_a_hostile_archive_with_the_right_checksum_is_one_line(path):
    examples_file.write(path, several())
    whole, rng = path.read_bytes()[:-64], random.Random(0)
    outcomes = set()
    for _ in range(250):
        data = bytearray(whole)
        # The directory at the end is not covered by the checksums of the zip format.
        data[rng.randrange(len(data) - 1000, len(data))] = rng.randrange(256)
        path.write_bytes(bytes(data) + examples_file._checksum(bytes(data)))
        outcomes.add(outcome(path))
    assert "" in outcomes  # a date, for example
    assert len(outcomes) > 20
    assert not any("\n" in line for line in outcomes)


def outcome(path: Path) -> str:
    """Why a file is refused, "" when it is not."""
    try:
        examples_file.read(path, warn=refuse)
    except VipeError as error:
        return str(error)
    return ""


def test_text_that_is_none(path):
    fields = {name: np.asarray(value) for name, value in to_fields(several()).items()}
    labels = fields["labels"].copy()
    labels.view(np.uint32)[0] = 0x110000
    sealed(path, fields | {"labels": labels})
    with pytest.raises(VipeError, match=r"labels: unreadable \(no text\)"):
        examples_file.read(path)


def test_fields_of_nothing():
    assert len(from_fields(_arrays(Examples.empty(1.0, 0.0)))) == 0


def _arrays(examples: Examples) -> dict[str, np.ndarray]:
    return {name: np.asarray(value) for name, value in to_fields(examples).items()}
