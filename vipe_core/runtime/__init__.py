"""Run a model file on arrays.

    from vipe_core import runtime
    model = runtime.load("models/vipe.onnx")
    estimates = model(points, visibility)      # (N, 13, 2) pixels, (N, 13)

A backend is a class with a ``name`` and a method ``run``; :data:`BACKENDS` lists them.
"""

from vipe_core.runtime.model import BACKENDS, BLOCK, Backend, Model, load

__all__ = ["BACKENDS", "BLOCK", "Backend", "Model", "load"]
