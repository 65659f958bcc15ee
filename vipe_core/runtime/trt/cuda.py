"""The CUDA runtime, as much of it as an engine needs."""

from __future__ import annotations

import ctypes
import weakref
from contextlib import suppress
from types import ModuleType
from typing import Any

import numpy as np

from vipe_core.errors import VipeError

ALIGNMENT = 256  # bytes; TensorRT wants addresses of tensors to be multiples


class CudaError(VipeError):
    """A call of the CUDA runtime that failed."""


class Cuda:
    """Calls by name; whatever is not success is a :class:`CudaError`."""

    def __init__(self, runtime: ModuleType) -> None:
        """
        Args:
            runtime: the module ``cuda.bindings.runtime``.
        """
        self.runtime = runtime

    def __call__(self, function: str, *args: Any) -> Any:
        """The value that the function gives, None where it gives none."""
        code, *values = getattr(self.runtime, function)(*args)
        if code != self.runtime.cudaError_t.cudaSuccess:
            raise CudaError(f"{function}: {getattr(code, 'name', code)}")
        return values[0] if values else None


class Memory:
    """One block of memory of the GPU and one as large of the host, pinned.

    Both are given back when the object ends, or by :meth:`free`; no view may be used then.
    """

    def __init__(self, cuda: Cuda, size: int) -> None:
        self._cuda = cuda
        self.size = size
        self.device = int(cuda("cudaMalloc", size))
        self.free = weakref.finalize(self, _free, cuda, "cudaFree", self.device)
        self._host = int(cuda("cudaMallocHost", size))
        self.free.detach()
        self.free = weakref.finalize(self, _free_both, cuda, self.device, self._host)
        ctypes.memset(self._host, 0, size)

    def view(self, offset: int, shape: tuple[int, ...]) -> np.ndarray:
        """float32 array in the host's block."""
        count = int(np.prod(shape))
        buffer: Any = (ctypes.c_float * count).from_address(self._host + offset)
        return np.frombuffer(buffer, np.float32).reshape(shape)

    def send(self, start: int, end: int, stream: Any) -> None:
        """Bytes from the host's block to the GPU's, in the stream."""
        kind = self._cuda.runtime.cudaMemcpyKind.cudaMemcpyHostToDevice
        self._copy(self.device + start, self._host + start, end - start, kind, stream)

    def fetch(self, start: int, end: int, stream: Any) -> None:
        """Bytes from the GPU's block to the host's, in the stream."""
        kind = self._cuda.runtime.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self._copy(self._host + start, self.device + start, end - start, kind, stream)

    def _copy(self, to: int, source: int, size: int, kind: Any, stream: Any) -> None:
        self._cuda("cudaMemcpyAsync", to, source, size, kind, stream)


def _free(cuda: Cuda, function: str, address: int) -> None:
    # At the end of the process the driver may be gone before us.
    with suppress(CudaError):
        cuda(function, address)


def _free_both(cuda: Cuda, device: int, host: int) -> None:
    _free(cuda, "cudaFree", device)
    _free(cuda, "cudaFreeHost", host)


def aligned(size: int) -> int:
    """The next multiple of :data:`ALIGNMENT`."""
    return -(-size // ALIGNMENT) * ALIGNMENT
