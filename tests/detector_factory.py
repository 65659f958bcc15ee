"""Small ONNX networks that really look at an image, in the layouts of real pose models.

    people = figures(np.array([[160.0, 120.0], [420.0, 130.0]]), size=70.0)  # (2, 17, 2)
    image = paint((640, 360), people)              # every joint a disc of its own colour
    path = one_stage(tmp_path / "rtmo.onnx", "rtmo", (320, 192))

The graphs undo the normalisation that they are made for, measure how far every pixel is from
the colour of every joint, and place a joint in the middle of the pixels of its colour. With
other means or the channels in another order they find nothing, or other joints.
"""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import yaml
from onnx import TensorProto, helper, numpy_helper

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
TOLERANCE = 20.0  # in 0..255: how far from a joint's colour a pixel may be
SEEN = 8.0  # pixels of a joint's colour that make it certain
RADIUS = 7.0  # pixels of a disc
IMAGENET = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))


def _palette(count: int) -> np.ndarray:
    """(count, 3) RGB colours none of which is a darkened other one, nor grey: the edge of a
    disc on black passes through all shades of its colour."""
    chosen: list[np.ndarray] = []
    for colour in product((60, 125, 190, 255), repeat=3):
        candidate = np.array(colour, float)
        grey = abs(candidate - candidate.mean()).max() < 30
        if not grey and all(_apart(candidate, other) for other in chosen):
            chosen.append(candidate)
    return np.array(chosen[:count])


def _apart(a: np.ndarray, b: np.ndarray) -> bool:
    shades = np.linspace(0, 1, 52)[:, None]
    return all(
        np.linalg.norm(shades * dark - whole, axis=1).min() > 1.5 * TOLERANCE
        for dark, whole in ((a, b), (b, a))
    )


COLOURS = _palette(26)


