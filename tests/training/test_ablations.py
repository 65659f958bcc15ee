"""Ablations in small: what is varied, what is trained once, what is resumed."""

from __future__ import annotations

import argparse

import pytest

from vipe_core.errors import VipeError
from vipe_training.config import differences
from vipe_training.evaluate.parts import Parts
from vipe_training.evaluate.samples.source import Source
from vipe_training.evaluate.suites import ablation, ablations
from vipe_training.evaluate.task import Task
from vipe_training.loop import train as loop
from vipe_training.loop.run_folder import LAST

SMALL = ["model.width=32", "model.blocks=1", "batch.poses=12", "validation_poses=30"]
SMALL += ["threads=1", "bfloat16=false"]


def task(folder, *only: str, name: str = "pr_vipe", values: tuple[str, ...] = ()) -> Task:
    options = argparse.Namespace(
        config=name, steps=4, only=list(only), values=list(values), set=SMALL
    )
    parts = Parts(folder / "parts") if folder else Parts(None)
    return Task([], Source(), poses=20, options=options, parts=parts, folder=folder)


def base(name: str = "pr_vipe", steps: int = 8):
    return ablation.base(name, SMALL, steps, seed=0)


@pytest.mark.parametrize("name", ablation.FACTORS)
def test_a_factor_changes_its_setting_and_what_goes_with_it(name):
    factor = ablation.FACTORS[name]
    for value in factor.values:
        changed = differences(base(), ablation.varied(base(), factor, ablation.whole(value)))
        keys = {line.partition(":")[0] for line in changed}
        if name == "dropout":
            assert bool(keys) == (value > 0)
            assert all("occlusion" in key or key.startswith("model.") for key in keys)
            for views in ("views", "other_views"):
                hidden = f"batch.{views}.occlusion.independent: 0.0 -> 0.5"
                assert (hidden in changed) == (value > 0)
        else:
            assert keys <= {factor.setting}


def test_the_usual_value_is_the_run_of_the_configuration():
    for name, value in (("K", 20), ("beta", 2), ("kappa", 0.1), ("elevation", 30), ("roll", 30)):
        same = ablation.varied(base(), ablation.FACTORS[name], value)
        assert ablation.key(same) == ablation.key(base())
    other = ablation.varied(base(), ablation.FACTORS["beta"], 3)
    assert ablation.key(other) != ablation.key(base())
    assert ablation.key(base(steps=9)) != ablation.key(base())


def test_the_suite_trains_each_variant_once(data, tmp_path):
    found = ablations.run(
        task(tmp_path, "beta", "embedding", values=("beta=2,3", "embedding=16,8"))
    )
    runs = sorted(path.name.rpartition("-")[0] for path in (tmp_path / "runs").iterdir())
    assert runs == ["base", "beta-3", "embedding-8"]
    beta, size = found.tables
    assert "after 4 steps of pr_vipe" in beta.title
    assert list(beta.rows) == ["2 (as in pr_vipe)", "3"]
    assert list(size.rows) == ["8", "16 (as in pr_vipe)"]
    assert beta.rows["2 (as in pr_vipe)"] == size.rows["16 (as in pr_vipe)"]
    assert all(0 <= cell <= 100 for row in beta.rows.values() for cell in row)
    assert found.plots[0].series["chest4"][0] == [2, 3]
    assert found.summary["pr_vipe, beta 3"]["novel8 hit@1"] == beta.rows["3"][1]
    models = {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/*/*.onnx")}
    again = ablations.run(
        task(tmp_path, "beta", "embedding", values=("beta=2,3", "embedding=8,16"))
    )
    assert again == found
    assert {path: path.stat().st_mtime_ns for path in models} == models


def test_a_stopped_training_goes_on(data, tmp_path, monkeypatch):
    original, calls = loop.train_step, []

    def dying(*arguments):
        calls.append(1)
        if len(calls) == 3:  # behind the checkpoints of steps 1 and 2
            raise KeyboardInterrupt
        return original(*arguments)

    wanted = task(tmp_path, "beta", values=("beta=3",))
    monkeypatch.setattr(loop, "train_step", dying)
    with pytest.raises(KeyboardInterrupt):
        ablations.run(wanted)
    assert len(list(tmp_path.glob(f"runs/*/{LAST}"))) == 1
    monkeypatch.setattr(loop, "train_step", original)
    resumed = ablations.run(wanted)
    steps = [path.read_text() for path in tmp_path.glob("runs/*/metrics.jsonl")]
    assert len(steps) == 1
    whole = ablations.run(task(tmp_path / "whole", "beta", values=("beta=3",)))
    assert resumed.tables == whole.tables


def test_what_a_system_does_not_have_is_left_out(data):
    findings = ablations.Findings("t")
    config = ablation.base("vipe", SMALL, 4, 0)
    plan = ablations._plan(config, task(None, name="vipe").options, findings)
    assert set(plan) == {"elevation", "roll", "embedding"}
    assert [line.partition(":")[0] for line in findings.skipped] == [
        "K",
        "beta",
        "kappa",
        "dropout",
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"config": "none"}, "no configuration 'none'; known: "),
        ({"steps": 0}, "--steps must be at least 1"),
        ({"only": ["beta"], "config": "vipe"}, "unknown setting 'beta'"),
        ({"values": ["gamma=1"]}, "unknown factor"),
        ({"values": ["beta=x"]}, "expected numbers"),
        ({"values": ["beta=0.5"]}, "model.beta is 0.5, expected 1 or more"),
        ({"values": ["K=2.5"]}, "expected int"),
        ({"values": ["K=1"]}, "mining_samples"),
        ({"set": ["model.widht=3"]}, "unknown setting 'widht'"),
    ],
)
def test_mistakes(changes, message, data, tmp_path):
    wanted = task(tmp_path, "beta" if "only" in changes else "K")
    vars(wanted.options).update({"only": []} | changes)
    with pytest.raises(VipeError, match=message):
        ablations.run(wanted)
    assert not (tmp_path / "runs").exists()
