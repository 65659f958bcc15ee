"""Every shipped configuration in small, for tests."""

from __future__ import annotations

from pathlib import Path

import torch

from vipe_training.config import load, to_dict
from vipe_training.export.write import Trained
from vipe_training.loop.checkpoint import save_model
from vipe_training.loop.train import RunConfig, make_system, new_state

CONFIGS = Path(__file__).parents[2] / "training" / "configs"
NAMES = sorted(path.stem for path in CONFIGS.glob("*.yaml"))
WIDTHS = {"semgcn": "model.width=12", "v_vipe": "model.pose_width=24"}


def small(name: str, *words: str) -> RunConfig:
    """The configuration ``name`` with a narrow network and small batches."""
    config = load(RunConfig, CONFIGS / f"{name}.yaml")
    narrow = ["model.width=48", "model.blocks=1", WIDTHS.get(config.system, "model.width=48")]
    rest = ["batch.poses=12", "validation_poses=30", "threads=1", "bfloat16=false"]
    return load(RunConfig, CONFIGS / f"{name}.yaml", [*narrow, *rest, *words])


def untrained(name: str) -> Trained:
    """A small system with running statistics as after some training; fresh ones would hide
    a missing normalisation."""
    torch.manual_seed(0)
    config = small(name)
    net = make_system(config)
    net.train()
    shape = (net.frames, 39) if net.frames > 1 else (39,)
    for _ in range(20):
        net.heads(torch.randn(64, *shape))
    return Trained(net.eval(), config, step=1, scores={})


def save(made: Trained, path: Path) -> Path:
    """The checkpoint of a system, as a run leaves it."""
    state = new_state(made.config, "cpu")
    state.step = made.step
    save_model(made.system, state, to_dict(made.config), made.scores, path)
    return path
