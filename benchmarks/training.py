"""Training: what our part of a step adds to the network's, and what the plain loss costs.

The step is Pr-VIPE's as published: 256 pairs, 1,024 wide, 20 samples, float32, two threads.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor

import vipe_training
from benchmarks.timing import Row, compare
from vipe_core.geometry import np_mpjpe
from vipe_training.augment.batch import Batch, BatchSource
from vipe_training.config import load
from vipe_training.loop.averaging import averaged
from vipe_training.loop.checkpoint import State
from vipe_training.loop.run_config import RunConfig
from vipe_training.loop.train import make_source, new_state, train_step
from vipe_training.loop.validation import Validation
from vipe_training.losses import gaussian_prior, ratio_triplet_loss, squeezed_sigmoid
from vipe_training.mining import normalize_3d
from vipe_training.models.pr_vipe import PrVipe

THREADS = 2
STEPS = 300  # of the comparison of quality
_CONFIG = Path(vipe_training.__file__).parent / "configs" / "pr_vipe.yaml"
_WARM = 3  # steps before the clock, in which memory is taken


def rows() -> Iterator[Row]:
    """Times of a whole step against its network's and against the plain loss's.

    Raises:
        VipeError: no motion files; VIPE_DATA names their folder.
    """
    config = settings()
    source = make_source(config, "cpu")
    ours, plain = (stepper(config, source, system) for system in (PrVipe, PlainPrVipe))
    what = "pr_vipe training step"
    yield compare(what, "its network alone", ours, bare_stepper(config, source), aim=1.5)
    yield compare(what, "the same, all pairs and labels", ours, plain, aim=0.5)


def settings(*words: str) -> RunConfig:
    """The configuration that is timed."""
    torch.set_num_threads(THREADS)
    return load(RunConfig, _CONFIG, ["bfloat16=false", "device=cpu", *words])


class PlainPrVipe(PrVipe):
    """The same loss as its formulas read: sampled distances and labels of all N x N pairs."""

    def loss(
        self, batch: Batch, progress: float, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        embedding = self.batch_heads(batch.features).embedding()
        mean, std = (v.reshape(-1, 2, v.shape[-1]) for v in embedding)
        k = self.config.samples
        noise = torch.randn(*mean.shape[:2], k, mean.shape[-1], generator=generator)
        z = mean[:, :, None] + std[:, :, None] * noise  # (N, 2, K, D)
        n = len(z)
        match = self.match
        assert match is not None
        gap = torch.cdist(z[:, 0].flatten(0, 1), z[:, 1].flatten(0, 1))  # (N K, N K)
        p = squeezed_sigmoid(match.b - match.a * gap).reshape(n, k, n, k).mean((1, 3))
        distance = -p.log()  # (N, N)
        positive = distance.diagonal()
        poses = normalize_3d(batch.joints).numpy()
        error = torch.from_numpy(np_mpjpe(poses[:, None].repeat(n, 1), poses[None].repeat(n, 0)))
        usable = (error >= self.config.kappa) & (distance > positive[:, None])
        negative = distance.masked_fill(~usable, torch.inf).min(1).values
        valid = usable.any(1)
        negative = torch.where(valid, negative, torch.zeros(()))
        triplet, active = ratio_triplet_loss(positive, negative, valid, math.log(2))
        loss = triplet + 0.005 * positive.mean() + 0.001 * gaussian_prior(*embedding)
        return loss, {"triplet": triplet, "active": active}


def state_of(config: RunConfig, system: type[PrVipe]) -> State:
    """An untrained state; the plain system starts from the same weights."""
    torch.manual_seed(config.seed)
    state = new_state(config, config.device)
    state.system.__class__ = system
    return state


def stepper(config: RunConfig, source: BatchSource, system: type[PrVipe]) -> Callable[[], object]:
    """A whole step: draw, augment, project, label, mine, loss, backward, optimiser, average."""
    state = state_of(config, system)

    def step() -> object:
        return train_step(state, state.system, source, config, state.step)

    for _ in range(_WARM):
        step()
    return step


def bare_stepper(config: RunConfig, source: BatchSource) -> Callable[[], object]:
    """Forward, backward and optimiser of the network on a tensor that is ready."""
    state = state_of(config, PrVipe)
    features = source.draw(state.generator).features.flatten(0, 1)

    def step() -> object:
        mean, std = state.system.heads(features).embedding()
        state.optimizer.zero_grad(set_to_none=True)
        (mean.sum() + std.sum()).backward()
        return state.optimizer.step()

    for _ in range(_WARM):
        step()
    return step


def quality(steps: int = STEPS) -> Iterator[str]:
    """One line each on our step and the plain one: Hit@1 after the same number of steps."""
    config = settings(f"steps={steps}", "ema=0.99")
    source = make_source(config, "cpu")
    validation = Validation(config.data, config.seed)
    for name, system in (("ours", PrVipe), ("all pairs and labels", PlainPrVipe)):
        state, start = state_of(config, system), time.perf_counter()
        while state.step < steps:
            train_step(state, state.system, source, config, state.step)
        seconds = time.perf_counter() - start
        scores = validation.scores(averaged(state.system, state.average, source, config.seed))
        yield f"{name:<22} {steps} steps {seconds:6.1f} s  Hit@1 {scores['val_hit1']:.1f} %"


def on_gpu(steps: int = 50) -> str:
    """Poses per second and how busy the GPU is, or a line that there is none."""
    if not torch.cuda.is_available():
        return "training on a GPU: skipped, there is none here"
    config = settings("device=cuda", "bfloat16=true")
    step = stepper(config, make_source(config, "cuda"), PrVipe)
    torch.cuda.synchronize()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        start = time.perf_counter()
        for _ in range(steps):
            step()
        torch.cuda.synchronize()
        seconds = time.perf_counter() - start
    busy = 1e-6 * sum(event.self_device_time_total for event in profile.key_averages())
    rate = steps * config.batch.poses / seconds
    return f"training on a GPU: {rate:,.0f} poses per second, GPU busy {100 * busy / seconds:.0f} %"
