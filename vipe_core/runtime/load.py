"""From a file to a model that runs, on the best backend that is there."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from vipe_core import model_file
from vipe_core.errors import VipeError
from vipe_core.model_file.metadata import PRECISIONS
from vipe_core.runtime import onnxruntime_backend
from vipe_core.runtime.backend import Backend, Request, Unavailable
from vipe_core.runtime.model import Model
from vipe_core.runtime.trt import backend as trt_backend

# What makes each backend, the preferred ones first.
BACKENDS: dict[str, Callable[[Request], Backend]] = {
    "tensorrt": trt_backend.classic,
    "tensorrt-rtx": trt_backend.rtx,
    "onnxruntime-cuda": onnxruntime_backend.on_cuda,
    "onnxruntime-cpu": onnxruntime_backend.on_cpu,
}
# Names that leave a choice.
_CHOICES = {
    "auto": tuple(BACKENDS),
    "onnxruntime": ("onnxruntime-cuda", "onnxruntime-cpu"),
}


def load(
    path: str | os.PathLike[str],
    backend: str = "auto",
    batch: int | Sequence[int] = 1,
    threads: int = 1,
    precision: str | None = None,
) -> Model:
    """Load a model file, check it, and run its check vectors.

    "auto" takes TensorRT where an engine of this very model was compiled on this machine,
    else onnxruntime on CUDA, else onnxruntime on the CPU; it never builds an engine, which
    takes minutes. "tensorrt" and "tensorrt-rtx" build one where there is none.

    Args:
        path: the file; see :func:`vipe_core.model_file.default_path`.
        backend: a key of :data:`BACKENDS`, "onnxruntime", or "auto".
        batch: sizes N that calls will mostly have: the model is warmed up with them. An
            engine that is built here is built for them; any other N works too.
        threads: CPU threads for one call. More than one pays off at large N on an idle
            machine only.
        precision: of a TensorRT engine: fp32, fp16 or int8; None takes the one built last.
            onnxruntime computes in the file's own.

    Returns:
        The model; its ``passed_over`` says why a backend was not taken.

    Raises:
        VipeError: unknown backend or precision, or a file that is missing, damaged or does not fit
            its own metadata; see :mod:`vipe_core.model_file`.
        Unavailable: the backend asked for cannot run here.
    """
    if threads < 1:
        raise VipeError(f"threads must be at least 1, not {threads}")
    sizes = (batch,) if isinstance(batch, int) else tuple(batch)
    if not sizes or min(sizes) < 1:
        raise VipeError(f"batch sizes must be at least 1, not {batch}")
    names = _CHOICES.get(backend, (backend,))
    if not BACKENDS.keys() >= set(names):
        known = ", ".join((*_CHOICES, *BACKENDS))
        raise VipeError(f"unknown backend {backend!r}; known: {known}")
    if precision not in (None, *PRECISIONS):
        raise VipeError(f"unknown precision {precision!r}; known: {', '.join(PRECISIONS)}")
    path = Path(path)
    data = model_file.read_bytes(path)
    request = Request(
        path=path,
        data=data,
        fingerprint=model_file.fingerprint_of(data),
        batch=sizes,
        precision=precision,
        threads=threads,
        build=backend in BACKENDS,
    )
    return _first(names, request)


def _first(names: Sequence[str], request: Request) -> Model:
    """The model on the first backend that runs it."""
    passed_over: list[str] = []
    for name in names:
        try:
            backend = BACKENDS[name](request)
            return Model(request, backend, tuple(passed_over))
        except Unavailable as error:
            reason = str(error)
        except VipeError:
            raise
        except Exception as error:  # of NVIDIA's libraries: a robot goes on without them
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        if len(names) == 1:
            raise Unavailable(reason)
        passed_over.append(f"{name}: {reason}")
    raise Unavailable("; ".join(passed_over))
