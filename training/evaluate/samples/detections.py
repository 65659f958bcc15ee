"""What real cameras saw: scenes from the detections of a cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vipe_core.errors import VipeError
from vipe_core.estimate import MIN_JOINTS, visible_joints
from vipe_training.datasets import Detections, MotionSet, windows
from vipe_training.datasets.readers.h36m_raw import CAMERAS as H36M_CAMERAS
from vipe_training.evaluate import protocol
from vipe_training.evaluate.metrics.matches import Matches
from vipe_training.evaluate.samples import frame_keys
from vipe_training.evaluate.samples.scenes import Scene
from vipe_training.evaluate.task import Contestant, Task

_EVERY = 10  # frames, as in the published lists


@dataclass(frozen=True)
class RealProtocol:
    """Cameras and people of a set of real pictures.

    Attributes:
        title: of the set and its cameras.
        cameras: their names in the set.
        people: who is in it; everybody if empty.
    """

    title: str
    cameras: tuple[str, ...]
    people: tuple[str, ...] = ()


_CHEST = ("0", "2", "4", "7", "8")
_ALL = tuple(map(str, range(11)))  # 11 to 13 hang under the ceiling
_OTHERS = tuple(camera for camera in _ALL if camera not in _CHEST)
REAL = {
    "h36m": RealProtocol("Human3.6M, S9 and S11", H36M_CAMERAS, ("S9", "S11")),
    "3dhp-all": RealProtocol("MPI-INF-3DHP, all but the ceiling cameras", _ALL),
    "3dhp-chest": RealProtocol("MPI-INF-3DHP, chest-level cameras", _CHEST),
    "3dhp-unseen": RealProtocol("MPI-INF-3DHP, cameras above or below the chest", _OTHERS),
}


def detected(task: Task, motion: MotionSet, contestant: Contestant, name: str) -> Scene:
    """A scene of :data:`REAL`: the detections of a cache.

    The frames are those of the option ``frame_keys``; without it every tenth frame, at most
    ``task.poses`` of them, at least 0.02 NP-MPJPE apart. A frame counts for all cameras or
    for none: it is left out where a camera saw fewer than four points.

    Raises:
        VipeError: no detections, a missing camera, nobody of the protocol's people, frame keys
            that match nothing, or no frame is left.
    """
    real = REAL[name]
    motion = _people(motion, real)
    seen, columns = _columns(motion, real.cameras)
    files = getattr(task.options, "frame_keys", None) or []
    wanted, skipped = _wanted(motion, real, [Path(file) for file in files])
    rows = windows(motion, contestant.frames, contestant.frame_step)
    rows = rows[np.isin(rows[:, contestant.frames // 2], wanted)]
    if lost := len(wanted) - len(rows):
        skipped.append(f"{lost} frames without a whole window of {contestant.frames} around them")
    middle = rows[:, contestant.frames // 2]
    shown = visible_joints(seen.points[middle][:, columns], seen.visibility[middle][:, columns])
    usable = (shown >= MIN_JOINTS).all(axis=1)
    if lost := int((~usable).sum()):
        skipped.append(f"{lost} frames in which a camera shows fewer than {MIN_JOINTS} points")
    rows = rows[usable]
    if not len(rows):
        raise VipeError(f"{name}: no frame that all of its {len(columns)} cameras show")
    if not files:
        joints = motion.joints[middle[usable]]
        chosen = task.parts.part(
            f"poses-{name}-{contestant.frames}",
            lambda: protocol.select_poses(joints, task.poses, task.seed).tolist(),
            rows=len(rows),
            step=contestant.frame_step,
        )
        rows = rows[chosen]
    joints = protocol.joints_of(motion, rows)
    at = rows[:, 0] if contestant.frames == 1 else rows
    points = np.moveaxis(seen.points[at][..., columns, :, :], -3, 0)
    visibility = np.moveaxis(seen.visibility[at][..., columns, :], -2, 0)
    return Scene(joints, real.cameras, points, visibility, Matches(joints), tuple(skipped))


def _wanted(
    motion: MotionSet, real: RealProtocol, files: Sequence[Path]
) -> tuple[np.ndarray, list[str]]:
    """Rows of the frames to measure on, and what of the lists was left out."""
    if not files:
        return np.flatnonzero(motion.frame % _EVERY == 0), []
    wanted, missed, others = frame_keys.match(frame_keys.read(files), motion, real.cameras)
    skipped = [f"{missed} frame keys name no frame of the data"] * bool(missed)
    return wanted, skipped + [f"{others} frame keys are of other cameras"] * bool(others)


def _people(motion: MotionSet, real: RealProtocol) -> MotionSet:
    if not real.people:
        return motion
    theirs = np.isin(motion.subject, real.people)
    if not theirs.any():
        raise VipeError(f"{real.title}: nobody of them is in this data")
    return motion if theirs.all() else motion.select(theirs)


def _columns(motion: MotionSet, cameras: Sequence[str]) -> tuple[Detections, list[int]]:
    """The detections, and the places of the protocol's cameras in them."""
    seen = motion.detections
    if seen is None:
        raise VipeError(
            "this data has no detections by real cameras: give a cache that "
            "vipe data prepare made of a set that has them (--data)"
        )
    if absent := [camera for camera in cameras if camera not in seen.cameras]:
        have = ", ".join(seen.cameras)
        raise VipeError(f"no camera {', '.join(absent)} in this data; it has {have}")
    return seen, [seen.cameras.index(camera) for camera in cameras]
