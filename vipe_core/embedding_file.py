"""The embedding file: what ``vipe embed`` writes and ``vipe search`` reads, one ``.npz``.

Fields:
    mean, variance  (T, D), or (T, P, D) for P people a frame; float32; a row of NaN where
                    there was no person
    skeleton        of the keypoints that were embedded
    model           name and version of the model
    fingerprint     of the model's file: embeddings compare only within one model
    sigmoid_a, sigmoid_b  slope and offset of the match probability
    fps, stamp, label     as in the keypoint file, optional
"""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from vipe_core import files
from vipe_core.errors import VipeError

_OPTIONAL = ("fps", "stamp", "label")
_TEXTS = ("skeleton", "model", "fingerprint", "label")
_NUMBERS = ("sigmoid_a", "sigmoid_b", "fps")


@dataclass(frozen=True)
class EmbeddingFile:
    """The content of an embedding file, checked.

    Raises:
        VipeError: on construction, when the arrays do not fit each other.
    """

    mean: np.ndarray
    variance: np.ndarray
    skeleton: str
    model: str
    fingerprint: str
    sigmoid_a: float
    sigmoid_b: float
    fps: float | None = None
    stamp: np.ndarray | None = None
    label: str | None = None

    def __post_init__(self) -> None:
        mean, variance = np.asarray(self.mean), np.asarray(self.variance)
        if mean.ndim not in (2, 3) or mean.shape[-1] == 0:
            raise VipeError(f"mean: shape {mean.shape}, (T, D) or (T, P, D) needed")
        if variance.shape != mean.shape:
            raise VipeError(f"variance: shape {variance.shape}, mean has {mean.shape}")
        if (variance < 0).any():
            raise VipeError("variance: negative")
        if not (np.isfinite([self.sigmoid_a, self.sigmoid_b]).all() and self.sigmoid_a > 0):
            raise VipeError("sigmoid_a, sigmoid_b: finite numbers needed, the first over 0")

    def rows(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance (N, D) with people flattened: row ``t * P + p``."""
        size = self.mean.shape[-1]
        return self.mean.reshape(-1, size), self.variance.reshape(-1, size)


def read(path: str | os.PathLike[str]) -> EmbeddingFile:
    """Read and check an embedding file.

    Raises:
        VipeError: missing, unreadable or malformed; the line names file and field.
    """
    arrays = files.read_npz(path, "embedding file")
    try:
        return _from_arrays(arrays)
    except VipeError as error:
        raise VipeError(f"embedding file {path}: {error}") from None


def write(path: str | os.PathLike[str], content: EmbeddingFile) -> Path:
    """Write an embedding file, whole or not at all; fields that are None are left out."""
    return files.write_npz(path, **vars(content))


def _from_arrays(arrays: dict[str, np.ndarray]) -> EmbeddingFile:
    names = [field.name for field in fields(EmbeddingFile)]
    if lacking := [name for name in names if name not in arrays and name not in _OPTIONAL]:
        hint = "; make it with `vipe embed`" if "points" in arrays else ""
        raise VipeError(f"{', '.join(lacking)}: missing{hint}")
    return EmbeddingFile(**{name: _value(name, arrays[name]) for name in names if name in arrays})


def _value(name: str, array: np.ndarray) -> Any:
    if name in _TEXTS:
        if array.dtype.kind != "U" or array.size != 1:
            raise VipeError(f"{name}: type {array.dtype} of shape {array.shape}, a string needed")
        return str(array.reshape(-1)[0])
    if array.dtype.kind not in "fiu":
        raise VipeError(f"{name}: type {array.dtype}, numbers needed")
    if name in _NUMBERS:
        if array.size != 1:
            raise VipeError(f"{name}: shape {array.shape}, one number needed")
        return float(array.reshape(-1)[0])
    return array
