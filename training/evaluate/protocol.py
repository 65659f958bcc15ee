"""The common ground of every measurement: which poses, which cameras, what noise.

Poses come from motion capture and are rendered through pinhole cameras; the right
answers are therefore known exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vipe_core.errors import VipeError
from vipe_core.geometry import Camera, normalize_3d, pairwise_np_mpjpe, project
from vipe_core.skeletons import BODY13, JOINTS17
from vipe_training.datasets import MotionSet, windows
from vipe_training.evaluate.metrics.matches import KAPPA, VOTING, hits, match_matrix

__all__ = [
    "BODY13_IN_17",
    "KAPPA",
    "TOP",
    "VOTING",
    "View",
    "chest4",
    "choose",
    "choose_rows",
    "hits",
    "joints_of",
    "match_matrix",
    "middle",
    "novel8",
    "render",
    "select_poses",
]

TOP = (1, 5, 10, 20)
BODY13_IN_17 = JOINTS17.indices(*BODY13.joints)
_UP = np.array([0.0, 1.0, 0.0])


@dataclass(frozen=True)
class View:
    """A camera direction: azimuth, elevation, roll in degrees, distance in metres."""

    azimuth: float
    elevation: float = 0.0
    roll: float = 0.0
    distance: float = 4.0

    def camera(self) -> Camera:
        """The camera, looking at the pelvis at the origin of a y-up world."""
        azimuth, elevation = np.deg2rad([self.azimuth, self.elevation])
        direction = np.array(
            [
                np.cos(elevation) * np.sin(azimuth),
                np.sin(elevation),
                np.cos(elevation) * np.cos(azimuth),
            ]
        )
        return Camera.look_at(
            self.distance * direction, np.zeros(3), _UP, roll=np.deg2rad(self.roll)
        )


def chest4() -> list[View]:
    """Four chest-level cameras around the person."""
    return [View(azimuth, 10) for azimuth in (45, 135, -135, -45)]


def novel8(seed: int = 0) -> list[View]:
    """Eight cameras from anywhere: azimuth +-180, elevation +-30, roll +-15 degrees."""
    rng = np.random.default_rng(seed)
    low, high = np.array([-180, -30, -15]), np.array([180, 30, 15])
    return [View(*angles) for angles in rng.uniform(low, high, (8, 3))]


def select_poses(joints: np.ndarray, count: int, seed: int = 0, apart: float = 0.02) -> np.ndarray:
    """Indices (<= count,) of poses at least ``apart`` in NP-MPJPE, drawn at random.

    Args:
        joints: (N, 17, 3).
        count: how many are wanted; fewer come back if the set has no more.
        apart: NP-MPJPE over the voting joints below which a pose is a duplicate.
    """
    normal = normalize_3d(joints, "joints17")[:, VOTING]
    kept: list[int] = []
    # Candidates come in blocks: one call labels a block against all that was kept.
    order = np.random.default_rng(seed).permutation(len(joints))
    for block in np.array_split(order, max(1, len(order) // 200)):
        if len(kept) >= count:
            break
        if kept:
            gap = pairwise_np_mpjpe(normal[block], normal[kept]).min(axis=1)
            block = block[gap >= apart]
        within = pairwise_np_mpjpe(normal[block], normal[block])
        fresh: list[int] = []
        for i in range(len(block)):
            if all(within[i, j] >= apart for j in fresh):
                fresh.append(i)
        kept.extend(block[fresh].tolist())
    if not kept:
        raise VipeError("no pose to evaluate on")
    return np.array(kept[:count])


def choose_rows(
    motion: MotionSet, count: int, seed: int = 0, frames: int = 1, step: float = 0.08
) -> np.ndarray:
    """Rows (<= count, T) of the motion to measure on: single poses, or windows of T frames.

    Args:
        motion: where they come from.
        count: see :func:`select_poses`, which the middle frames go through.
        frames, step: of a window, see :func:`vipe_training.datasets.windows`.
    """
    rows = windows(motion, frames, step)  # (W, T)
    return rows[select_poses(motion.joints[rows[:, frames // 2]], count, seed)]


def joints_of(motion: MotionSet, rows: np.ndarray) -> np.ndarray:
    """(N, 17, 3) of rows (N, 1), or windows (N, T, 17, 3) of rows (N, T)."""
    return motion.joints[rows[:, 0] if rows.shape[1] == 1 else rows]


def choose(
    motion: MotionSet, count: int, seed: int = 0, frames: int = 1, step: float = 0.08
) -> np.ndarray:
    """Poses to measure on: (<= count, 17, 3), or windows (<= count, T, 17, 3).

    Arguments as in :func:`choose_rows`.
    """
    return joints_of(motion, choose_rows(motion, count, seed, frames, step))


def middle(joints: np.ndarray) -> np.ndarray:
    """(N, 17, 3) poses of joints (N, 17, 3), or of the middle frames of (N, T, 17, 3)."""
    return joints if joints.ndim == 3 else joints[:, joints.shape[1] // 2]


def render(
    joints: np.ndarray, views: Sequence[View], noise: float = 0.0, seed: int = 0
) -> np.ndarray:
    """Keypoints (V, N, [T,] 13, 2) in pixels of joints (N, [T,] 17, 3) in metres, pelvis at 0.

    Args:
        noise: sigma of Gaussian noise as a share of the longest 2D torso distance.
    """
    points = np.stack([project(joints[..., BODY13_IN_17, :], view.camera()) for view in views])
    if not noise:
        return points
    torso = points[
        ..., BODY13.indices("left_shoulder", "right_shoulder", "left_hip", "right_hip"), :
    ]
    longest = np.linalg.norm(torso[..., :, None, :] - torso[..., None, :, :], axis=-1)
    sigma = noise * longest.max(axis=(-2, -1))[..., None, None]
    return points + sigma * np.random.default_rng(seed).standard_normal(points.shape)
