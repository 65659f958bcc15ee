"""Made-up performances: embeddings that move along a way, at any speed."""

from __future__ import annotations

import numpy as np

from vipe_core.recordings import Person
from vipe_core.skeletons import JOINTS17
from vipe_core.track import Track

SIZE, A, B = 8, 2.0, 8.0
MIRROR = np.repeat([-1.0, 1.0], SIZE // 2)  # what mirroring a person does to these embeddings


def way(seed: int = 0, count: int = 8) -> np.ndarray:
    """(count, SIZE) poses of a movement, far apart from each other."""
    return np.random.default_rng(seed).normal(0, 4, (count, SIZE))


def performed(
    poses: np.ndarray,
    moments: np.ndarray,
    fps: float = 25.0,
    start: float = 0.0,
    noise: float = 0.0,
    mirrored: bool = False,
) -> Track:
    """The movement along ``poses`` at the given moments (T,) in 0..1, one a frame."""
    at = np.asarray(moments) * (len(poses) - 1)
    mean = np.stack([np.interp(at, np.arange(len(poses)), column) for column in poses.T], axis=1)
    mean = mean + np.random.default_rng(1).normal(0, noise, mean.shape) if noise else mean
    mean = mean * MIRROR if mirrored else mean
    variance = np.full(mean.shape, 0.05)
    stamp = start + np.arange(len(mean)) / fps
    return Track(stamp, mean, variance, mean * MIRROR, variance)


def evenly(seconds: float, fps: float = 25.0) -> np.ndarray:
    """(T,) moments 0..1 of a performance at even speed."""
    return np.linspace(0, 1, round(seconds * fps) + 1)


def varied(seconds: float, fps: float = 25.0) -> np.ndarray:
    """(T,) moments 0..1, at between 0.6 and 1.6 of the mean speed."""
    share = evenly(seconds, fps)
    return share + 0.09 * np.sin(2 * np.pi * share)


def somebody(track: Track, seed: int = 0) -> Person:
    """A person with these embeddings, points and a lifted pose."""
    rng = np.random.default_rng(seed)
    count = len(track)
    pose = rng.normal(0, 0.3, (len(JOINTS17), 3))
    points = 320 + 300 * pose[:, :2] + rng.normal(0, 1, (count, len(JOINTS17), 2))
    joints = np.broadcast_to(pose, (count, *pose.shape)).copy()
    shown = np.ones(points.shape[:2])
    std = np.full(points.shape[:2], 0.02)
    return Person("0", track, points, shown, "joints17", joints, std)
