"""Does a model file give what torch gives, also on inputs as bad as they come?"""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import torch

from vipe_core import runtime
from vipe_core.skeletons import BODY13
from vipe_training.export.graph import Graph, output_names

PARITY = 1e-4
# The runtime adds up in another order than torch. Where a body is degenerate its errors were
# up to ten times those of torch (one pose in 10,000 of a barely trained SemGCN).
_UNSURE = 16
_AT_ONCE = 500  # poses; larger activations leave the cache, and it takes several times longer


def parity(graph: Graph, path: Path, count: int = 10_000) -> float:
    """Largest difference between the model file and torch, on hard inputs of ``count`` bodies
    in all; relative where a value exceeds 1.

    Where torch itself is unsure, because a degenerate body has no good body frame, the file
    may be as unsure: 16 times the largest distance of torch's float32 from its float64 in the
    same pose is left out.
    """
    frames = graph.system.frames
    points, visibility = hard_inputs(count // frames, frames=frames)
    estimates = runtime.load(path)(points, visibility)
    outputs = _run(graph, points, visibility)
    exact = _run(copy.deepcopy(graph).double(), points.astype(float), visibility.astype(float))
    worst = []
    for name, output, truth in zip(output_names(graph.system), outputs, exact, strict=True):
        difference = np.abs(getattr(estimates, name) - output)
        rounding = np.abs(output - truth).max(axis=tuple(range(1, output.ndim)), keepdims=True)
        scale = np.maximum(np.abs(output), 1)
        worst.append(((difference - _UNSURE * rounding) / scale).max())
    return float(np.max([0.0, *worst]))  # NaN if any is: Python's max would pass over it


def _run(graph: Graph, points: np.ndarray, visibility: np.ndarray) -> list[np.ndarray]:
    """Every output of the graph for points (N, [T,] 13, 2)."""
    both = zip(
        torch.from_numpy(points).split(_AT_ONCE),
        torch.from_numpy(visibility).split(_AT_ONCE),
        strict=True,
    )
    with torch.no_grad():
        parts = [graph(*inputs) for inputs in both]
    return [torch.cat(each).numpy() for each in zip(*parts, strict=True)]


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
