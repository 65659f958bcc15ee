"""onnxruntime: on the CPU it runs anywhere, on CUDA where that build of it is installed."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from vipe_core import model_file
from vipe_core.errors import VipeError
from vipe_core.runtime.backend import Request, Unavailable

CPU, CUDA = "onnxruntime-cpu", "onnxruntime-cuda"
# Tensor cores would round float32 to ten bits.
_CUDA_PROVIDER = ("CUDAExecutionProvider", {"use_tf32": 0})


class OnnxRuntimeBackend:
    """One session. ``run`` may be called from several threads at once."""

    def __init__(
        self, request: Request, name: str, providers: list[str | tuple[str, dict]]
    ) -> None:
        """
        Raises:
            VipeError: onnxruntime is missing, or see :func:`model_file.open_session`.
        """
        self.name = name
        options = model_file.import_onnxruntime().SessionOptions()
        options.intra_op_num_threads = request.threads
        options.inter_op_num_threads = 1
        # A pool that spins takes the core from the detector beside it and, when all cores
        # are busy, waits for threads that are not running.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        opened = model_file.open_session(request.path, request.data, options, providers)
        self.session, self.metadata, self.check = opened
        self.precision = self.metadata.precision
        # The session keeps the file's bytes, to be made anew with other providers: never here.
        self.session._model_bytes = None
        self._outputs = [output.name for output in self.session.get_outputs()]

    def run(self, points: np.ndarray, visibility: np.ndarray) -> dict[str, np.ndarray]:
        """See :class:`vipe_core.runtime.Backend`."""
        feed = {"keypoints": points, "visibility": visibility}
        values: Any = self.session.run(self._outputs, feed)
        return dict(zip(self._outputs, values, strict=True))


def on_cpu(request: Request) -> OnnxRuntimeBackend:
    """The backend that is always there; VipeError for a file that is not in order."""
    return OnnxRuntimeBackend(request, CPU, ["CPUExecutionProvider"])


def on_cuda(request: Request) -> OnnxRuntimeBackend:
    """On an NVIDIA GPU.

    Raises:
        Unavailable: this onnxruntime was built without CUDA, or CUDA does not start.
        VipeError: a file that is not in order.
    """
    if not has_cuda():
        raise Unavailable("this build of onnxruntime has no CUDA (onnxruntime-gpu has)")
    model_file.read(request.path, request.data)  # what is wrong with the file is no fault of CUDA
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the fallback, which is looked for below
            backend = OnnxRuntimeBackend(request, CUDA, [_CUDA_PROVIDER, "CPUExecutionProvider"])
    except VipeError as error:
        raise Unavailable(f"onnxruntime could not start CUDA: {error}") from None
    if _CUDA_PROVIDER[0] not in backend.session.get_providers():
        # onnxruntime falls back to the CPU without an error.
        raise Unavailable("onnxruntime could not start CUDA: no driver, or no matching CUDA")
    return backend


def has_cuda() -> bool:
    """Was this onnxruntime built with CUDA?"""
    return _CUDA_PROVIDER[0] in model_file.import_onnxruntime().get_available_providers()
