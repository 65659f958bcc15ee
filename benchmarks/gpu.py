"""On an NVIDIA GPU: our backends against torch, and all of them against the memory's speed.

Arrays come from the host and go back to it, with torch too: that is what a node pays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.backends import BATCHES, CPU, loaded, poses
from benchmarks.timing import Row, Timer, clock, compare, compare_timers
from vipe_core import runtime
from vipe_core.errors import VipeError

READS = 20  # in one graph, so that launching it does not count
_APART = 1e-3  # between the two ways of torch, relative where a value exceeds 1


def rows(path: Path) -> Iterator[Row | str]:
    """Rows where torch sees a GPU; a line where it does not.

    The network in torch has the shipped width and has learned nothing: speed does not depend
    on the weights, so it is a baseline of the model file all the same.
    """
    try:
        import torch

        if not torch.cuda.is_available():
            yield "gpu: skipped, there is none here"
            return
        system = shipped_system()
    except ModuleNotFoundError as error:
        yield f"gpu: skipped, no {error.name} here: make test sets it up"
        return
    yield f"gpu: {torch.cuda.get_device_name()}, torch in float32 without TF32"
    torch.backends.cuda.matmul.allow_tf32 = False
    size = sum(4 * weight.numel() for weight in system.parameters())
    floor = (f"floor: GPU reads {size / 1e6:.0f} MB", reader(size))
    graphs = {}
    for batch in BATCHES:
        eager, graphs[batch], replay = torch_calls(system, batch)
        yield compare(f"torch CUDA graph, batch {batch}", "torch eager", graphs[batch], eager, None)
        what = f"its replay alone, batch {batch}"
        yield compare_timers(what, floor[0], partial(clock, replay), floor[1], aim=None)
    for model in loaded(path):
        if isinstance(model, str):
            yield model
        elif model.backend != CPU:
            yield from against_torch(model, graphs, *floor)


def against_torch(
    model: runtime.Model, graphs: dict[int, Callable[[], object]], floor: str, reads: Timer
) -> Iterator[Row]:
    """A call on the GPU against torch's at its best, and against the floor."""
    for batch in BATCHES:
        ours = partial(model, *poses(model.metadata, batch).values())
        what = f"{model.backend}, batch {batch}"
        yield compare(what, "torch CUDA graph", ours, graphs[batch], aim=1.0)
        yield compare_timers(what, floor, partial(clock, ours), reads, aim=None)


def shipped_system() -> Any:
    """The default network as the trainer makes it, untrained, in evaluation mode, on the CPU."""
    import vipe_training
    from vipe_training.config import load
    from vipe_training.loop.run_config import RunConfig
    from vipe_training.loop.train import make_system

    config = Path(vipe_training.__file__).parent / "configs" / "vipe.yaml"
    return make_system(load(RunConfig, config, [])).eval()


def torch_calls(system: Any, batch: int) -> tuple[Callable[[], object], ...]:
    """The exported network at one batch size: eager and as a CUDA graph, each with its copies,
    and the graph alone.

    Raises:
        VipeError: the two give different results.
    """
    import torch

    from vipe_training.export.graph import Graph

    feed = torch_feed(batch)
    network = on_device(system, feed, "cuda")
    plain = Graph(deepcopy(system)).eval().cuda()
    static = [tensor.cuda() for tensor in feed]
    graph = Captured(partial(network, *static))

    def eager() -> list[np.ndarray]:
        with torch.no_grad():
            return [v.cpu().numpy() for v in plain(*(tensor.cuda() for tensor in feed))]

    def graphed() -> list[np.ndarray]:
        for place, tensor in zip(static, feed, strict=True):
            place.copy_(tensor)
        graph.graph.replay()
        return [value.cpu().numpy() for value in graph.outputs]

    pairs = zip(graphed(), eager(), strict=True)
    apart = max(float(np.max(abs(a - b) / np.maximum(abs(b), 1))) for a, b in pairs)
    if not apart <= _APART:
        raise VipeError(f"bench: torch's CUDA graph is {apart:.1g} away from torch")
    return eager, graphed, graph.replay


def torch_feed(batch: int) -> list[Any]:
    """Keypoints and visibility of body13 on the CPU."""
    import torch

    points = np.random.default_rng(0).normal(300, 80, (batch, 13, 2)).astype(np.float32)
    return [torch.from_numpy(points), torch.ones(batch, 13)]


def on_device(system: Any, feed: list[Any], device: str) -> Any:
    """The exported network with everything on the device, for the sizes in ``feed``.

    As it is written it indexes by lists, which come from the host at every call, and a CUDA
    graph must not wait for the host. Traced by torch.fx they are buffers, which move along.
    """
    import torch
    from torch.fx.experimental.proxy_tensor import make_fx

    from vipe_training.export.graph import Graph

    with torch.no_grad():
        return make_fx(Graph(deepcopy(system)).eval())(*feed).to(device)


class Captured:
    """A call as a CUDA graph.

    Attributes:
        call: what was captured; the graph reads the memory of its tensors.
        graph: to replay.
        outputs: the tensors that a replay fills.
    """

    def __init__(self, call: Callable[[], Any]) -> None:
        import torch

        self.call = call
        self.graph = torch.cuda.CUDAGraph()
        with torch.no_grad():
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):  # the first calls allocate, which a graph must not
                for _ in range(3):
                    call()
            torch.cuda.current_stream().wait_stream(side)
            with torch.cuda.graph(self.graph):
                self.outputs = call()

    def replay(self) -> None:
        """Once, to its end."""
        import torch

        self.graph.replay()
        torch.cuda.synchronize()


def reader(size: int) -> Timer:
    """The time in which the GPU reads so many bytes, the floor of a call, which reads its
    weights at least. Where those fit into its cache, these do. The fastest of three ways."""
    import torch

    values = torch.ones(size // 4, device="cuda")
    other = torch.empty_like(values)
    ways = (values.sum, values.amax, lambda: other.copy_(values))
    timers = [partial(_per_read, Captured(partial(_repeated, way))) for way in ways]
    return min(timers, key=lambda timer: min(timer(READS) for _ in range(5)))


def _repeated(call: Callable[[], Any]) -> list[Any]:
    return [call() for _ in range(READS)]


def _per_read(graph: Captured, calls: int) -> float:
    return clock(graph.replay, max(1, calls // READS)) / READS
