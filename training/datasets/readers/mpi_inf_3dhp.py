"""MPI-INF-3DHP, training part: ``S*/Seq*/annot.mat`` and ``camera.calibration``.

annot3: per camera (T, 84) millimetres in that camera's axes (x right, y down, z forward);
annot2: per camera (T, 56) pixels. The calibration's ``extrinsic`` leads from a y-up world to
the camera. Source: the set's README and util/mpii_get_{joint_set,sequence_info}.m.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np

from vipe_core.errors import VipeError
from vipe_training.datasets import skeleton_maps as maps
from vipe_training.datasets.readers.common import find, load_mat, need, seen, shaped
from vipe_training.datasets.recording import Kind, Recording, Sequence

WHAT, GET = "MPI-INF-3DHP", "https://vcai.mpi-inf.mpg.de/3dhp-dataset"
CAMERAS = tuple(map(str, range(14)))
# (subject, sequence) recorded at 50 frames per second; the others at 25.
_FAST = {("S1", "Seq2"), ("S3", "Seq1"), ("S3", "Seq2"), ("S5", "Seq1"), ("S5", "Seq2")}
_MM = 1e-3


@dataclass(frozen=True)
class MpiInf3dhp:
    """The folder that holds ``S1`` to ``S8``."""

    folder: Path
    kind: ClassVar[Kind] = "motion"
    cameras: tuple[str, ...] = field(default=CAMERAS, init=False)

    def files(self) -> list[Path]:
        annotations = find(self.folder, "S*/Seq*/annot.mat", WHAT, GET)
        return [*annotations, *(_calibration(path) for path in annotations)]

    def sequences(self) -> Iterator[Sequence]:
        for path in find(self.folder, "S*/Seq*/annot.mat", WHAT, GET):
            subject, name = path.parts[-3:-1]
            yield Sequence(f"{subject}/{name}", partial(self._read, path, subject, name))

    def _read(self, path: Path, subject: str, name: str) -> Iterator[Recording]:
        data = load_mat(path, "annot2", "annot3", "cameras")
        numbers = [str(int(number)) for number in np.asarray(data["cameras"]).ravel()]
        annot2, annot3 = (_cells(data[key], key, path) for key in ("annot2", "annot3"))
        if not numbers or not set(numbers) <= set(CAMERAS) or len(annot2) < len(numbers):
            raise VipeError(f"{path}: cameras {numbers} do not fit {len(annot2)} annotations")
        rotation = _rotations(_calibration(path)).get(numbers[0])
        if rotation is None:
            raise VipeError(f"{_calibration(path)}: no camera {numbers[0]}")
        seen_from = shaped(annot3[0], (None, 84), "annot3", path).reshape(-1, 28, 3)
        # Rows are points: x_world @ rotation.T = x_camera.
        world = maps.take(seen_from, maps.MPI28) * _MM @ rotation
        joints = maps.about_pelvis(world)
        points = np.full((len(joints), len(CAMERAS), 13, 2), np.nan, np.float32)
        for number, found in zip(numbers, annot2, strict=False):
            pixels = shaped(found, (len(joints), 56), "annot2", path).reshape(-1, 28, 2)
            points[:, int(number)] = maps.body13_of(maps.take(pixels, maps.MPI28))
        yield Recording(subject, recorded_fps(subject, name), joints, points, seen(points))


def recorded_fps(subject: str, sequence: str) -> float:
    """Frames per second of "Seq1" or "Seq2" of a subject, as its owners give it out."""
    return 50.0 if (subject, sequence) in _FAST else 25.0


def _calibration(annotation: Path) -> Path:
    return need(annotation.with_name("camera.calibration"), WHAT, GET)


def _cells(array: np.ndarray, name: str, path: Path) -> list[np.ndarray]:
    if array.dtype != object or array.size == 0:
        raise VipeError(f"{path}: {name} is no cell array")
    return list(array.ravel())


def _rotations(path: Path) -> dict[str, np.ndarray]:
    """(3, 3) world to camera by camera name."""
    rotations = {}
    text = path.read_text(errors="replace")
    for block in re.split(r"^\s*name\s+", text, flags=re.MULTILINE)[1:]:
        name = block.split(None, 1)[0]
        found = re.search(r"^\s*extrinsic\s+(.*)$", block, re.MULTILINE)
        try:
            values = np.array(found[1].split(), float).reshape(4, 4) if found else None
        except ValueError:
            values = None
        if values is None:
            raise VipeError(f"{path}: camera {name} has no extrinsic of 16 numbers")
        rotations[name] = values[:3, :3]
    return rotations
