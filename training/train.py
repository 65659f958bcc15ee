"""The training loop: one for every system."""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

import torch
from torch import Tensor, nn
from tqdm import tqdm

from vipe_core.errors import VipeError
from vipe_training.averaging import Average, averaged
from vipe_training.batch import BatchConfig, BatchSource
from vipe_training.checkpoint import State, restore, save_model, save_state
from vipe_training.config import build, to_dict
from vipe_training.datasets import load_motion
from vipe_training.models import SYSTEMS, System
from vipe_training.validation import Validation


@dataclass(frozen=True)
class DataConfig:
    """Which motion files, relative to the data folder, and which subjects to leave out."""

    train: tuple[str, ...] = ("mocap/cmu_mocap_train.npz",)
    validate: tuple[str, ...] = ("mocap/cmu_mocap_val.npz",)
    leave_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class OptimizerConfig:
    """Optimiser. ``schedule`` is constant or cosine (to 1 %, after a short warm-up);
    ``clip`` bounds the gradient's norm, 0 for none."""

    name: str = "adamw"
    lr: float = 0.001
    schedule: str = "constant"
    clip: float = 0.0
    weight_decay: float = 0.0


@dataclass(frozen=True)
class RunConfig:
    """One training run. ``model`` holds the fields of the system's own config class.

    Attributes:
        ema: decay of the weight average that is evaluated and exported.
        validation_poses: poses that a validation measures on, at most.
        bfloat16: run the networks under bfloat16 autocast.
        threads: CPU threads, 0 for all.
        device: torch device, ``auto`` for a GPU where there is one.
    """

    name: str
    system: str
    model: dict = field(default_factory=dict)
    data: DataConfig = field(default_factory=DataConfig)
    batch: BatchConfig = field(default_factory=BatchConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    ema: float = 0.999
    steps: int = 10000
    seed: int = 0
    validate_every: int = 1000
    validation_poses: int = 600
    log_every: int = 50
    bfloat16: bool = False
    threads: int = 0
    device: str = "auto"


def make_system(config: RunConfig) -> System:
    """The untrained system of a run; raises VipeError for an unknown name or setting."""
    if config.system not in SYSTEMS:
        raise VipeError(f"unknown system {config.system!r}; known: {', '.join(SYSTEMS)}")
    system, model_config = SYSTEMS[config.system]
    return system(build(model_config, config.model, f"{config.name}: model"))


def train(config: RunConfig, out: Path, resume: bool = False, progress: bool = True) -> Path:
    """Train one system.

    Args:
        config: the run.
        out: folder for ``last.safetensors``, ``best.safetensors`` and ``metrics.jsonl``.
        resume: continue from ``last.safetensors``.
        progress: show a bar.

    Returns:
        path of the best checkpoint by validation Hit@1.

    Raises:
        VipeError: bad configuration or data, or a loss that is not finite.
    """
    if config.threads:
        torch.set_num_threads(config.threads)
    device = _device(config.device)
    torch.manual_seed(config.seed)
    source = BatchSource(
        load_motion(config.data.train, leave_out=config.data.leave_out), config.batch, device
    )
    validation = Validation(
        config.data.validate, config.data.leave_out, config.seed, config.validation_poses
    )
    system = make_system(config).to(device)
    system.mixed_precision = config.bfloat16
    state = State(
        system,
        Average(system, config.ema),
        make_optimizer(system, config.optimizer),
        torch.Generator(device).manual_seed(config.seed),
    )
    out.mkdir(parents=True, exist_ok=True)
    if resume:
        restore(state, out / "last.safetensors")
    with (out / "metrics.jsonl").open("a" if resume else "w") as log:
        _run(state, source, validation, config, out, log, progress)
    return out / "best.safetensors"


def _run(
    state: State,
    source: BatchSource,
    validation: Validation,
    config: RunConfig,
    out: Path,
    log: TextIO,
    progress: bool,
) -> None:
    started, first = time.perf_counter(), state.step
    bar = tqdm(range(first, config.steps), initial=first, total=config.steps, disable=not progress)
    for step in bar:
        metrics = _step(state, source, config)
        last = step + 1 == config.steps
        if last or (step + 1) % config.log_every == 0:
            values = {name: float(value) for name, value in metrics.items()}
            if not math.isfinite(values["loss"]):
                raise VipeError(f"loss is {values['loss']} at step {step}: lower optimizer.lr")
            bar.set_postfix(loss=f"{values['loss']:.3f}")
            _write(log, step=step + 1, seconds=time.perf_counter() - started, **values)
        if last or (step + 1) % config.validate_every == 0:
            model = averaged(state.system, state.average, source, config.seed)
            scores = validation.scores(model)
            _write(log, step=step + 1, **scores)
            if scores["val_hit1"] > state.best:
                state.best = scores["val_hit1"]
                save_model(model, to_dict(config), step + 1, scores, out / "best.safetensors")
            save_state(state, to_dict(config), out / "last.safetensors")


def _step(state: State, source: BatchSource, config: RunConfig) -> dict[str, Tensor]:
    state.system.train()
    for group in state.optimizer.param_groups:
        group["lr"] = learning_rate(config.optimizer, state.step, config.steps)
    batch = source.draw(state.generator)
    loss, metrics = state.system(batch, state.step / config.steps, state.generator)
    state.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    if config.optimizer.clip:
        nn.utils.clip_grad_norm_(state.system.parameters(), config.optimizer.clip)
    state.optimizer.step()
    state.average.update(state.system, state.step)
    state.step += 1
    return {"loss": loss.detach(), **metrics}


def learning_rate(config: OptimizerConfig, step: int, steps: int) -> float:
    """The rate at a step: constant, or 2 % linear warm-up and a cosine down to 1 %."""
    if config.schedule == "constant":
        return config.lr
    if config.schedule != "cosine":
        raise VipeError(f"unknown schedule {config.schedule!r}; known: constant, cosine")
    warm = max(1, round(0.02 * steps))
    if step < warm:
        return config.lr * (step + 1) / warm
    share = (step - warm) / max(1, steps - warm)
    return config.lr * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * share)))


def make_optimizer(system: nn.Module, config: OptimizerConfig) -> torch.optim.Optimizer:
    """AdamW or Adagrad; raises VipeError for another name."""
    parameters = [p for p in system.parameters() if p.requires_grad]
    if config.name == "adamw":
        return torch.optim.AdamW(parameters, config.lr, weight_decay=config.weight_decay)
    if config.name == "adagrad":
        # 0.1 is TensorFlow's initial accumulator, which the published rate goes with.
        return torch.optim.Adagrad(parameters, config.lr, initial_accumulator_value=0.1)
    raise VipeError(f"unknown optimizer {config.name!r}; known: adamw, adagrad")


def _device(name: str) -> str:
    if name != "auto":
        return name
    return "cuda" if torch.cuda.is_available() else "cpu"


def _write(log: TextIO, **values: float) -> None:
    log.write(json.dumps({k: round(v, 5) for k, v in values.items()}) + "\n")
    log.flush()
