"""What a run does beside learning: time limit, early stop, logs, compilation."""

from __future__ import annotations

import struct
import sys

import pytest
import torch
from tensorboardX.proto import event_pb2

from vipe_training.loop import train as loop
from vipe_training.loop.checkpoint import load_model
from vipe_training.loop.train import train
from vipe_training.loop.validation import Validation

from .test_train import config, rows


def test_a_time_limit_ends_the_run_and_its_schedule(data, tmp_path, monkeypatch):
    positions, rates = [], []

    def watched(state, network, source, settings, position, real=loop.train_step):
        metrics = real(state, network, source, settings, position)
        positions.append(position)
        rates.append(state.optimizer.param_groups[0]["lr"])
        return metrics

    monkeypatch.setattr(loop, "train_step", watched)
    settings = config(
        "vipe",
        steps=10**6,
        minutes=0.02,
        validate_every=10**6,
        optimizer={"lr": 0.01, "schedule": "cosine"},
    )
    train(settings, tmp_path, progress=False)
    assert positions == sorted(positions)
    assert 0.5 < positions[-1] / 10**6 < 1
    assert rates[-1] < 0.5 * max(rates)
    _, header = load_model(tmp_path / "last.safetensors")
    assert header["step"] == len(positions) < 10**5
    assert 1.2 <= header["seconds"] < 60
    train(settings, tmp_path, resume=True, progress=False)  # the time is used up
    assert load_model(tmp_path / "last.safetensors")[1]["step"] == header["step"]


def test_steps_end_a_run_that_has_time_left(data, tmp_path):
    train(config("vipe", steps=6, minutes=60.0), tmp_path, progress=False)
    assert load_model(tmp_path / "last.safetensors")[1]["step"] == 6


def test_patience_ends_a_run_that_gets_no_better(data, tmp_path, monkeypatch):
    scores = iter([10.0, 12.0, 11.0, 12.0, 99.0])
    monkeypatch.setattr(Validation, "scores", lambda *_: {"val_hit1": next(scores)})
    settings = config("vipe", steps=100, validate_every=2, patience=2)
    train(settings, tmp_path, progress=False)
    assert load_model(tmp_path / "last.safetensors")[1]["step"] == 8
    assert load_model(tmp_path / "best.safetensors")[1]["step"] == 4
    train(settings, tmp_path, resume=True, progress=False)  # it stays stopped
    assert load_model(tmp_path / "last.safetensors")[1]["step"] == 8


def test_a_pose_system_keeps_the_smallest_error(data, tmp_path, monkeypatch):
    scores = iter([90.0, 70.0, 80.0])
    monkeypatch.setattr(Validation, "scores", lambda *_: {"val_mm": next(scores)})
    train(config("lifting", steps=6, validate_every=2), tmp_path, progress=False)
    assert load_model(tmp_path / "best.safetensors")[1]["scores"] == {"val_mm": 70.0}


def events(folder):
    """(step, name, value) in TensorBoard's files: records of length, checksum, event, checksum."""
    for path in sorted(folder.glob("events.out.tfevents.*")):
        data, at = path.read_bytes(), 0
        while at < len(data):
            (length,) = struct.unpack_from("<Q", data, at)
            event = event_pb2.Event.FromString(data[at + 12 : at + 12 + length])
            yield from ((event.step, v.tag, v.simple_value) for v in event.summary.value)
            at += 16 + length


def test_event_files_say_what_the_metrics_say(data, tmp_path):
    train(config("vipe", log_every=2, steps=8, validate_every=4), tmp_path, progress=False)
    written = [
        (row["step"], name, value)
        for row in rows(tmp_path / "metrics.jsonl")
        for name, value in row.items()
        if name != "step"
    ]
    seen = list(events(tmp_path))
    assert len(seen) == len(written) > 20
    for a, b in zip(seen, written, strict=True):
        assert a[:2] == b[:2]
        assert a[2] == pytest.approx(b[2], rel=1e-5, abs=1e-5)


def test_without_tensorboardx_one_line_says_so(data, tmp_path, monkeypatch, capsys):
    for name in [n for n in sys.modules if n.startswith("tensorboardX")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    train(config("vipe", steps=2), tmp_path, progress=False)
    assert capsys.readouterr().err.count("no TensorBoard files: pip install tensorboardX") == 1
    assert not list(events(tmp_path))


@pytest.mark.slow
def test_a_compiled_network_learns_the_same(data, tmp_path):
    plain, fast = (config("pr_vipe", steps=6, log_every=1, compile=c) for c in (False, True))
    train(plain, tmp_path / "plain", progress=False)
    train(fast, tmp_path / "fast", progress=False)
    for a, b in zip(
        *(rows(tmp_path / n / "metrics.jsonl") for n in ("plain", "fast")), strict=True
    ):
        for name in a.keys() & {"loss", "prior", "val_hit1"}:
            # The mask of the dropout is drawn in another way: equal in kind, not in number.
            assert b[name] == pytest.approx(a[name], rel=0.2)
    torch.compiler.reset()
