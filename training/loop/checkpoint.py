"""Checkpoints in safetensors: the full state to resume from, and the model alone.

Files appear under their name only when they are complete.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from vipe_core.errors import VipeError
from vipe_core.files import atomic
from vipe_training.config import build, differences
from vipe_training.loop.averaging import Average
from vipe_training.models import System


@dataclass
class State:
    """Everything that a run changes.

    Attributes:
        step: steps done.
        best: merit of the best validation, see :func:`vipe_training.loop.validation.merit`.
        stale: validations since then.
        seconds, cpu_seconds: spent so far, of the wall clock and of all processes' cores.
    """

    system: System
    average: Average
    optimizer: torch.optim.Optimizer
    generator: torch.Generator
    step: int = 0
    best: float = -math.inf
    stale: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0

    def counters(self) -> dict[str, float]:
        """What is neither a tensor nor configuration."""
        return {name: getattr(self, name) for name in _COUNTERS}

    def check_finite(self) -> None:
        """Raises VipeError when a weight is not finite: such a state must not be kept."""
        tensors = (*self.system.state_dict().values(), *self.average.weights.values())
        if not all(bool(t.isfinite().all()) for t in tensors if t.is_floating_point()):
            raise VipeError(f"weights are not finite after step {self.step}: lower optimizer.lr")


# Settings that a resumed run may change.
_FREE = (
    *("name", "steps", "minutes", "patience", "validate_every", "log_every"),
    *("threads", "device", "compile"),
)
_COUNTERS = ("step", "best", "stale", "seconds", "cpu_seconds")


def save_state(state: State, config: dict[str, Any], path: Path) -> None:
    """Write the whole state of a run."""
    tensors = {f"system.{k}": v for k, v in state.system.state_dict().items()}
    tensors |= {f"average.{k}": v for k, v in state.average.weights.items()}
    for i, slots in state.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{i}.{k}": torch.as_tensor(v) for k, v in slots.items()}
    tensors["generator"] = state.generator.get_state()
    tensors["rng"] = torch.get_rng_state()
    _save(tensors, {"config": config, **state.counters()}, path)


def restore(state: State, config: Any, path: Path) -> None:
    """Continue from :func:`save_state`.

    Args:
        state: of a run that has not begun; it is changed.
        config: of the run that goes on. It may differ from the checkpoint's in what does
            not decide what a step learns, such as the number of steps.

    Raises:
        VipeError: a missing or foreign file, or another configuration.
    """
    tensors, header = _load(path)
    _check_same(build(type(config), header["config"], str(path)), config, path)

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
    for name in _COUNTERS:  # a checkpoint of an earlier version has fewer
        setattr(state, name, header.get(name, getattr(state, name)))


def _check_same(then: Any, now: Any, path: Path) -> None:
    changed = [line for line in differences(then, now) if line.partition(":")[0] not in _FREE]
    if changed:
        raise VipeError(
            f"{path} is of another configuration ({'; '.join(changed)}): "
            "resume with the settings it was started with, or train into another folder"
        )


def save_model(
    model: System, state: State, config: dict[str, Any], scores: dict[str, float], path: Path
) -> None:
    """Write the weights of a model with the configuration and the time that made them."""
    cost = {"step": state.step, "seconds": state.seconds, "cpu_seconds": state.cpu_seconds}
    _save(model.state_dict(), {"config": config, **cost, "scores": scores}, path)


def load_model(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Weights and header (config, step, cost, scores) of :func:`save_model`; raises VipeError."""
    return _load(path)


def _save(tensors: dict[str, Tensor], header: dict[str, Any], path: Path) -> None:
    tensors = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
    try:
        with atomic(path) as part:
            save_file(tensors, part, {"vipe": json.dumps(header)})
    except SafetensorError as error:  # how the library passes on that the disk is full
        reason = str(error).rpartition("I/O error: ")[2].partition(" (os error")[0]
        raise VipeError(f"cannot write {path}: {reason}") from None


def _load(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    if not path.is_file():
        raise VipeError(f"no checkpoint {path}")
    try:
        with safe_open(path, "pt") as file:
            header = json.loads(file.metadata()["vipe"])
            return {key: file.get_tensor(key) for key in file.keys()}, header  # noqa: SIM118
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise VipeError(f"{path} is not a checkpoint of this trainer: {error}") from None
