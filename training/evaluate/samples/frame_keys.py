"""Published lists of frames to measure on: one key per line.

Human3.6M: ``S11:Directions 1:54138969:000020``, subject, action, camera and frame;
MPI-INF-3DHP: ``S1:Seq1:V0:C0:003370``, subject, sequence, video, camera and frame. Frames count
from 0 in the video as its owners give it out. Source: the lists beside Pr-VIPE's code.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vipe_core.errors import VipeError
from vipe_training.datasets import MotionSet
from vipe_training.datasets.readers.h36m_raw import FPS as H36M_FPS
from vipe_training.datasets.readers.mpi_inf_3dhp import recorded_fps

# Preparations of Human3.6M differ in two names.
_SAME_ACTION = (("_", " "), ("TakingPhoto", "Photo"), ("WalkingDog", "WalkDog"))


class FrameKey(NamedTuple):
    """One line: a frame of a sequence ("S11/Directions 1") as one camera sees it."""

    sequence: str
    camera: str
    frame: int


def parse(line: str) -> FrameKey | None:
    """The key of a line; None if it is none."""
    parts = line.strip().split(":")
    if len(parts) == 4:
        subject, action, camera, frame = parts
    elif len(parts) == 5 and parts[3].startswith("C"):
        subject, action, camera, frame = parts[0], parts[1], parts[3][1:], parts[4]
    else:
        return None
    if not (subject and action and camera and frame.isdecimal()):
        return None
    return FrameKey(f"{subject}/{_action(action)}", camera, int(frame))


def read(paths: Iterable[Path]) -> list[FrameKey]:
    """The keys of text files; empty lines do not count.

    Raises:
        VipeError: a file that cannot be read, a line that is no key, or no key at all.
    """
    keys = []
    paths = list(paths)
    for path in paths:
        try:
            lines = path.read_text().splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise VipeError(f"frame keys {path}: cannot be read ({error})") from None
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            if (key := parse(line)) is None:
                raise VipeError(
                    f"frame keys {path}, line {number}: {line.strip()[:60]!r} is no key such as "
                    "S11:Directions 1:54138969:000020 or S1:Seq1:V0:C0:003370"
                )
            keys.append(key)
    if not keys:
        raise VipeError(f"frame keys {', '.join(map(str, paths))}: no key in it")
    return keys


def match(
    keys: Sequence[FrameKey], motion: MotionSet, cameras: Sequence[str]
) -> tuple[np.ndarray, int, int]:
    """The rows of a set that keys name.

    Args:
        keys: see :func:`read`.
        motion: with the names of its clips.
        cameras: of the protocol; keys of others do not count.

    Returns:
        rows (N,), rising; how many keys of these cameras match no row; and how many are of
        other cameras.

    Raises:
        VipeError: the set does not know its clips' names, or no key matches.
    """
    wanted = {(key.sequence, key.frame) for key in keys if key.camera in set(cameras)}
    row_of = {place: row for row, place in enumerate(_places(motion, {s for s, _ in wanted}))}
    del row_of[None]
    rows = sorted(row_of[place] for place in wanted if place in row_of)
    ours = [key for key in keys if key.camera in set(cameras)]
    missed = sum((key.sequence, key.frame) not in row_of for key in ours)
    if not rows:
        raise VipeError(
            f"none of {len(keys)} frame keys is of a frame of this data seen by the cameras "
            f"{', '.join(cameras)}; the first key is of {keys[0].sequence}, camera "
            f"{keys[0].camera}, frame {keys[0].frame}"
        )
    return np.array(rows), missed, len(keys) - len(ours)


def _places(motion: MotionSet, sequences: set[str]) -> list[tuple[str, int] | None]:
    """Sequence and the frame's number in the original video of each row, and a None; None
    where the sequence is not wanted."""
    if not motion.names:
        raise VipeError(
            "this data does not say which sequence a frame is from, which frame keys need: "
            "prepare the set again (vipe data prepare)"
        )
    named = [_sequence(name) for name in motion.names]
    steps: dict[int, int] = {}
    places: list[tuple[str, int] | None] = []
    for clip, frame, fps in zip(
        motion.clip.tolist(), motion.frame.tolist(), motion.fps.tolist(), strict=True
    ):
        if named[clip] not in sequences:
            places.append(None)
            continue
        # What was thinned out when it was prepared (--max-fps) counts in larger steps.
        step = steps.setdefault(clip, max(1, round(_fps(named[clip]) / fps)))
        places.append((named[clip], frame * step))
    return [*places, None]


def _sequence(name: str) -> str:
    """A sequence's name as in the keys."""
    subject, _, action = name.partition("/")
    return f"{subject}/{_action(action)}"


def _action(action: str) -> str:
    for old, new in _SAME_ACTION:
        action = action.replace(old, new)
    return action


def _fps(sequence: str) -> float:
    subject, _, action = sequence.partition("/")
    return recorded_fps(subject, action) if action.startswith("Seq") else H36M_FPS
