"""``cuda.bindings.runtime`` on the GPU of ``gpu``, with the names of the real one.

    runtime = make_module(settings, gpu)
    error, address = runtime.cudaMalloc(64)

As in the real one every function returns a tuple of an error and its results; handles are
objects or ints; an enum argument must be the enum.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.trt.api import Api, is_int
from tests.trt.gpu import Gpu, GpuError
from tests.trt.gpu import current as current_gpu
from tests.trt.settings import Settings
from tests.trt.strict import Maker, Recorder, StrictModule

# cudaErrorX: what cudaGetErrorString says of it.
TEXTS = {
    "cudaSuccess": "no error",
    "cudaErrorNoDevice": "no CUDA-capable device is detected",
    "cudaErrorInsufficientDriver": "CUDA driver version is insufficient for CUDA runtime version",
    "cudaErrorMemoryAllocation": "out of memory",
}
# These answer without a device too.
DRIVERLESS = {
    *("cudaGetErrorName", "cudaGetErrorString", "cudaRuntimeGetVersion", "cudaDriverGetVersion"),
}


def state() -> dict[str, Any]:
    """Of this process's GPU: what is alive, what was done, what was done wrong."""
    return current_gpu().state()


def make_module(settings: Settings, gpu: Gpu) -> StrictModule:
    world = World(settings, gpu)
    return world.maker.module("cuda.bindings.runtime")


class World:
    def __init__(self, settings: Settings, gpu: Gpu) -> None:
        self.settings, self.gpu = settings, gpu
        api = Api.load(settings.cuda_api)
        functions = {
            name: guarded(name, value, results) for name, (value, results) in FUNCTIONS.items()
        }
        classes = dict.fromkeys(HANDLES, Handle)
        behaviours = types.SimpleNamespace(**functions, **classes)
        self.maker = Maker(api, behaviours, Recorder(settings.record), self, int_enums=True)

    def error(self, name: str) -> Any:
        return self.maker.make("cudaError_t")[name]

    def missing_device(self) -> str | None:
        if self.settings.devices > 0:
            return None
        return "cudaErrorInsufficientDriver" if self.settings.devices < 0 else "cudaErrorNoDevice"


class Handle:
    """cudaStream_t and the like: a number that knows what it is."""

    def __init__(self, init_value: int = 0) -> None:
        object.__setattr__(self, "_value", int(init_value))

    def __int__(self) -> int:
        return self._value  # type: ignore[attr-defined]

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and int(other) == int(self)  # type: ignore[call-overload]

    def __hash__(self) -> int:
        return hash(int(self))


HANDLES = ("cudaStream_t", "cudaGraph_t", "cudaGraphExec_t", "cudaEvent_t")
FUNCTIONS: dict[str, tuple[Callable, int]] = {}


def function(results: int = 0) -> Callable[[Callable], Callable]:
    """Register what a CUDA function does; it gives ``results`` values beside the error."""

    def register(value: Callable) -> Callable:
        FUNCTIONS[value.__name__] = (value, results)
        return value

    return register


def guarded(name: str, value: Callable, results: int) -> Callable:
    """``value`` with errors as the first item of a tuple, as cuda.bindings returns them."""

    @functools.wraps(value)
    def call(world: World, *args: Any, **kwargs: Any) -> tuple:
        try:
            missing = world.missing_device()
            if missing and name not in DRIVERLESS:
                raise GpuError(missing)
            found = value(world, *args, **kwargs)
        except GpuError as error:
            return (world.error(error.name), *[None] * results)
        found = () if results == 0 else (found,) if results == 1 else found
        return (world.error("cudaSuccess"), *found)

    return call


def integer(value: Any) -> int:
    if not is_int(value):
        raise TypeError("an integer is required")
    return int(value)


def handle(value: Any, kind: str) -> int:
    """Of a handle object of that ``kind``, an int, or None for 0."""
    own = type(value).__name__
    if own in HANDLES and own != kind:
        raise TypeError(f"{own} is not a {kind}")
    return 0 if value is None else integer(value)


def address(value: Any) -> int:
    """An int, None, or where the memory of an object with the buffer protocol begins."""
    if value is None or is_int(value):
        return 0 if value is None else int(value)
    return np.frombuffer(value, np.uint8).ctypes.data


@function(1)
def cudaGetDeviceCount(world: World) -> int:
    return world.settings.devices


@function()
def cudaSetDevice(world: World, device: int) -> None:
    if not 0 <= integer(device) < world.settings.devices:
        raise GpuError("cudaErrorInvalidDevice")


@function(1)
def cudaGetDevice(world: World) -> int:
    return 0


@function(1)
def cudaGetDeviceProperties(world: World, device: int) -> Any:
    cudaSetDevice(world, device)
    fields = {
        "name": world.settings.gpu.encode(),
        "major": world.settings.capability[0],
        "minor": world.settings.capability[1],
        "totalGlobalMem": world.settings.memory,
        "integrated": int(world.settings.integrated),
        "canMapHostMemory": 1,
        "unifiedAddressing": 1,
        "multiProcessorCount": 16,
    }
    kept = {f"kept_{name}": value for name, value in fields.items()}
    return world.maker.new("cudaDeviceProp", **kept)


@function(1)
def cudaDeviceGetAttribute(world: World, attr: Any, device: int) -> int:
    cudaSetDevice(world, device)
    known = {
        "cudaDevAttrComputeCapabilityMajor": world.settings.capability[0],
        "cudaDevAttrComputeCapabilityMinor": world.settings.capability[1],
        "cudaDevAttrIntegrated": int(world.settings.integrated),
        "cudaDevAttrCanMapHostMemory": 1,
    }
    if attr.name not in known:
        raise NotImplementedError(f"the stand-in has no {attr.name}")
    return known[attr.name]


