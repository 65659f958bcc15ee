"""Files appear whole or not at all."""

from __future__ import annotations

import os
import threading

import numpy as np
import pytest

from vipe_core import files
from vipe_core.errors import VipeError


def test_a_file_appears_with_its_folders(tmp_path):
    path = tmp_path / "a" / "b" / "file.bin"
    assert files.write_atomically(path, b"data") == path
    assert path.read_bytes() == b"data"
    assert list(path.parent.iterdir()) == [path]


def test_a_failing_block_leaves_the_old_file(tmp_path):
    path = tmp_path / "file.bin"
    path.write_bytes(b"old")

    def fail_half_way() -> None:
        with files.atomic(path) as part:
            part.write_bytes(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_npz_keeps_its_name_and_leaves_out_none(tmp_path):
    path = files.write_npz(tmp_path / "result", a=np.arange(3), b=None, text="word")
    found = files.read_npz(path, "result")
    assert set(found) == {"a", "text"}
    assert found["a"].tolist() == [0, 1, 2]
    assert str(found["text"]) == "word"


@pytest.mark.parametrize("place", ["folder", "file/below", "file/below/deeper"])
def test_places_that_cannot_be_written(tmp_path, place):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(VipeError, match="cannot write"):
        files.check_writable(tmp_path / place)
    with pytest.raises(VipeError, match="cannot write"):
        files.write_npz(tmp_path / place, a=1)


def test_a_new_folder_is_writable(tmp_path):
    files.check_writable(tmp_path / "new" / "file.npz")
    assert list(tmp_path.iterdir()) == []


def test_missing_npz(tmp_path):
    with pytest.raises(VipeError, match=r"clip .*none.npz: No such file or directory"):
        files.read_npz(tmp_path / "none.npz", "clip")


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 half a zip"])
def test_no_npz(tmp_path, content):
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(VipeError, match=r"clip .*x.npz: not an .npz"):
        files.read_npz(tmp_path / "x.npz", "clip")


def test_bare_array(tmp_path):
    np.save(tmp_path / "x.npy", np.ones(3))
    with pytest.raises(VipeError, match=r"not an .npz"):
        files.read_npz(tmp_path / "x.npy", "clip")


def test_nothing_is_unpickled(tmp_path):
    np.savez(tmp_path / "x.npz", evil=np.array([{}], object))
    with pytest.raises(VipeError, match="evil: unreadable"):
        files.read_npz(tmp_path / "x.npz", "clip")


def test_damaged_array(tmp_path):
    path = files.write_npz(tmp_path / "x.npz", a=np.random.default_rng(0).normal(size=1000))
    data = bytearray(path.read_bytes())
    data[500] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(VipeError, match="a: unreadable"):
        files.read_npz(path, "clip")


def test_devices_and_pipes_are_neither_replaced_nor_read(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(VipeError, match="not a regular file"):
        files.write_atomically(pipe, b"x")
    with pytest.raises(VipeError, match="not a regular file"):
        files.check_writable(pipe)
    with pytest.raises(VipeError, match="not a regular file"):
        files.read_npz(pipe, "file")
    assert pipe.is_fifo()


def test_an_input_is_not_overwritten(tmp_path):
    path = tmp_path / "clip.npz"
    path.write_bytes(b"x")
    files.check_writable(path)
    with pytest.raises(VipeError, match="it is the input"):
        files.check_writable(tmp_path / "." / "clip.npz", path)


def test_only_one_at_a_time_is_let_in(tmp_path):
    path, order, asked = tmp_path / "folder" / "table", [], threading.Event()

    def second() -> None:
        with files.locked(path, asked.set):
            order.append("second")

    other = threading.Thread(target=second)
    with files.locked(path):
        other.start()
        assert asked.wait(10)  # it waits, and said so
        order.append("first")
    other.join(10)
    assert order == ["first", "second"]


def test_a_lock_where_no_file_can_be(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(VipeError, match=r"cannot write"), files.locked(tmp_path / "file" / "table"):
        pass
