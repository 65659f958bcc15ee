"""The keypoint file: what is written is read back, and every fault is one clear line."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest

from vipe_core import keypoint_file
from vipe_core.errors import VipeError
from vipe_core.keypoint_file import KeypointFile


def fields(**changes):
    """Raw fields of a good file of five frames, some changed; None takes a field out."""
    rng = np.random.default_rng(0)
    good = {
        "points": rng.uniform(0, 100, (5, 13, 2)).astype(np.float32),
        "visibility": np.ones((5, 13), np.float32),
        "skeleton": "body13",
    }
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


@pytest.fixture
def file(tmp_path):
    return tmp_path / "clip.npz"


def test_round_trip_of_every_field(file):
    points = np.zeros((4, 3, 17, 2), np.float32)
    points[1, 2, 5] = np.nan
    content = KeypointFile(
        points=points,
        visibility=np.full((4, 3, 17), 0.5),
        skeleton="coco17",
        fps=30,
        stamp=np.array([0.0, 0.1, 0.2, 0.4]),
        label="Winken, links",
        image_size=(640, 480),
        camera_matrix=np.eye(3),
    )
    keypoint_file.write(file, content)
    back = keypoint_file.read(file)
    for name in KeypointFile.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(back, name), getattr(content, name), err_msg=name)
    assert back.image_size == (640, 480)
    assert back.label == "Winken, links"
    assert back.visibility[1, 2, 5] == 0
    assert back.people() == 3
    assert back.person(2)[0].shape == (4, 17, 2)
    assert [entry.name for entry in file.parent.iterdir()] == ["clip.npz"]


def test_optional_fields_may_be_absent(file):
    np.savez(file, **fields())
    content = keypoint_file.read(file)
    assert (content.fps, content.stamp, content.label) == (None, None, None)
    assert content.people() == 1
    assert len(content) == 5
    keypoint_file.write(file, content)
    assert set(np.load(file)) == {"points", "visibility", "skeleton"}


def test_fields_of_others_are_ignored(file):
    np.savez(file, **fields(comment="hello", extra=np.array([{}], object)))
    assert len(keypoint_file.read(file)) == 5


def test_stamps_come_from_stamp_or_fps(file):
    assert np.allclose(KeypointFile(**fields(fps=10)).stamps(), [0, 0.1, 0.2, 0.3, 0.4])
    assert np.allclose(KeypointFile(**fields()).stamps(default_fps=2)[-1], 2)
    with pytest.raises(VipeError, match="neither stamp nor fps"):
        KeypointFile(**fields()).stamps()


def test_missing_joint_has_no_visibility():
    points = fields()["points"]
    points[0, 0, 1] = np.inf
    content = KeypointFile(**fields(points=points))
    assert np.isnan(content.points[0, 0]).all()
    assert content.visibility[0, 0] == 0


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"points": None}, "points: missing"),
        ({"visibility": None}, "visibility: missing"),
        ({"skeleton": None}, "skeleton: missing"),
        ({"skeleton": "spider"}, "unknown skeleton 'spider'"),
        ({"skeleton": 7}, "skeleton: type int64"),
        ({"points": np.zeros((5, 12, 2))}, r"points: shape \(5, 12, 2\), body13 needs"),
        ({"points": np.zeros((13, 2))}, r"points: shape \(13, 2\)"),
        ({"points": np.full((5, 13, 2), "a")}, "points: type <U1, numbers needed"),
        ({"points": np.array([{}], object)}, r"points: unreadable \(Object arrays"),
        ({"visibility": np.ones((5, 12))}, r"visibility: shape \(5, 12\)"),
        ({"visibility": np.full((5, 13), 1j)}, "visibility: type complex128"),
        ({"fps": 0}, r"fps: 0.0, a positive"),
        ({"fps": np.nan}, r"fps: nan, a positive"),
        ({"fps": [1, 2]}, r"fps: shape \(2,\)"),
        ({"stamp": np.arange(4)}, r"stamp: shape \(4,\), points need \(5,\)"),
        ({"stamp": np.array([0, 1, 1, 2, 3])}, "stamp: not rising"),
        ({"stamp": np.array([0, 1, np.nan, 2, 3])}, "stamp: not rising"),
        ({"label": ""}, "label: ''"),
        ({"label": "a\nb"}, "label: .*one line"),
        ({"label": 3}, "label: type int64"),
        ({"image_size": [640]}, r"image_size: \(640"),
        ({"image_size": [0, 480]}, r"image_size: \(.*\(width, height\)"),
        ({"camera_matrix": np.eye(4)}, r"camera_matrix: shape \(4, 4\)"),
        ({"camera_matrix": np.full((3, 3), np.nan)}, "camera_matrix: .*finite"),
    ],
)
def test_every_fault_names_file_and_field_in_one_line(file, changes, line):
    np.savez(file, **fields(**changes))
    with pytest.raises(VipeError, match=line) as caught:
        keypoint_file.read(file)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 but no more", b"\x80\x04K\x01."])
def test_not_an_npz(file, content):
    file.write_bytes(content)
    with pytest.raises(VipeError, match=r"clip\.npz: not an \.npz"):
        keypoint_file.read(file)


def test_truncated_and_bit_rotten_files(file):
    np.savez_compressed(file, **fields())
    whole = file.read_bytes()
    for cut in range(0, len(whole), 97):
        file.write_bytes(whole[:cut])
        with pytest.raises(VipeError):
            keypoint_file.read(file)
    for at in range(0, len(whole), 41):  # a flipped byte may be harmless, never a traceback
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        with suppress(VipeError):
            keypoint_file.read(file)


def test_a_bare_array_is_refused(file):
    with file.open("wb") as handle:
        np.save(handle, np.zeros(3))
    with pytest.raises(VipeError, match=r"bare array; an \.npz is needed"):
        keypoint_file.read(file)


def test_no_such_file_and_no_such_person(file):
    with pytest.raises(VipeError, match="No such file"):
        keypoint_file.read(file)
    with pytest.raises(VipeError, match="no person 1; the keypoint file holds 1"):
        KeypointFile(**fields()).person(1)


def test_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(VipeError, match="cannot write"):
        keypoint_file.write(tmp_path / "file" / "clip.npz", KeypointFile(**fields()))
