"""How often which of the 13 keypoints are visible together, counted in pictures of real life.

The structured dropout of training hides points in these patterns. A pattern is a number from
0 to 8191: bit j is set where keypoint j of body13 is visible.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vipe_core.errors import VipeError
from vipe_core.files import read_npz, write_npz
from vipe_core.skeletons import BODY13
from vipe_training.datasets.keypoints import load_keypoints
from vipe_training.datasets.readers.coco import Coco

PATTERNS = 1 << len(BODY13)
_BLOCK = 1 << 16


def pattern(visible: np.ndarray) -> np.ndarray:
    """(...) int64 pattern numbers of visible (..., 13) bool."""
    return visible.astype(np.int64) @ (1 << np.arange(len(BODY13)))


def points_of(patterns: np.ndarray) -> np.ndarray:
    """(..., 13) bool of pattern numbers (...): the reverse of :func:`pattern`."""
    return (np.asarray(patterns)[..., None] >> np.arange(len(BODY13)) & 1).astype(bool)


def count(source: Path) -> np.ndarray:
    """(8192,) int64: how many people show each pattern.

    Args:
        source: a ``person_keypoints_*.json`` of COCO, or a prepared cache of 2D keypoints.

    Raises:
        VipeError: missing, damaged or without people.
    """
    counts = np.zeros(PATTERNS, np.int64)
    for visibility in _blocks(source):
        counts += np.bincount(pattern(visibility > 0.5), minlength=PATTERNS)
    if not counts.sum():
        raise VipeError(f"{source}: nobody in it")
    return counts


def write_table(path: Path, counts: np.ndarray, source: str) -> None:
    """Counts (8192,) to an ``.npz``; raises VipeError when it cannot be written."""
    write_npz(path, counts=counts, joints=np.array(BODY13.joints), source=source)


def read_table(path: Path) -> np.ndarray:
    """(8192,) int64 counts, as :func:`write_table` wrote them.

    Raises:
        VipeError: missing, damaged, or no such table.
    """
    data = read_npz(path, "visibility table")
    counts, joints = data.get("counts"), data.get("joints")
    if counts is None or counts.shape != (PATTERNS,) or counts.dtype.kind not in "iu":
        raise VipeError(f"visibility table {path}: no counts of {PATTERNS} patterns")
    if joints is None or tuple(joints.tolist()) != BODY13.joints:
        raise VipeError(f"visibility table {path}: its joints are not those of body13")
    if counts.min() < 0 or not counts.sum():
        raise VipeError(f"visibility table {path}: counts nobody")
    return counts.astype(np.int64)


def _blocks(source: Path) -> Iterator[np.ndarray]:
    """(n, 13) visibility, block by block."""
    if source.is_dir():
        visibility = load_keypoints(source).visibility
        for start in range(0, len(visibility), _BLOCK):
            yield np.asarray(visibility[start : start + _BLOCK])
        return
    for sequence in Coco(source).sequences():
        for recording in sequence.read():
            if recording.visibility is not None:
                yield recording.visibility[:, 0]
