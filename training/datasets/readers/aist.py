"""AIST++: ``keypoints3d/*.pkl`` and ``keypoints2d/*.pkl``, 60 frames per second.

keypoints3d, keypoints3d_optim: (T, 17, 3) centimetres, COCO's 17 points, y up.
keypoints2d: (9, T, 17, 3) x, y, score in pixels of the cameras c01 to c09.
``cameras/mapping.txt`` names the camera setting of each sequence, ``ignore_list.txt`` the bad ones.
Source: https://google.github.io/aistplusplus_dataset and its API.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import ClassVar

import numpy as np

from vipe_core import skeletons
from vipe_core.errors import VipeError
from vipe_training.datasets import skeleton_maps as maps
from vipe_training.datasets import unpickle
from vipe_training.datasets.readers.aist_cameras import NAMES, cameras_of
from vipe_training.datasets.readers.common import field, find, shaped
from vipe_training.datasets.recording import Kind, Recording, Sequence

WHAT, GET = "AIST++", "https://google.github.io/aistplusplus_dataset"
FPS = 60.0
_CM = 1e-2


@dataclass(frozen=True)
class Aist:
    """The unpacked annotations: the folder that holds ``keypoints3d``."""

    folder: Path
    kind: ClassVar[Kind] = "motion"

    @property
    def cameras(self) -> tuple[str, ...]:
        return NAMES if (self.folder / "keypoints2d").is_dir() else ()

    def files(self) -> list[Path]:
        extra = ("keypoints2d/*.pkl", "cameras/*.json", "cameras/mapping.txt")
        return [*self._motion, *find(self.folder, extra, WHAT, GET, needed=False)]

    def sequences(self) -> Iterator[Sequence]:
        for path in self._motion:
            yield Sequence(path.stem, partial(self._read, path))

    @cached_property
    def _motion(self) -> list[Path]:
        ignored = self.folder / "ignore_list.txt"
        bad = set(ignored.read_text().split()) if ignored.is_file() else set()
        found = find(self.folder, "keypoints3d/*.pkl", WHAT, GET)
        return [path for path in found if path.stem not in bad]

    def _read(self, path: Path) -> Iterator[Recording]:
        # gBR_sBM_cAll_d04_mBR0_ch01: genre, situation, camera, dancer, music, choreography.
        genre, *_, dancer = path.stem.split("_")[:4]
        if not dancer.startswith("d"):
            raise VipeError(f"{path}: its name does not say the dancer (gBR_sBM_cAll_d04_...)")
        data = unpickle.load(path, WHAT)
        key = "keypoints3d_optim" if "keypoints3d_optim" in data else "keypoints3d"
        world = shaped(field(data, key, path), (None, 17, 3), key, path) * _CM
        joints = maps.from_coco(world)
        points, visibility = self._detections(path, len(joints))
        yield Recording(dancer, FPS, joints, points, visibility, label=genre)

    def _detections(self, path: Path, frames: int) -> tuple[np.ndarray | None, np.ndarray | None]:
        if not self.cameras:
            return None, None
        file = self.folder / "keypoints2d" / path.name
        if not file.is_file():
            none = np.full((frames, len(self.cameras), 13, 2), np.nan, np.float32)
            return none, np.zeros(none.shape[:-1], np.float32)
        found = field(unpickle.load(file, WHAT), "keypoints2d", file)
        found = shaped(found, (len(self.cameras), frames, 17, 3), "keypoints2d", file)
        found = np.moveaxis(found, 0, 1).astype(np.float32)
        present = np.isfinite(found).all(axis=-1) & (found[..., 2] > 0)
        score = np.where(present, np.clip(found[..., 2], 0, 1), 0)
        points = np.where(present[..., None], found[..., :2], np.nan)
        # The views lie in the order of the sequence's own setting.
        own = [camera.name for camera in cameras_of(self.folder, path.stem)]
        order = [own.index(name) for name in self.cameras]
        return (
            skeletons.convert(points, "coco17", "body13")[:, order],
            skeletons.convert_visibility(score, "coco17", "body13")[:, order],
        )
