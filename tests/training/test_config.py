"""Configurations: what is accepted and what is refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from vipe_core.errors import VipeError
from vipe_training.config import build, load, overrides, to_dict
from vipe_training.loop.train import RunConfig, make_system
from vipe_training.models import SYSTEMS

CONFIGS = sorted((Path(__file__).parents[2] / "training" / "configs").glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_shipped_config_loads_and_makes_its_system(path):
    config = load(RunConfig, path)
    assert config.name == path.stem
    assert make_system(config).embedding_size in (0, 16, 32, 56)
    assert build(RunConfig, to_dict(config)) == config


def test_every_system_has_a_config():
    assert {load(RunConfig, path).system for path in CONFIGS} == set(SYSTEMS)


def test_overrides_reach_nested_settings():
    config = load(
        RunConfig, CONFIGS[0], ["optimizer.lr=0.5", "batch.views.noise.sigma=0", "seed=7"]
    )
    assert config.optimizer.lr == 0.5
    assert config.batch.views.noise.sigma == 0.0
    assert config.seed == 7


def test_overrides_are_found_again():
    words = [
        *("seed=7", "bfloat16=false", "device=cpu", 'data.leave_out=["cmu001", "a b"]'),
        *("optimizer.lr=1e-05", "batch.other_views=null", "model.width=48"),
    ]
    shipped = CONFIGS[[path.stem for path in CONFIGS].index("pr_vipe")]
    base, changed = load(RunConfig, shipped), load(RunConfig, shipped, words)
    found = overrides(base, changed)
    assert {"seed=7", "bfloat16=false", "device=cpu"} <= set(found)
    assert load(RunConfig, shipped, found) == changed
    assert overrides(base, base) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["stepz=3"], "unknown setting 'stepz'"),
        (["optimizer.lrr=3"], "unknown setting 'lrr'"),
        (["steps=many"], "steps: expected int, got 'many'"),
        (["steps=1.5"], "steps: expected int, got 1.5"),
        (["data.train=mocap"], "train: expected a list"),
        (["steps"], "'steps' is not of the form key=value"),
        (["name.x=1"], "name is a value, not a section"),
    ],
)
def test_mistakes_are_one_clear_line(words, message):
    with pytest.raises(VipeError, match=message) as caught:
        load(RunConfig, CONFIGS[0], words)
    assert "\n" not in str(caught.value)


def test_mistakes_in_the_model_section():
    with pytest.raises(VipeError, match="unknown setting 'widht'"):
        make_system(load(RunConfig, CONFIGS[0], ["model.widht=3"]))
    with pytest.raises(VipeError, match="unknown system 'resnet'"):
        make_system(load(RunConfig, CONFIGS[0], ["system=resnet"]))


def test_unreadable_and_malformed_files(tmp_path):
    with pytest.raises(VipeError, match="cannot read config"):
        load(RunConfig, tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_text("a: [1")
    with pytest.raises(VipeError, match="is not YAML"):
        load(RunConfig, tmp_path / "bad.yaml")
    (tmp_path / "list.yaml").write_text("- 1")
    with pytest.raises(VipeError, match="expected a mapping"):
        load(RunConfig, tmp_path / "list.yaml")
