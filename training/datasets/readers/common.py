"""What the readers share: saying which file is missing and where the set comes from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vipe_core.errors import VipeError


def find(
    folder: Path, patterns: str | Iterable[str], what: str, get: str, needed: bool = True
) -> list[Path]:
    """Files below ``folder`` that match one of the patterns, sorted.

    Raises:
        VipeError: there is no such folder, or no such file; the line says how to get the set.
    """
    patterns = [patterns] if isinstance(patterns, str) else list(patterns)
    if not folder.is_dir():
        raise VipeError(f"{what}: no folder {folder}; get the set from {get} (docs/data.md)")
    found = sorted({path for pattern in patterns for path in folder.glob(pattern)})
    if needed and not found:
        names = " or ".join(patterns)
        raise VipeError(f"{what}: no {names} in {folder}; get the set from {get} (docs/data.md)")
    return [path for path in found if path.is_file()]


def need(path: Path, what: str, get: str) -> Path:
    """``path`` if it is a file; raises VipeError saying how to get the set if not."""
    if not path.is_file():
        raise VipeError(f"{what}: no {path}; get the set from {get} (docs/data.md)")
    return path


def field(data: Any, name: str, path: Path) -> Any:
    """``data[name]``; raises VipeError naming file and field."""
    if not isinstance(data, Mapping) or name not in data:
        raise VipeError(f"{path}: no field {name}")
    return data[name]


def shaped(array: Any, shape: tuple[int | None, ...], name: str, path: Path) -> np.ndarray:
    """``array`` as numbers of that shape (None for any length).

    Raises:
        VipeError: not numbers or another shape; the line names file and field.
    """
    array = np.asarray(array)
    fits = len(array.shape) == len(shape) and all(
        want in (None, have) for want, have in zip(shape, array.shape, strict=True)
    )
    if not fits or array.dtype.kind not in "fiub":
        wanted = ", ".join("N" if n is None else str(n) for n in shape)
        raise VipeError(
            f"{path}: {name} has shape {array.shape} of {array.dtype}, expected ({wanted}) numbers"
        )
    return array


def load_mat(path: Path, *names: str) -> dict[str, np.ndarray]:
    """Those variables of a MATLAB file (version 5 to 7.2).

    Raises:
        VipeError: missing, damaged, or without one of them.
    """
    from scipy.io import loadmat

    try:
        data = loadmat(path, variable_names=names)
    except Exception as error:  # scipy raises many kinds for a damaged file
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise VipeError(f"{path}: no readable MATLAB file ({reason})") from None
    return {name: field(data, name, path) for name in names}


def seen(points: np.ndarray) -> np.ndarray:
    """Visibility (...) float32 of points (..., 2): one where both numbers are there."""
    return np.asarray(np.isfinite(points).all(axis=-1), np.float32)