def figures(middles: np.ndarray, size: float, joints: int = 17, seed: int = 0) -> np.ndarray:
    """(P, joints, 2) pixels of people around ``middles`` (P, 2), ``size`` wide, twice as tall.

    Joints lie on a jittered grid, so that their discs do not touch.
    """
    rng = np.random.default_rng(seed)
    across = 3
    cells = [(c, r) for r in range(-(-joints // across)) for c in range(across)][:joints]
    grid = np.array(cells, float)
    grid = (grid / grid.max(axis=0) - 0.5) * (size, 2 * size)
    jitter = rng.uniform(-2, 2, (len(middles), joints, 2))
    return middles[:, None] + grid + jitter


def paint(size: tuple[int, int], people: np.ndarray, radius: float = RADIUS) -> np.ndarray:
    """(H, W, 3) uint8 BGR: a disc per joint with a soft edge, on black; NaN is not painted."""
    width, height = size
    image = np.zeros((height, width, 3))
    reach = int(radius) + 2
    for person in people:
        for point, colour in zip(person, COLOURS, strict=False):
            if np.isnan(point).any():
                continue
            left, top = np.maximum(point.astype(int) - reach, 0)
            part = image[top : top + 2 * reach + 1, left : left + 2 * reach + 1]
            y, x = np.mgrid[top : top + part.shape[0], left : left + part.shape[1]]
            inside = np.clip(radius + 0.5 - np.hypot(x - point[0], y - point[1]), 0, 1)
            part += inside[..., None] * colour[::-1]
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


class Graph:
    """Nodes and weights as they are added; the input is (batch, 3, height, width)."""

    def __init__(self, size: tuple[int, int], batch: int | str = "N") -> None:
        self.width, self.height = size
        self.batch = batch
        self.nodes: list[onnx.NodeProto] = []
        self.weights: dict[str, np.ndarray] = {}
        self.outputs: list[onnx.ValueInfoProto] = []

    def add(self, op: str, *inputs: str | np.ndarray | float, **attributes: Any) -> str:
        """A node; arrays among its inputs become weights. The name of its output."""
        names = [given if isinstance(given, str) else self.weight(given) for given in inputs]
        output = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, names, [output], **attributes))
        return output

    def weight(self, value: Any) -> str:
        array = np.asarray(value)
        kind = np.int64 if array.dtype.kind == "i" else np.float32
        name = f"w{len(self.weights)}"
        self.weights[name] = array.astype(kind)
        return name

    def output(self, value: str, name: str, shape: list[Any], kind: int = FLOAT) -> None:
        self.nodes.append(helper.make_node("Identity", [value], [name]))
        self.outputs.append(helper.make_tensor_value_info(name, kind, shape))

    def save(self, path: Path, free_size: bool = False) -> Path:
        size = ["H", "W"] if free_size else [self.height, self.width]
        shape = [self.batch, 3, *size]
        image = helper.make_tensor_value_info("input", FLOAT, shape)
        weights = [numpy_helper.from_array(value, name) for name, value in self.weights.items()]
        graph = helper.make_graph(self.nodes, "test", [image], self.outputs, weights)
        opset = helper.make_opsetid("", 17)
        onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=8), path)
        return path

    # What all of them see.

    def joints(
        self, count: int, mean: Any, std: Any, channels: str, strips: np.ndarray | None = None
    ) -> tuple[str, str, str]:
        """x, y in pixels and certainty 0..1 of ``count`` joints, (N, K, A) each, within each of
        the vertical ``strips`` (A, width) of the image; the whole image without."""
        strips = np.ones((1, self.width)) if strips is None else strips
        rgb = self.add("Mul", "input", np.reshape(std, (3, 1, 1)).astype(float))
        rgb = self.add("Add", rgb, np.reshape(mean, (3, 1, 1)).astype(float))
        order = slice(None) if channels == "rgb" else slice(None, None, -1)
        colours = COLOURS[:count, order]
        squared = self.add("Mul", rgb, rgb)
        squared = self.add("ReduceSum", squared, np.array([1]), keepdims=1)
        inner = self.add("Conv", rgb, -2 * colours[:, :, None, None], (colours**2).sum(axis=1))
        distance = self.add("Add", inner, squared)
        near = self.add("Mul", distance, -1 / TOLERANCE**2)
        near = self.add("Relu", self.add("Add", near, 1.0))  # (N, K, H, W)
        columns = self.add("ReduceSum", near, np.array([2]), keepdims=0)  # (N, K, W)
        down = self.add("Mul", near, np.arange(self.height)[:, None].astype(float))
        down = self.add("ReduceSum", down, np.array([2]), keepdims=0)
        across = self.add("Mul", columns, np.arange(self.width).astype(float))
        mass, x, y = (self.add("MatMul", line, strips.T) for line in (columns, across, down))
        sure = self.add("Min", self.add("Mul", mass, 1 / SEEN), np.float32(1))
        mass = self.add("Max", mass, np.float32(1e-6))
        return self.add("Div", x, mass), self.add("Div", y, mass), sure

    def bell(self, middle: str, sure: str, places: np.ndarray, spread: float) -> str:
        """(N, K, L) ``sure`` times a Gaussian around ``middle`` (N, K, 1), at ``places`` (L,)."""
        off = self.add("Mul", self.add("Sub", middle, places.astype(float)), 1 / spread)
        off = self.add("Mul", self.add("Mul", off, off), -0.5)
        return self.add("Mul", self.add("Exp", off), sure)

    def busy(self, value: str, work: int) -> str:
        """``value``, after ``work`` products of matrices that hang on the image."""
        matrix = np.random.default_rng(0).standard_normal((768, 768)) / np.sqrt(768)
        state = self.add("ReduceMean", "input", axes=[1, 2, 3], keepdims=0)
        state = self.add("Add", self.add("Reshape", state, np.array([-1, 1, 1])), matrix)
        for _ in range(work):
            state = self.add("Tanh", self.add("MatMul", state, matrix))
        nothing = self.add("ReduceMax", state, keepdims=0)
        return self.add("Add", value, self.add("Mul", nothing, 1e-20))


def simcc(
    path: Path,
    size: tuple[int, int] = (96, 128),
    joints: int = 17,
    batch: int | str = "N",
    ratio: float = 2.0,
    free_size: bool = False,
    names: tuple[str, str] = ("simcc_x", "simcc_y"),
    fixed_inside: bool = False,
) -> Path:
    """As RTMPose: two distributions per joint, ``ratio`` bins a pixel; RGB, ImageNet's mean."""
    graph = Graph(size, batch)
    x, y, sure = graph.joints(joints, *IMAGENET, "rgb")
    for middle, length, name in zip((x, y), size, names, strict=True):
        places = np.arange(length * ratio) / ratio
        value = graph.bell(middle, sure, places, 1.5)
        if fixed_inside:
            value = graph.add("Reshape", value, np.array([1, joints, len(places)]))
        graph.output(value, name, ["N", joints, len(places)])
    return graph.save(path, free_size)


