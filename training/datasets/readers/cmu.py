"""CMU motion capture as its owners give it out: ``subjects/05/05.asf`` and ``05_01.amc``.

Y up, degrees, 1 / 0.45 inch. The wrist is the end of the radius bone, which makes the forearm
short; the head bone ends inside the head and is lengthened. Source: http://mocap.cs.cmu.edu.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import ClassVar

from vipe_core.errors import VipeError
from vipe_training.datasets import asf_file
from vipe_training.datasets import skeleton_maps as maps
from vipe_training.datasets.readers.common import find, need
from vipe_training.datasets.recording import Kind, Recording, Sequence

WHAT, GET = "CMU motion capture", "http://mocap.cs.cmu.edu"
# The end of each bone is the joint.
_BONES = {
    **{"spine": "upperback", "neck": "lowerneck", "head": "head"},
    **{
        f"{side}_{joint}": f"{side[0]}{bone}"
        for side in ("left", "right")
        for joint, bone in {
            **{"hip": "hipjoint", "knee": "femur", "ankle": "tibia"},
            **{"shoulder": "clavicle", "elbow": "humerus", "wrist": "radius"},
        }.items()
    },
}


@dataclass(frozen=True)
class Cmu:
    """A folder of ``.amc`` at any depth, each with its skeleton beside it.

    Attributes:
        folder: such as ``allasfamc/all_asfamc``.
        fps: frames per second of the motions, which the files do not say.
        scale: metres per unit; None for what the skeleton file says.
    """

    folder: Path
    fps: float = 120.0
    scale: float | None = None
    kind: ClassVar[Kind] = "motion"
    cameras: tuple[str, ...] = field(default=(), init=False)

    def files(self) -> list[Path]:
        motions = find(self.folder, "**/*.amc", WHAT, GET)
        return [*motions, *sorted({_skeleton(path) for path in motions})]

    def sequences(self) -> Iterator[Sequence]:
        for path in find(self.folder, "**/*.amc", WHAT, GET):
            name = path.relative_to(self.folder).with_suffix("").as_posix()
            yield Sequence(name, partial(self._read, path))

    def _read(self, path: Path) -> Iterator[Recording]:
        file = _skeleton(path)
        skeleton = asf_file.read_skeleton(file)
        if lacking := [
            bone for bone in (*_BONES.values(), "upperneck") if bone not in skeleton.names
        ]:
            raise VipeError(f"ASF {file}: no bone {lacking[0]}; CMU's skeleton is needed")
        index = {joint: skeleton.names.index(bone) for joint, bone in _BONES.items()}
        unit = skeleton.metres if self.scale is None else self.scale
        ends, turned = skeleton.pose(asf_file.read_motion(path, skeleton))
        joints = maps.take(ends * unit, index)
        start, end = (ends[:, skeleton.names.index(bone)] * unit for bone in ("upperneck", "head"))
        # The resting skeleton faces +z.
        maps.add_cmu_head(joints, start, end, turned[:, index["head"], :, 2])
        yield Recording(f"cmu{file.stem.zfill(3)}", self.fps, maps.about_pelvis(joints))


def _skeleton(motion: Path) -> Path:
    """``05.asf`` for ``05_01.amc``, or the only skeleton of the folder."""
    named = motion.with_name(f"{motion.stem.split('_')[0]}.asf")
    others = list(motion.parent.glob("*.asf"))
    return others[0] if not named.is_file() and len(others) == 1 else need(named, WHAT, GET)
