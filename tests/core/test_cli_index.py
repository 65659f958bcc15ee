"""vipe index as a user calls it, on real files and a real (untrained) model."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.cli import TIMEOUT, VIPE, error_line, vipe
from tests.model_factory import make_model
from tests.waiting import wait_for
from vipe_core import keypoint_file, runtime
from vipe_core.cli import index as verb
from vipe_core.errors import VipeError
from vipe_core.gallery import Gallery, Rows
from vipe_core.keypoint_file import KeypointFile


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return make_model(tmp_path_factory.mktemp("model") / "model.onnx")


def clip(path: Path, *lead: int, seed: int = 0) -> Path:
    points = np.random.default_rng(seed).normal(300, 80, (*lead, 17, 2))
    content = KeypointFile(points, np.ones((*lead, 17)), "coco17", fps=30.0, label="wave")
    path.parent.mkdir(exist_ok=True)
    keypoint_file.write(path, content)
    return path


def test_files_and_folders_then_again(tmp_path, model, capsys):
    clip(tmp_path / "in" / "a.npz", 4)
    clip(tmp_path / "in" / "b.npz", 3, 2)
    command = ("index", tmp_path / "poses", tmp_path / "in", "--model", model)
    first = vipe(*command)
    assert (first.returncode, first.stdout) == (0, "")
    assert first.stderr == "vipe index: 2 indexed (10 poses)\n"
    gallery = Gallery.open(tmp_path / "poses")
    assert len(gallery) == 10
    assert gallery.origin.model == "test-model 1.2.3"
    assert verb.run([str(word) for word in command[1:]]) == 0
    assert capsys.readouterr().err == "vipe index: 0 indexed (0 poses), 2 there already\n"


def test_options(tmp_path, model):
    given = clip(tmp_path / "a.npz", 31)
    options = ["--label", "mine", "--every", "0.5", "--no-thumbnails"]
    assert verb.run([str(tmp_path / "poses"), str(given), "--model", str(model), *options]) == 0
    table = Gallery.open(tmp_path / "poses").table.to_arrow()
    assert table.column("stamp_s").to_pylist() == [0, 0.5, 1]
    assert table.column("label").to_pylist() == ["mine"] * 3
    assert table.column("thumbnail").null_count == 3


def test_a_bad_file_is_passed_over_and_said(tmp_path, model, capsys):
    good = [clip(tmp_path / f"{name}.npz", 2) for name in "ac"]
    bad = tmp_path / "b.npz"
    bad.write_bytes(b"hello")
    given = (good[0], bad, tmp_path / "none.mp4", good[1])
    args = [tmp_path / "poses", *given, "--model", model]
    assert verb.run([str(arg) for arg in args]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    missing, damaged, summary = said.err.splitlines()
    assert missing == f"vipe index: recording {tmp_path}/none.mp4 does not exist"
    assert damaged.startswith("vipe index: keypoint file ")
    assert damaged.endswith("b.npz: not an .npz")
    assert summary == "vipe index: 2 indexed (4 poses), 2 failed"
    assert len(Gallery.open(tmp_path / "poses")) == 4


def test_killed_half_way_and_called_again(tmp_path, model, capsys):
    given = clip(tmp_path / "a.npz", 3000)
    command = [str(VIPE), "index", str(tmp_path / "poses"), str(given), "--model", str(model)]
    running = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: rows_of(tmp_path / "poses"), "the first rows", TIMEOUT)
    finally:
        running.send_signal(signal.SIGKILL)
        running.wait()
    before = rows_of(tmp_path / "poses")
    assert verb.run(command[2:]) == 0
    assert capsys.readouterr().err == f"vipe index: 1 indexed ({3000 - before:,} poses)\n"
    stamps = Gallery.open(tmp_path / "poses").table.to_arrow().column("stamp_s").to_numpy()
    np.testing.assert_allclose(np.sort(stamps), np.arange(3000) / 30)


@pytest.mark.parametrize("end", [signal.SIGCONT, signal.SIGKILL])
def test_two_at_once_add_every_pose_once(tmp_path, model, end):
    """The first is stopped half-way, so that the second surely comes meanwhile; then it goes on,
    or is killed. A recording node may add to the index all the while."""
    given, poses = clip(tmp_path / "a.npz", 3000), tmp_path / "poses"
    command = [str(VIPE), "index", str(poses), str(given), "--model", str(model)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as first:
        try:
            wait_for(lambda: rows_of(poses), "the first rows", TIMEOUT)
            first.send_signal(signal.SIGSTOP)
            with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as second:
                try:
                    waiting = f"another `vipe index` is at work in {poses}: waiting for it to end"
                    assert second.stderr.readline() == f"vipe index: {waiting}\n"
                    seen = Rows(np.zeros((5, 16)), np.ones((5, 16)), "camera", np.arange(5))
                    assert Gallery.open(poses).add(seen) == 0
                    first.send_signal(end)
                    said = second.communicate(timeout=TIMEOUT)[1]
                finally:
                    second.kill()
        finally:
            first.kill()
    assert second.returncode == 0
    assert ("1 there already" in said) == (end == signal.SIGCONT)
    table = Gallery.open(poses).table.to_arrow().to_pydict()
    pairs = zip(table["source"], table["stamp_s"], strict=True)
    stamps = {name: [] for name in (str(given), "camera")}
    for source, stamp_s in pairs:
        stamps[source].append(stamp_s)
    np.testing.assert_allclose(sorted(stamps[str(given)]), np.arange(3000) / 30)
    assert sorted(stamps["camera"]) == [0, 1, 2, 3, 4]


def test_two_that_start_together(tmp_path, model):
    """Both find no index, and make one."""
    for name in "ab":
        clip(tmp_path / "in" / f"{name}.npz", 150)
    command = [VIPE, "index", tmp_path / "poses", tmp_path / "in", "--model", model]
    both = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        said = sorted(one.communicate(timeout=TIMEOUT)[1].splitlines()[-1] for one in both)
    finally:
        for one in both:
            one.kill()
            one.wait()
    assert said == [
        "vipe index: 0 indexed (0 poses), 2 there already",
        "vipe index: 2 indexed (300 poses)",
    ]
    assert rows_of(tmp_path / "poses") == 300


def rows_of(address: Path) -> int:
    return len(Gallery.open(address)) if (address / "poses.lance" / "_versions").exists() else 0


def refused(*args: object) -> str:
    """The line of a call that must fail as bad input does."""
    with pytest.raises(VipeError) as caught:
        verb.run([str(arg) for arg in args])
    (line,) = str(caught.value).splitlines()
    return line


class TestBadInput:
    """One line and status 2."""

    def test_no_such_file(self, tmp_path, model):
        line = error_line("index", tmp_path / "poses", tmp_path / "none.npz", "--model", model)
        assert line == f"vipe index: recording {tmp_path}/none.npz does not exist"

    def test_an_index_of_another_model(self, tmp_path, model):
        given = clip(tmp_path / "a.npz", 2)
        Gallery.create(tmp_path / "poses", runtime.load(model))
        other = make_model(tmp_path / "other.onnx", version="2")
        line = refused(tmp_path / "poses", given, "--model", other)
        assert line.endswith(
            "index anew, into another folder, with `vipe index NEW FILES... --model MODEL`"
        )

    def test_a_file_in_the_place_of_the_index(self, tmp_path, model):
        given = clip(tmp_path / "a.npz", 2)
        line = refused(given, given, "--model", model)
        assert line.endswith("a.npz: it is a file; an index is a folder")

    def test_a_place_that_cannot_be_written(self, tmp_path, model):
        given = clip(tmp_path / "a.npz", 2)
        line = refused(given / "poses", given, "--model", model)
        assert line.startswith(f"index {given}/poses: ")

    def test_a_model_without_embedding(self, tmp_path):
        pose = make_model(tmp_path / "pose.onnx", "pose")
        given = clip(tmp_path / "a.npz", 2)
        line = refused(tmp_path / "poses", given, "--model", pose)
        assert line.endswith("gives no embedding, its task is 'pose'")

    @pytest.mark.parametrize("every", ["-1", "often", "nan", "inf"])
    def test_every(self, tmp_path, every):
        line = refused(tmp_path / "poses", "a.npz", f"--every={every}")
        assert f"argument --every: seconds from 0, not {every!r}" in line


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission(tmp_path, model):
    tmp_path.chmod(0o500)
    line = refused(tmp_path / "poses", "a.npz", "--model", model)
    assert "ermission denied" in line
