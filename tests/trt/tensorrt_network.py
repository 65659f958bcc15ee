"""The parser and the network: layers are the nodes and weights of the ONNX graph."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto

from tests.trt.strict import Behaviour

# ONNX operator: TensorRT layer, where the names differ; others become ELEMENTWISE.
LAYERS = {
    **dict.fromkeys(("MatMul", "Gemm"), "MATRIX_MULTIPLY"),
    **dict.fromkeys(("Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze"), "SHUFFLE"),
    **dict.fromkeys(("Sqrt", "Exp", "Log", "Neg", "Abs", "Not", "IsNaN", "Erf"), "UNARY"),
    **dict.fromkeys(("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL2"), "REDUCE"),
    **dict.fromkeys(("Relu", "Sigmoid", "Tanh", "Softplus", "Clip", "Elu"), "ACTIVATION"),
    **dict.fromkeys(("Gather", "GatherElements"), "GATHER"),
    **dict.fromkeys(("LayerNormalization", "InstanceNormalization"), "NORMALIZATION"),
    **{"Concat": "CONCATENATION", "Where": "SELECT", "Softmax": "SOFTMAX", "Slice": "SLICE"},
    **{"Cast": "CAST", "Identity": "IDENTITY", "Shape": "SHAPE", "Constant": "CONSTANT"},
    **{"QuantizeLinear": "QUANTIZE", "DequantizeLinear": "DEQUANTIZE"},
    **{"Conv": "CONVOLUTION", "Einsum": "EINSUM", "TopK": "TOPK", "Expand": "SLICE"},
}
DTYPES: dict[int, str] = {
    TensorProto.FLOAT: "FLOAT",
    TensorProto.FLOAT16: "HALF",
    TensorProto.BFLOAT16: "BF16",
    TensorProto.INT8: "INT8",
    TensorProto.UINT8: "UINT8",
    TensorProto.INT32: "INT32",
    TensorProto.INT64: "INT64",
    TensorProto.BOOL: "BOOL",
}
FLOATS = ("FLOAT", "HALF", "BF16")


class INetworkDefinition(Behaviour):
    """State: logger, strong (strongly typed), explicit (a batch axis), bits, model, items."""

    def _parse(self, model: onnx.ModelProto) -> None:
        self._model = onnx.shape_inference.infer_shapes(model)
        settle_outputs(self._model)
        types = tensor_types(self._model)
        graph = self._model.graph
        weights = {tensor.name for tensor in graph.initializer}
        put = self._put_layer
        for tensor in graph.initializer:
            put(tensor.name, "CONSTANT", [], [tensor.name], types)
        for node in graph.node:
            put(node.name or node.output[0], layer_type(node), node.input, node.output, types)
        made = self._world.maker.new
        values = [value for value in graph.input if value.name not in weights]
        self._inputs = [made("ITensor", value=value, kind=types[value.name]) for value in values]
        self._outputs = [
            made("ITensor", value=value, kind=types[value.name]) for value in graph.output
        ]

    def _put_layer(
        self, name: str, kind: str, inputs: Any, outputs: Any, types: dict[str, str]
    ) -> None:
        new = self._world.maker.new

        def tensor(of: str) -> Any:
            value = onnx.ValueInfoProto(name=of)
            return new("ITensor", value=value, kind=types.get(of, "FLOAT")) if of else None

        state = {"name": name, "kind": kind, "strong": self._strong}
        state |= {"inputs": list(map(tensor, inputs)), "tensors": list(map(tensor, outputs))}
        self._layers.append(
            new("ILayer", logger=self._logger, precision_set=None, types={}, **state)
        )

    @property
    def num_inputs(self) -> int:
        return len(self._inputs)

    @property
    def num_outputs(self) -> int:
        return len(self._outputs)

    @property
    def num_layers(self) -> int:
        return len(self._layers)

    def get_input(self, index: int) -> Any:
        return self._at(self._inputs, index)

    def get_output(self, index: int) -> Any:
        return self._at(self._outputs, index)

    def get_layer(self, index: int) -> Any:
        return self._at(self._layers, index)

    def _at(self, items: list, index: int) -> Any:
        if 0 <= index < len(items):
            return items[index]
        self._world.log(self._logger, "ERROR", f"INetworkDefinition: {index} of {len(items)}")
        return None

    def __len__(self) -> int:
        return len(self._layers)

    def __getitem__(self, index: int) -> Any:
        return self._layers[index]

    @property
    def flags(self) -> int:
        return self._bits

    def get_flag(self, flag: Any) -> bool:
        return bool(self._bits >> int(flag) & 1)


class ITensor(Behaviour):
    """State: value (its ValueInfoProto), kind (the name of its DataType)."""

    @property
    def name(self) -> str:
        return self._value.name

    @name.setter
    def name(self, name: str) -> None:
        raise NotImplementedError("the stand-in renames no tensor")

    @property
    def dtype(self) -> Any:
        return data_type(self._world, self._kind)

    @dtype.setter
    def dtype(self, dtype: Any) -> None:
        raise NotImplementedError("the stand-in gives a network's tensors no other type")

    @property
    def shape(self) -> Any:
        return self._world.dims(static_shape(self._value))

    @shape.setter
    def shape(self, shape: Any) -> None:
        raise NotImplementedError("the stand-in changes no shape")


class ILayer(Behaviour):
    """State: name, kind (the name of its LayerType), inputs and tensors (its outputs), strong,
    precision_set, types."""

    @property
    def name(self) -> str:
        return self._name

    @property
    def type(self) -> Any:
        known = self._world.maker.make("LayerType").__members__
        return known.get(self._kind, known["ELEMENTWISE"])

    @property
    def num_inputs(self) -> int:
        return len(self._inputs)

    def get_input(self, index: int) -> Any:
        return self._inputs[index] if 0 <= index < len(self._inputs) else None

    @property
    def num_outputs(self) -> int:
        return len(self._tensors)

    def get_output(self, index: int) -> Any:
        return self._tensors[index] if 0 <= index < len(self._tensors) else None

    @property
    def precision(self) -> Any:
        return self._precision_set or data_type(self._world, "FLOAT")

    @precision.setter
    def precision(self, precision: Any) -> None:
        if not self._refuse("setPrecision"):
            self._precision_set = precision

    @property
    def precision_is_set(self) -> bool:
        return self._precision_set is not None

    def reset_precision(self) -> None:
        self._precision_set = None

    def set_output_type(self, index: int, dtype: Any) -> None:
        if not self._refuse("setOutputType"):
            self._types[index] = dtype

    def output_type_is_set(self, index: int) -> bool:
        return index in self._types

    def get_output_type(self, index: int) -> Any:
        return self._types.get(index) or self._tensors[index].dtype

    def reset_output_type(self, index: int) -> None:
        self._types.pop(index, None)

    def _refuse(self, what: str) -> bool:
        if self._strong:
            text = f"ILayer::{what}: not allowed in a strongly typed network"
            self._world.log(self._logger, "ERROR", text)
        return self._strong


class OnnxParser(Behaviour):
    def __init__(self, network: Any, logger: Any) -> None:
        self._network, self._logger, self._errors = network, logger, []

    def parse(self, model: Any, path: str | None = None) -> bool:
        world, network = self._world, self._network
        try:
            if "parse" in world.settings.faults:
                raise ValueError(
                    "In node 3 (importModel): UNSUPPORTED_NODE: no importer registered"
                )
            if not network._explicit:
                raise ValueError("this version only supports networks with an explicit batch")
            if network._layers:
                raise ValueError("Parse was called with a non-empty network definition")
            proto = onnx.load_model_from_string(bytes(model))
            onnx.checker.check_model(proto)
            network._parse(proto)
        except Exception as error:
            self._errors.append(world.maker.new("ParserError", text=str(error)))
            world.log(self._logger, "ERROR", f"ModelImporter.cpp: {error}")
            return False
        return True

    @property
    def num_errors(self) -> int:
        return len(self._errors)

    def get_error(self, index: int) -> Any:
        return self._errors[index] if 0 <= index < len(self._errors) else None

    def clear_errors(self) -> None:
        self._errors.clear()


class ParserError(Behaviour):
    def desc(self) -> str:
        return self._text

    def node(self) -> int:
        return 3

    def __str__(self) -> str:
        return f"In node 3: {self._text}"


def layer_type(node: onnx.NodeProto) -> str:
    return LAYERS.get(node.op_type, "ELEMENTWISE")


def data_type(world: Any, name: str) -> Any:
    """A version without INT64 narrows to INT32, as its parser does."""
    known = world.maker.make("DataType").__members__
    return known.get(name) or known["INT32"]


def static_shape(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    """-1 for what only a run tells."""
    dims = value.type.tensor_type.shape.dim
    return tuple(dim.dim_value if dim.HasField("dim_value") else -1 for dim in dims)


def settle_outputs(model: onnx.ModelProto) -> None:
    """Give outputs the sizes that the graph fixes but does not state, as TensorRT infers them:
    those that are the same for two sizes of whatever the inputs leave open."""
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    runs = []
    for size in (2, 3):
        shapes = {v.name: [size if d < 0 else d for d in static_shape(v)] for v in inputs}
        zeros = {v.name: np.zeros(shapes[v.name], array_type(v)) for v in inputs}
        runs.append(session.run([output.name for output in model.graph.output], zeros))
    for output, *values in zip(model.graph.output, *runs, strict=True):
        first, second = (np.shape(value) for value in values)
        for dim, one, other in zip(output.type.tensor_type.shape.dim, first, second, strict=True):
            if one == other:
                dim.dim_value = one


def array_type(value: onnx.ValueInfoProto) -> np.dtype:
    return onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)


def tensor_types(model: onnx.ModelProto) -> dict[str, str]:
    """The name of the DataType of every tensor that inference knows."""
    graph = model.graph
    found = {tensor.name: tensor.data_type for tensor in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        found[value.name] = value.type.tensor_type.elem_type
    return {name: DTYPES.get(kind, "FLOAT") for name, kind in found.items()}
