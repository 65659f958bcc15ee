"""Is TensorRT here, which version, and on which GPU.

Asked step by step, the harmless steps first: without a driver, real TensorRT raises, returns
None or ends the process, depending on its version, so it is imported only where a GPU answers.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from vipe_core.runtime.backend import Unavailable
from vipe_core.runtime.trt.cuda import Cuda, CudaError

BOARD = Path("/proc/device-tree/model")
CLASSIC, RTX = "tensorrt", "tensorrt-rtx"
_MODULES = {CLASSIC: "tensorrt", RTX: "tensorrt_rtx"}
_ADVICE = {
    CLASSIC: "on a Jetson it comes with JetPack; a venv needs --system-site-packages to see it",
    RTX: "pip install tensorrt-rtx",
}


@dataclass(frozen=True)
class Device:
    """The GPU that engines are built for and run on.

    Attributes:
        name: as the driver says it, and the board where the system says that: the driver
            calls all Jetsons of a generation the same.
        capability: compute capability, "8.7".
        memory: bytes, of the whole board where GPU and CPU share it.
        cuda: version of CUDA that the driver has, "12.6".
    """

    name: str
    capability: str
    memory: int
    cuda: str

    def __str__(self) -> str:
        memory = f"{self.memory / 2**30:.1f} GiB"
        return f"{self.name}, compute capability {self.capability}, {memory}, CUDA {self.cuda}"


@dataclass(frozen=True)
class Library:
    """One of the two TensorRT libraries, imported, with the GPU that is here.

    Attributes:
        backend: "tensorrt" or "tensorrt-rtx".
        trt: the module.
        version: of the library.
        cuda, device: None where only compiling is asked for.
    """

    backend: str
    trt: ModuleType
    version: str
    cuda: Cuda | None = None
    device: Device | None = None


def open_library(backend: str) -> Library:
    """The library and the GPU.

    Raises:
        Unavailable: a package is not installed or does not load, or no GPU answers; the line
            says which and what to do.
    """
    _find(backend)
    cuda, device = open_device()
    trt = _import(backend)
    return Library(backend, trt, str(trt.__version__), cuda, device)


def open_compiler(backend: str) -> Library:
    """The library alone; raises Unavailable. Without a GPU only tensorrt-rtx can compile."""
    _find(backend)
    trt = _import(backend)
    return Library(backend, trt, str(trt.__version__))


def open_device() -> tuple[Cuda, Device]:
    """The CUDA runtime and its first GPU; raises Unavailable."""
    cuda = Cuda(_cuda_runtime())
    try:
        count = cuda("cudaGetDeviceCount")
        if not count:
            raise Unavailable("the NVIDIA driver sees no GPU")
        properties = cuda("cudaGetDeviceProperties", 0)
        # The runtime's own version is that of cuda-bindings, which brings it along.
        version = cuda("cudaDriverGetVersion")
    except CudaError as error:
        raise Unavailable(f"no NVIDIA driver answers ({error})") from None
    return cuda, Device(
        name=", ".join(filter(None, (_text(properties.name), _board()))),
        capability=f"{properties.major}.{properties.minor}",
        memory=int(properties.totalGlobalMem),
        cuda=f"{version // 1000}.{version % 1000 // 10}",
    )


def _text(name: bytes | str) -> str:
    return (name.decode(errors="replace") if isinstance(name, bytes) else name).strip("\0 ")


def _board() -> str:
    """The board's own name, on systems with a device tree; "" elsewhere."""
    try:
        return _text(BOARD.read_bytes()[:200])
    except OSError:
        return ""


def _cuda_runtime() -> ModuleType:
    advice = "pip install 'cuda-bindings==13.*', or '==12.*' where CUDA is 12 (JetPack 6)"
    try:
        return importlib.import_module("cuda.bindings.runtime")
    except ModuleNotFoundError:
        raise Unavailable(f"the Python package cuda-bindings is not installed: {advice}") from None
    except Exception as error:  # a library that it wants may be missing or of another version
        raise Unavailable(f"cuda-bindings does not load: {_line(error)}") from None


def _find(backend: str) -> None:
    if find_spec(_MODULES[backend]) is None:
        raise Unavailable(
            f"the Python package {_MODULES[backend]} is not installed ({_ADVICE[backend]})"
        )


def _import(backend: str) -> ModuleType:
    try:
        return importlib.import_module(_MODULES[backend])
    except Exception as error:  # a library that it wants may be missing or of another version
        raise Unavailable(f"{_MODULES[backend]} does not load: {_line(error)}") from None


def _line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