def heatmap(
    path: Path, size: tuple[int, int] = (96, 128), joints: int = 17, udp: bool = False
) -> Path:
    """As HRNet and ViTPose: a map per joint, a quarter of the input's size."""
    graph = Graph(size)
    x, y, sure = graph.joints(joints, *IMAGENET, "rgb")
    cells = [length // 4 for length in size]
    lines = []
    for middle, length, cell in zip((x, y), size, cells, strict=True):
        pixels = (length - 1) / (cell - 1) if udp else length / cell
        at = graph.add("Mul", middle, 1 / pixels)
        lines.append(graph.bell(at, np.float32(1), np.arange(cell), 1.5))  # type: ignore[arg-type]
    row = graph.add("Unsqueeze", lines[0], np.array([2]))
    column = graph.add("Unsqueeze", lines[1], np.array([3]))
    maps = graph.add(
        "Mul", graph.add("Mul", row, column), graph.add("Unsqueeze", sure, np.array([3]))
    )
    graph.output(maps, "heatmap", ["N", joints, cells[1], cells[0]])
    return graph.save(path)


LAYOUTS = {  # mean, std and channels that the graphs of each layout undo
    "rtmo": ((0, 0, 0), (1, 1, 1), "bgr"),
    "yolo_pose": ((0, 0, 0), (255, 255, 255), "rgb"),
    "yolo_pose_nms": ((0, 0, 0), (255, 255, 255), "rgb"),
    "rtmdet": ((103.53, 116.28, 123.675), (57.375, 57.12, 58.395), "bgr"),
    "yolox": ((0, 0, 0), (1, 1, 1), "bgr"),
    "yolo": ((0, 0, 0), (255, 255, 255), "rgb"),
    "yolo_nms": ((0, 0, 0), (255, 255, 255), "rgb"),
}
STRIPS = 7


def one_stage(
    path: Path,
    layout: str,
    size: tuple[int, int] = (320, 192),
    joints: int = 17,
    work: int = 0,
    classes: int = 1,
    repeat: int = 1,
    shift: float = 0.0,
) -> Path:
    """As RTMO, YOLO pose models, RTMDet, YOLOX, YOLO: what seven vertical strips of the image
    show, each half over the next, so that most people are seen twice.

    Args:
        path: the file to write.
        layout: a key of :data:`LAYOUTS`.
        size: (width, height) of the input.
        joints: of a pose.
        work: see :meth:`Graph.busy`.
        classes: of YOLO; people are the first.
        repeat: how often YOLO says everything: real ones have more anchors than rows.
        shift: pixels to the right of where they are that joints are placed.
    """
    graph = Graph(size, 1)
    starts = np.linspace(0, size[0] * 0.7, STRIPS)
    along = np.arange(size[0])
    strips = (along >= starts[:, None]) & (along < starts[:, None] + 0.3 * size[0])
    x, y, sure = graph.joints(joints, *LAYOUTS[layout], strips.astype(float))
    x = graph.add("Add", graph.busy(x, work) if work else x, shift)
    score = graph.add("ReduceMean", sure, axes=[1], keepdims=1)  # (N, 1, A)
    score = graph.add("Pow", score, np.float32(8))  # a part of a person is no person
    low, high = (
        [graph.add(op, value, axes=[1], keepdims=1) for value in (x, y)]
        for op in ("ReduceMin", "ReduceMax")
    )
    corners = [*low, *high]
    axis = np.array([3])
    points = graph.add("Concat", *(graph.add("Unsqueeze", v, axis) for v in (x, y, sure)), axis=3)
    points = graph.add("Transpose", points, perm=[0, 2, 1, 3])  # (N, A, K, 3)
    none = graph.add("Mul", score, 0.0)
    if layout in ("rtmo", "rtmdet", "yolox"):
        dets = graph.add("Transpose", graph.add("Concat", *corners, score, axis=1), perm=[0, 2, 1])
        graph.output(dets, "dets", ["N", STRIPS, 5])
        if layout == "rtmo":
            graph.output(points, "keypoints", ["N", STRIPS, joints, 3])
        else:
            labels = graph.add("Cast", graph.add("Squeeze", none, np.array([1])), to=INT64)
            graph.output(labels, "labels", ["N", STRIPS], INT64)
        return graph.save(path)
    flat = graph.add("Reshape", points, np.array([1, STRIPS, 3 * joints]))
    flat = graph.add("Transpose", flat, perm=[0, 2, 1])  # (N, 3K, A)
    parts = [flat] if "pose" in layout else []
    if layout.endswith("nms"):
        rows = graph.add("Concat", *corners, score, none, *parts, axis=1)
        value = graph.add("Transpose", rows, perm=[0, 2, 1])
    else:
        middle = [
            graph.add("Mul", graph.add("Add", *pair), 0.5) for pair in zip(low, high, strict=True)
        ]
        extent = [graph.add("Sub", *pair) for pair in zip(high, low, strict=True)]
        value = graph.add(
            "Concat", *middle, *extent, score, *[none] * (classes - 1), *parts, axis=1
        )
        value = graph.add("Concat", *[value] * repeat, axis=2)
    graph.output(value, "output0", ["N", "rows", "columns"])
    return graph.save(path)


def rtmo(folder: Path, size: tuple[int, int]) -> Path:
    """The YAML, in a folder, of a one-stage detector that finds painted people in images of a
    size (width, height)."""
    one_stage(folder / "rtmo.onnx", "rtmo", size)
    path = folder / "detector.yaml"
    path.write_text(yaml.safe_dump({"model": "rtmo.onnx", "layout": "rtmo", "skeleton": "coco17"}))
    return path
