"""What a reader of a data set gives: recordings, sequence by sequence, read only when asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal, Protocol

import numpy as np

Kind = Literal["motion", "keypoints"]


@dataclass(frozen=True)
class Recording:
    """One person in one clip.

    Attributes:
        subject: who it is; the same name means the same person.
        fps: frames per second; NaN where nobody knows.
        joints: (T, 17, 3) metres, joints17, right-handed, y up, pelvis at the origin; NaN
            where a frame is bad. None in a set of keypoints only.
        points: (T, C, 13, 2) pixels, body13, x right, y down; NaN where missing. C is one
            in a set of keypoints only.
        visibility: (T, C, 13) in 0..1.
        label: what the person does, "" where unknown.
        stills: every row is a picture of its own, not the next frame of a clip.
        frame: (T,) int number of each row within the clip; None for 0, 1, 2 ...
    """

    subject: str
    fps: float
    joints: np.ndarray | None = None
    points: np.ndarray | None = None
    visibility: np.ndarray | None = None
    label: str = ""
    stills: bool = False
    frame: np.ndarray | None = None

    def __len__(self) -> int:
        rows = self.points if self.joints is None else self.joints
        return 0 if rows is None else len(rows)

    def frames(self) -> np.ndarray:
        """(T,) int: number of each row within the clip."""
        return np.arange(len(self)) if self.frame is None else np.asarray(self.frame)

    def select(self, rows: np.ndarray) -> Recording:
        """The rows where the mask (T,) is true; they keep their numbers."""
        arrays = {"joints": self.joints, "points": self.points, "visibility": self.visibility}
        chosen = {name: array[rows] for name, array in arrays.items() if array is not None}
        return replace(self, frame=self.frames()[rows], **chosen)

    def slower(self, limit: float) -> Recording:
        """Every k-th frame, with the smallest k that brings the rate to ``limit`` or below."""
        if not self.fps > limit:
            return self
        step = int(np.ceil(self.fps / limit - 1e-6))
        kept = self.select(self.frames() % step == 0)
        return replace(kept, fps=self.fps / step, frame=kept.frames() // step)


@dataclass(frozen=True)
class Sequence:
    """A part of a data set that is read in one go.

    Attributes:
        name: unique within the set.
        read: its recordings, read now.
    """

    name: str
    read: Callable[[], Iterator[Recording]]


class Reader(Protocol):
    """A data set on disk in the format of its owners.

    Attributes:
        kind: "motion" with 3D joints, or "keypoints" with 2D points only.
        cameras: names of the cameras of the detections, () without any.
    """

    kind: ClassVar[Kind]

    @property
    def cameras(self) -> tuple[str, ...]: ...

    def files(self) -> list[Path]:
        """Every file that is read, to know the source again. Raises VipeError: missing."""
        ...

    def sequences(self) -> Iterator[Sequence]:
        """The sequences, always in the same order. Raises VipeError: missing or malformed."""
        ...
