"""Sets of 2D keypoints: what people look like to cameras, without 3D."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vipe_core.errors import VipeError
from vipe_training.datasets.cache import open_cache


@dataclass(frozen=True)
class KeypointSet:
    """Keypoints of a prepared set; arrays are memory maps.

    Attributes:
        points: (N, 13, 2) float32 pixels, body13, x right, y down; NaN where missing.
        visibility: (N, 13) float32 in 0..1; 0 for a hidden or missing point.
        subject: (N,) strings.
        clip: (N,) int; a still picture is a clip of its own.
        fps: (N,) float32; NaN where nobody knows.
        frame: (N,) int number of the frame within its clip.
        label: (N,) strings, "" where unknown.
    """

    points: np.ndarray
    visibility: np.ndarray
    subject: np.ndarray
    clip: np.ndarray
    fps: np.ndarray
    frame: np.ndarray
    label: np.ndarray

    def __len__(self) -> int:
        return len(self.points)


def load_keypoints(path: Path) -> KeypointSet:
    """Read the cache of a set that has keypoints only.

    Raises:
        VipeError: no cache, a damaged one, or one of motion.
    """
    cache = open_cache(path)
    if cache.index["kind"] != "keypoints":
        raise VipeError(f"cache {path}: holds motion, a set of 2D keypoints is needed")
    arrays = cache.arrays
    return KeypointSet(
        points=arrays["points"][:, 0],
        visibility=arrays["visibility"][:, 0],
        subject=cache.texts("subject"),
        clip=arrays["clip"],
        fps=arrays["fps"],
        frame=arrays["frame"],
        label=cache.texts("label"),
    )
