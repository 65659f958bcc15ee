"""The runtime, engines and contexts: numbers by onnxruntime, rules by TensorRT."""

from __future__ import annotations

import functools
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime

from tests.trt import plan
from tests.trt.gpu import GpuError
from tests.trt.strict import Behaviour
from tests.trt.tensorrt_network import data_type, static_shape, tensor_types

ALIGNMENT = 256
KERNELS = b"kernels:"


class Runtime(Behaviour):
    def __init__(self, logger: Any) -> None:
        if "runtime" in self._world.settings.faults:
            raise TypeError("pybind11::init(): factory function returned nullptr")
        self._world.open(logger, "createInferRuntime")
        self._logger = logger

    @property
    def logger(self) -> Any:
        return self._logger

    @property
    def num_DLA_cores(self) -> int:
        return self._world.settings.dla_cores

    def deserialize_cuda_engine(self, serialized_engine: Any) -> Any:
        world = self._world
        try:
            if "deserialize" in world.settings.faults or world.settings.devices <= 0:
                raise ValueError("Serialization assertion failed")
            header, data = plan.unpack(bytes(serialized_engine))
            wrong = misfit(world, header)
            if wrong:
                raise ValueError(wrong)
        except ValueError as error:
            world.log(
                self._logger, "ERROR", f"IRuntime::deserializeCudaEngine: Error Code 1: {error}"
            )
            return None
        engine = world.maker.new("ICudaEngine", **engine_state(header, data), logger=self._logger)
        world.gpu.tracked["engines"].add(engine)
        return engine


def misfit(world: Any, header: dict[str, Any]) -> str | None:
    """Why a plan that was built elsewhere does not run here."""
    settings = world.settings
    if header["flavour"] != settings.flavour:
        return f"a plan of {header['flavour']}"
    if header["version"] != world.api.version and "VERSION_COMPATIBLE" not in header["flags"]:
        return (
            "Version tag does not match. Note: Current Version: "
            f"{world.api.version}, Serialized Engine Version: {header['version']}"
        )
    here = "SM" + "".join(map(str, settings.capability))
    if header["targets"] and header["targets"] != ["CURRENT"]:
        return None if here in header["targets"] else f"built for {header['targets']}, not {here}"
    compatible = header["compatible"] != "NONE" and settings.capability >= (8, 0)
    same = (header["gpu"], header["capability"]) == (settings.gpu, list(settings.capability))
    if same or compatible:
        return None
    return (
        "The engine plan file is generated on an incompatible device, expecting "
        f"{settings.gpu} {settings.capability}, got {header['gpu']} {header['capability']}"
    )


def engine_state(header: dict[str, Any], data: bytes) -> dict[str, Any]:
    model = onnx.load_model_from_string(data)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(data, options, ["CPUExecutionProvider"])
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    return {
        "header": header,
        "session": session,
        "types": tensor_types(model),
        "inputs": {value.name: static_shape(value) for value in inputs},
        "outputs": {value.name: static_shape(value) for value in model.graph.output},
        "contexts": weakref.WeakSet(),
    }


