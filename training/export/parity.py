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


def parity(graph: Graph, path: Path, count: int = 10_000) -> float:
    """Largest difference between the model file and torch, on hard inputs; relative where
    a value exceeds 1.

    Where torch itself is unsure, because a degenerate body has no good body frame, the file
    may be as unsure: four times the largest distance of torch's float32 from its float64
    in the same pose is left out.
    """
    points, visibility = hard_inputs(count, frames=graph.system.frames)
    estimates = runtime.load(path)(points, visibility)
    inputs = torch.from_numpy(points), torch.from_numpy(visibility)
    with torch.no_grad():
        outputs = graph(*inputs)
        exact = copy.deepcopy(graph).double()(*(value.double() for value in inputs))
    worst = []
    for name, output, truth in zip(output_names(graph.system), outputs, exact, strict=True):
        difference = np.abs(getattr(estimates, name) - output.numpy())
        rounding = (output - truth).abs().flatten(1).amax(1)
        unsure = 4 * rounding.reshape(-1, *[1] * (output.ndim - 1)).numpy()
        scale = output.abs().clamp_min(1).numpy()
        worst.append(((difference - unsure) / scale).max())
    return float(np.max([0.0, *worst]))  # NaN if any is: Python's max would pass over it


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
