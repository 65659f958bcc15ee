"""Layers that see a slice of the batch and do what they would do with the whole one.

torch's SyncBatchNorm runs on GPUs only; these run wherever the processes can talk. W is
the number of processes; outside a slice both layers are torch's own.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from vipe_training import distributed
from vipe_training.models import System


class GlobalBatchNorm(nn.BatchNorm1d):
    """Batch norm with the statistics of all processes' rows; (N / W, C) or (N / W, C, L)."""

    def forward(self, input: Tensor) -> Tensor:
        if not (self.training and distributed.is_slicing()):
            return super().forward(input)
        x = input.float()
        others = [axis for axis in range(x.ndim) if axis != 1]
        shape = [1, -1] + [1] * (x.ndim - 2)  # of a channel's number beside x
        count = distributed.world() * x.numel() // x.shape[1]
        mean = distributed.total(x.sum(others)) / count
        centred = x - mean.reshape(shape)
        variance = distributed.total((centred * centred).sum(others)) / count
        self._remember(mean.detach(), variance.detach() * count / max(1, count - 1))
        scale = (variance + self.eps).rsqrt()
        if self.affine:
            scale = scale * self.weight
        normal = centred * scale.reshape(shape)
        if self.affine:
            normal = normal + self.bias.reshape(shape)
        return normal.to(input.dtype)

    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        if self.running_mean is None or self.running_var is None:
            return
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        share = self.momentum
        if share is None:  # cumulative mean
            share = 1 / int(self.num_batches_tracked)
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)


class GlobalDropout(nn.Dropout):
    """Dropout of all processes' rows, of which each takes its own.

    All draw the whole mask from equal generators: on a CPU the very mask that a single
    process draws, and the generators stay equal, so one state in a checkpoint is enough.
    """

    def forward(self, input: Tensor) -> Tensor:
        if not (self.training and self.p and distributed.is_slicing()):
            return super().forward(input)
        rows = distributed.world() * len(input)
        keep = torch.empty(rows, *input.shape[1:], dtype=input.dtype, device=input.device)
        keep.bernoulli_(1 - self.p).div_(1 - self.p)
        return input * distributed.own_slice(keep)


_GLOBAL = {nn.BatchNorm1d: GlobalBatchNorm, nn.Dropout: GlobalDropout}


def parallel(system: System) -> nn.Module:
    """The system as several processes train it: gradients are the mean over them."""
    if distributed.world() == 1:
        return system
    synchronize(system)
    # Weights that a stage leaves alone have no gradient to wait for: they must be looked for.
    return DistributedDataParallel(system, find_unused_parameters=system.stages)


def synchronize(system: nn.Module) -> None:
    """Make every batch norm and dropout of a system global.

    Only ``forward`` differs between the classes: weights, statistics and names stay.
    """
    for module in system.modules():
        if type(module) in _GLOBAL:
            module.__class__ = _GLOBAL[type(module)]
