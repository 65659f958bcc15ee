"""Parsing of ``.bvh`` files.

HIERARCHY
ROOT Hips { OFFSET 0 0 0  CHANNELS 6 Xposition Yposition Zposition Zrotation Yrotation Xrotation
  JOINT LeftUpLeg { OFFSET ... CHANNELS 3 ...  End Site { OFFSET ... } } }
MOTION
Frames: 2  Frame Time: 0.0083333
one line of numbers per frame, in the order of the channels above
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vipe_core.errors import VipeError
from vipe_training.datasets import bone_names, kinematics

_CHANNELS = tuple(f"{axis}{kind}" for kind in ("position", "rotation") for axis in "XYZ")


@dataclass
class BvhMotion:
    """A skeleton and its motion.

    Attributes:
        names: J joints, parents first; the end of X is called "X end".
        parents: J indices, -1 for the root.
        offsets: (J, 3) from the parent, unit of the file.
        channels: (joint, channel name) of each column of ``values``.
        values: (T, C); degrees and units of the file.
        fps: frames per second.
    """

    names: list[str] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    offsets: np.ndarray = field(default_factory=lambda: np.zeros((0, 3)))
    channels: list[tuple[int, str]] = field(default_factory=list)
    values: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    fps: float = 0.0

    @property
    def head(self) -> str:
        """Name of the joint that turns the head."""
        return next((n for n in self.names if bone_names.plain(n) == "head"), self.names[0])

    def pose(self) -> tuple[np.ndarray, np.ndarray]:
        """Rotations (T, J, 3, 3) against the parents, and offsets (T, J, 3)."""
        frames, joints = len(self.values), len(self.names)
        rotations = np.broadcast_to(np.eye(3), (frames, joints, 3, 3)).copy()
        offsets = np.broadcast_to(self.offsets, (frames, joints, 3)).copy()
        for joint in {joint for joint, _ in self.channels}:
            columns = [c for c, (owner, _) in enumerate(self.channels) if owner == joint]
            turns = [c for c in columns if self.channels[c][1].endswith("rotation")]
            # Each rotation is about the axes that the ones before it have turned.
            order = "".join(self.channels[c][1][0] for c in turns)
            rotations[:, joint] = kinematics.euler(order, np.radians(self.values[:, turns]))
            for column in set(columns) - set(turns):
                axis = "XYZ".index(self.channels[column][1][0])
                offsets[:, joint, axis] = self.values[:, column]
        return rotations, offsets


def read(path: Path) -> BvhMotion:
    """Parse a file.

    Raises:
        VipeError: missing, or not in the format; the line names file and fault.
    """
    try:
        text = path.read_text(errors="replace")
    except OSError as error:
        raise VipeError(f"BVH {path}: {error.strerror or error}") from None
    head, _, tail = text.partition("MOTION")
    try:
        motion = _hierarchy(iter(head.split()))
        _motion(motion, tail)
    except _FaultError as error:
        raise VipeError(f"BVH {path}: {error}") from None
    return motion


class _FaultError(Exception):
    pass


def _hierarchy(words: Iterator[str]) -> BvhMotion:
    motion, offsets, parent = BvhMotion(), [], -1
    _expect(words, "HIERARCHY")
    for word in words:
        if word in ("ROOT", "JOINT"):
            parent = _open(motion, offsets, parent, next(words, ""), words)
        elif word == "End":
            _expect(words, "Site")
            name = f"{motion.names[parent]} end" if parent >= 0 else ""
            parent = _open(motion, offsets, parent, name, words)
        elif word == "OFFSET":
            offsets[parent] = [_number(words) for _ in range(3)]
        elif word == "CHANNELS":
            for _ in range(int(_number(words))):
                motion.channels.append((parent, _channel(next(words, ""))))
        elif word == "}":
            parent = motion.parents[parent]
        else:
            raise _FaultError(f"{word!r} in the hierarchy")
    if parent != -1 or not motion.names:
        raise _FaultError("the hierarchy ends in the middle")
    motion.offsets = np.array(offsets, float)
    return motion


def _open(
    motion: BvhMotion, offsets: list[list[float]], parent: int, name: str, words: Iterator[str]
) -> int:
    if (parent < 0) == bool(motion.names):
        raise _FaultError(f"{name or 'a joint'} has no parent")
    _expect(words, "{")
    motion.names.append(name)
    motion.parents.append(parent)
    offsets.append([0.0, 0.0, 0.0])
    return len(motion.names) - 1


def _motion(motion: BvhMotion, text: str) -> None:
    lines = text.split("\n")
    header = " ".join(lines[:4]).split()
    try:
        frames = int(header[header.index("Frames:") + 1])
        seconds = float(header[header.index("Time:") + 1])
    except (ValueError, IndexError):
        raise _FaultError("no 'Frames:' and 'Frame Time:' behind MOTION") from None
    if not seconds > 0 or frames < 1:
        raise _FaultError(f"{frames} frames of {seconds} s")
    start = next(i for i, line in enumerate(lines) if "Time:" in line) + 1
    try:
        values = np.array(" ".join(lines[start:]).split(), dtype=np.float64)
    except ValueError as error:
        raise _FaultError(str(error)) from None
    if values.size != frames * len(motion.channels):
        raise _FaultError(
            f"{values.size} numbers for {frames} frames of {len(motion.channels)} channels"
        )
    motion.values, motion.fps = values.reshape(frames, -1), 1 / seconds


def _expect(words: Iterator[str], wanted: str) -> None:
    if (word := next(words, "its end")) != wanted:
        raise _FaultError(f"{wanted!r} expected, found {word!r}")


def _number(words: Iterator[str]) -> float:
    word = next(words, "its end")
    try:
        return float(word)
    except ValueError:
        raise _FaultError(f"a number expected, found {word!r}") from None


def _channel(name: str) -> str:
    if name not in _CHANNELS:
        raise _FaultError(f"unknown channel {name!r}")
    return name
