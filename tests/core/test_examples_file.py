"""The examples file: the same comes back, damage costs one change at most, nothing is believed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.core.taught_examples import example, refuse, same, several
from vipe_core import files
from vipe_core.actions import Examples, examples_file
from vipe_core.errors import VipeError

KILLS = 25


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "taught.npz"


# ---- the same comes back


def test_the_same_comes_back(path):
    examples_file.write(path, several())
    found = examples_file.read(path, "0123456789ab", refuse)
    assert same(found, several())
    for one, before in zip(found.examples, several().examples, strict=True):
        assert (one.label, one.source) == (before.label, before.source)
        np.testing.assert_array_equal(one.track.stamp, before.track.stamp)
        assert one.track.mean.dtype == np.float32
        assert (one.track.mirror_mean is None) == (before.track.mirror_mean is None)
        if before.keypoints is None:
            assert one.keypoints is None
        else:
            np.testing.assert_array_equal(one.keypoints.points, before.keypoints.points)
            np.testing.assert_array_equal(one.keypoints.visibility, before.keypoints.visibility)
            assert one.keypoints.skeleton == before.keypoints.skeleton
    assert (found.sigmoid_a, found.sigmoid_b, found.model) == (2.5, 0.5, "vipe 1.0")


def test_nothing_taught_comes_back_too(path):
    examples_file.write(path, Examples.empty(2.5, 0.5, "0123456789ab", "vipe 1.0"))
    found = examples_file.read(path)
    assert len(found) == 0
    assert (found.sigmoid_a, found.fingerprint) == (2.5, "0123456789ab")


def test_anybody_can_load_it_without_pickle(path):
    examples_file.write(path, several())
    with np.load(path, allow_pickle=False) as archive:
        assert archive["labels"].tolist() == ["wave", "Verbeugung, tief", "手を振る"]
        assert archive["means"].shape == (86, 4)
        assert archive["starts"].tolist() == [0, 31, 76, 86]
    assert examples_file.is_one(path)
    files.write_npz(path, a=1)
    assert not examples_file.is_one(path)


def test_other_model_and_the_command_that_embeds_again(path):
    examples_file.write(path, several())
    line = rf"{path}: .* vipe 1\.0 .* vipe teach {path} --embed-again --model MODEL\.onnx"
    with pytest.raises(VipeError, match=line):
        examples_file.read(path, "ba9876543210")


# ---- damage


@pytest.fixture
def changed_once(path) -> Path:
    """A file that held three examples and then two."""
    examples_file.write(path, several())
    examples_file.write(path, several().forgotten("wave"))
    return path


def read_warned(path: Path) -> tuple[Examples, str]:
    said: list[str] = []
    found = examples_file.read(path, warn=said.append)
    (line,) = said
    assert "\n" not in line
    return found, line


def test_cut_anywhere_gives_the_former_state(changed_once):
    whole = changed_once.read_bytes()
    for length in [*range(0, len(whole), len(whole) // 40), len(whole) - 1]:
        changed_once.write_bytes(whole[:length])
        found, line = read_warned(changed_once)
        assert same(found, several())
        assert str(changed_once) in line
        assert "cut off" in line or "checksum" in line
        assert "taught.npz.before" in line


def test_a_bit_flipped_anywhere_gives_the_former_state(changed_once):
    whole, rng = changed_once.read_bytes(), random.Random(0)
    ends = [0, len(whole) - 1]
    for place in [*ends, *(rng.randrange(len(whole)) for _ in range(200))]:
        flipped = bytearray(whole)
        flipped[place] ^= 1 << rng.randrange(8)
        changed_once.write_bytes(flipped)
        assert same(read_warned(changed_once)[0], several())


def test_a_removed_file_does_not_come_back(changed_once):
    changed_once.unlink()
    before = changed_once.with_name("taught.npz.before")
    assert not examples_file.exists(changed_once)
    with pytest.raises(VipeError, match=rf"does not exist; .*; what it once held is in {before}"):
        examples_file.read(changed_once, warn=refuse)
    with pytest.raises(VipeError, match="does not exist"):
        examples_file.update(changed_once, refuse)
    said: list[str] = []
    start = Examples.empty(2.5, 0.5, "0123456789ab", "vipe 1.0")
    examples_file.update(
        changed_once, lambda found: found.added(example("bow")), start, said.append
    )
    (line,) = said
    assert "was removed, begun anew" in line
    assert str(before) in line
    assert examples_file.read(changed_once, warn=refuse).labels == ("bow",)
    assert same(examples_file.read(before), several())
    examples_file.update(changed_once, lambda found: found.forgotten("bow"), start, refuse)
    assert examples_file.read(before).labels == ("bow",)


def test_a_caller_who_does_not_listen_gets_a_warning(changed_once):
    changed_once.write_bytes(b"")
    with pytest.warns(RuntimeWarning, match="taking what it held before its last change"):
        examples_file.read(changed_once)


def test_a_damaged_file_does_not_take_the_place_of_the_former_state(changed_once):
    changed_once.write_bytes(b"damaged")
    examples_file.write(changed_once, several().forgotten("wave"))
    changed_once.write_bytes(b"damaged again")
    assert same(read_warned(changed_once)[0], several())


def test_both_damaged(changed_once):
    before = changed_once.with_name("taught.npz.before")
    changed_once.write_bytes(b"x")
    before.write_bytes(b"y")
    with pytest.raises(VipeError, match=r"taught\.npz: .* so is taught\.npz\.before") as caught:
        examples_file.read(changed_once)
    assert "\n" not in str(caught.value)
    before.unlink()
    with pytest.raises(VipeError, match=r"there is no taught\.npz\.before"):
        examples_file.read(changed_once)


def test_no_file(path):
    assert not examples_file.exists(path)
    with pytest.raises(VipeError, match=rf"does not exist; make it: vipe teach {path} FILES"):
        examples_file.read(path)


def test_what_can_be_no_file(tmp_path):
    with pytest.raises(VipeError, match="Is a directory"):
        examples_file.read(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(VipeError, match="not a regular file"):
        examples_file.read(tmp_path / "pipe")
    with pytest.raises(VipeError, match="cannot write"):
        examples_file.write(tmp_path / "pipe", several())
    files.write_npz(tmp_path / "clip.npz", points=np.ones(3))
    with pytest.raises(VipeError, match="no examples file"):
        examples_file.read(tmp_path / "clip.npz")


# ---- changes by several, and a process that is killed


def test_update_makes_the_file_and_then_changes_it(path):
    start = Examples.empty(2.5, 0.5, "0123456789ab")
    examples_file.update(path, lambda found: found.added(example("wave")), start)
    now = examples_file.update(path, lambda found: found.added(example("bow")), start)
    assert examples_file.read(path).labels == now.labels == ("wave", "bow")


def test_a_change_that_fails_leaves_the_file_alone(changed_once):
    whole = changed_once.read_bytes()
    with pytest.raises(VipeError, match="never taught"):
        examples_file.update(changed_once, lambda found: found.forgotten("sit"))
    assert changed_once.read_bytes() == whole


def test_update_refuses_the_examples_of_another_model(changed_once):
    with pytest.raises(VipeError, match="--embed-again"):
        examples_file.update(changed_once, refuse, Examples.empty(1.0, 0.0, "ba9876543210"))


def test_update_of_nothing(path):
    with pytest.raises(VipeError, match="does not exist"):
        examples_file.update(path, refuse)


_ADD = """
import sys
import numpy as np
from vipe_core.actions import Example, Examples, examples_file
from vipe_core.track import Track

