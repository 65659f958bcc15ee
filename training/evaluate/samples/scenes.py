"""Poses and what several cameras see of them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from vipe_core.errors import VipeError
from vipe_training.datasets import MotionSet
from vipe_training.evaluate import protocol
from vipe_training.evaluate.coders import Coder
from vipe_training.evaluate.metrics.matches import Matches
from vipe_training.evaluate.task import Contestant, Lift, Task

NOISE = 0.02
RENDERED = {"chest4": 0.0, "chest4+n": NOISE, "novel8": 0.0, "novel8+n": NOISE}


@dataclass(frozen=True)
class Scene:
    """The same N poses seen by C cameras.

    Attributes:
        joints: (N, [T,] 17, 3) metres.
        cameras: C names.
        points: (C, N, [T,] 13, 2) pixels, not finite where missing.
        visibility: (C, N, [T,] 13) in 0..1.
        matches: which poses are the same.
        skipped: what was left out, a line each.
    """

    joints: np.ndarray
    cameras: tuple[str, ...]
    points: np.ndarray
    visibility: np.ndarray
    matches: Matches
    skipped: tuple[str, ...] = ()


@dataclass
class Scenes:
    """The scenes of a run, each made when it is first asked for.

    Attributes:
        task: whose poses, how many, and where finished parts are kept.
        motion: the poses.
    """

    task: Task
    motion: MotionSet
    _made: dict[tuple, Scene] = field(default_factory=dict)
    _matches: dict[tuple, Matches] = field(default_factory=dict)
    _rows: dict[tuple, np.ndarray] = field(default_factory=dict)

    def rows(self, contestant: Contestant) -> np.ndarray:
        """Rows (N, T) of the motion: the poses that a contestant is measured on."""
        key = contestant.frames, contestant.frame_step
        if key not in self._rows:
            task = self.task
            chosen = task.parts.part(
                f"poses-{contestant.frames}",
                lambda: protocol.choose_rows(self.motion, task.poses, task.seed, *key).tolist(),
                frames=key,
                poses=task.poses,
                seed=task.seed,
            )
            self._rows[key] = np.array(chosen)
        return self._rows[key]

    def joints(self, contestant: Contestant) -> np.ndarray:
        """(N, [T,] 17, 3) of :meth:`rows`."""
        return protocol.joints_of(self.motion, self.rows(contestant))

    def rendered(self, contestant: Contestant, name: str) -> Scene:
        """A scene of :data:`RENDERED`: chest4 or novel8, with the noise of a detector (+n)."""
        key = name, contestant.frames, contestant.frame_step
        if key not in self._made:
            joints = self.joints(contestant)
            seed = self.task.seed
            views = protocol.chest4() if name.startswith("chest4") else protocol.novel8(seed)
            points = protocol.render(joints, views, RENDERED[name], seed)
            self._made[key] = Scene(
                joints,
                tuple(f"{view.azimuth:.0f}° {view.elevation:+.0f}°" for view in views),
                points,
                np.ones(points.shape[:-1]),
                self._matches.setdefault(key[1:], Matches(joints)),
            )
        return self._made[key]

    def matches_on(self, contestant: Contestant, visible: np.ndarray) -> Matches:
        """Right answers where only the visible (13,) keypoints vote."""
        key = contestant.frames, contestant.frame_step, visible.tobytes()
        if key not in self._matches:
            which = [protocol.BODY13_IN_17[j] for j in np.flatnonzero(visible)]
            self._matches[key] = Matches(self.joints(contestant), which)
        return self._matches[key]


def coder_of(contestant: Contestant) -> Coder:
    """Its coder; raises VipeError for a contestant that does not code views."""
    if contestant.coder is None:
        raise VipeError(f"{contestant.name} does not code views")
    return contestant.coder


def lift_of(contestant: Contestant) -> Lift:
    """Its lifter; raises VipeError for a contestant that does not lift."""
    if contestant.lift is None:
        raise VipeError(f"{contestant.name} does not lift")
    return contestant.lift


def depends_on(task: Task, joints: np.ndarray) -> dict[str, float]:
    """What a part's result depends on beside its contestant, for ``Parts.part``."""
    return {"seed": task.seed, "count": len(joints), "joints": float(np.sum(joints))}
