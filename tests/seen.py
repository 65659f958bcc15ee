"""People before a camera whose place is known."""

from __future__ import annotations

import numpy as np

from tests.bodies import random_people, random_rotations
from vipe_core.bodies import Bodies2D, Estimates
from vipe_core.geometry import Lens, rotation_vector, stature, to_body_frame
from vipe_core.skeletons import BODY13, JOINTS17

IN_17 = JOINTS17.indices(*BODY13.joints)
SIZE = (640, 480)
LENS = Lens(np.array([[400.0, 0, 319.5], [0, 400.0, 239.5], [0, 0, 1]]), np.zeros(0), size=SIZE)


class Seen:
    """People somewhere before a camera: joints (N, 17, 3) in the body frame in statures, rotation
    (N, 3, 3), root (N, 3) in metres, heights, rays (N, 13, 2) and pixels (N, 13, 2)."""

    def __init__(self, count: int, seed: int = 0, off_axis: float = 0.6) -> None:
        rng = np.random.default_rng(seed)
        people = random_people(count, seed)
        self.height = stature(people)
        self.joints = to_body_frame(people, "joints17") / self.height[:, None, None]
        self.rotation = random_rotations(count, rng)
        away = rng.uniform(2.0, 6.0, count)
        aside = rng.uniform(-off_axis, off_axis, (count, 2))
        self.root = away[:, None] * np.concatenate([aside, np.ones((count, 1))], axis=1)
        self.see()

    def see(self) -> None:
        shape = self.height[:, None, None] * self.joints[:, IN_17]
        self.placed = shape @ np.swapaxes(self.rotation, -1, -2) + self.root[:, None]
        self.rays = self.placed[..., :2] / self.placed[..., 2:]
        self.pixels = (self.placed @ LENS.matrix.T)[..., :2] / self.placed[..., 2:]

    def people(self, ids: list[str] | None = None, visibility=None) -> Bodies2D:
        return Bodies2D.from_arrays(self.pixels, visibility, track_ids=ids, image_size=SIZE)

    def estimates(self, std: float = 0.005) -> Estimates:
        return Estimates(joints=self.joints, std=np.full(self.joints.shape[:2], std))


def sigma(seen: Seen, value: float = 0.01) -> np.ndarray:
    return np.full(seen.rays.shape[:2], value)


def turned_by(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(N,) radians between rotations."""
    return np.linalg.norm(rotation_vector(a @ np.swapaxes(b, -1, -2)), axis=-1)
