"""The training loop: one for every system, in one process or in several."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor, nn

from vipe_core.errors import VipeError
from vipe_training import distributed
from vipe_training.augment.batch import BatchSource
from vipe_training.config import build, to_dict
from vipe_training.datasets import load_motion
from vipe_training.loop.averaging import Average, averaged
from vipe_training.loop.checkpoint import State, restore, save_model, save_state
from vipe_training.loop.clock import Clock
from vipe_training.loop.logs import Bar, MetricLog
from vipe_training.loop.optimizer import learning_rate, make_optimizer
from vipe_training.loop.run_config import RunConfig
from vipe_training.loop.run_folder import BEST, LAST, check, clear
from vipe_training.loop.synchronized import parallel
from vipe_training.loop.validation import Validation, merit
from vipe_training.models import SYSTEMS, System


def make_system(config: RunConfig) -> System:
    """The untrained system of a run; raises VipeError for an unknown name or setting."""
    if config.system not in SYSTEMS:
        raise VipeError(f"unknown system {config.system!r}; known: {', '.join(SYSTEMS)}")
    system, model_config = SYSTEMS[config.system]
    return system(build(model_config, config.model, f"{config.name}: model"))


def train(
    config: RunConfig,
    out: Path,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = True,
) -> Path:
    """Train one system; under ``torchrun`` inside :func:`vipe_training.distributed.processes`.

    Args:
        config: the run.
        out: folder for ``last.safetensors``, ``best.safetensors``, ``metrics.jsonl`` and
            TensorBoard's event files.
        resume: continue from ``last.safetensors``.
        overwrite: remove the run that ``out`` holds.
        progress: show a bar.

    Returns:
        path of the checkpoint that was best in validation.

    Raises:
        VipeError: bad configuration, data, device or folder, or a loss that is not finite.
    """
    if distributed.rank() == 0:
        check(out, resume, overwrite)
    if config.threads:
        torch.set_num_threads(config.threads)
    device = distributed.find_device(config.device)
    torch.manual_seed(config.seed)
    source = make_source(config, device)
    state = new_state(config, device)
    if resume:
        restore(state, config, out / LAST)
    elif distributed.rank() == 0:
        clear(out)
    run = _Run(config, state, source, out, progress)
    try:
        run.go()
    finally:
        run.close()
    return out / BEST


def make_source(config: RunConfig, device: str) -> BatchSource:
    """The training batches; raises VipeError for bad data or fewer poses than a batch has."""
    motion = load_motion(config.data.train, leave_out=config.data.leave_out)
    poses = config.batch.poses
    if not 2 <= poses <= len(motion):
        raise VipeError(
            f"batch.poses is {poses}, expected 2 to {len(motion)}: "
            f"so many poses are in {', '.join(config.data.train)}"
        )
    return BatchSource(motion, config.batch, device)


def new_state(config: RunConfig, device: str) -> State:
    """The state of a run before its first step."""
    system = make_system(config).to(device)
    system.mixed_precision = config.bfloat16
    if config.compile:
        system.compiled = torch.compile(system.heads)
    return State(
        system,
        Average(system, config.ema),
        make_optimizer(system, config.optimizer),
        torch.Generator(device).manual_seed(config.seed),
    )


class _Run:
    """The loop, and what happens in it now and then: a row, a validation, a checkpoint."""

    def __init__(
        self, config: RunConfig, state: State, source: BatchSource, out: Path, progress: bool
    ) -> None:
        self.config, self.state, self.source, self.out = config, state, source, out
        self.network = parallel(state.system)
        self.log = self.validation = None
        if distributed.rank() == 0:
            batch = config.batch
            self.validation = Validation(
                config.data,
                config.seed,
                config.validation_poses,
                state.system.frames,
                batch.frame_step,
            )
            self.log = MetricLog(out, state.step)
        self.bar = Bar(config.steps, config.minutes, progress and self.log is not None)
        self.clock = Clock(state)

    def go(self) -> None:
        config, state = self.config, self.state
        position = self._position()
        while position < config.steps and not (config.patience and state.stale >= config.patience):
            metrics = train_step(state, self.network, self.source, config, position)
            position = self._position()
            self.bar.update(state.step, self.clock.seconds)
            last = position >= config.steps
            if last or state.step % config.log_every == 0:
                self._log(metrics)
            if last or state.step % config.validate_every == 0:
                self._validate()

    def close(self) -> None:
        self.bar.close()
        if self.log is not None:
            self.log.close()

    def _position(self) -> float:
        """Steps done, or as many as the time that is used up stands for if those are more."""
        if not self.config.minutes:
            return self.state.step
        used = distributed.agree(self.clock.seconds / (60 * self.config.minutes))
        return max(self.state.step, used * self.config.steps)

    def _log(self, metrics: dict[str, Tensor]) -> None:
        values = {name: float(value) for name, value in metrics.items()}
        if not math.isfinite(values["loss"]):
            step = self.state.step - 1
            raise VipeError(f"loss is {values['loss']} at step {step}: lower optimizer.lr")
        self.clock.stamp(self.state)
        self.bar.note(loss=values["loss"])
        if self.log is not None:
            times = {"seconds": self.state.seconds, "cpu_seconds": self.state.cpu_seconds}
            self.log.write(self.state.step, **times, **values)

    def _validate(self) -> None:
        self.state.check_finite()
        self.clock.stamp(self.state)
        if self.validation is not None and self.log is not None:
            self._score(self.validation, self.log)
        self.state.stale = int(distributed.agree(self.state.stale))

    def _score(self, validation: Validation, log: MetricLog) -> None:
        state, config = self.state, to_dict(self.config)
        model = averaged(state.system, state.average, self.source, self.config.seed)
        scores = validation.scores(model)
        log.write(state.step, **scores)
        state.stale += 1
        if merit(scores) > state.best:
            state.best, state.stale = merit(scores), 0
            save_model(model, state, config, scores, self.out / BEST)
        save_state(state, config, self.out / LAST)


def train_step(
    state: State, network: nn.Module, source: BatchSource, config: RunConfig, position: float
) -> dict[str, Tensor]:
    """Draw a batch and learn from it.

    Args:
        network: ``state.system``, or its wrapper for several processes.
        position: steps done of ``config.steps``; a fraction where time sets the pace.

    Returns:
        the loss and the system's metrics, not yet known to be finite.
    """
    state.system.train()
    for group in state.optimizer.param_groups:
        group["lr"] = learning_rate(config.optimizer, position, config.steps)
    batch = source.draw(state.generator)
    loss, metrics = network(batch, position / config.steps, state.generator)
    state.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    if config.optimizer.clip:
        nn.utils.clip_grad_norm_(state.system.parameters(), config.optimizer.clip)
    state.optimizer.step()
    state.average.update(state.system, state.step)
    state.step += 1
    return {"loss": loss.detach(), **metrics}
