"""A plan at work: one context per caller, buffers made once, a CUDA graph per batch size."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from vipe_core import files
from vipe_core.errors import VipeError
from vipe_core.model_file.metadata import ModelMetadata
from vipe_core.model_file.signature import input_shape, output_shapes
from vipe_core.runtime.trt.cuda import Cuda, CudaError, Memory, aligned
from vipe_core.runtime.trt.host import RTX, Library
from vipe_core.runtime.trt.network import make_log

# What the graph takes as missing. A NaN would do by IEEE rules, but a compiler may decide that
# ``x == x`` is always true.
MISSING = np.float32(1e9)
_FLOAT = np.dtype(np.float32).itemsize


class Refused(VipeError):
    """A plan that the library will not take: it is of no use here."""


class Engine:
    """A deserialised plan.

    Attributes:
        batch: sizes of its profiles, rising.
    """

    def __init__(
        self, lib: Library, plan: bytes, metadata: ModelMetadata, kernels: Path | None = None
    ) -> None:
        """
        Args:
            lib: the library that built it, with the GPU.
            plan: serialised engine, from a place that is trusted: it is machine code.
            metadata: of the model, for the shapes.
            kernels: file for what RTX compiles at the first run; read and written where it
                can be.

        Raises:
            Refused: the library does not take the plan.
            VipeError: the library does not start, or the plan's inputs and outputs are others than
                the model's; CudaError: out of memory.
        """
        if lib.cuda is None:
            raise VipeError("an engine runs on a GPU, and none is here")
        self._cuda = lib.cuda
        self._trt = lib.trt
        self._log = make_log(lib.trt)
        self._engine: Any = self._deserialized(lib, plan)
        self._shapes = self._row_shapes(metadata)
        sizes = [
            int(self._engine.get_tensor_profile_shape("keypoints", i)[2][0])
            for i in range(self._engine.num_optimization_profiles)
        ]
        self.batch = tuple(sorted(sizes))
        self._profiles = {size: sizes.index(size) for size in self.batch}
        self._idle: list[Lane] = []  # append and pop are atomic
        self._making = threading.Lock()
        self._compiled = _Kernels(self._engine, kernels) if lib.backend == RTX and kernels else None
        self._idle.append(self._new_lane())
        if self._compiled:
            self._compiled.keep()

    def run(self, points: np.ndarray, visibility: np.ndarray) -> dict[str, np.ndarray]:
        """Outputs by name for (N, [T,] J, 2) and (N, [T,] J), float32, 1 <= N.

        Thread-safe: as many callers as there are at once have a context each. A size between
        two profiles runs in the larger one, a larger size than any in several runs.

        Raises:
            VipeError: TensorRT or CUDA failed.
        """
        try:
            lane = self._idle.pop()
        except IndexError:
            lane = self._new_lane()
        try:
            most = self.batch[-1]
            if len(points) <= most:
                return lane.run(points, visibility)
            parts = [
                lane.run(points[i : i + most], visibility[i : i + most])
                for i in range(0, len(points), most)
            ]
        finally:
            self._idle.append(lane)
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _deserialized(self, lib: Library, plan: bytes) -> Any:
        try:
            self._runtime = lib.trt.Runtime(self._log)
        except Exception as error:  # of pybind11, where the library gives it nothing
            raise VipeError(f"TensorRT {lib.version} cannot start: {error}") from None
        engine = self._runtime.deserialize_cuda_engine(plan)
        if engine is None:
            raise Refused(f"TensorRT {lib.version} refuses the engine: {self._why()}")
        return engine

    def _why(self) -> str:
        return ("; ".join(self._log.errors[-2:]) or "it gives no reason")[:300]

    def _new_lane(self) -> Lane:
        # Contexts are made one at a time: the engine itself is not thread-safe.
        with self._making:
            return Lane(self._cuda, self._new_context, self._profiles, self._shapes)

    def _new_context(self) -> Any:
        made = self._compiled
        return self._engine.create_execution_context(*([made.config] if made else []))

    def _row_shapes(self, metadata: ModelMetadata) -> dict[str, tuple[int, ...]]:
        """Shape of every tensor behind the batch axis, inputs first."""
        engine, mode = self._engine, self._trt.TensorIOMode
        shape = input_shape(metadata)
        inputs = {"keypoints": (*shape, 2), "visibility": shape}
        known = inputs | output_shapes(metadata)
        outputs = {}
        for i in range(engine.num_io_tensors):
            name = engine.get_tensor_name(i)
            row = tuple(int(size) for size in engine.get_tensor_shape(name))[1:]
            wanted = known.get(name, ())
            # A size that the library could not infer is -1.
            if len(row) != len(wanted) or any(
                have not in (-1, want) for have, want in zip(row, wanted, strict=True)
            ):
                raise VipeError(f"the engine's {name} is (N, {row}), which the model is not")
            if engine.get_tensor_dtype(name) != self._trt.float32:
                raise VipeError(f"the engine's {name} is not float32")
            if engine.get_tensor_mode(name) != mode.INPUT:
                outputs[name] = wanted
        return inputs | outputs


class _Kernels:
    """RTX compiles for the GPU when an engine first runs; this keeps the result for next time.

    It checks for itself whether what was kept still fits.
    """

    def __init__(self, engine: Any, path: Path) -> None:
        self.path = path
        self.config = engine.create_runtime_config()
        self._cache = self.config.create_runtime_cache()
        self._kept = b""
        with suppress(OSError):
            self._kept = path.read_bytes()
            self._cache.deserialize(self._kept)
        self.config.set_runtime_cache(self._cache)

    def keep(self) -> None:
        """Write the file; where that is not possible, the next start compiles again."""
        made = self._cache.serialize()
        if made is None or bytes(memoryview(made)) == self._kept:
            return
        with suppress(VipeError):
            files.write_atomically(self.path, bytes(memoryview(made)))


class Lane:
    """What one caller needs: a stream, and a slot per batch size."""

    def __init__(
        self,
        cuda: Cuda,
        new_context: Callable[[], Any],
        profiles: Mapping[int, int],
        shapes: Mapping[str, tuple[int, ...]],
    ) -> None:
        """Raises VipeError or CudaError when there is no memory left."""
        self._stream = cuda("cudaStreamCreateWithFlags", int(cuda.runtime.cudaStreamNonBlocking))
        self._slots: dict[int, Slot] = {}
        self._sizes = tuple(sorted(profiles))
        weakref.finalize(self, _release, cuda, self._stream, self._slots)
        for size in self._sizes:
            self._slots[size] = Slot(
                cuda, new_context(), profiles[size], size, shapes, self._stream
            )

    def run(self, points: np.ndarray, visibility: np.ndarray) -> dict[str, np.ndarray]:
        """Outputs for at most the largest batch size; the arrays are the caller's own."""
        size = next(size for size in self._sizes if size >= len(points))
        return self._slots[size].run(points, visibility)


