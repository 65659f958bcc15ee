"""Model files at half the size: weights stored as float16, computed with as float32."""

from __future__ import annotations

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

_SMALLEST = 1024  # numbers; what is smaller is not worth a node


@torch.no_grad()
def round_to_half(module: nn.Module) -> None:
    """Round the weight matrices of a module to what float16 can hold, in place.

    Biases, norms and scales stay: they are few, and some are far from 1.
    """
    for parameter in module.parameters():
        if parameter.ndim >= 2:
            parameter.copy_(parameter.half().float())


def store_half(data: bytes) -> bytes:
    """An ONNX graph whose float32 weights are stored as float16 where that loses nothing.

    A Cast node turns each back into float32, which a runtime does once, when it loads the
    file. After :func:`round_to_half` that is true of every weight matrix.
    """
    graph = onnx.load_model_from_string(data)
    casts = []
    for weight in graph.graph.initializer:
        value = numpy_helper.to_array(weight)
        if weight.data_type != TensorProto.FLOAT or value.size < _SMALLEST:
            continue
        with np.errstate(over="ignore"):
            half = value.astype(np.float16)
        if not np.array_equal(half.astype(np.float32), value):
            continue
        name = weight.name
        weight.CopyFrom(numpy_helper.from_array(half, f"{name}.half"))
        casts.append(
            helper.make_node("Cast", [f"{name}.half"], [name], f"{name}.cast", to=TensorProto.FLOAT)
        )
    nodes = [*casts, *graph.graph.node]
    del graph.graph.node[:]
    graph.graph.node.extend(nodes)
    onnx.checker.check_model(graph)
    return graph.SerializeToString()