def cuda_number(world: World) -> int:
    major, minor = world.settings.cuda.split(".")[:2]
    return 1000 * int(major) + 10 * int(minor)


@function(1)
def cudaRuntimeGetVersion(world: World) -> int:
    return cuda_number(world)


@function(1)
def cudaDriverGetVersion(world: World) -> int:
    return cuda_number(world) if world.settings.devices >= 0 else 0


@function(2)
def cudaMemGetInfo(world: World) -> tuple[int, int]:
    return world.settings.memory - world.gpu.used(), world.settings.memory


@function(1)
def cudaMalloc(world: World, size: int) -> int:
    return world.gpu.allocate("device", integer(size))


@function()
def cudaFree(world: World, devPtr: Any) -> None:
    world.gpu.free("device", address(devPtr))


@function(1)
def cudaHostAlloc(world: World, size: int, flags: int) -> int:
    integer(flags)
    return world.gpu.allocate("host", integer(size))


@function(1)
def cudaMallocHost(world: World, size: int) -> int:
    return world.gpu.allocate("host", integer(size))


@function(1)
def cudaHostGetDevicePointer(world: World, pHost: Any, flags: int) -> int:
    world.gpu.span(address(pHost), 1, "device pointer")
    return address(pHost)


@function()
def cudaFreeHost(world: World, ptr: Any) -> None:
    world.gpu.free("host", address(ptr))


def new_stream(world: World) -> Any:
    return world.maker.make("cudaStream_t")(world.gpu.create_stream())


@function(1)
def cudaStreamCreate(world: World) -> Any:
    return new_stream(world)


@function(1)
def cudaStreamCreateWithFlags(world: World, flags: int) -> Any:
    if integer(flags) not in (0, 1):
        raise GpuError("cudaErrorInvalidValue")
    return new_stream(world)


@function()
def cudaStreamDestroy(world: World, stream: Any) -> None:
    world.gpu.destroy_stream(handle(stream, "cudaStream_t"))


@function()
def cudaStreamSynchronize(world: World, stream: Any) -> None:
    world.gpu.synchronize(handle(stream, "cudaStream_t"))


@function()
def cudaDeviceSynchronize(world: World) -> None:
    world.gpu.synchronize_all()


@function()
def cudaMemcpyAsync(world: World, dst: Any, src: Any, count: int, kind: Any, stream: Any) -> None:
    to, source = address(dst), address(src)
    world.gpu.copy(to, source, integer(count), kind.name, handle(stream, "cudaStream_t"))


@function()
def cudaMemcpy(world: World, dst: Any, src: Any, count: int, kind: Any) -> None:
    world.gpu.refuse_while_capturing("synchronous copy")
    world.gpu.copy(address(dst), address(src), integer(count), kind.name, 0)
    world.gpu.synchronize(0)


@function()
def cudaStreamBeginCapture(world: World, stream: Any, mode: Any) -> None:
    world.gpu.begin_capture(handle(stream, "cudaStream_t"))


@function(1)
def cudaStreamEndCapture(world: World, stream: Any) -> Any:
    graph = world.gpu.end_capture(handle(stream, "cudaStream_t"))
    return world.maker.make("cudaGraph_t")(graph)


@function(1)
def cudaGraphInstantiate(world: World, graph: Any, flags: int) -> Any:
    integer(flags)
    made = world.gpu.instantiate(handle(graph, "cudaGraph_t"))
    return world.maker.make("cudaGraphExec_t")(made)


@function()
def cudaGraphLaunch(world: World, graphExec: Any, stream: Any) -> None:
    world.gpu.launch(handle(graphExec, "cudaGraphExec_t"), handle(stream, "cudaStream_t"))


@function()
def cudaGraphDestroy(world: World, graph: Any) -> None:
    world.gpu.destroy(world.gpu.graphs, handle(graph, "cudaGraph_t"), "graph")


@function()
def cudaGraphExecDestroy(world: World, graphExec: Any) -> None:
    executable = handle(graphExec, "cudaGraphExec_t")
    world.gpu.destroy(world.gpu.executables, executable, "executable graph")


@function(1)
def cudaEventCreate(world: World) -> Any:
    event = world.gpu.handle()
    world.gpu.events[event] = None
    return world.maker.make("cudaEvent_t")(event)


@function(1)
def cudaEventCreateWithFlags(world: World, flags: int) -> Any:
    integer(flags)
    return cudaEventCreate(world)


def recorded(world: World, event: Any) -> int:
    number = handle(event, "cudaEvent_t")
    if number not in world.gpu.events:
        raise world.gpu.mistake("cudaErrorInvalidResourceHandle", "use of an event that is gone")
    return number


@function()
def cudaEventRecord(world: World, event: Any, stream: Any) -> None:
    world.gpu.events[recorded(world, event)] = handle(stream, "cudaStream_t")


@function()
def cudaEventSynchronize(world: World, event: Any) -> None:
    stream = world.gpu.events[recorded(world, event)]
    if stream is not None:
        world.gpu.synchronize(stream)


@function()
def cudaEventDestroy(world: World, event: Any) -> None:
    del world.gpu.events[recorded(world, event)]


@function(1)
def cudaGetErrorName(world: World, error: Any) -> bytes:
    return error.name.encode()


@function(1)
def cudaGetErrorString(world: World, error: Any) -> bytes:
    return (TEXTS.get(error.name) or error.name).encode()
