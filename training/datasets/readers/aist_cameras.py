"""The nine cameras of AIST++: ``cameras/setting*.json`` and ``cameras/mapping.txt``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from vipe_core.errors import VipeError

NAMES = tuple(f"c{number:02d}" for number in range(1, 10))


@dataclass(frozen=True)
class Camera:
    """A pinhole camera.

    Attributes:
        name: c01 to c09.
        size: (width, height) pixels.
        matrix: (3, 3) pixels.
        rotation, translation: (3, 3) and (3,) centimetres, world to camera.
    """

    name: str
    size: tuple[int, int]
    matrix: np.ndarray
    rotation: np.ndarray
    translation: np.ndarray


def cameras_of(folder: Path, sequence: str) -> tuple[Camera, ...]:
    """The cameras of a sequence, in the order of its views.

    Args:
        folder: holds ``cameras/``.
        sequence: such as gBR_sBM_cAll_d04_mBR0_ch01.

    Raises:
        VipeError: a file is missing or malformed, or does not know the sequence.
    """
    mapping = folder / "cameras" / "mapping.txt"
    setting = _settings(mapping).get(sequence)
    if setting is None:
        raise VipeError(f"{mapping}: no setting for {sequence}")
    found = _setting(mapping.with_name(f"{setting}.json"))
    if {camera.name for camera in found} != set(NAMES):
        raise VipeError(f"{mapping.with_name(f'{setting}.json')}: not the cameras c01 to c09")
    return found


@cache
def _settings(mapping: Path) -> dict[str, str]:
    try:
        lines = [line.split() for line in mapping.read_text().splitlines() if line.strip()]
    except OSError as error:
        raise VipeError(f"AIST++: {mapping}: {error.strerror or error}") from None
    if any(len(line) != 2 for line in lines):
        raise VipeError(f"{mapping}: each line needs a sequence and a setting")
    return dict(lines)


@cache
def _setting(path: Path) -> tuple[Camera, ...]:
    try:
        return tuple(_camera(entry) for entry in json.loads(path.read_text()))
    except OSError as error:
        raise VipeError(f"AIST++: {path}: {error.strerror or error}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise VipeError(f"{path}: no camera setting ({error})") from None


def _camera(entry: dict[str, Any]) -> Camera:
    width, height = entry["size"]
    return Camera(
        entry["name"],
        (int(width), int(height)),
        np.array(entry["matrix"], float).reshape(3, 3),
        Rotation.from_rotvec(np.array(entry["rotation"], float)).as_matrix(),
        np.array(entry["translation"], float).reshape(3),
    )