track = Track(np.arange(31) / 30, np.ones((31, 4)), np.ones((31, 4)))
for number in range(8):
    one = Example(f"{sys.argv[2]} {number}", track)
    examples_file.update(sys.argv[1], lambda found: found.added(one), Examples.empty(1.0, 0.0))
"""


def test_what_several_processes_teach_at_once_is_all_there(path):
    running = [
        subprocess.Popen([sys.executable, "-c", _ADD, str(path), name]) for name in ("a", "b", "c")
    ]
    assert [process.wait(60) for process in running] == [0, 0, 0]
    labels = examples_file.read(path, warn=refuse).labels
    assert sorted(labels) == sorted(f"{name} {i}" for name in "abc" for i in range(8))


_WRITERS = """
import os, sys
import numpy as np
from vipe_core.actions import Example, Examples, examples_file
from vipe_core.track import Track

rng = np.random.default_rng(0)
mean, variance = rng.uniform(0, 1, (2, 3000, 16))
start = Examples.empty(1.0, 0.0)
for line in sys.stdin:  # one writer after the other, each begins where the file stands
    child = os.fork()
    if not child:
        number = int(line)
        while True:
            number += 1
            track = Track(np.arange(3000) / 30, mean, variance)
            one = start.added(Example("wave", track, source=str(number)))
            examples_file.write(sys.argv[1], one)
            os.write(1, f"{number}\\n".encode())
    os.write(1, f"pid {child}\\n".encode())
    os.waitpid(child, 0)
    os.write(1, b"gone\\n")
"""


def test_a_writer_killed_at_any_moment_costs_its_last_change_at_most(path):
    rng, fallen_back, number = random.Random(1), 0, 0
    writers = subprocess.Popen(
        [sys.executable, "-c", _WRITERS, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        for _ in range(KILLS):
            number, warned = _killed(writers, path, number, rng)
            fallen_back += warned
    finally:
        writers.stdin.close()
        writers.wait(30)
        writers.stdout.close()
    half = list(path.parent.glob(".taught.npz*.part"))
    print(f"{KILLS} kills, {len(half)} of them in a write, {number} writes, {fallen_back} warnings")
    assert half  # some were killed in the middle
    examples_file.update(path, lambda found: found)
    assert not list(path.parent.glob("*.part"))
    assert int(examples_file.read(path, warn=refuse).examples[0].source) >= number - 1


def _killed(writers, path: Path, number: int, rng: random.Random) -> tuple[int, bool]:
    """Let a writer go on from ``number``, kill it at some moment; what the file then says, and
    whether it was the former state."""
    writers.stdin.write(f"{number}\n")
    writers.stdin.flush()
    lines = [writers.stdout.readline().strip() for _ in range(2)]  # its id and its first write
    begun = time.monotonic()
    lines.append(writers.stdout.readline().strip())  # its next one
    (child,) = (line.removeprefix("pid ") for line in lines if line.startswith("pid "))
    done = [line for line in lines if not line.startswith("pid ")]
    time.sleep(rng.uniform(0, 2 * (time.monotonic() - begun)))  # any moment of the next two
    os.kill(int(child), signal.SIGKILL)
    while (line := writers.stdout.readline().strip()) != "gone":
        done.append(line)
    said: list[str] = []
    found = examples_file.read(path, warn=said.append)
    last = max(map(int, done))
    there = int(found.examples[0].source)
    assert last - 1 <= there <= last + 1
    return max(there, last), bool(said)
