"""Two processes under torchrun train as one, and end as one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE

import pytest
import torch

from vipe_core.errors import VipeError
from vipe_training import distributed
from vipe_training.augment.batch import BatchSource
from vipe_training.datasets import load_motion
from vipe_training.loop.checkpoint import load_model
from vipe_training.loop.synchronized import GlobalBatchNorm, GlobalDropout, synchronize
from vipe_training.loop.train import make_system
from vipe_training.models import SYSTEMS

from .test_train import config

SMALL = [
    *("model.width=48", "model.blocks=1", "batch.poses=16", "threads=1", "bfloat16=false"),
    *("validation_poses=30", "data.leave_out=[]", "device=cpu", "log_every=1"),
    *("steps=8", "validate_every=8"),
]


def run(data: Path, launcher: list[str], *words: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", *launcher, *map(str, words)]
    environment = dict(os.environ, VIPE_DATA=str(data), OMP_NUM_THREADS="1")
    with subprocess.Popen(
        command, stdout=PIPE, stderr=PIPE, text=True, env=environment, start_new_session=True
    ) as process:
        try:
            out, err = process.communicate(timeout=180)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGTERM)  # torchrun ends its workers
            raise
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def torchrun(data: Path, *words: object) -> subprocess.CompletedProcess:
    launcher = ["torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    return run(data, [*launcher, "-m", "vipe_training.cli.train"], *words)


@pytest.mark.parametrize(
    ("system", "more", "tolerance"),
    [
        ("vipe", [], 2e-4),
        ("pr_vipe", ["model.dropout=0.3"], 2e-5),  # batch statistics, dropout, mined negatives
        # Stages. The likelihood divides by standard deviations that begin close to zero.
        ("v_vipe", ["model.pose_width=32", "model.pretrain=0.5"], 2e-3),
    ],
)
def test_two_processes_learn_what_one_does(system, more, tolerance, data_folder, tmp_path):
    words = [system, *SMALL, *more, "--out"]
    alone = run(data_folder, ["vipe_core.cli", "train"], *words, tmp_path / "one")
    assert alone.returncode == 0, alone.stderr
    together = torchrun(data_folder, *words, tmp_path / "two")
    assert together.returncode == 0, together.stderr
    assert together.stdout.count("best checkpoint") == 1
    one, two = (
        [json.loads(row) for row in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
        for name in ("one", "two")
    )
    assert len(one) == len(two) == 9
    for a, b in zip(one, two, strict=True):
        assert a.keys() == b.keys()
        for name in a.keys() - {"seconds", "cpu_seconds"}:
            assert b[name] == pytest.approx(a[name], rel=tolerance, abs=2e-5), (a["step"], name)


def test_an_error_of_one_process_ends_both_in_one_line(data_folder, tmp_path):
    (tmp_path / "last.safetensors").write_bytes(b"a run")  # only process 0 looks
    result = torchrun(data_folder, "vipe", *SMALL, "--out", tmp_path)
    assert result.returncode != 0
    assert result.stderr.count("vipe train: ") == 1
    assert result.stderr.count("holds a run: --resume continues it") == 1


def test_an_error_of_both_is_said_once(data_folder, tmp_path):
    result = torchrun(data_folder, "vipe", *SMALL, "batch.poses=15", "--out", tmp_path)
    assert result.returncode != 0
    assert result.stderr.count("vipe train: ") == 1
    assert "batch.poses 15 does not split over 2 processes" in result.stderr
    assert not (tmp_path / "last.safetensors").exists()


# The worker of torchrun, of which process 1 is killed in step 6.
DYING = """
import os, signal, sys
from vipe_training.loop import train
from vipe_training.cli.train import run_as_worker
calls = 0
def step(*arguments, real=train.train_step):
    global calls
    calls += 1
    if calls == 6 and os.environ["RANK"] == "1":
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*arguments)
train.train_step = step
run_as_worker()
"""


def test_a_killed_process_ends_the_other_and_leaves_the_checkpoint_before(data_folder, tmp_path):
    worker, out = tmp_path / "worker.py", tmp_path / "run"
    worker.write_text(DYING)
    launcher = ["torch.distributed.run", "--standalone", "--nproc-per-node=2", str(worker)]
    result = run(data_folder, launcher, "vipe", *SMALL, "validate_every=4", "--out", out)
    assert result.returncode != 0
    assert load_model(out / "last.safetensors")[1]["step"] == 4
    assert not list(out.glob(".*.part"))
    resumed = torchrun(data_folder, "vipe", *SMALL, "validate_every=4", "--out", out, "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert load_model(out / "last.safetensors")[1]["step"] == 8


@pytest.mark.parametrize("system", SYSTEMS)
def test_only_a_system_with_stages_leaves_weights_alone(system, data, generator):
    settings = config(system)
    source = BatchSource(load_motion(settings.data.train), settings.batch)
    net = make_system(settings)
    for progress in (0.0, 0.99):
        net.zero_grad()
        net(source.draw(generator), progress, generator)[0].backward()
        idle = [name for name, weight in net.named_parameters() if weight.grad is None]
        assert net.stages or not idle, idle


def test_one_process_has_the_whole_batch():
    rows = torch.arange(6.0)
    assert (distributed.world(), distributed.rank()) == (1, 0)
    for call in (distributed.own_slice, distributed.gather, distributed.total):
        torch.testing.assert_close(call(rows), rows)
    assert distributed.agree(0.25) == 0.25


def test_outside_a_slice_the_layers_are_torchs(generator):
    torch.manual_seed(0)
    plain = torch.nn.Sequential(torch.nn.BatchNorm1d(5), torch.nn.Dropout(0.5))
    torch.manual_seed(0)
    swapped = torch.nn.Sequential(torch.nn.BatchNorm1d(5), torch.nn.Dropout(0.5))
    synchronize(swapped)
    assert [type(layer) for layer in swapped] == [GlobalBatchNorm, GlobalDropout]
    assert swapped.state_dict().keys() == plain.state_dict().keys()
    x = torch.randn(7, 5, generator=generator)
    torch.manual_seed(1)
    expected = plain(x)
    torch.manual_seed(1)
    torch.testing.assert_close(swapped(x), expected, rtol=0, atol=0)


def test_a_device_that_is_not_there():
    with pytest.raises(VipeError, match=r"device 'cuda:99' is not here \(.*\): take device=auto"):
        distributed.find_device("cuda:99")
    with pytest.raises(VipeError, match="device 'abacus' is not here"):
        distributed.find_device("abacus")
    assert distributed.find_device("cpu") == "cpu"