class Slot:
    """A context with its buffers, for one batch size, and the graph of a whole call."""

    def __init__(
        self,
        cuda: Cuda,
        context: Any,
        profile: int,
        size: int,
        shapes: Mapping[str, tuple[int, ...]],
        stream: Any,
    ) -> None:
        self._cuda, self._stream = cuda, stream
        if context is None:
            raise VipeError("TensorRT gives no execution context: no memory left on the GPU?")
        self._context: Any = context
        if not context.set_optimization_profile_async(profile, int(stream)):
            raise VipeError(f"TensorRT refuses the profile for batch {size}")
        offsets, self._inputs_end, total = _layout(shapes, size)
        self._memory = Memory(cuda, total)
        self._end = total
        self._views = {n: self._memory.view(o, (size, *shapes[n])) for n, o in offsets.items()}
        for name, offset in offsets.items():
            given = name not in ("keypoints", "visibility") or context.set_input_shape(
                name, (size, *shapes[name])
            )
            if not (given and context.set_tensor_address(name, self._memory.device + offset)):
                raise VipeError(f"TensorRT refuses {name} for batch {size}")
        self._views["keypoints"][:] = MISSING
        self._graph: tuple[Any, Any] | None = None
        self._enqueue()  # the first run may allocate, which a graph must not
        cuda("cudaStreamSynchronize", stream)
        self._graph = self._captured()

    def run(self, points: np.ndarray, visibility: np.ndarray) -> dict[str, np.ndarray]:
        """One call; rows beyond N hold people of earlier calls, and are not returned."""
        count = len(points)
        views = self._views
        own = views["keypoints"][:count]
        own[:] = points
        np.copyto(own, MISSING, where=np.isnan(own))
        seen = views["visibility"][:count]
        seen[:] = visibility
        np.copyto(seen, 0, where=np.isnan(seen))
        if self._graph is None:
            self._enqueue()
        else:
            self._cuda("cudaGraphLaunch", self._graph[1], self._stream)
        self._cuda("cudaStreamSynchronize", self._stream)
        names = (name for name in views if name not in ("keypoints", "visibility"))
        return {name: views[name][:count].copy() for name in names}

    def close(self) -> None:
        """Give everything back."""
        if self._graph is not None:
            self._cuda("cudaGraphExecDestroy", self._graph[1])
            self._cuda("cudaGraphDestroy", self._graph[0])
        self._graph = None
        self._views.clear()
        self._memory.free()

    def _enqueue(self) -> None:
        self._memory.send(0, self._inputs_end, self._stream)
        if not self._context.execute_async_v3(int(self._stream)):
            raise VipeError("TensorRT could not run the engine")
        self._memory.fetch(self._inputs_end, self._end, self._stream)

    def _captured(self) -> tuple[Any, Any] | None:
        """The whole call as a CUDA graph, (graph, executable); None where the engine has parts
        that cannot be captured."""
        cuda, stream = self._cuda, self._stream
        mode = cuda.runtime.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        try:
            cuda("cudaStreamBeginCapture", stream, mode)
            fits = self._fits_a_graph()
            graph = cuda("cudaStreamEndCapture", stream)
        except CudaError:
            return None
        try:
            if fits:
                return graph, cuda("cudaGraphInstantiate", graph, 0)
        except CudaError:
            pass
        cuda("cudaGraphDestroy", graph)
        return None

    def _fits_a_graph(self) -> bool:
        try:
            self._enqueue()
        except VipeError:
            return False
        return True


def _layout(shapes: Mapping[str, tuple[int, ...]], size: int) -> tuple[dict[str, int], int, int]:
    """Offsets in bytes, where the inputs end, and the size of it all."""
    offsets, at, inputs_end = {}, 0, 0
    for name, shape in shapes.items():
        offsets[name] = at
        at += aligned(_FLOAT * size * int(np.prod(shape)))
        if name == "visibility":
            inputs_end = at
    return offsets, inputs_end, at


def _release(cuda: Cuda, stream: Any, slots: dict[int, Slot]) -> None:
    """Give back what a lane held; at the end of the process the driver may be gone before us."""
    for slot in slots.values():
        with suppress(CudaError):
            slot.close()
    slots.clear()
    with suppress(CudaError):
        cuda("cudaStreamDestroy", stream)
