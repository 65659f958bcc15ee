"""Occlusion as it happens together: visibility sampled clique by clique from a table.

Source: Pr-VIPE (IJCV), structured keypoint dropout. The six cliques and their order are the
paper's; its table, counted in 300 million detections, was never published.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vipe_core.skeletons import BODY13
from vipe_training.datasets.visibility import points_of, read_table

# Counted by `vipe data visibility`; docs/training.md says in what.
SHIPPED = Path(__file__).with_name("visibility.npz")
_TORSO = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")
_CLIQUES = (
    ("nose",),
    _TORSO,
    ("left_wrist", "left_elbow", "left_shoulder", "left_hip"),
    ("right_wrist", "right_elbow", "right_shoulder", "right_hip"),
    ("left_hip", "right_hip", "left_knee", "right_knee"),
    ("left_knee", "right_knee", "left_ankle", "right_ankle"),
)
_SMOOTHING = 0.5  # counts added to each pattern of a clique: none is impossible


def draw_structured(size: int, table: str, generator: torch.Generator) -> Tensor:
    """(size, 13) bool, True where visible, on the generator's device.

    The torso is always visible; every other point is drawn given those of its clique that
    are settled already.

    Args:
        size: how many people.
        table: file of ``vipe data visibility``; "" for the shipped one.

    Raises:
        VipeError: an unreadable table.
    """
    device = generator.device
    visible = torch.zeros(size, len(BODY13), dtype=torch.bool, device=device)
    visible[:, BODY13.indices(*_TORSO)] = True
    for known, new, cumulative in _conditionals(Path(table) if table else SHIPPED):
        row = _number(visible[:, known])
        u = torch.rand(size, 1, generator=generator, device=device)
        chosen = (u > cumulative.to(device)[row]).sum(1)
        for bit, point in enumerate(new):
            visible[:, point] = (chosen >> bit & 1).bool()
    return visible


@cache
def _conditionals(table: Path) -> tuple[tuple[list[int], list[int], Tensor], ...]:
    """Per clique: settled points, new points, and cumulative probabilities (patterns of the
    settled, patterns of the new - 1) of the new given the settled."""
    counts = read_table(table)
    patterns = points_of(np.arange(len(counts)))  # (8192, 13)
    settled = set(BODY13.indices(*_TORSO))
    parts = []
    for names in _CLIQUES:
        points = BODY13.indices(*names)
        known = [p for p in points if p in settled]
        new = [p for p in points if p not in settled]
        settled.update(new)
        if not new:
            continue
        joint = np.full((1 << len(known), 1 << len(new)), _SMOOTHING)
        np.add.at(joint, (_numbers(patterns[:, known]), _numbers(patterns[:, new])), counts)
        share = joint / joint.sum(axis=1, keepdims=True)
        cumulative = torch.from_numpy(share.cumsum(axis=1)[:, :-1]).float()
        parts.append((known, new, cumulative))
    return tuple(parts)


def _number(bits: Tensor) -> Tensor:
    """(N,) int64 of bits (N, K), the first one lowest."""
    return (bits.long() << torch.arange(bits.shape[1], device=bits.device)).sum(1)


def _numbers(bits: np.ndarray) -> np.ndarray:
    return bits.astype(np.int64) @ (1 << np.arange(bits.shape[1]))
