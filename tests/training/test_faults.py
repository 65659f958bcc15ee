"""What may go wrong in a run: one clear line, nothing half-written, the work so far kept."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.bodies import write_motion_file
from tests.training import mocap_files
from vipe_core.errors import VipeError
from vipe_training.config import load
from vipe_training.datasets.prepare import prepare
from vipe_training.datasets.sets import open_set
from vipe_training.loop import train as loop
from vipe_training.loop.checkpoint import load_model
from vipe_training.loop.train import RunConfig, train

from .test_train import config, rows

SMALL = [
    *("model.width=48", "model.blocks=1", "batch.poses=16", "threads=1", "bfloat16=false"),
    *("validation_poses=30", "data.leave_out=[]", "device=cpu", "log_every=1"),
    *("steps=12", "validate_every=5"),
]
# A real training that SIGKILL ends at a chosen place: in step 8, or when half of the second
# last.safetensors is on the disk.
DYING = """
import os, signal, sys
from pathlib import Path
from vipe_training.loop import checkpoint
from vipe_training.loop import train
from vipe_training.cli.train import run
where, calls = sys.argv.pop(1), {"step": 0, "checkpoint": 0}
def die(): os.kill(os.getpid(), signal.SIGKILL)
def step(*arguments, real=train.train_step):
    calls["step"] += 1
    if where == "step" and calls["step"] == 8: die()
    return real(*arguments)