class ICudaEngine(Behaviour):
    @property
    def num_io_tensors(self) -> int:
        return len(self._inputs) + len(self._outputs)

    @property
    def num_optimization_profiles(self) -> int:
        return max(1, len(self._header["profiles"]))

    @property
    def num_layers(self) -> int:
        return self._header["layers"]

    @property
    def device_memory_size(self) -> int:
        return 1 << 20

    @property
    def device_memory_size_v2(self) -> int:
        return 1 << 20

    def get_tensor_name(self, index: int) -> Any:
        names = [*self._inputs, *self._outputs]
        return names[index] if 0 <= index < len(names) else self._unknown(str(index), None)

    def get_tensor_mode(self, name: str) -> Any:
        mode = "INPUT" if name in self._inputs else "OUTPUT" if name in self._outputs else "NONE"
        return self._world.maker.make("TensorIOMode").__members__[mode]

    def get_tensor_dtype(self, name: str) -> Any:
        return data_type(self._world, self._types[name] if self._known(name) else "FLOAT")

    def get_tensor_shape(self, name: str) -> Any:
        known = self._known(name)
        return self._world.dims((self._inputs | self._outputs)[name] if known else [])

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> Any:
        profiles = self._header["profiles"]
        if name not in self._inputs or not 0 <= profile_index < len(profiles):
            return self._unknown(f"{name} in profile {profile_index}", [])
        return [self._world.dims(shape) for shape in self._range(name, profile_index)]

    def create_runtime_config(self) -> Any:
        return self._world.maker.new("IRuntimeConfig", cache=None)

    def create_execution_context(self, *given: Any, **named: Any) -> Any:
        for config in (*given, *named.values()):
            if hasattr(config, "_cache") and config._cache is not None:
                # Real RTX compiles when the context first runs.
                config._cache._kernels = KERNELS + self._world.machine().encode()
        taken = {context._profile for context in self._contexts}
        first = 0 if self._header["sharing"] or 0 not in taken else -1
        context = self._world.maker.new(
            "IExecutionContext",
            engine=self,
            profile=first,
            shapes={},
            addresses={},
            warm=False,
            busy=threading.Lock(),
            flying=set(),
        )
        self._contexts.add(context)
        self._world.gpu.tracked["contexts"].add(context)
        return context

    def _range(self, name: str, profile: int) -> list[list[int]]:
        profiles = self._header["profiles"]
        given = profiles[profile].get(name) if profiles else None
        return given or [list(self._inputs[name])] * 3

    def _known(self, name: str) -> bool:
        known = name in self._inputs or name in self._outputs
        return known or self._unknown(name, False)

    def _unknown(self, name: str, answer: Any) -> Any:
        self._world.log(self._logger, "ERROR", f"ICudaEngine: Error Code 3: no tensor {name}")
        return answer


class IRuntimeConfig(Behaviour):
    def create_runtime_cache(self) -> Any:
        return self._world.maker.new("IRuntimeCache", kernels=b"")

    def set_runtime_cache(self, cache: Any = None) -> bool:
        self._cache = cache
        return True

    def get_runtime_cache(self) -> Any:
        return self._cache


class IRuntimeCache(Behaviour):
    def serialize(self) -> Any:
        return self._world.memory(self._kernels)

    def deserialize(self, blob: Any) -> bool:
        fits = bytes(blob) == KERNELS + self._world.machine().encode()
        if fits:
            self._kernels = bytes(blob)
        self._world.record.add("kernels", "kept" if fits else "refused")
        return fits


def alone(method: Callable) -> Callable:
    """No two threads may be in one context."""

    @functools.wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not self._busy.acquire(blocking=False):
            self._world.gpu.mistakes.append("two threads in one context")
            raise RuntimeError("two threads in one context")
        try:
            return method(self, *args, **kwargs)
        finally:
            self._busy.release()

    return call


