"""Checkpoints in safetensors: the full state to resume from, and the model alone.

Files appear under their name only when they are complete.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from vipe_core.errors import VipeError
from vipe_core.files import atomic
from vipe_training.averaging import Average
from vipe_training.models import System


@dataclass
class State:
    """Everything that a run changes."""

    system: System
    average: Average
    optimizer: torch.optim.Optimizer
    generator: torch.Generator
    step: int = 0
    best: float = -1.0


def save_state(state: State, config: dict[str, Any], path: Path) -> None:
    """Write the whole state of a run."""
    tensors = {f"system.{k}": v for k, v in state.system.state_dict().items()}
    tensors |= {f"average.{k}": v for k, v in state.average.weights.items()}
    for i, slots in state.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{i}.{k}": torch.as_tensor(v) for k, v in slots.items()}
    tensors["generator"] = state.generator.get_state()
    tensors["rng"] = torch.get_rng_state()
    header = {"config": config, "step": state.step, "best": state.best}
    _save(tensors, header, path)


def restore(state: State, path: Path) -> None:
    """Continue from :func:`save_state`; raises VipeError for a missing or foreign file."""
    tensors, header = _load(path)

    def part(prefix: str) -> dict[str, Tensor]:
        return {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}

    try:
        state.system.load_state_dict(part("system."))
        for name, value in part("average.").items():
            state.average.weights[name].copy_(value)
    except (RuntimeError, KeyError) as error:
        raise VipeError(f"{path} is of another model: {str(error).splitlines()[0]}") from None
    slots: dict[int, dict[str, Tensor]] = {}
    for key, value in part("optimizer.").items():
        index, name = key.split(".", 1)
        slots.setdefault(int(index), {})[name] = value
    groups = state.optimizer.state_dict()["param_groups"]
    state.optimizer.load_state_dict({"state": slots, "param_groups": groups})
    state.generator.set_state(tensors["generator"])
    torch.set_rng_state(tensors["rng"])
    state.step, state.best = header["step"], header["best"]


def save_model(
    model: System, config: dict[str, Any], step: int, scores: dict[str, float], path: Path
) -> None:
    """Write the weights of a model with the configuration that made them."""
    _save(model.state_dict(), {"config": config, "step": step, "scores": scores}, path)


def load_model(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Weights and header (config, step, scores) of :func:`save_model`; raises VipeError."""
    return _load(path)


def _save(tensors: dict[str, Tensor], header: dict[str, Any], path: Path) -> None:
    tensors = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
    with atomic(path) as part:
        save_file(tensors, part, {"vipe": json.dumps(header)})


def _load(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    if not path.is_file():
        raise VipeError(f"no checkpoint {path}")
    try:
        with safe_open(path, "pt") as file:
            header = json.loads(file.metadata()["vipe"])
            return {key: file.get_tensor(key) for key in file.keys()}, header  # noqa: SIM118
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise VipeError(f"{path} is not a checkpoint of this trainer: {error}") from None