def save(tensors, path, *more, real=checkpoint.save_file):
    real(tensors, path, *more)
    calls["checkpoint"] += "last" in Path(path).name
    if where == "checkpoint" and calls["checkpoint"] == 2:
        os.truncate(path, os.path.getsize(path) // 2)
        die()
train.train_step, checkpoint.save_file = step, save
sys.exit(run(sys.argv[1:]))
"""


def python(data: Path, *words: object, limit: str = "unlimited") -> subprocess.CompletedProcess:
    """A Python process; ``limit`` in kB is the size of the largest file it can write."""
    command = [sys.executable, *map(str, words)]
    return subprocess.run(
        ["bash", "-c", f'ulimit -f {limit}; exec "$@"', "bash", *command],
        capture_output=True,
        text=True,
        timeout=120,
        env=dict(os.environ, VIPE_DATA=str(data), PYTHONDONTWRITEBYTECODE="1"),
        check=False,
    )


@pytest.fixture(scope="module")
def unbroken(data_folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("unbroken")
    result = python(data_folder, "-m", "vipe_core.cli", "train", "vipe", *SMALL, "--out", out)
    assert result.returncode == 0, result.stderr
    return out


@pytest.mark.parametrize("where", ["step", "checkpoint"])
def test_a_killed_run_continues_as_if_nothing_had_been(where, unbroken, data_folder, tmp_path):
    out = tmp_path / "run"
    words = ["vipe", *SMALL, "--out", out]
    killed = python(data_folder, "-c", DYING, where, *words)
    assert killed.returncode == -signal.SIGKILL
    assert load_model(out / "last.safetensors")[1]["step"] == 5
    assert bool(list(out.glob(".*.part"))) == (where == "checkpoint")
    resumed = python(data_folder, "-m", "vipe_core.cli", "train", *words, "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert not list(out.glob(".*"))
    for name in ("last.safetensors", "best.safetensors"):
        a, b = (load_model(folder / name)[0] for folder in (unbroken, out))
        assert a.keys() == b.keys()
        assert all(torch.equal(a[key], b[key]) for key in a), name
    timeless = [
        [{k: v for k, v in row.items() if "seconds" not in k} for row in rows(f / "metrics.jsonl")]
        for f in (unbroken, out)
    ]
    assert timeless[0] == timeless[1]  # no row twice, none lost


@pytest.mark.parametrize(("limit", "name"), [("1", "metrics.jsonl"), ("20", "best.safetensors")])
def test_a_full_disk_is_one_line_and_leaves_nothing_half_written(
    limit, name, data_folder, tmp_path
):
    words = ["-m", "vipe_core.cli", "train", "vipe", *SMALL, "validate_every=12"]
    result = python(data_folder, *words, "--out", tmp_path, limit=limit)
    assert result.returncode == 2
    assert result.stderr == f"vipe train: cannot write {tmp_path / name}: File too large\n"
    assert not list(tmp_path.glob(".*"))
    assert not list(tmp_path.glob("*.safetensors"))


def test_weights_that_are_not_finite_are_never_kept(data, tmp_path, monkeypatch):
    def poisoned(state, *arguments, real=loop.train_step):
        metrics = real(state, *arguments)
        if state.step == 15:
            with torch.no_grad():
                next(state.system.parameters()).fill_(torch.nan)
        return metrics

    monkeypatch.setattr(loop, "train_step", poisoned)
    settings = config("vipe", steps=40, log_every=1000)
    with pytest.raises(VipeError, match=r"not finite after step 20: lower optimizer\.lr"):
        train(settings, tmp_path, progress=False)
    for name in ("last.safetensors", "best.safetensors"):
        weights, header = load_model(tmp_path / name)
        assert header["step"] == 10
        assert all(w.isfinite().all() for w in weights.values() if w.is_floating_point())


def test_a_run_is_not_overwritten_unless_told(data, tmp_path):
    short = config("vipe", steps=4, validate_every=4, log_every=1)
    train(short, tmp_path, progress=False)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(VipeError, match="holds a run: --resume continues it, --overwrite removes"):
        train(short, tmp_path, progress=False)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    train(short, tmp_path, resume=True, progress=False)  # it is done: nothing to do
    assert len(rows(tmp_path / "metrics.jsonl")) == 5
    train(config("vipe", steps=2, log_every=1), tmp_path, overwrite=True, progress=False)
    assert [row["step"] for row in rows(tmp_path / "metrics.jsonl")] == [1, 2, 2]


def test_resuming_says_which_settings_differ(data, tmp_path):
    train(config("vipe", steps=2), tmp_path, progress=False)
    other = config("vipe", steps=4, seed=3, optimizer={"lr": 0.1, "clip": 1.0}, log_every=1)
    with pytest.raises(VipeError, match=r"\(optimizer.lr: 0.002 -> 0.1; seed: 0 -> 3\)") as caught:
        train(other, tmp_path, resume=True, progress=False)
    assert "\n" not in str(caught.value)
    train(config("vipe", steps=4, log_every=1), tmp_path, resume=True, progress=False)
    assert load_model(tmp_path / "last.safetensors")[1]["step"] == 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch": {"poses": 5000}}, "batch.poses is 5000, expected 2 to 299: so many poses are"),
        ({"batch": {"poses": 1}}, "batch.poses is 1, expected 2 to 299"),
        ({"device": "cuda:99"}, r"device 'cuda:99' is not here \("),
        ({"data": {"train": ["mocap/none.npz"]}}, "no motion file .*none.npz"),
    ],
)
def test_settings_that_do_not_fit_stop_before_anything_is_written(changes, message, data, tmp_path):
    with pytest.raises(VipeError, match=message):
        train(config("vipe", **changes), tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_a_data_set_with_one_pose(tmp_path, monkeypatch):
    (tmp_path / "mocap").mkdir()
    write_motion_file(tmp_path / "mocap" / "one.npz", 2, subjects=("a",))  # one frame is bad
    monkeypatch.setenv("VIPE_DATA", str(tmp_path))
    settings = config("vipe", data={"train": ["mocap/one.npz"]})
    with pytest.raises(VipeError, match=r"one usable frame in mocap/one\.npz"):
        train(settings, tmp_path / "run", progress=False)


def test_a_damaged_motion_file(data_folder, tmp_path, monkeypatch):
    (tmp_path / "mocap").mkdir()
    whole = (data_folder / "mocap" / "cmu_mocap_train.npz").read_bytes()
    half = tmp_path / "mocap" / "cmu_mocap_train.npz"
    half.write_bytes(whole[: len(whole) // 2])
    monkeypatch.setenv("VIPE_DATA", str(tmp_path))
    with pytest.raises(VipeError, match=r"cmu_mocap_train.npz: not an .npz"):
        train(config("vipe"), tmp_path / "run", progress=False)


def test_a_damaged_cache(tmp_path, monkeypatch):
    prepare("bvh", open_set("bvh", mocap_files.bvh(tmp_path / "takes")), tmp_path / "own.vipe")
    monkeypatch.setenv("VIPE_DATA", str(tmp_path))
    joints = tmp_path / "own.vipe" / "joints.npy"
    joints.write_bytes(joints.read_bytes()[:-1000])
    settings = config("vipe", data={"train": ["own.vipe"]})
    with pytest.raises(VipeError, match=r"own\.vipe.*joints"):
        train(settings, tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["steps", "validate_every", "validation_poses", "log_every"])
def test_counts_are_at_least_one(name):
    with pytest.raises(VipeError, match=f"{name} is 0, expected at least 1"):
        config("vipe", **{name: 0})


def test_mistyped_minutes_are_refused(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(json.dumps({"name": "a", "system": "vipe"}))
    with pytest.raises(VipeError, match="minutes: expected float, got 'two'"):
        load(RunConfig, path, ["minutes=two"])
    with pytest.raises(VipeError, match="minutes is -1"):
        load(RunConfig, path, ["minutes=-1"])
    assert np.isclose(load(RunConfig, path, ["minutes=2"]).minutes, 2)
