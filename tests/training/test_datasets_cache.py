"""Caches: what comes out is what went in, whole or not at all, and damage is noticed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.bodies import random_people, write_motion_file
from tests.training import data_sets, mocap_files
from tests.training.test_cli import vipe
from vipe_core.cli import main
from vipe_core.errors import VipeError
from vipe_training.datasets import canonical, load_motion
from vipe_training.datasets.cache import Cache, open_cache
from vipe_training.datasets.cache_writer import writing
from vipe_training.datasets.keypoints import load_keypoints
from vipe_training.datasets.prepare import mean_uprightness, prepare
from vipe_training.datasets.recording import Recording, Sequence
from vipe_training.datasets.sets import open_set


class Source:
    """A reader of recordings made up here; counts what is read, and can break down."""

    kind = "motion"
    cameras: tuple[str, ...] = ()

    def __init__(self, file: Path, sequences: int = 5, breaks_at: str = "") -> None:
        self.file, self.count, self.breaks_at, self.read = file, sequences, breaks_at, []
        if not file.exists():
            file.write_text("source")

    def files(self) -> list[Path]:
        return [self.file]

    def sequences(self):
        for number in range(self.count):
            yield Sequence(f"s{number}", lambda number=number: self._recordings(number))

    def _recordings(self, number: int):
        self.read.append(f"s{number}")
        for person in range(2):
            joints = random_people(6, seed=10 * number + person)
            if number == 1:
                joints[2] = np.nan
            yield Recording(f"p{person}", 30.0, joints, label=f"action {number}")
            if self.breaks_at == f"s{number}":
                raise VipeError("broken in the middle")


def hashes(cache: Cache) -> dict[str, str]:
    return {name: entry["sha256"] for name, entry in cache.index["fields"].items()}


@pytest.fixture
def cache(tmp_path) -> Cache:
    return prepare("made-up", Source(tmp_path / "source"), tmp_path / "made.vipe")


def test_what_goes_in_comes_out(cache):
    motion = load_motion([cache.path.name], root=cache.path.parent)
    assert len(motion) == 5 * 12 - 2
    assert motion.joints.dtype == np.float32
    np.testing.assert_array_equal(motion.joints[:6], random_people(6, seed=0).astype(np.float32))
    np.testing.assert_array_equal(motion.frame[12:17], [0, 1, 3, 4, 5])  # frame 2 was bad
    assert list(motion.subject[:12]) == ["p0"] * 6 + ["p1"] * 6
    np.testing.assert_array_equal(np.unique(motion.clip), np.arange(10))
    assert (np.diff(motion.clip) >= 0).all()
    assert set(motion.fps) == {30}
    assert motion.detections is None
    upright, rotation = canonical(motion.joints)
    np.testing.assert_array_equal(motion.canonical()[0], upright)
    np.testing.assert_array_equal(motion.canonical()[1], rotation)
    assert set(cache.texts("label")) == {f"action {n}" for n in range(5)}
    assert cache.index["seconds"] == pytest.approx(58 / 30)


def test_a_single_cache_stays_on_the_disk(cache):
    motion = load_motion([cache.path.name], root=cache.path.parent)
    assert isinstance(motion.joints, np.memmap)
    assert all(isinstance(array, np.memmap) for array in motion.canonical())
    motion.joints[0] = 7  # does not reach the file
    cache.verify()
    assert open_cache(cache.path).arrays["joints"][0, 0, 0] == 0


def test_leaving_out_and_joining_with_a_motion_file(cache, tmp_path):
    write_motion_file(tmp_path / "m.npz")
    motion = load_motion(["m.npz", cache.path.name], root=tmp_path, leave_out=["p0", "a"])
    assert set(motion.subject) == {"b", "p1"}
    assert len(motion.frame) == len(motion.clip) == len(motion)
    clips = motion.clip[motion.subject == "p1"]
    assert clips.min() > motion.clip[motion.subject == "b"].max()
    upright, _ = canonical(motion.joints)
    np.testing.assert_allclose(motion.canonical()[0], upright, atol=1e-6)


def test_caches_with_cameras_join_by_camera_name(tmp_path):
    for name, write in (
        ("h36m", data_sets.h36m_npz),
        ("3dpw", data_sets.three_dpw),
        ("amass", mocap_files.amass_joints),
    ):
        (tmp_path / "raw" / name).mkdir(parents=True)
        prepare(name, open_set(name, write(tmp_path / "raw" / name)), tmp_path / name)
    motion = load_motion(["h36m", "3dpw", "amass"], root=tmp_path)
    seen = motion.detections
    assert seen is not None
    assert seen.cameras == ("54138969", "55011271", "58860488", "60457274", "phone")
    assert seen.points.shape == (len(motion), 5, 13, 2)
    want = data_sets.body13(data_sets.pixels(2))
    np.testing.assert_array_equal(seen.points[:4, 2], want)
    assert np.isnan(seen.points[:6, 4]).all()
    assert (seen.visibility[:6, 4] == 0).all()
    first = list(motion.subject).index("outdoors_fencing_01/1")
    np.testing.assert_array_equal(
        seen.points[first + 1, 4], data_sets.body13(data_sets.pixels())[1]
    )
    assert np.isnan(seen.points[-4:]).all()  # AMASS has no camera
    alone = load_motion(["amass"], root=tmp_path)
    assert alone.detections is None
    assert mean_uprightness(open_cache(tmp_path / "amass")) > 0.9


def test_keypoint_sets(tmp_path):
    reader = open_set("coco", data_sets.coco(tmp_path))
    prepare("coco", reader, tmp_path / "coco.vipe")
    found = load_keypoints(tmp_path / "coco.vipe")
    assert len(found) == 2
    assert list(found.clip) == [0, 1]  # every picture is a clip of its own
    assert list(found.frame) == [0, 0]
    assert np.isnan(found.fps).all()
    assert found.points.shape == (2, 13, 2)
    assert np.isnan(found.points[1, 0]).all()
    with pytest.raises(VipeError, match="holds 2D keypoints only"):
        load_motion(["coco.vipe"], root=tmp_path)


def test_a_motion_cache_is_no_keypoint_set(cache):
    with pytest.raises(VipeError, match="holds motion, a set of 2D keypoints is needed"):
        load_keypoints(cache.path)


def test_frames_can_be_left_out(tmp_path):
    cache = prepare("x", Source(tmp_path / "s"), tmp_path / "x.vipe", max_fps=10)
    motion = load_motion(["x.vipe"], root=tmp_path)
    assert set(motion.fps) == {10}
    np.testing.assert_array_equal(motion.joints[1], random_people(6, seed=0)[3].astype(np.float32))
    assert len(cache) == 20
    assert list(motion.frame[:2]) == [0, 1]


# -- interruptions ----------------------------------------------------------------------------


def test_an_interrupted_work_goes_on_and_ends_the_same(tmp_path, cache):
    out = tmp_path / "again.vipe"
    with pytest.raises(VipeError, match="broken in the middle"):
        prepare("made-up", Source(tmp_path / "source", breaks_at="s3"), out)
    assert not out.exists()
    part = tmp_path / ".again.vipe.part"
    with (part / "journal.jsonl").open("a") as journal:
        journal.write('{"sequence": "s3", "ro')  # cut short by the end of the process
    second = Source(tmp_path / "source")
    again = prepare("made-up", second, out)
    assert second.read == ["s3", "s4"]
    assert hashes(again) == hashes(cache)
    assert again.index == cache.index
    assert not part.exists()
    assert sorted(p.name for p in out.iterdir()) == sorted(p.name for p in cache.path.iterdir())


@pytest.mark.parametrize("change", ["source", "settings"])
def test_another_source_or_setting_starts_anew(change, tmp_path):
    out = tmp_path / "again.vipe"
    with pytest.raises(VipeError, match="broken"):
        prepare("made-up", Source(tmp_path / "source", breaks_at="s3"), out)
    if change == "source":
        (tmp_path / "source").write_text("a longer source")
    second = Source(tmp_path / "source")
    cache = prepare("made-up", second, out, max_fps=15 if change == "settings" else None)
    assert second.read == ["s0", "s1", "s2", "s3", "s4"]
    cache.verify()


def test_a_part_that_lost_data_is_not_continued(tmp_path):
    out = tmp_path / "again.vipe"
    with pytest.raises(VipeError, match="broken"):
        prepare("made-up", Source(tmp_path / "source", breaks_at="s3"), out)
    os.truncate(tmp_path / ".again.vipe.part" / "fps.npy", 100)
    with pytest.raises(VipeError, match=r"fps\.npy lost data; remove its folder"):
        prepare("made-up", Source(tmp_path / "source"), out)


def test_a_killed_process_goes_on_where_it_was(tmp_path):
    folder, count = tmp_path / "files", 600
    data_sets.keypoint_folder(folder)
    for number in range(count - 1):
        os.link(folder / "kitchen" / "a.npz", folder / f"{number:04d}.npz")
    out, journal = tmp_path / "out.vipe", tmp_path / ".out.vipe.part" / "journal.jsonl"
    command = [sys.executable, "-m", "vipe_core.cli", "data", "prepare", "keypoints"]
    process = subprocess.Popen([*command, str(folder), str(out)], stderr=subprocess.PIPE)
    while process.poll() is None and (
        not journal.exists() or journal.read_bytes().count(b"\n") < 20
    ):
        pass
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not out.exists()
    done = journal.read_bytes().count(b"\n")
    assert 20 <= done < count
    reader = open_set("keypoints", folder)
    before = (tmp_path / ".out.vipe.part" / "points.npy").stat().st_ino
    again = prepare("keypoints", reader, out, options={})
    assert len(again) == count * 2 * data_sets.FRAMES
    assert (out / "points.npy").stat().st_ino == before  # the same file went on
    whole = prepare("keypoints", reader, tmp_path / "whole.vipe")
    assert hashes(again) == hashes(whole)
    assert again.index == whole.index


def test_two_at_once_are_refused(tmp_path):
    with (
        writing(tmp_path / "x", "motion", (), {}),
        pytest.raises(VipeError, match="another vipe data prepare"),
        writing(tmp_path / "x", "motion", (), {}),
    ):
        pass


def test_places_that_cannot_be_written(tmp_path, cache):
    with pytest.raises(VipeError, match="exists already"):
        prepare("made-up", Source(tmp_path / "source"), cache.path)
    (tmp_path / "file").write_text("")
    with pytest.raises(VipeError, match=r"cannot write .*file/x\.vipe"):
        prepare("made-up", Source(tmp_path / "source"), tmp_path / "file" / "x.vipe")


def test_nothing_usable(tmp_path):
    with pytest.raises(VipeError, match="not one usable frame in 0 sequences"):
        prepare("made-up", Source(tmp_path / "source", sequences=0), tmp_path / "x.vipe")
    assert not (tmp_path / "x.vipe").exists()


# -- damage -----------------------------------------------------------------------------------


def edit(cache: Cache, **changes) -> None:
    index = json.loads((cache.path / "index.json").read_text())
    (cache.path / "index.json").write_text(json.dumps({**index, **changes}))


@pytest.mark.parametrize(
    ("breaks", "match"),
    [
        (lambda c: os.truncate(c.path / "joints.npy", 1000), r"joints\.npy has 1000 bytes instead"),
        (lambda c: (c.path / "fps.npy").unlink(), r"no fps\.npy"),
        (lambda c: (c.path / "index.json").unlink(), r"no index\.json"),
        (lambda c: (c.path / "index.json").write_text("{"), r"index\.json is unreadable"),
        (lambda c: (c.path / "index.json").write_text("{}"), "is of something else"),
        (lambda c: edit(c, version=99), "version 99, this VIPE reads 1; prepare the set again"),
        (lambda c: edit(c, kind="sound"), "of kind 'sound'"),
        (lambda c: edit(c, rows="many"), "has no proper 'rows'"),
        (lambda c: edit(c, rows=7), r"holds float32 \(58, 17, 3\), expected float32 \(7, 17, 3\)"),
        (lambda c: edit(c, subjects=["only one"]), "points outside the list of subjects"),
        (lambda c: overwrite(c, "joints.npy", b"garbage"), r"joints\.npy is unreadable"),
        (lambda c: pickled(c), "unreadable|bytes instead"),
    ],
)
def test_a_damaged_or_foreign_cache_is_one_clear_line(breaks, match, cache):
    breaks(cache)
    with pytest.raises(VipeError, match=match) as caught:
        load_motion([cache.path.name], root=cache.path.parent)
    assert "\n" not in str(caught.value)
    assert str(cache.path) in str(caught.value)


def overwrite(cache: Cache, name: str, start: bytes) -> None:
    with (cache.path / name).open("r+b") as file:
        file.write(start)


def pickled(cache: Cache) -> None:
    """A field that would have to be unpickled, of the length that the index tells."""
    np.save(cache.path / "fps.npy", np.array([{}] * 58, object), allow_pickle=True)
    index = json.loads((cache.path / "index.json").read_text())
    index["fields"]["fps"]["bytes"] = (cache.path / "fps.npy").stat().st_size
    (cache.path / "index.json").write_text(json.dumps(index))


def test_a_flipped_bit_is_found(cache):
    with (cache.path / "joints.npy").open("r+b") as file:
        file.seek(500)
        byte = file.read(1)[0]
        file.seek(500)
        file.write(bytes([byte ^ 1]))
    with pytest.raises(VipeError, match=r"joints\.npy is damaged; prepare the set again"):
        open_cache(cache.path).verify()


# -- the verb ---------------------------------------------------------------------------------


def test_the_verb_prepares_and_shows(tmp_path):
    data_sets.h36m_npz(tmp_path)
    result = vipe("data", "prepare", "h36m", tmp_path, tmp_path / "h36m.vipe", "--max-fps", 25)
    assert result.returncode == 0, result.stderr
    assert result.stdout == f"{tmp_path}/h36m.vipe: 3 rows, 2 subjects, 0 seconds\n"
    assert result.stderr == ""  # no bar where there is no terminal
    result = vipe("data", "show", tmp_path / "h36m.vipe")
    assert result.returncode == 0, result.stderr
    for needed in ("set: h36m", "S1, S11", "Walking, Directions", "55011271", "undamaged"):
        assert needed in result.stdout


def test_people_on_their_heads_are_noticed(tmp_path, capsys):
    data_sets.h36m_npz(tmp_path)
    # z down where z up is meant
    world = data_sets.h36m_32(data_sets.z_up(data_sets.motion())) * [1, -1, -1]
    np.savez(tmp_path / "data_3d_h36m.npz", positions_3d={"S1": {"Walking 1": world}})
    assert main(["data", "prepare", "h36m", str(tmp_path), str(tmp_path / "out.vipe")]) == 0
    assert "stand on their heads" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (["data"], "arguments are required: action"),
        (["data", "nothing"], "invalid choice"),
        (["data", "prepare", "ntu", "a", "b"], "invalid choice: 'ntu'"),
        (["data", "prepare", "3dpw", "nowhere", "out"], "no folder nowhere; get the set from"),
        (["data", "prepare", "h36m", ".", "out", "--scale", "2"], "--scale is for cmu, bvh"),
        (["data", "prepare", "cmu", ".", "out", "--fps", "-1"], "--fps -1.0: a positive number"),
        (["data", "show", "nowhere"], "nowhere is no data cache"),
        (["data", "visibility", "none.json", "x.npz"], "no none.json; get the set from"),
    ],
)
def test_mistakes_are_one_line_and_exit_2(words, match, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    error = capsys.readouterr().err
    assert match in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize("action", [[], ["prepare"], ["show"], ["visibility"]])
def test_help_has_an_example(action, capsys):
    assert main(["data", *action, "--help"]) == 0
    assert "example: vipe data" in capsys.readouterr().out
