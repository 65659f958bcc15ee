"""Optimisers and the learning rate over a run."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn

from vipe_core.errors import VipeError


@dataclass(frozen=True)
class OptimizerConfig:
    """Optimiser. ``schedule`` is constant or cosine (to 1 %, after a short warm-up);
    ``clip`` bounds the gradient's norm, 0 for none."""

    name: str = "adamw"
    lr: float = 0.001
    schedule: str = "constant"
    clip: float = 0.0
    weight_decay: float = 0.0


def learning_rate(config: OptimizerConfig, position: float, steps: int) -> float:
    """The rate at a position in the run: constant, or 2 % linear warm-up and a cosine down to 1 %.

    Args:
        position: steps done; a fraction where a time limit sets the pace.
        steps: of the whole run.

    Raises:
        VipeError: unknown schedule.
    """
    if config.schedule == "constant":
        return config.lr
    if config.schedule != "cosine":
        raise VipeError(f"unknown schedule {config.schedule!r}; known: constant, cosine")
    warm = max(1, round(0.02 * steps))
    if position < warm:
        return config.lr * min(1.0, (position + 1) / warm)
    share = (position - warm) / max(1, steps - warm)
    return config.lr * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * share)))


def make_optimizer(system: nn.Module, config: OptimizerConfig) -> torch.optim.Optimizer:
    """AdamW or Adagrad; raises VipeError for another name."""
    parameters = [p for p in system.parameters() if p.requires_grad]
    if config.name == "adamw":
        return torch.optim.AdamW(
            parameters, config.lr, weight_decay=config.weight_decay, fused=True
        )
    if config.name == "adagrad":
        # 0.1 is TensorFlow's initial accumulator, which the published rate goes with.
        return torch.optim.Adagrad(parameters, config.lr, initial_accumulator_value=0.1, fused=True)
    raise VipeError(f"unknown optimizer {config.name!r}; known: adamw, adagrad")
