"""The loop: it learns, it resumes exactly, it stops with a clear line."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from vipe_core.errors import VipeError
from vipe_training.augment.batch import BatchSource
from vipe_training.config import build
from vipe_training.datasets import load_motion
from vipe_training.loop import train as loop
from vipe_training.loop.averaging import Average, averaged
from vipe_training.loop.checkpoint import load_model
from vipe_training.loop.optimizer import OptimizerConfig, learning_rate
from vipe_training.loop.run_config import RunConfig
from vipe_training.loop.train import make_system, train
from vipe_training.loop.validation import infer
from vipe_training.models import SYSTEMS

SMALL = {"width": 64, "blocks": 1}
VIEWS = {"camera": {"distance": [1.5, 4.0]}, "occlusion": {"independent": 0.3}}


def config(system: str, **changes) -> RunConfig:
    values = {
        "name": system,
        "system": system,
        "model": SMALL | ({"pose_width": 32} if system == "v_vipe" else {}),
        "batch": {"poses": 32, "people": {"mirror": 0.5, "bone_scale": 0.1}, "views": VIEWS},
        "optimizer": {"lr": 0.002, "clip": 1.0},
        "steps": 20,
        "validate_every": 10,
        "log_every": 5,
        "threads": 1,
    }
    return build(RunConfig, values | changes)


def rows(path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_system_trains_and_logs(system, data, tmp_path):
    best = train(config(system), tmp_path, progress=False)
    log = rows(tmp_path / "metrics.jsonl")
    assert [row["step"] for row in log if "loss" in row] == [5, 10, 15, 20]
    assert all(math.isfinite(v) for row in log for v in row.values())
    _, header = load_model(best)
    embeds = "embedding" in make_system(config(system)).task
    name, choose = ("val_hit1", max) if embeds else ("val_mm", min)
    scores = [row[name] for row in log if name in row]
    assert len(scores) == 2
    assert header["scores"][name] == pytest.approx(choose(scores), abs=1e-4)
    assert header["seconds"] > 0
    assert header["cpu_seconds"] > 0
    assert build(RunConfig, header["config"]) == config(system)


def test_training_beats_chance_by_far(data, tmp_path):
    best = train(config("vipe", steps=150, validate_every=150), tmp_path, progress=False)
    _, header = load_model(best)
    # 120 distinct poses, one right answer or a few: chance is about one percent.
    assert header["scores"]["val_hit1"] > 15


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_stopped_run_continues_exactly(system, data, tmp_path, monkeypatch):
    whole = config(system, steps=20)
    train(whole, tmp_path / "whole", progress=False)
    original, calls = loop.train_step, []

    def dying(*arguments):
        calls.append(1)
        if len(calls) == 14:  # after the checkpoint of step 10
            raise KeyboardInterrupt
        return original(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "train_step", dying)
        with pytest.raises(KeyboardInterrupt):
            train(whole, tmp_path / "broken", progress=False)
    train(whole, tmp_path / "broken", resume=True, progress=False)
    unbroken, _ = load_model(tmp_path / "whole" / "last.safetensors")
    resumed, _ = load_model(tmp_path / "broken" / "last.safetensors")
    assert unbroken.keys() == resumed.keys()
    for name, value in unbroken.items():
        torch.testing.assert_close(resumed[name], value, rtol=0, atol=0, msg=name)


def test_a_loss_that_is_not_finite_stops_the_run(data, tmp_path):
    bad = config("vipe", optimizer={"lr": 1e18}, log_every=1)
    with pytest.raises(VipeError, match=r"loss is (nan|inf) at step \d+: lower optimizer.lr"):
        train(bad, tmp_path, progress=False)


def test_resuming_without_a_checkpoint_or_with_another_model(data, tmp_path):
    with pytest.raises(VipeError, match="no checkpoint"):
        train(config("vipe"), tmp_path, resume=True, progress=False)
    train(config("vipe"), tmp_path, progress=False)
    with pytest.raises(VipeError, match=r"another configuration \(system: vipe -> pr_vipe\)"):
        train(config("pr_vipe"), tmp_path, resume=True, progress=False)
    (tmp_path / "last.safetensors").write_bytes(b"rubbish")
    with pytest.raises(VipeError, match="is not a checkpoint"):
        train(config("vipe"), tmp_path, resume=True, progress=False)


def test_learning_rate_schedule():
    cosine = OptimizerConfig(lr=1.0, schedule="cosine")
    rates = [learning_rate(cosine, step, 1000) for step in range(1000)]
    assert rates[0] == pytest.approx(1 / 20)
    assert max(rates) == rates[20] == 1
    assert rates[-1] == pytest.approx(0.01, abs=1e-4)
    assert learning_rate(OptimizerConfig(lr=0.3), 999, 1000) == 0.3
    with pytest.raises(VipeError, match="unknown schedule"):
        learning_rate(OptimizerConfig(schedule="step"), 0, 10)


def test_unknown_optimizer(data, tmp_path):
    with pytest.raises(VipeError, match="unknown optimizer 'sgd'"):
        train(config("vipe", optimizer={"name": "sgd"}), tmp_path, progress=False)


class TestAveraging:
    def test_average_follows_the_ramped_formula(self):
        system = make_system(config("vipe"))
        average = Average(system, 0.99)
        weight = system.trunk.first.weight
        expected = weight.detach().clone()
        for step in range(30):
            with torch.no_grad():
                weight.add_(0.1)
            average.update(system, step)
            decay = min(0.99, (1 + step) / (10 + step))
            expected = decay * expected + (1 - decay) * weight.detach()
        torch.testing.assert_close(average.weights["trunk.first.weight"], expected)

    def test_statistics_are_estimated_anew_and_batches_do_not_matter(self, data):
        settings = config("pr_vipe")
        source = BatchSource(load_motion(settings.data.train), settings.batch)
        system = make_system(settings)
        system.train()
        # Poisoned running statistics, as one projection through the camera plane leaves them.
        for module in system.modules():
            if isinstance(module, torch.nn.BatchNorm1d):
                module.running_var.fill_(1e12)
        model = averaged(system, Average(system, 0.9), source, seed=0)
        norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm1d)]
        assert all(norm.running_var.max() < 1e3 for norm in norms)
        points = np.random.default_rng(0).random((20, 13, 2)) * 100
        together = infer(model, points, np.ones((20, 13))).mean
        alone = infer(model, points[7:8], np.ones((1, 13))).mean
        torch.testing.assert_close(together[7:8], alone, atol=1e-5, rtol=1e-4)

    def test_the_run_goes_on_with_its_own_weights(self, data):
        settings = config("pr_vipe")
        source = BatchSource(load_motion(settings.data.train), settings.batch)
        system = make_system(settings)
        before = {k: v.clone() for k, v in system.state_dict().items()}
        averaged(system, Average(system, 0.9), source, seed=0)
        for name, value in system.state_dict().items():
            torch.testing.assert_close(value, before[name], rtol=0, atol=0)


def test_v_vipe_decoder_is_frozen_in_the_mapping_stage(data, tmp_path, monkeypatch):
    model = {**SMALL, "pose_width": 32, "pretrain": 0.5}
    states = []

    def remember(state, *_):
        states.append({k: v.clone() for k, v in state.system.state_dict().items()})

    monkeypatch.setattr(loop, "save_state", remember)
    train(config("v_vipe", model=model, steps=10, validate_every=5), tmp_path, progress=False)
    after_pretraining, at_the_end = states
    for name, value in at_the_end.items():
        same = torch.equal(value, after_pretraining[name])
        if name.startswith(("decoder.", "encoder_3d.")):
            assert same, name
    assert not torch.equal(
        at_the_end["latent_2d.mean.weight"], after_pretraining["latent_2d.mean.weight"]
    )
