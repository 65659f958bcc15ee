"""Human3.6M as its owners give it out (``.cdf``), and the ``.h5`` of 3d-pose-baseline.

``S1/MyPoseFeatures/D3_Positions/Directions 1.cdf``: variable Pose, (1, T, 96) millimetres, z up.
``S1/MyPoseFeatures/D2_Positions/Directions 1.54138969.cdf``: Pose, (1, T, 64) pixels.
``S1/MyPoses/3D_positions/Directions_1.h5``: 3D_positions, (96, T) millimetres.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import ClassVar

import numpy as np

from vipe_core.errors import VipeError
from vipe_training.datasets import skeleton_maps as maps
from vipe_training.datasets.readers.common import find, seen
from vipe_training.datasets.recording import Kind, Recording, Sequence

WHAT, GET = "Human3.6M", "http://vision.imar.ro/human3.6m (registration)"
FPS = 50.0
CAMERAS = ("54138969", "55011271", "58860488", "60457274")
SUBJECTS = ("S1", "S5", "S6", "S7", "S8", "S9", "S11")
# Its motion is damaged in the owners' files; every published result leaves it out.
_DAMAGED = ("S11", "Directions")
_MM = 1e-3


@dataclass(frozen=True)
class RawH36m:
    """The unpacked archives ``Poses_D3_Positions_S*.tgz`` (and ``D2``)."""

    folder: Path
    detections: str | None = None
    kind: ClassVar[Kind] = "motion"
    PATTERNS: ClassVar[tuple[str, ...]] = (
        "S*/MyPoseFeatures/D3_Positions/*.cdf",
        "S*/MyPoses/3D_positions/*.h5",
    )

    @property
    def cameras(self) -> tuple[str, ...]:
        if self.detections not in (None, "gt", "none"):
            raise VipeError(f"--detections {self.detections}: these files have gt or none")
        return CAMERAS if self.detections != "none" and self._pixels else ()

    def files(self) -> list[Path]:
        return [*self._motion, *(self._pixels if self.cameras else [])]

    def sequences(self) -> Iterator[Sequence]:
        for path in self._motion:
            subject = path.parts[-4]
            yield Sequence(f"{subject}/{path.stem}", partial(self._read, subject, path))

    @cached_property
    def _motion(self) -> list[Path]:
        paths = []
        for pattern in self.PATTERNS:
            paths = paths or find(self.folder, pattern, WHAT, GET, needed=False)
        usable = [p for p in paths if p.parts[-4] in SUBJECTS]
        usable = [p for p in usable if (p.parts[-4], p.stem) != _DAMAGED]
        return sorted(usable, key=lambda path: (SUBJECTS.index(path.parts[-4]), path.name))

    @cached_property
    def _pixels(self) -> list[Path]:
        pattern = "S*/MyPoseFeatures/D2_Positions/*.cdf"
        return find(self.folder, pattern, WHAT, GET, needed=False)

    def _read(self, subject: str, path: Path) -> Iterator[Recording]:
        load = _load_cdf if path.suffix == ".cdf" else _load_h5
        world = load(path, 3) * _MM
        joints = maps.about_pelvis(maps.z_up_to_y_up(maps.take(world, maps.H36M32)))
        label = path.stem.replace("_", " ").split(" ")[0]
        if not self.cameras:
            yield Recording(subject, FPS, joints, label=label)
            return
        points = np.full((len(joints), len(CAMERAS), 13, 2), np.nan, np.float32)
        for index, camera in enumerate(CAMERAS):
            file = path.parents[1] / "D2_Positions" / f"{path.stem}.{camera}.cdf"
            if file.is_file():
                pixels = maps.take(_load_cdf(file, 2)[: len(joints)], maps.H36M32)
                points[: len(pixels), index] = maps.body13_of(pixels)
        yield Recording(subject, FPS, joints, points, seen(points), label)


def _load_cdf(path: Path, axes: int) -> np.ndarray:
    """(T, 32, axes), unit of the file."""
    try:
        import cdflib
    except ImportError:
        raise VipeError(f"{path}: reading .cdf needs cdflib: pip install vipe[data]") from None
    try:
        pose = np.asarray(cdflib.CDF(path).varget("Pose"), np.float64)
        return pose.reshape(-1, 32, axes)
    except Exception as error:  # cdflib raises many kinds for a damaged file
        raise VipeError(f"{path}: no readable Pose of 32 joints ({_line(error)})") from None


def _load_h5(path: Path, axes: int) -> np.ndarray:
    """(T, 32, axes), unit of the file; MATLAB stored it with the frames last."""
    try:
        import h5py
    except ImportError:
        raise VipeError(f"{path}: reading .h5 needs h5py: pip install vipe[data]") from None
    try:
        with h5py.File(path) as file:
            pose = np.asarray(file["3D_positions"], np.float64)
        return pose.reshape(32, axes, -1).transpose(2, 0, 1)
    except Exception as error:  # h5py raises many kinds for a damaged file
        raise VipeError(f"{path}: no readable 3D_positions ({_line(error)})") from None


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
