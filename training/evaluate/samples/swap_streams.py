"""Streams of detections whose sides are swapped now and then, and known to be."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from vipe_core.errors import VipeError
from vipe_core.skeletons import BODY13
from vipe_training.augment.cameras import CameraConfig
from vipe_training.augment.noise import NoiseConfig
from vipe_training.augment.occlusion import OcclusionConfig
from vipe_training.augment.views import ViewConfig, draw_views
from vipe_training.datasets import MotionSet
from vipe_training.evaluate.samples.multiview import EXACT, Video

# Cameras and noise of the default model's training; no joint is hidden.
_VIEWS = ViewConfig(
    CameraConfig(elevation=35, roll=10, roll_gaussian=True, distance=(1.5, 5.0), off_axis=0.1),
    NoiseConfig(detector=1.0),
    OcclusionConfig(),
)
_FOCAL = 1000.0  # pixels
_SHORTEST_S, _LONGEST_S = 1.0, 8.0
# Swaps of the rendered streams: how often a second one begins, how long it lasts in the mean
# (seconds, geometric), how many streams begin with one, and how many people turn round.
_ENTER_PER_S, _LASTS_S, _BEGIN, _TURN = 0.3, 0.35, 0.08, 0.5
_LIMBS = [j for j, name in enumerate(BODY13.joints) if name != "nose"]
_MIRROR = list(BODY13.mirror)


@dataclass(frozen=True)
class Stream:
    """One person in the view of one camera for F frames.

    Attributes:
        points: (F, 13, 2) float32 pixels as the detector labels them.
        visibility: (F, 13) float32.
        swapped: (F,) bool, whether all left and right labels are exchanged.
        fps: frames per second.
        truth: (F, 13, 3) metres, where it is known.
        turns: whether the person was made to turn round.
    """

    points: np.ndarray
    visibility: np.ndarray
    swapped: np.ndarray
    fps: float
    truth: np.ndarray | None = None
    turns: bool = False

    def every(self, step: int) -> list[Stream]:
        """The streams at a ``step`` times lower rate; together they have all frames."""
        return [
            replace(
                self,
                points=self.points[first::step],
                visibility=self.visibility[first::step],
                swapped=self.swapped[first::step],
                truth=None if self.truth is None else self.truth[first::step],
                fps=self.fps / step,
            )
            for first in range(step)
        ]


def filmed(video: Video, detector: str, fps: float = 60.0) -> list[Stream]:
    """A stream per camera of a real video.

    A view is swapped where the projections of the triangulated joints are closer to its
    exchanged limbs than to its limbs, in the mean.

    Args:
        video: see :func:`vipe_training.evaluate.samples.multiview.read_video`.
        detector: one of ``video.points``.
        fps: assumed where the file does not say.
    """
    points, exact = video.points[detector], video.points[EXACT]

    def apart(labelled: np.ndarray) -> np.ndarray:
        return np.linalg.norm(labelled - exact, axis=-1)[..., _LIMBS].mean(axis=-1)

    swapped = apart(points[..., _MIRROR, :]) < apart(points)
    rate = video.fps if np.isfinite(video.fps) else fps
    return [
        Stream(p.astype(np.float32), v.astype(np.float32), s, rate, video.truth)
        for p, v, s in zip(points, video.visibility[detector], swapped, strict=True)
    ]


def rendered(motion: MotionSet, views: int, seed: int, swaps: bool = True) -> list[Stream]:
    """Recorded clips through random cameras, with a detector's noise and swaps in runs of
    geometric length. Half of the people are turned round by half a turn within a second.

    Args:
        motion: clips of one to eight seconds are taken from it; what is longer is cut.
        views: cameras of each clip.
        seed: of cameras, noise, turns and swaps.
        swaps: whether there are any.

    Raises:
        VipeError: no clip of a second, or of known rate.
    """
    rng = np.random.default_rng(seed)
    joints, rotation = motion.canonical()
    streams = []
    for rows in _takes(motion):
        fps = float(motion.fps[rows[0]])
        axes, turns = rotation[rows], rng.random() < _TURN
        if turns:
            axes = turned(axes, fps, rng)
        generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
        seen = draw_views(
            torch.from_numpy(joints[rows][None].astype(np.float32)),
            torch.from_numpy(axes[None].astype(np.float32)),
            views,
            _VIEWS,
            generator,
        )
        for points in _FOCAL * seen.points[0].numpy():
            swapped = swap_runs(len(rows), fps, rng) if swaps else np.zeros(len(rows), bool)
            labelled = np.where(swapped[:, None, None], points[:, _MIRROR], points)
            visible = np.ones(points.shape[:2], np.float32)
            streams.append(Stream(labelled, visible, swapped, fps, turns=turns))
    if not streams:
        raise VipeError(f"swaps need clips of at least {_SHORTEST_S:g} s at a known rate")
    return streams


def swap_runs(frames: int, fps: float, rng: np.random.Generator) -> np.ndarray:
    """(frames,) bool of a detector that swaps at random and is right again at random."""
    swapped, now = np.zeros(frames, bool), rng.random() < _BEGIN
    for frame in range(frames):
        swapped[frame] = now
        chance = 1 / (_LASTS_S * fps) if now else _ENTER_PER_S / fps
        now ^= rng.random() < chance
    return swapped


def turned(rotation: np.ndarray, fps: float, rng: np.random.Generator) -> np.ndarray:
    """Body axes (F, 3, 3) in a y-up world, turned by 180 degrees about y within half a second
    to a second, at a random time and in a random direction."""
    frames, lasts = len(rotation), rng.uniform(0.5, 1.0) * fps
    begin = rng.uniform(0, max(frames - lasts, 1))
    done = np.clip((np.arange(frames) - begin) / lasts, 0, 1)
    angle = np.pi * (3 * done**2 - 2 * done**3) * rng.choice([-1, 1])
    turn = np.zeros((frames, 3, 3))
    turn[:, 0, 0] = turn[:, 2, 2] = np.cos(angle)
    turn[:, 0, 2], turn[:, 2, 0] = np.sin(angle), -np.sin(angle)
    turn[:, 1, 1] = 1
    return turn @ rotation


def _takes(motion: MotionSet) -> list[np.ndarray]:
    """Rows of consecutive frames of one clip, one to eight seconds long."""
    ends = (np.diff(motion.clip) != 0) | (np.diff(motion.frame) != 1)
    takes = []
    for rows in np.split(np.arange(len(motion)), np.flatnonzero(ends) + 1):
        fps = motion.fps[rows[0]]
        if np.isfinite(fps) and len(rows) >= _SHORTEST_S * fps:
            takes.append(rows[: int(_LONGEST_S * fps)])
    return takes
