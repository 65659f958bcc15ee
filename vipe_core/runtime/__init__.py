"""Run a model file on arrays.

    from vipe_core import runtime
    model = runtime.load("models/vipe.onnx")
    estimates = model(points, visibility)      # (N, 13, 2) pixels, (N, 13)

What runs it is a backend: TensorRT where an engine of the model was compiled (``vipe compile``),
else onnxruntime on CUDA or on the CPU. :data:`BACKENDS` lists them, :mod:`.backend` says what
one must offer.
"""

from vipe_core.runtime.backend import Backend, Unavailable
from vipe_core.runtime.load import BACKENDS, load
from vipe_core.runtime.model import BLOCK, Model

__all__ = ["BACKENDS", "BLOCK", "Backend", "Model", "Unavailable", "load"]