class IExecutionContext(Behaviour):
    """State: engine, profile, shapes, addresses, warm (has run since the last new shape),
    flying (streams that its unfinished work is on)."""

    @property
    def engine(self) -> Any:
        return self._engine

    @property
    def active_optimization_profile(self) -> int:
        return self._profile

    @alone
    def set_optimization_profile_async(self, profile_index: int, stream_handle: int) -> bool:
        engine = self._engine
        if not 0 <= profile_index < engine.num_optimization_profiles:
            return self._fail(f"no optimization profile {profile_index}")
        others = {c._profile for c in engine._contexts if c is not self}
        if profile_index in others and not engine._header["sharing"]:
            return self._fail(f"profile {profile_index} is in use by another context")
        if self._bad_stream(stream_handle):
            return False
        self._profile, self._shapes, self._warm = int(profile_index), {}, False
        return True

    @alone
    def set_input_shape(self, name: str, shape: Any) -> bool:
        engine, shape = self._engine, tuple(int(size) for size in tuple(shape))
        if name not in engine._inputs:
            return self._fail(f"no input {name}")
        if self._profile < 0:
            return self._fail("an optimization profile must be chosen first")
        low, _, high = engine._range(name, self._profile)
        if len(low) != len(shape) or not all(
            a <= size <= b for a, size, b in zip(low, shape, high, strict=True)
        ):
            text = f"{name} {shape} is not within [{low}, {high}] of profile {self._profile}"
            return self._fail(text)
        if self._shapes.get(name) != shape:
            self._shapes[name], self._warm = shape, False
        return True

    @alone
    def get_tensor_shape(self, name: str) -> Any:
        engine = self._engine
        if name in engine._inputs:
            return self._world.dims(self._shapes.get(name, engine._inputs[name]))
        if self._missing():
            return self._world.dims(engine._outputs[name])
        zeros = {n: np.zeros(s, engine_type(engine, n)) for n, s in self._shapes.items()}
        return self._world.dims(engine._session.run([name], zeros)[0].shape)

    @alone
    def set_tensor_address(self, name: str, memory: int) -> bool:
        if not self._engine._known(name):
            return False
        address = int(memory)
        if address % ALIGNMENT:
            return self._fail(f"address {address:#x} of {name} is not aligned to {ALIGNMENT} bytes")
        self._addresses[name] = address
        return True

    @alone
    def get_tensor_address(self, name: str) -> int:
        return self._addresses.get(name, 0)

    @alone
    def infer_shapes(self) -> list[str]:
        return self._missing()

    @property
    def all_binding_shapes_specified(self) -> bool:
        return not self._missing()

    @alone
    def execute_async_v3(self, stream_handle: int) -> bool:
        handle, gpu = int(stream_handle), self._world.gpu
        wrong = self._wrong_execution(handle)
        if wrong:
            return self._fail(wrong)
        time.sleep(self._world.settings.seconds)
        self._flying.add(handle)
        shapes, addresses = dict(self._shapes), dict(self._addresses)
        me = weakref.ref(self)

        def work() -> None:
            context = me()
            if context is None:
                raise gpu.mistake("cudaErrorIllegalAddress", "run of a context that is gone")
            context._run(shapes, addresses)
            context._flying.discard(handle)

        capturing = gpu.capturing(handle)
        gpu.enqueue(handle, work)
        if capturing:
            self._flying.discard(handle)
        self._warm = True
        return True

    def _wrong_execution(self, handle: int) -> str | None:
        engine, gpu = self._engine, self._world.gpu
        if self._bad_stream(handle):
            return "no such stream"
        if self._profile < 0:
            return "no optimization profile has been chosen"
        if self._missing():
            return f"no shape is set for {self._missing()}"
        unset = [n for n in (*engine._inputs, *engine._outputs) if not self._addresses.get(n)]
        if unset:
            return f"no address is set for {unset}"
        if gpu.capturing(handle) and not self._warm:
            gpu.stream(handle).broken = True
            return "the first run after a new shape or profile cannot be captured"
        if self._flying - {handle}:
            gpu.mistakes.append("one context on two streams at once")
            return "this context still runs on another stream"
        return None

    def _run(self, shapes: dict[str, tuple], addresses: dict[str, int]) -> None:
        engine, gpu = self._engine, self._world.gpu
        feed = {}
        for name, shape in shapes.items():
            dtype = engine_type(engine, name)
            size = int(np.prod(shape)) * dtype.itemsize
            data = gpu.span(addresses[name], size, f"input {name}")
            feed[name] = data.view(dtype).reshape(shape).copy()
        names = list(engine._outputs)
        for name, value in zip(names, engine._session.run(names, feed), strict=True):
            if "wrong" in self._world.settings.faults and value.dtype.kind == "f":
                value = value + value.dtype.type(0.1)
            if "nan" in self._world.settings.faults and value.dtype.kind == "f":
                value = np.full_like(value, np.nan)
            data = np.ascontiguousarray(value).reshape(-1).view(np.uint8)
            gpu.span(addresses[name], data.size, f"output {name}")[:] = data
        gpu.counts["executions"] += 1

    def _missing(self) -> list[str]:
        return [name for name in self._engine._inputs if name not in self._shapes]

    def _bad_stream(self, handle: int) -> bool:
        try:
            self._world.gpu.stream(int(handle))
        except GpuError:
            return True
        return False

    def _fail(self, text: str) -> bool:
        self._world.log(self._engine._logger, "ERROR", f"IExecutionContext: Error Code 3: {text}")
        return False


def engine_type(engine: Any, name: str) -> np.dtype:
    kinds = {"FLOAT": "f4", "HALF": "f2", "INT8": "i1", "UINT8": "u1", "INT32": "i4"}
    return np.dtype((kinds | {"INT64": "i8", "BOOL": "?"})[engine._types[name]])
