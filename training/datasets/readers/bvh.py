"""Biovision hierarchy (``.bvh``): a skeleton of offsets and channels, then numbers per frame.

Y up, degrees, any unit of length. Known are the names of CMU's conversions, Mixamo and others;
nose and, where there is no end site, head top are made. Source: the format's description by
the University of Wisconsin.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np

from vipe_core.errors import VipeError
from vipe_training.datasets import bone_names, bvh_file, kinematics
from vipe_training.datasets import skeleton_maps as maps
from vipe_training.datasets.readers.common import find
from vipe_training.datasets.recording import Kind, Recording, Sequence

# One unit of CMU's files is 1 / 0.45 inch.
CMU_UNIT = 0.0254 / 0.45


@dataclass(frozen=True)
class Bvh:
    """A folder of ``.bvh`` at any depth; the folder of a file names its subject.

    Attributes:
        folder: such as ``cmu-mocap``.
        scale: metres per unit; the default is that of CMU's motions.
    """

    folder: Path
    scale: float | None = None
    kind: ClassVar[Kind] = "motion"
    cameras: tuple[str, ...] = field(default=(), init=False)

    def files(self) -> list[Path]:
        return find(self.folder, "**/*.bvh", "BVH", "http://mocap.cs.cmu.edu, or your own")

    def sequences(self) -> Iterator[Sequence]:
        for path in self.files():
            name = path.relative_to(self.folder).with_suffix("").as_posix()
            yield Sequence(name, partial(self._read, path))

    def _read(self, path: Path) -> Iterator[Recording]:
        motion = bvh_file.read(path)
        unit = CMU_UNIT if self.scale is None else self.scale
        rest = np.broadcast_to(np.eye(3), (1, len(motion.parents), 3, 3))
        standing, _ = kinematics.forward(motion.parents, motion.offsets, rest)
        rotations, offsets = motion.pose()
        positions, world = kinematics.forward(motion.parents, offsets, rotations)
        index = bone_names.find(motion.names, path)
        joints = maps.take(positions * unit, index)
        if "head" not in index:
            raise VipeError(f"{path}: the head has no end site")
        ahead = bone_names.facing(maps.take(standing, index))[0]
        maps.add_nose(joints, world[:, motion.names.index(motion.head)] @ ahead)
        subject = path.parent.relative_to(self.folder).as_posix()
        subject = self.folder.name if subject == "." else subject
        yield Recording(subject, motion.fps, maps.about_pelvis(joints))
