"""Biovision hierarchy (``.bvh``): a skeleton of offsets and channels, then numbers per frame.

Y up, degrees, any unit of length. Known are the names of CMU's conversions, Mixamo and others;
the nose is made, and the head's end site is its top. The common conversion of CMU's motions has
faults that are put right here. Source: the format's description by the University of Wisconsin.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np

from vipe_core.errors import VipeError
from vipe_core.skeletons import JOINTS17
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
        converted = _restore_thorax(motion)
        unit = CMU_UNIT if self.scale is None else self.scale
        rotations, offsets = motion.pose()
        positions, world = kinematics.forward(motion.parents, offsets, rotations)
        index = bone_names.find(motion.names, path)
        joints = maps.take(positions * unit, index)
        if "head" not in index:
            raise VipeError(f"{path}: the head has no end site")
        head = motion.names.index(motion.head)
        if converted:  # CMU's resting skeleton faces +z
            end = joints[:, JOINTS17.index("head")].copy()
            maps.add_cmu_head(joints, positions[:, head] * unit, end, world[:, head, :, 2])
        else:
            maps.add_nose(joints, world[:, head] @ _resting_faces(motion, index))
        if converted and _is_whole(motion.values[0, 3:]):
            joints[0] = np.nan  # a T-pose that nobody took
        subject = path.parent.relative_to(self.folder).as_posix()
        subject = self.folder.name if subject == "." else subject
        yield Recording(subject, motion.fps, maps.about_pelvis(joints))


def _resting_faces(motion: bvh_file.BvhMotion, index: dict[str, int]) -> np.ndarray:
    """(3,) out of the chest when every angle is zero."""
    straight = np.broadcast_to(np.eye(3), (1, len(motion.parents), 3, 3))
    places, _ = kinematics.forward(motion.parents, motion.offsets, straight)
    return bone_names.facing(maps.take(places, index))[0]


def _restore_thorax(motion: bvh_file.BvhMotion) -> bool:
    """Put back the bone that the common conversion of CMU's motions lost.

    It makes neck and shoulders begin where the upper back ends, without the thorax between
    them. The thorax is as long as the upper back and goes on in its direction (checked
    against CMU's own skeleton: 1.5 mm). Returns whether this is such a conversion.
    """
    upper = motion.names.index("Spine1") if "Spine1" in motion.names else -1
    onward = [
        j
        for j, parent in enumerate(motion.parents)
        if parent == upper >= 0 and not motion.offsets[j].any()
    ]
    lost = {motion.names[j] for j in onward} == {"Neck", "LeftShoulder", "RightShoulder"}
    if lost:
        motion.offsets[onward] = motion.offsets[upper]
    return lost


def _is_whole(values: np.ndarray) -> bool:
    return bool((values == np.round(values)).all())
