"""Parsing of Acclaim files: a skeleton (``.asf``) and its motion (``.amc``).

Each bone has a direction and a length in the world axes of the resting pose, own axes in which
its angles are meant, and a list of the angles that a frame gives. A bone's joint is its end.
Source: Acclaim's ASF/AMC format as described by the University of Wisconsin.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vipe_core.errors import VipeError
from vipe_training.datasets import kinematics

_INCH = 0.0254
_DEGREES = ("tx", "ty", "tz", "rx", "ry", "rz", "l")


@dataclass(frozen=True)
class Bone:
    """One bone.

    Attributes:
        name: as in the file; "root" for the root.
        offset: (3,) from its start to its end, resting, unit of the file.
        axis: (3, 3) its own axes, resting.
        dof: what a frame gives for it, such as ("rx", "rz").
    """

    name: str
    offset: np.ndarray
    axis: np.ndarray
    dof: tuple[str, ...]


@dataclass(frozen=True)
class Skeleton:
    """The content of an ``.asf``.

    Attributes:
        bones: parents first, the root first of all.
        parents: index of each bone's parent, -1 for the root.
        length: the file's unit of length, in inches to the minus one (CMU: 0.45).
        degrees: whether angles are in degrees, not radians.
    """

    bones: tuple[Bone, ...]
    parents: tuple[int, ...]
    length: float
    degrees: bool

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(bone.name for bone in self.bones)

    @property
    def metres(self) -> float:
        """Metres per unit of the file."""
        return _INCH / self.length

    def pose(self, motion: list[dict[str, list[float]]]) -> tuple[np.ndarray, np.ndarray]:
        """Ends of the bones (T, J, 3), unit of the file, and how each is turned (T, J, 3, 3)."""
        frames, count = len(motion), len(self.bones)
        rotations = np.empty((frames, count, 3, 3))
        for j, bone in enumerate(self.bones):
            values = np.array([frame.get(bone.name, [0.0] * len(bone.dof)) for frame in motion])
            turns = [i for i, name in enumerate(bone.dof) if name[0] == "r"]
            angles = values[:, turns] * (np.pi / 180 if self.degrees else 1)
            # Fixed axes, in the order of the list, in the axes of the bone.
            own = kinematics.euler("".join(bone.dof[i][1] for i in turns), angles)
            rotations[:, j] = bone.axis @ own @ bone.axis.T
        # A bone turns its own end, so the ends are carried along by their own rotations.
        _, world = kinematics.forward(self.parents, np.zeros((count, 3)), rotations)
        ends = np.empty((frames, count, 3))
        for j, (bone, parent) in enumerate(zip(self.bones, self.parents, strict=True)):
            start = ends[:, parent] if parent >= 0 else 0
            ends[:, j] = start + world[:, j] @ bone.offset
        return ends, world


def read_skeleton(path: Path) -> Skeleton:
    """Parse an ``.asf``; raises VipeError: missing, or not in the format."""
    sections = _sections(path)
    try:
        units = dict(line.split()[:2] for line in sections["units"] if len(line.split()) > 1)
        root = {words[0].lower(): words[1:] for words in map(str.split, sections["root"])}
        dof = tuple(word.lower() for word in root["order"])
        axis = _axes(root.get("orientation", ["0", "0", "0"]), root["axis"][0], units)
        bones = {"root": Bone("root", np.zeros(3), axis, _dof(dof))}
        for block in _blocks(sections["bonedata"]):
            bone = _bone(block, units)
            bones[bone.name] = bone
        order, parents = _tree(sections["hierarchy"], bones)
        length = float(units.get("length", 1))
        if not length > 0:
            raise ValueError(f"unit of length {length}")
    except KeyError as error:
        raise VipeError(f"ASF {path}: no {error.args[0]}") from None
    except (ValueError, IndexError) as error:
        raise VipeError(f"ASF {path}: {error}") from None
    degrees = units.get("angle", "deg").startswith("deg")
    return Skeleton(tuple(bones[name] for name in order), parents, length, degrees)


def read_motion(path: Path, skeleton: Skeleton) -> list[dict[str, list[float]]]:
    """Parse an ``.amc``: per frame the numbers of each bone.

    Raises:
        VipeError: missing, not in the format, or of another skeleton.
    """
    expected = {bone.name: len(bone.dof) for bone in skeleton.bones}
    frames: list[dict[str, list[float]]] = []
    for number, line in enumerate(_lines(path), start=1):
        words = line.split()
        if not words or words[0][0] in "#:":
            continue
        if len(words) == 1 and words[0].isdigit():
            frames.append({})
        elif not frames or len(words) - 1 != expected.get(words[0], -1):
            raise VipeError(f"AMC {path}: line {number} {words[0]!r} does not fit the skeleton")
        else:
            try:
                frames[-1][words[0]] = [float(word) for word in words[1:]]
            except ValueError as error:
                raise VipeError(f"AMC {path}: line {number}: {error}") from None
    if not frames:
        raise VipeError(f"AMC {path}: no frame")
    return frames


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except OSError as error:
        raise VipeError(f"{path}: {error.strerror or error}") from None


def _sections(path: Path) -> dict[str, list[str]]:
    sections: dict[str, list[str]] = {}
    current: list[str] = []
    for line in _lines(path):
        line = line.split("#")[0].strip()
        if line.startswith(":"):
            name, *rest = line[1:].split(None, 1)
            current = sections.setdefault(name.lower(), rest)
        elif line:
            current.append(line)
    return sections


def _blocks(lines: list[str]) -> list[list[str]]:
    blocks: list[list[str]] = []
    for line in lines:
        if line == "begin":
            blocks.append([])
        elif line != "end" and blocks:
            blocks[-1].append(line)
    return blocks


def _bone(lines: list[str], units: dict[str, str]) -> Bone:
    fields = {words[0]: words[1:] for words in map(str.split, lines)}
    direction = np.array([float(word) for word in fields["direction"][:3]])
    offset = direction * float(fields["length"][0])
    axis = _axes(fields["axis"][:3], fields["axis"][3], units)
    return Bone(fields["name"][0], offset, axis, _dof(tuple(map(str.lower, fields.get("dof", [])))))


def _dof(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if name not in _DEGREES:
            raise ValueError(f"unknown degree of freedom {name!r}")
    return names


def _axes(values: list[str], order: str, units: dict[str, str]) -> np.ndarray:
    angles = np.array([[float(value) for value in values[:3]]])
    if units.get("angle", "deg").startswith("deg"):
        angles = np.radians(angles)
    return kinematics.euler(order.lower(), angles)[0]


def _tree(lines: list[str], bones: dict[str, Bone]) -> tuple[list[str], tuple[int, ...]]:
    order, parents = ["root"], [-1]
    for line in lines:
        parent, *children = line.split()
        if parent in ("begin", "end"):
            continue
        for child in children:
            if child not in bones or parent not in order:
                raise ValueError(f"hierarchy names {child!r} below {parent!r}, which is not there")
            order.append(child)
            parents.append(order.index(parent))
    return order, tuple(parents)
