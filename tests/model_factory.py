"""Small, deterministic model files that keep the contract, made with onnx.helper.

    path = make_model(tmp_path / "model.onnx")                      # embedding+pose
    path = make_model(tmp_path / "model.onnx", task="embedding", sigmoid_a=2.0)

The graph does in small what a real one does: centre and scale the keypoints, set missing
ones to zero, one linear layer per head. It is not trained, but equal poses give equal
outputs, shifted and scaled poses too, and more missing joints give more variance.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from vipe_core import model_file, skeletons
from vipe_core.model_file import seal
from vipe_core.model_file.check import CheckVectors
from vipe_core.model_file.metadata import ModelMetadata

OPSET = 17
FLOAT = TensorProto.FLOAT
_HEADS = {"embedding": ("mean",), "pose": ("joints",), "embedding+pose": ("mean", "joints")}


def make_model(
    path: str | Path,
    task: str = "embedding+pose",
    skeleton_2d: str = "body13",
    embedding_size: int = 16,
    mirror: bool = False,
    frames: int = 1,
    **metadata: Any,
) -> Path:
    """Write a model file for ``task`` and return its path.

    ``mirror`` adds mirror_mean and mirror_variance; with ``frames`` T > 1 the inputs are
    windows, whose mean pose the graph sees; other keywords override fields of the metadata.
    """
    path = Path(path)
    step = {"frame_step": 0.1} if frames > 1 else {}
    info = make_metadata(task, skeleton_2d, embedding_size, frames=frames, **step, **metadata)
    model_file.write(path, make_graph(task, skeleton_2d, embedding_size, mirror, frames), info)
    return path


def make_metadata(
    task: str = "embedding+pose",
    skeleton_2d: str = "body13",
    embedding_size: int = 16,
    **overrides: Any,
) -> ModelMetadata:
    """Plausible metadata."""
    fields: dict[str, Any] = {
        "name": "test-model",
        "version": "1.2.3",
        "task": task,
        "skeleton_2d": skeleton_2d,
        "skeleton_3d": "joints17" if "pose" in task else None,
        "embedding_size": embedding_size,
        "sigmoid_a": 1.5,
        "sigmoid_b": 0.75,
        "kappa": 0.1,
        "training_data": "none: random weights",
        "licence": "Apache-2.0",
        "metrics": {"hit@1": 12.5},
        "git_commit": "0" * 40,
        "command": "tests/model_factory.py",
        "seed": 0,
    }
    return ModelMetadata(**(fields | overrides))


def make_graph(
    task: str = "embedding+pose",
    skeleton_2d: str = "body13",
    embedding_size: int = 16,
    mirror: bool = False,
    frames: int = 1,
) -> onnx.ModelProto:
    """The bare ONNX model, without metadata."""
    graph = _Graph(skeletons.get(skeleton_2d), embedding_size, frames)
    flat, missing = graph.normalised("keypoints", "")
    heads = _HEADS[task]
    if "mean" in heads:
        graph.gaussian(flat, missing, "")
    if "mean" in heads and mirror:
        graph.gaussian(*graph.normalised(graph.mirrored(), "mirror_"), "mirror_")
    if "joints" in heads:
        graph.pose(flat, missing)
    return graph.model()


def short_mean() -> onnx.ModelProto:
    """A graph whose ``mean`` is declared of unknown size and turns out to be 15 wide."""
    graph = make_graph()
    for node in graph.graph.node:
        node.output[:] = ["mean_16" if name == "mean" else name for name in node.output]
    graph.graph.initializer.append(numpy_helper.from_array(np.arange(16) < 15, "keep"))
    graph.graph.node.append(helper.make_node("Compress", ["mean_16", "keep"], ["mean"], axis=1))
    graph.graph.output[0].type.tensor_type.shape.dim[1].dim_param = "D"
    return graph


def unrunnable() -> onnx.ModelProto:
    """A graph that reshapes to a shape that is itself computed, and wrong: loading cannot
    foresee that it fails."""
    graph = make_graph()
    shape = numpy_helper.from_array(np.array([-1.0, 7.0, 3.0], np.float32), "wrong_shape")
    kept = numpy_helper.from_array(np.ones(3, bool), "kept")
    graph.graph.initializer.extend([shape, kept])
    at = next(i for i, node in enumerate(graph.graph.node) if "joints_shape" in node.input)
    graph.graph.node[at].input[1] = "computed_shape"
    cast = helper.make_node("Cast", ["nonzero"], ["computed_shape"], to=TensorProto.INT64)
    pick = helper.make_node("Compress", ["wrong_shape", "kept"], ["nonzero"], axis=0)
    graph.graph.node.insert(at, cast)
    graph.graph.node.insert(at, pick)
    return graph


def write_unchecked(
    path: Path, graph: onnx.ModelProto, metadata: object, check: str | None = None
) -> Path:
    """A file as a careless or hostile writer makes it, sealed: nothing is checked."""
    text = metadata if isinstance(metadata, str) else json.dumps(metadata)
    graph.metadata_props.add(key="vipe", value=text)
    if check is not None:
        graph.metadata_props.add(key="vipe_check", value=check)
    path.write_bytes(seal.sealed(graph.SerializeToString()))
    return path


def check_vectors() -> CheckVectors:
    """Those of a model of :func:`make_model`."""
    with tempfile.TemporaryDirectory() as folder:
        return model_file.read(make_model(Path(folder) / "m.onnx")).check


class _Graph:
    """Nodes and weights as they are added."""

    def __init__(self, skeleton: skeletons.Skeleton, size: int, frames: int = 1) -> None:
        self.skeleton, self.size, self.frames = skeleton, size, frames
        self.rng = np.random.default_rng(13)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: dict[str, np.ndarray] = {}
        self.outputs: list[onnx.ValueInfoProto] = []
        flat = 2 * len(skeleton)
        self.mean_weight = self._random((flat, size), 1.5)
        self.pose_weight = self._random((flat, 51), 0.02)

    def _random(self, shape: tuple[int, ...], scale: float) -> np.ndarray:
        return (self.rng.standard_normal(shape) * scale / np.sqrt(shape[0])).astype(np.float32)

    def add(self, op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(op, inputs, [output], **attributes))
        return output

    def constant(self, name: str, value: Any, dtype: type = np.float32) -> str:
        self.weights[name] = np.asarray(value, dtype)
        return name

    def output(self, name: str, *shape: int) -> None:
        self.outputs.append(helper.make_tensor_value_info(name, FLOAT, ["N", *shape]))

    def normalised(self, points: str, tag: str) -> tuple[str, str]:
        """Centred, scaled, masked keypoints (N, 2J), and the share of missing joints (N, 1)."""
        zero, one = self.constant("zero", 0.0), self.constant("one", 1.0)
        axes = self.constant("axes", [1], np.int64)
        # As in a real graph, what lies beyond 1e8 pixels is missing too.
        size = self.add("Abs", [points], tag + "magnitude")
        far = self.add("Greater", [size, self.constant("limit", 1e8)], tag + "far")
        nan = self.add("IsNaN", [points], tag + "nan")
        absent = self.add("Or", [nan, far], tag + "absent")
        clean = self.add("Where", [absent, zero, points], tag + "clean")
        seen = self.add("Where", [absent, zero, one], tag + "seen")
        if self.frames > 1:
            clean = self.add("ReduceMean", [clean], tag + "clean_mean", axes=[1], keepdims=0)
            seen = self.add("ReduceMean", [seen], tag + "seen_mean", axes=[1], keepdims=0)
        count = self.add("ReduceSum", [seen, axes], tag + "count", keepdims=1)
        total = self.add("ReduceSum", [clean, axes], tag + "total", keepdims=1)
        count = self.add("Max", [count, one], tag + "count_1")
        centre = self.add("Div", [total, count], tag + "centre")
        centred = self.add("Sub", [clean, centre], tag + "offset")
        centred = self.add("Mul", [centred, seen], tag + "centred")
        squared = self.add("Mul", [centred, centred], tag + "squared")
        spread = self.add("ReduceMean", [squared], tag + "spread", axes=[1, 2], keepdims=1)
        size = self.add("Sqrt", [spread], tag + "size")
        size = self.add("Max", [size, self.constant("tiny", 1e-6)], tag + "size_1")
        scaled = self.add("Div", [centred, size], tag + "scaled")
        flat = self.add("Flatten", [scaled], tag + "flat", axis=1)
        visibility = "visibility"
        if self.frames > 1:
            visibility = self.add("ReduceMean", [visibility], tag + "seen_t", axes=[1], keepdims=0)
        share = self.add("ReduceMean", [visibility], tag + "share", axes=[1], keepdims=1)
        return flat, self.add("Sub", [one, share], tag + "missing")

    def mirrored(self) -> str:
        """Keypoints with x negated and left and right exchanged."""
        order = self.constant("mirror_order", self.skeleton.mirror, np.int64)
        swapped = self.add("Gather", ["keypoints", order], "mirror_swapped", axis=1)
        return self.add("Mul", [swapped, self.constant("flip_x", [-1.0, 1.0])], "mirror_points")

    def gaussian(self, flat: str, missing: str, tag: str) -> None:
        weight = self.constant("mean_weight", self.mean_weight)
        self.add("MatMul", [flat, weight], tag + "mean")
        floor = self.constant("variance_floor", np.full(self.size, 0.01))
        self.add("Add", [missing, floor], tag + "variance")
        self.output(tag + "mean", self.size)
        self.output(tag + "variance", self.size)

    def pose(self, flat: str, missing: str) -> None:
        weight = self.constant("pose_weight", self.pose_weight)
        bent = self.add("MatMul", [flat, weight], "bent")
        shape = self.constant("joints_shape", [-1, 17, 3], np.int64)
        bent = self.add("Reshape", [bent, shape], "bent_joints")
        self.add("Add", [bent, self.constant("standing", STANDING)], "joints")
        self.add("Add", [missing, self.constant("std_floor", np.full(17, 0.02))], "std")
        self.output("joints", 17, 3)
        self.output("std", 17)

    def model(self) -> onnx.ModelProto:
        shape = ["N", *([self.frames] if self.frames > 1 else []), len(self.skeleton)]
        inputs = [
            helper.make_tensor_value_info("keypoints", FLOAT, [*shape, 2]),
            helper.make_tensor_value_info("visibility", FLOAT, shape),
        ]
        weights = [numpy_helper.from_array(value, name) for name, value in self.weights.items()]
        graph = helper.make_graph(self.nodes, "test", inputs, self.outputs, weights)
        opset = helper.make_opsetid("", OPSET)
        return helper.make_model(graph, opset_imports=[opset], ir_version=8)


# A person who stands upright, joints17, body frame (x forward, y left, z up), in statures.
STANDING = np.array(
    [
        *([0, 0, 0], [0, -0.06, 0], [0, -0.06, -0.25], [0, -0.06, -0.5]),
        *([0, 0.06, 0], [0, 0.06, -0.25], [0, 0.06, -0.5]),
        *([0, 0, 0.15], [0, 0, 0.3], [0.05, 0, 0.38], [0, 0, 0.48]),
        *([0, 0.11, 0.29], [0, 0.12, 0.12], [0, 0.12, -0.03]),
        *([0, -0.11, 0.29], [0, -0.12, 0.12], [0, -0.12, -0.03]),
    ],
    np.float32,
)
