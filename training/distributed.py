"""Several processes that train as one: the same loss, gradients and statistics as a single
process on the same batch.

Every process draws the same batch from the same generator and runs its own slice of the
poses through the network. The heads are gathered, so that negatives come from the whole
batch and every process computes the same loss. W is the number of processes.

Gradients: each process differentiates its own copy of the loss L, and both collectives
below pass back the sum over the processes. A weight of the network thus gets W times its
slice's share of dL, a weight that only the loss uses gets the whole dL; the mean over the
processes, which DistributedDataParallel takes, is dL in both cases.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from vipe_core.errors import VipeError


def world() -> int:
    """Number of processes that train together; 1 outside ``torchrun``."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Number of this process; process 0 validates, writes and logs."""
    return dist.get_rank() if dist.is_initialized() else 0


def own_slice(values: Tensor) -> Tensor:
    """The rows (B / W, ...) of this process out of those of all (B, ...).

    Raises:
        VipeError: B is no multiple of W.
    """
    if len(values) % world():
        raise VipeError(
            f"batch.poses {len(values)} does not split over {world()} processes: "
            f"take a multiple of {world()}"
        )
    return values.chunk(world())[rank()]


def gather(values: Tensor) -> Tensor:
    """All rows (B, ...) out of those of this process (B / W, ...), in order, with gradient."""
    return values if world() == 1 else _Gather.apply(values)


def total(values: Tensor) -> Tensor:
    """Sum over the processes, with gradient."""
    return values if world() == 1 else _Total.apply(values)


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        parts = [torch.empty_like(values) for _ in range(world())]
        dist.all_gather(parts, values.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        gradient = gradients[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(gradient)
        return own_slice(gradient)


class _Total(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        values = values.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(values)
        return values

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return _Total.forward(ctx, gradients[0])
