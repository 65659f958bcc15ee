"""Does a model file give what torch gives, also on inputs as bad as they come?"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch

from vipe_core import runtime
from vipe_core.bodies import Estimates
from vipe_core.model_file.check import LIMITS
from vipe_core.skeletons import BODY13
from vipe_training.export.graph import Graph, output_names

COUNT = 10_000  # bodies
# Largest difference allowed. What int8 makes of bodies that nobody has is anyone's guess: there
# it is Hit@1 on people that counts.
PARITY = {"fp32": 1e-4, "fp16": LIMITS["fp16"], "int8": math.inf}
# The runtime adds up in another order than torch. Where a body is degenerate its errors were
# up to ten times those of torch (one pose in 10,000 of a barely trained SemGCN).
_UNSURE = 16
_AT_ONCE = 500  # poses; larger activations leave the cache, and it takes several times longer

# What a file should give, for points and visibility: outputs by name, and how far off each
# may be in each pose because nobody knows better.
Reference = Callable[[np.ndarray, np.ndarray], tuple[Mapping[str, np.ndarray], Mapping]]


def parity(reference: Reference, path: Path, count: int = COUNT) -> float:
    """Largest difference between a model file and what it was made from, on hard inputs of
    ``count`` bodies in all; relative where a value exceeds 1.
    """
    model = runtime.load(path, backend="onnxruntime-cpu")
    frames = model.metadata.frames
    points, visibility = hard_inputs(count // frames, frames=frames)
    estimates = model(points, visibility)
    outputs, unsure = reference(points, visibility)
    worst = []
    for name, output in outputs.items():
        difference = np.abs(getattr(estimates, name) - output)
        scale = np.maximum(np.abs(output), 1)
        worst.append(((difference - unsure[name]) / scale).max())
    return float(np.max([0.0, *worst]))  # NaN if any is: Python's max would pass over it


def of_torch(graph: Graph) -> Reference:
    """What torch gives.

    Where torch itself is unsure, because a degenerate body has no good body frame, the file
    may be as unsure: 16 times the largest distance of torch's float32 from its float64 in the
    same pose is left out.
    """

    def run(points: np.ndarray, visibility: np.ndarray) -> tuple[dict, dict]:
        outputs = _run(graph, points, visibility)
        exact = _run(copy.deepcopy(graph).double(), points.astype(float), visibility.astype(float))
        unsure = {}
        for name, output in outputs.items():
            axes = tuple(range(1, output.ndim))
            rounding = np.abs(output - exact[name]).max(axis=axes, keepdims=True)
            unsure[name] = _UNSURE * rounding
        return outputs, unsure

    return run


def of_file(path: Path) -> Reference:
    """What another model file gives."""
    model = runtime.load(path, backend="onnxruntime-cpu")

    def run(points: np.ndarray, visibility: np.ndarray) -> tuple[dict, dict]:
        outputs = _heads(model(points, visibility))
        return outputs, dict.fromkeys(outputs, 0.0)

    return run


def _heads(estimates: Estimates) -> dict[str, np.ndarray]:
    return {name: value for name, value in vars(estimates).items() if value is not None}


def _run(graph: Graph, points: np.ndarray, visibility: np.ndarray) -> dict[str, np.ndarray]:
    """Every output of the graph for points (N, [T,] 13, 2)."""
    both = zip(
        torch.from_numpy(points).split(_AT_ONCE),
        torch.from_numpy(visibility).split(_AT_ONCE),
        strict=True,
    )
    with torch.no_grad():
        parts = [graph(*inputs) for inputs in both]
    values = [torch.cat(each).numpy() for each in zip(*parts, strict=True)]
    return dict(zip(output_names(graph.system), values, strict=True))


def hard_inputs(count: int, seed: int = 0, frames: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints (N, [T,] 13, 2) and visibility (N, [T,] 13), float32: usual, and as bad as
    they come; the frames of a window are bad in their own ways."""
    if frames > 1:
        points, visibility = hard_inputs(count * frames, seed)
        lead = (count, frames)
        return points.reshape(*lead, *points.shape[1:]), visibility.reshape(*lead, -1)
    rng = np.random.default_rng(seed)
    points = rng.normal(0, 60, (count, len(BODY13), 2)) + rng.uniform(0, 2000, (count, 1, 2))
    kind = rng.integers(0, 10, count)
    points[kind == 1] *= 1e-3
    points[kind == 2] *= 1e3
    points[kind == 3] += 1e5
    points[kind == 4] = points[kind == 4][:, :1]  # all points in one place
    points[(kind == 5)[:, None] & (rng.random((count, len(BODY13))) < 0.3)] = np.nan
    points[kind == 6] = np.nan
    visibility = np.where(kind[:, None] < 5, rng.random((count, len(BODY13))), 1.0)
    return points.astype(np.float32), visibility.astype(np.float32)
