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

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.rendezvous import rendezvous

from vipe_core.errors import VipeError

_slicing = False


def world() -> int:
    """Number of processes that train together; 1 outside ``torchrun``."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Number of this process; process 0 validates, writes and logs."""
    return dist.get_rank() if dist.is_initialized() else 0


@contextmanager
def processes() -> Iterator[None]:
    """Join the processes that ``torchrun`` started; outside it nothing happens.

    An error on one process ends all: the first to fail says it in one line, the others end
    without a word, all with status 2.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(local_rank() % torch.cuda.device_count())
    store, own_rank, size = next(rendezvous("env://"))
    dist.init_process_group(store=store, rank=own_rank, world_size=size)
    try:
        yield
    except Exception as error:
        _fail(store, error)
        raise  # a bug keeps its traceback
    finally:
        dist.destroy_process_group()


def local_rank() -> int:
    """Number of this process on its machine, hence of its GPU."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def find_device(name: str) -> str:
    """The torch device of a setting, each process its own GPU.

    Args:
        name: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ...

    Raises:
        VipeError: the device is not here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and world() > 1:
        name = f"cuda:{local_rank()}"
    try:
        torch.empty(1, device=name)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise VipeError(f"device {name!r} is not here ({reason}): take device=auto") from None
    return name


@contextmanager
def slicing() -> Iterator[None]:
    """While the network runs on a slice: its batch statistics and dropout are the batch's."""
    global _slicing
    _slicing = world() > 1
    try:
        yield
    finally:
        _slicing = False


def is_slicing() -> bool:
    """Whether the rows that a layer sees are a slice of the batch."""
    return _slicing


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


def agree(value: float) -> float:
    """The value of process 0, on every process."""
    if world() == 1:
        return value
    shared = torch.tensor(value, dtype=torch.float64)
    dist.broadcast(shared, 0)
    return shared.item()


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        parts = [torch.empty_like(values) for _ in range(world())]
        dist.all_gather(parts, values.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return own_slice(_Total.forward(ctx, gradients[0]))


class _Total(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        values = values.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(values)
        return values

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return _Total.forward(ctx, gradients[0])


def _fail(store: Any, error: Exception) -> None:
    """Say what a user can cause, if no other process has said why all end."""
    try:
        first = store.add("vipe/failed", 1) == 1
        if not first:
            # Whoever ends first has torchrun end the others: let the line come out.
            store.wait(["vipe/said"], timedelta(seconds=10))
    except RuntimeError:  # the process that kept the store is gone
        first = False
    if not first:
        raise SystemExit(2) from None
    if isinstance(error, dist.DistError) or "gloo" in str(error).lower():
        error = VipeError("a process of this run is gone: see what it said last")
    if isinstance(error, (VipeError, OSError)):
        print(f"vipe train: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
        store.set("vipe/said", "")
        raise SystemExit(2) from None
