"""Bags that were cut off or damaged, and messages that do not fit."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.bags import COUNT, Robot, in_time, stamp, write_bag
from tests.model_factory import make_model
from vipe_core import runtime
from vipe_core.errors import VipeError
from vipe_core.recordings import open_source
from vipe_core.runtime import Model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bags")


@pytest.fixture(scope="module")
def model(folder: Path) -> Model:
    return runtime.load(make_model(folder / "model.onnx", mirror=True))


@pytest.fixture(scope="module")
def robot(model: Model) -> Robot:
    return Robot(model)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("compressed", [False, True])
def test_a_cut_off_file_is_read_up_to_the_cut(
    tmp_path: Path, model: Model, robot: Robot, share: float, compressed: bool
) -> None:
    folder = write_bag(tmp_path / "bag", robot.everything(), compressed=compressed)
    data = (folder / "bag.mcap").read_bytes()
    path = tmp_path / "cut.mcap"
    path.write_bytes(data[: int(len(data) * share)])
    with open_source(path, model, images=True) as source:
        moments = list(source.moments())
        (note,) = source.notes
    assert "cut off; " in note
    assert note.endswith("bytes are not")
    stamps = [moment.stamp_s for moment in moments]
    np.testing.assert_allclose(stamps, [stamp(i) for i in range(len(stamps))], atol=1e-6)
    # A chunk of a megabyte that was packed is whole or lost; of others only a message is.
    least = share * COUNT - 8 if compressed else int(share * COUNT) - 1
    assert len(moments) >= min(max(least, 1), COUNT - 1)
    for moment, scene in zip(moments[:-1], robot.scenes, strict=False):
        np.testing.assert_array_equal(moment.estimates.mean, scene.estimates.mean)
        assert moment.people is not None
        assert moment.image is not None


def without_chunks(data: bytes) -> bytes:
    """An MCAP file as ``fastwrite`` makes it: the records of its chunks one after the other."""
    record = struct.Struct("<BQ")
    at, records = 8, [data[:8]]
    while at < len(data) - 8:
        opcode, size = record.unpack_from(data, at)
        content = data[at + record.size : at + record.size + size]
        if opcode == 0x06:
            (name,) = struct.unpack_from("<I", content, 28)
            records.append(content[32 + name + 8 :])
        elif opcode == 0x01:
            records.append(data[at : at + record.size + size])
        elif opcode == 0x0F:
            break
        at += record.size + size
    return b"".join(records)


def test_a_cut_off_file_without_chunks(tmp_path: Path, model: Model, robot: Robot) -> None:
    folder = write_bag(tmp_path / "bag", robot.everything())
    path = tmp_path / "fast.mcap"
    path.write_bytes(without_chunks((folder / "bag.mcap").read_bytes())[:-5])
    with open_source(path, model) as source:
        assert len(list(source.moments())) == COUNT
        (note,) = source.notes
    assert f"cut off; {4 * COUNT - 1} messages" in note


def test_a_recorder_that_was_killed_left_no_metadata(
    tmp_path: Path, model: Model, robot: Robot
) -> None:
    folder = write_bag(tmp_path / "bag", robot.everything())
    (folder / "metadata.yaml").unlink()
    file = folder / "bag.mcap"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with open_source(folder, model) as source:
        assert len(list(source.moments())) >= COUNT // 2 - 1
        first, second = source.notes
    assert "its files are read one by one" in first
    assert "cut off; " in second


def test_of_several_files_each_is_read_as_far_as_it_goes(
    tmp_path: Path, model: Model, robot: Robot
) -> None:
    """As a recorder with ``--max-bag-size`` leaves them that was killed in the third."""
    entries, folder = robot.everything(), tmp_path / "long"
    folder.mkdir()
    third = len(entries) // 4 // 3 * 4
    for number, start in enumerate(range(0, 3 * third, third)):
        part = write_bag(tmp_path / f"part{number}", entries[start : start + third])
        file = folder / f"long_{number}.mcap"
        file.write_bytes((part / f"part{number}.mcap").read_bytes())
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    (folder / "long_3.mcap").touch()
    with open_source(folder, model) as source:
        stamps = [moment.stamp_s for moment in source.moments()]
        notes = source.notes
    assert third // 4 * 2 < len(stamps) < third // 4 * 3
    np.testing.assert_allclose(stamps, [stamp(i) for i in range(len(stamps))], atol=1e-6)
    assert len(notes) == 3
    assert "long_3.mcap" in notes[2]


def test_power_was_lost(tmp_path: Path, model: Model, robot: Robot) -> None:
    """The file system kept the length of the file, not its end; and a chunk is damaged."""
    folder = write_bag(tmp_path / "bag", robot.everything(), compressed=True)
    data = bytearray((folder / "bag.mcap").read_bytes())
    second = data.find(b"zstd", data.find(b"zstd") + 1) + 12
    data[second : second + 16] = bytes(16)
    path = tmp_path / "holes.mcap"
    path.write_bytes(data[: len(data) * 3 // 4] + bytes(5000))
    with open_source(path, model) as source:
        assert COUNT // 4 < len(list(source.moments())) < COUNT * 3 // 4
        (note,) = source.notes
    assert "bytes and 1 chunks before are not" in note


def test_half_a_database(tmp_path: Path, model: Model, robot: Robot) -> None:
    folder = write_bag(tmp_path / "bag", robot.everything(), sqlite=True)
    path = tmp_path / "half.db3"
    data = (folder / "bag.db3").read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(VipeError, match=r"bag .*half\.db3: .*malformed"):
        open_source(path, model)


def test_a_damaged_image_costs_no_more_than_itself(
    tmp_path: Path, model: Model, robot: Robot
) -> None:
    images = list(robot.images())
    images[4][3].encoding = "infrared9"
    path = write_bag(tmp_path / "bag", in_time(iter(images), robot.embeddings()))
    with open_source(path, model, images=True) as source:
        shown = [moment.image is not None for moment in source.moments()]
        (note,) = source.notes
    assert shown == [i != 4 for i in range(COUNT)]
    assert "1 left out: image has encoding 'infrared9'" in note


def empty(path: Path) -> None:
    path.touch()


def text(path: Path) -> None:
    path.write_text("no bag\n" * 100)


def only_magic(path: Path) -> None:
    path.write_bytes(b"\x89MCAP0\r\n")


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("a.mcap", empty, r"recording .*a\.mcap is empty"),
        ("a.db3", empty, r"recording .*a\.db3 is empty"),
        ("a.mcap", text, r"bag .*a\.mcap: File magic is invalid"),
        ("a.db3", text, r"bag .*a\.db3: Cannot open database"),
        ("a.mcap", only_magic, r"bag .*a\.mcap: cut off before its first message was written"),
    ],
)
def test_what_is_no_bag(
    tmp_path: Path, model: Model, name: str, make: Callable[[Path], None], message: str
) -> None:
    make(tmp_path / name)
    with pytest.raises(VipeError, match=message):
        open_source(tmp_path / name, model)


def test_a_damaged_bag_ends_early_with_a_note(tmp_path: Path, model: Model, robot: Robot) -> None:
    folder = write_bag(tmp_path / "bag", robot.everything(), compressed=True)
    file = folder / "bag.mcap"
    data = bytearray(file.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 64] = bytes(64)
    file.write_bytes(data)
    with open_source(folder, model) as source:
        assert len(list(source.moments())) < COUNT
        assert any("damaged, read up to there" in note for note in source.notes)


def test_what_does_not_fit_is_left_out_and_counted(
    tmp_path: Path, model: Model, robot: Robot
) -> None:
    entries = in_time(robot.bodies())
    entries[3][3].skeleton = "octopus"
    entries[5][3].bodies[0].points = np.zeros(4, np.float32)
    entries[8][3].header.stamp.sec -= 5
    path = write_bag(tmp_path / "bag", entries)
    with open_source(path, model) as source:
        assert len(list(source.moments())) == COUNT - 3
        assert len(source.notes) == 3
    assert any("1 left out: stamps do not rise" in note for note in source.notes)
    assert any("octopus" in note for note in source.notes)


def test_embeddings_that_do_not_fit(tmp_path: Path, model: Model, robot: Robot) -> None:
    entries = in_time(robot.embeddings())
    entries[2][3].bodies[0].mean = np.full(16, np.nan, np.float32)
    entries[4][3].bodies[1].mean = np.zeros(3, np.float32)
    path = write_bag(tmp_path / "bag", entries)
    with open_source(path, model) as source:
        assert len(list(source.moments())) == COUNT - 2
        assert len(source.notes) == 2
