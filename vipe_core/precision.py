"""Graphs whose matrix products compute in half precision, and graphs whose weights are whole.

Nearly all weights, and so the memory that a call has to read, are in the matrices. What is
between them (normalisation of pixels, layer norms, activations, spreads) is cheap, and what fp16
does badly.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from vipe_core.errors import VipeError

if TYPE_CHECKING:
    import onnx

_PRODUCTS = ("Gemm", "MatMul")


def half_matrices(model: bytes) -> bytes:
    """The same graph with the matrix products in float16; inputs and outputs stay float32.

    Every Gemm or MatMul by a constant gets its input through a Cast to float16, float16
    weights, and a Cast of its output back to float32: what a strongly typed TensorRT network
    and onnxruntime take as it is. Weights that are stored as float16 already
    (:func:`vipe_training.export.half.store_half`) are used as they are.

    Args:
        model: serialised ONNX model in fp32.

    Raises:
        VipeError: the onnx package is missing.
    """
    onnx = _import_onnx()
    graph_model = onnx.load_model_from_string(model)
    graph = graph_model.graph
    halves = _Halves(graph)
    nodes = list(halves.rewritten())
    used = {name for node in nodes for name in node.input}
    used |= {output.name for output in graph.output}
    nodes = [node for node in nodes if node.op_type != "Cast" or node.output[0] in used]
    used = {name for node in nodes for name in node.input}
    weights = [onnx.TensorProto.FromString(w.SerializeToString()) for w in halves.weights.values()]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(weight for weight in weights if weight.name in used)
    onnx.checker.check_model(graph_model)
    return graph_model.SerializeToString()


def whole_weights(model: bytes) -> bytes:
    """The same graph with every constant that is stored as float16 and cast to float32 stored
    as float32: for readers that want no float16 in a network that computes in float32.

    Raises:
        VipeError: the onnx package is missing.
    """
    onnx = _import_onnx()
    from onnx import numpy_helper

    graph_model = onnx.load_model_from_string(model)
    graph = graph_model.graph
    constants = {weight.name: weight for weight in graph.initializer}
    nodes = []
    for node in graph.node:
        stored = constants.get(node.input[0]) if node.op_type == "Cast" else None
        if stored is None:
            nodes.append(type(node).FromString(node.SerializeToString()))
            continue
        value = numpy_helper.to_array(stored).astype(np.float32)
        graph.initializer.append(numpy_helper.from_array(value, node.output[0]))
    used = {name for node in nodes for name in node.input}
    weights = [
        type(weight).FromString(weight.SerializeToString())
        for weight in graph.initializer
        if weight.name in used
    ]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(weights)
    return graph_model.SerializeToString()


def _import_onnx() -> ModuleType:
    try:
        import onnx
    except ModuleNotFoundError:
        raise VipeError("changing a graph needs the onnx package: pip install onnx") from None
    return onnx


class _Halves:
    """Constants as float16, and casts of activations, each made once."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.nodes = list(graph.node)
        self.weights = {weight.name: weight for weight in graph.initializer}
        # Constants that are the float32 of a stored float16.
        self.stored = {
            node.output[0]: node.input[0]
            for node in graph.node
            if node.op_type == "Cast" and node.input[0] in self.weights
        }
        self.cast: dict[str, str] = {}

    def rewritten(self) -> Iterator[onnx.NodeProto]:
        """The nodes of the new graph, in order."""
        from onnx import TensorProto, helper

        for node in self.nodes:
            constant = node.op_type in _PRODUCTS and self._is_constant(node.input[1])
            if not constant:
                yield node
                continue
            activation, result = node.input[0], node.output[0]
            if activation not in self.cast:
                name = self.cast[activation] = f"{activation}.as_half"
                yield helper.make_node("Cast", [activation], [name], name, to=TensorProto.FLOAT16)
            product = type(node).FromString(node.SerializeToString())
            product.input[:] = [self.cast[activation], *map(self._half, node.input[1:])]
            product.output[:] = [f"{result}.half_product"]
            yield product
            yield helper.make_node(
                "Cast", list(product.output), [result], product.output[0], to=TensorProto.FLOAT
            )

    def _is_constant(self, name: str) -> bool:
        return name in self.weights or name in self.stored

    def _half(self, name: str) -> str:
        """Name of the float16 of a constant."""
        from onnx import TensorProto, numpy_helper

        if not name:  # an input that is left out
            return name
        source = self.weights[self.stored.get(name, name)]
        if source.data_type == TensorProto.FLOAT16:
            return source.name
        half = f"{name}.as_half"
        if half not in self.weights:
            value = numpy_helper.to_array(source).astype(np.float16)
            self.weights[half] = numpy_helper.from_array(value, half)
        return half
