"""Graphs in fp16 and int8 against the float32 ones, and against an oracle that computes in half."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from tests.model_factory import make_model
from vipe_core import model_file, runtime
from vipe_core.errors import VipeError
from vipe_core.model_file.check import LIMITS
from vipe_core.precision import half_matrices, whole_weights

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = sorted((ROOT / "models").glob("*.onnx"))


def products(data: bytes) -> list[onnx.NodeProto]:
    graph = onnx.load_model_from_string(data).graph
    return [node for node in graph.node if node.op_type in ("Gemm", "MatMul")]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_models_in_half(path, tmp_path):
    opened = model_file.read(path)
    data = half_matrices(path.read_bytes())
    onnx.checker.check_model(onnx.load_model_from_string(data), full_check=True)
    half = tmp_path / "half.onnx"
    model_file.write(half, data, replace(opened.metadata, precision="fp16"), opened.check)
    model = runtime.load(half, "onnxruntime-cpu")
    assert model.precision == "fp16"
    assert 0 < model.error < LIMITS["fp16"]
    # The oracle rounds every product to half, which onnxruntime on a CPU does not.
    check = opened.check.first(4)
    inputs = {"keypoints": check.points, "visibility": check.visibility}
    names = list(check.outputs)
    outputs = ReferenceEvaluator(onnx.load_model_from_string(data)).run(names, inputs)
    assert check.worst(dict(zip(names, outputs, strict=True))) < LIMITS["fp16"]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_only_matrices_are_half(path):
    data = half_matrices(path.read_bytes())
    model = onnx.shape_inference.infer_shapes(onnx.load_model_from_string(data))
    kinds = {value.name: value.type.tensor_type.elem_type for value in model.graph.value_info}
    halves = {node.output[0] for node in products(data)}
    casts = {n.output[0] for n in model.graph.node if n.op_type == "Cast"}
    assert halves
    assert {name for name, kind in kinds.items() if kind == TensorProto.FLOAT16} <= halves | casts
    for value in (*model.graph.input, *model.graph.output):
        assert value.type.tensor_type.elem_type == TensorProto.FLOAT
    for weight in model.graph.initializer:
        if weight.data_type == TensorProto.FLOAT:  # norms, scales, tables
            assert numpy_helper.to_array(weight).ndim < 2 or weight.dims[0] == 1


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_whole_weights_change_nothing(path):
    data = whole_weights(path.read_bytes())
    model = onnx.load_model_from_string(data)
    onnx.checker.check_model(model, full_check=True)
    assert TensorProto.FLOAT16 not in {weight.data_type for weight in model.graph.initializer}
    check = model_file.read(path).check
    session = ort_session(data)
    names = list(check.outputs)
    inputs = {"keypoints": check.points, "visibility": check.visibility}
    found = dict(zip(names, session.run(names, inputs), strict=True))
    assert check.worst(found) < 1e-5


def ort_session(data: bytes):
    import onnxruntime

    return onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])


def test_a_weight_of_two_products_is_kept_once():
    """One input, one weight, two products, one of which is an output of the graph."""
    weight = numpy_helper.from_array(np.eye(4, dtype=np.float32) * 0.1, "w")
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"]),
        helper.make_node("Gemm", ["x", "w", "c"], ["b"], transB=1),
        helper.make_node("Add", ["a", "b"], ["y"]),
    ]
    bias = numpy_helper.from_array(np.ones(4, np.float32), "c")
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["N", 4]) for n in "xay"]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], [weight, bias])
    opset = helper.make_opsetid("", 17)
    data = helper.make_model(graph, opset_imports=[opset], ir_version=8).SerializeToString()
    half = onnx.load_model_from_string(half_matrices(data))
    assert sorted(weight.name for weight in half.graph.initializer) == ["c.as_half", "w.as_half"]
    assert [node.op_type for node in half.graph.node].count("Cast") == 3
    x = np.arange(8, dtype=np.float32).reshape(2, 4)
    a, y = ort_session(half.SerializeToString()).run(["a", "y"], {"x": x})
    np.testing.assert_allclose(a, 0.1 * x, rtol=1e-3)
    np.testing.assert_allclose(y, 0.2 * x + 1, rtol=1e-3)


@pytest.mark.parametrize("change", [half_matrices, whole_weights])
def test_without_the_onnx_package(change, tmp_path, monkeypatch):
    data = make_model(tmp_path / "m.onnx").read_bytes()
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(VipeError, match="changing a graph needs the onnx package: pip install"):
        change(data)
