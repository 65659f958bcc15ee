"""3DPW: ``sequenceFiles/{train,validation,test}/*.pkl``, pickled by Python 2.

Per actor: jointPositions (T, 72) metres, the 24 joints of SMPL in a y-up world; poses (T, 72)
rotation vectors; poses2d (T, 3, 18) x, y, confidence in OpenPose's 18 points;
campose_valid (T,). 30 frames per second. Source: the set's readme and
https://virtualhumans.mpi-inf.mpg.de/3DPW.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from dataclasses import field as member
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from vipe_core import skeletons
from vipe_core.errors import VipeError
from vipe_training.datasets import skeleton_maps as maps
from vipe_training.datasets import unpickle
from vipe_training.datasets.kinematics import rotation_vectors
from vipe_training.datasets.readers.common import field, find, shaped
from vipe_training.datasets.recording import Kind, Recording, Sequence

WHAT, GET = "3DPW", "https://virtualhumans.mpi-inf.mpg.de/3DPW"
FPS = 30.0
# From the root of SMPL's tree to its joint "head".
_TO_HEAD = (0, 3, 6, 9, 12, 15)


@dataclass(frozen=True)
class ThreeDpw:
    """The folder ``sequenceFiles``, the one above it, or one of its splits."""

    folder: Path
    kind: ClassVar[Kind] = "motion"
    cameras: tuple[str, ...] = member(default=("phone",), init=False)

    def files(self) -> list[Path]:
        return find(self.folder, ("*.pkl", "*/*.pkl", "sequenceFiles/*/*.pkl"), WHAT, GET)

    def sequences(self) -> Iterator[Sequence]:
        for path in self.files():
            yield Sequence(f"{path.parent.name}/{path.stem}", partial(self._read, path))

    def _read(self, path: Path) -> Iterator[Recording]:
        data = unpickle.load(path, WHAT)
        for actor in range(len(_actors(data, "jointPositions", path))):
            yield _recording(data, actor, path)


def _recording(data: Any, actor: int, path: Path) -> Recording:
    def of_actor(name: str, shape: tuple[int | None, ...]) -> np.ndarray:
        values = _actors(data, name, path)
        if actor >= len(values):
            raise VipeError(f"{path}: {name} has no actor {actor}")
        return shaped(values[actor], shape, name, path)

    positions = of_actor("jointPositions", (None, 72)).reshape(-1, 24, 3)
    frames = len(positions)
    poses = of_actor("poses", (frames, 72)).reshape(-1, 24, 3)
    keypoints = of_actor("poses2d", (frames, 3, 18)).transpose(0, 2, 1)
    head = np.eye(3)
    for joint in _TO_HEAD:
        head = head @ rotation_vectors(poses[:, joint])
    joints = maps.from_smpl(positions, head)
    # An undetected point is stored as (0, 0, 0).
    confidence = np.clip(keypoints[..., 2], 0, 1).astype(np.float32)
    points = np.where(confidence[..., None] > 0, keypoints[..., :2], np.nan).astype(np.float32)
    # Where the camera's place is not known well, motion and picture do not fit each other.
    valid = of_actor("campose_valid", (frames,)).astype(bool)
    # Nobody says which actors of two sequences are the same person.
    return Recording(
        subject=f"{path.stem}/{actor}",
        fps=FPS,
        joints=joints,
        points=skeletons.convert(points, "openpose18", "body13")[:, None],
        visibility=skeletons.convert_visibility(confidence, "openpose18", "body13")[:, None],
    ).select(valid)


def _actors(data: Any, name: str, path: Path) -> Any:
    values = field(data, name, path)
    if not isinstance(values, (list, tuple, np.ndarray)):
        raise VipeError(f"{path}: {name} is no list of actors")
    return values
