"""Recorded motion for the trainer: 3D poses of people in a y-up world, in metres.

It comes from motion files (one ``.npz`` with ``pose`` (N, 17, 3) relative to the pelvis,
``frame_ok`` (N,), ``clip_start`` (C + 1,) and per clip ``subject``, ``fps`` and others) or
from the caches that ``vipe data prepare`` makes. Joints are in the order of ``joints17``.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vipe_core import skeletons
from vipe_core.errors import VipeError
from vipe_core.geometry import body_frame, stature
from vipe_training.datasets import motion_file
from vipe_training.datasets.cache import open_cache


@dataclass(frozen=True)
class Detections:
    """Keypoints of the same frames as seen by real cameras.

    Attributes:
        points: (N, C, 13, 2) float32 pixels, body13, x right, y down; NaN where missing.
        visibility: (N, C, 13) float32 in 0..1; 0 where missing.
        cameras: C names.
    """

    points: np.ndarray
    visibility: np.ndarray
    cameras: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.points)


@dataclass(frozen=True)
class MotionSet:
    """Poses of one or more motion files or caches, without the frames marked bad.

    Arrays may be memory maps; nothing that is done to them reaches the file.

    Attributes:
        joints: (N, 17, 3) float32 metres, joints17, pelvis at the origin, y up.
        subject: (N,) strings.
        clip: (N,) int, running number of the clip; frames of a clip are consecutive and
            in time order.
        fps: (N,) float32 frames per second of the clip; NaN where the file does not say.
        frame: (N,) int, number of the frame within its clip; numbers of dropped frames
            are missing from it.
        detections: 2D of the same frames, where a set has them.
        body: what :meth:`canonical` returns, where it is known beforehand.
        names: of the sequences that the clips are from, by number of the clip, such as
            "S1/Walking 1"; "" or () where nobody knows.
    """

    joints: np.ndarray
    subject: np.ndarray
    clip: np.ndarray
    fps: np.ndarray
    frame: np.ndarray
    detections: Detections | None = None
    body: tuple[np.ndarray, np.ndarray] | None = None
    names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.joints)

    def canonical(self) -> tuple[np.ndarray, np.ndarray]:
        """Joints (N, 17, 3) float32 in the body frame, in statures, and the rotation
        (N, 3, 3) float32 whose columns are the body axes in the world."""
        return canonical(self.joints) if self.body is None else self.body

    def select(self, rows: np.ndarray) -> MotionSet:
        """The rows where the mask ``rows`` (N,) is true, in memory."""
        chosen = {
            name: getattr(self, name)[rows]
            for name in ("joints", "subject", "clip", "fps", "frame")
        }
        seen, body = self.detections, self.body
        if seen is not None:
            seen = replace(seen, points=seen.points[rows], visibility=seen.visibility[rows])
        if body is not None:
            body = body[0][rows], body[1][rows]
        return MotionSet(**chosen, detections=seen, body=body, names=self.names)


def canonical(joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Joints (N, 17, 3) in metres to the body frame and statures; see MotionSet.canonical."""
    rotation, origin = body_frame(joints, "joints17")
    joints = (joints - origin[:, None]) @ rotation
    return joints / stature(joints)[:, None, None], rotation


def data_root() -> Path:
    """Folder of the data sets: $VIPE_DATA, or ``data`` here. Raises VipeError if absent."""
    root = Path(os.environ.get("VIPE_DATA", "data"))
    if not root.is_dir():
        raise VipeError(f"no data folder {root}: set VIPE_DATA to the folder that holds mocap/")
    return root


def load_motion(
    names: Sequence[str], root: Path | None = None, leave_out: Sequence[str] = ()
) -> MotionSet:
    """Read motion files and caches. A single cache with nobody left out stays on the disk.

    Args:
        names: paths relative to ``root``: a motion file such as ``mocap/cmu_mocap_train.npz``,
            or a cache that ``vipe data prepare`` made.
        root: data folder; None for :func:`data_root`.
        leave_out: subjects to leave out.

    Raises:
        VipeError: a missing or malformed file, or fewer than two poses left.
    """
    root = data_root() if root is None else root
    sets = []
    for name in names:
        found = _read(root / name)
        drop = np.isin(found.subject, list(leave_out))
        sets.append(found.select(~drop) if drop.any() else found)
    if not sum(map(len, sets)):
        raise VipeError(f"no usable frame in {', '.join(names) or 'an empty list of files'}")
    motion = join([found for found in sets if len(found)])
    if len(motion) == 1:
        raise VipeError(f"one usable frame in {', '.join(names)}: telling poses apart needs two")
    return motion


def join(sets: list[MotionSet]) -> MotionSet:
    """One set after the other; clips get new numbers. A single set stays as it is."""
    if len(sets) == 1:
        return sets[0]
    clips, names, first = [], [], 0
    for motion in sets:
        clips.append(motion.clip + first)
        count = max(int(motion.clip.max()) + 1, len(motion.names))
        names += [*motion.names, *[""] * (count - len(motion.names))]
        first += count
    bodies = [motion.body for motion in sets if motion.body is not None]
    return MotionSet(
        joints=np.concatenate([motion.joints for motion in sets]),
        subject=np.concatenate([motion.subject for motion in sets]),
        clip=np.concatenate(clips),
        fps=np.concatenate([motion.fps for motion in sets]),
        frame=np.concatenate([motion.frame for motion in sets]),
        detections=_join_detections(sets),
        body=_join_bodies(bodies) if len(bodies) == len(sets) else None,
        names=tuple(names) if any(names) else (),
    )


def _join_bodies(bodies: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    return np.concatenate([b[0] for b in bodies]), np.concatenate([b[1] for b in bodies])


def _join_detections(sets: list[MotionSet]) -> Detections | None:
    """Detections by all cameras of all sets; a camera that a set lacks saw nothing of it."""
    cameras: dict[str, int] = {}
    for motion in sets:
        for camera in motion.detections.cameras if motion.detections else ():
            cameras.setdefault(camera, len(cameras))
    if not cameras:
        return None
    shape = (sum(map(len, sets)), len(cameras), len(skeletons.BODY13))
    points, visibility = np.full((*shape, 2), np.nan, np.float32), np.zeros(shape, np.float32)
    row = 0
    for motion in sets:
        if seen := motion.detections:
            rows, columns = slice(row, row + len(motion)), [cameras[c] for c in seen.cameras]
            points[rows, columns], visibility[rows, columns] = seen.points, seen.visibility
        row += len(motion)
    return Detections(points, visibility, tuple(cameras))


def _read(path: Path) -> MotionSet:
    if path.is_dir():
        return _read_cache(path)
    if not path.is_file():
        raise VipeError(f"no motion file {path}: docs/data.md says how to get or make one")
    joints, subject, clip, fps, frame = motion_file.read(path)
    return MotionSet(joints, subject, clip, fps, frame)


def _read_cache(path: Path) -> MotionSet:
    cache = open_cache(path)
    if cache.index["kind"] != "motion":
        raise VipeError(f"cache {path}: holds 2D keypoints only, motion is needed")
    arrays, cameras = cache.arrays, tuple(cache.index["cameras"])
    return MotionSet(
        joints=arrays["joints"],
        subject=cache.texts("subject"),
        clip=arrays["clip"],
        fps=arrays["fps"],
        frame=arrays["frame"],
        detections=Detections(arrays["points"], arrays["visibility"], cameras) if cameras else None,
        body=(arrays["canonical"], arrays["rotation"]),
        names=cache.clip_names(),
    )
