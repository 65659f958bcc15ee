"""The averaged network that is evaluated and exported."""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from vipe_training.augment.batch import BatchSource
from vipe_training.models import System

_BATCHES = 50


class Average:
    """Exponential moving average of all trainable weights, ramped at the start.

    Source: Pr-VIPE's released code, decay min(d, (1 + t) / (10 + t)).
    """

    def __init__(self, system: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights = {name: p.detach().clone() for name, p in system.named_parameters()}

    @torch.no_grad()
    def update(self, system: nn.Module, step: int) -> None:
        """Move towards the weights of ``system`` after step number ``step``."""
        move = get_ema_multi_avg_fn(min(self.decay, (1 + step) / (10 + step)))
        live = list(system.parameters())  # in the order of named_parameters
        move(tuple(self.weights.values()), tuple(live), step)


@torch.no_grad()
def averaged(system: System, average: Average, source: BatchSource, seed: int) -> System:
    """A copy of the system with averaged weights, in evaluation mode.

    Batch statistics belong to the weights they were gathered with, so they are estimated
    anew for the averaged ones, without dropout, on fresh batches.
    """
    model = copy.deepcopy(system)
    for name, parameter in model.named_parameters():
        parameter.copy_(average.weights[name])
    model.eval()
    norms = [m for m in model.normalized_trunk().modules() if isinstance(m, nn.BatchNorm1d)]
    if not norms:
        return model
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # cumulative mean
        norm.train()
    generator = torch.Generator(source.joints.device).manual_seed(seed)
    for _ in range(_BATCHES):
        model.heads(source.draw(generator).features.flatten(0, 1))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()
    return model
