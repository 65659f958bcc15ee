"""Depth images of people made of capsules, before a wall: what a depth camera would see.

The body is not the one that :mod:`vipe_core.placement.depth` assumes: it has arms that hide the
trunk, no elliptic trunk, and each person is thicker or thinner.
"""

from __future__ import annotations

import numpy as np

from vipe_core.geometry import Lens
from vipe_core.skeletons import JOINTS17

SIZE = (320, 240)  # a quarter of the image
_THICKNESS = 0.12  # spread of the people's radii, a share
_NOISE, _MISSING = 0.005, 0.05  # of the distance; of the pixels
_WALL = 2.0  # metres behind the person
_STEPS, _CLOSE = 40, 0.002
# Two joints and a radius in statures. Radii are about those of limbs and trunk in anthropometric
# tables; the shoulders are as thick as an upper arm and a little more.
_LIMBS = [
    ("left_shoulder", "left_elbow", 0.028),
    ("right_shoulder", "right_elbow", 0.028),
    ("left_elbow", "left_wrist", 0.022),
    ("right_elbow", "right_wrist", 0.022),
    ("left_hip", "left_knee", 0.047),
    ("right_hip", "right_knee", 0.047),
    ("left_knee", "left_ankle", 0.030),
    ("right_knee", "right_ankle", 0.030),
    ("left_shoulder", "right_shoulder", 0.042),
    ("left_shoulder", "left_hip", 0.060),
    ("right_shoulder", "right_hip", 0.060),
    ("neck", "pelvis", 0.070),
    ("left_hip", "right_hip", 0.065),
    ("neck", "head", 0.045),
    ("nose", "head", 0.050),
]
_FIRST = JOINTS17.indices(*(a for a, _, _ in _LIMBS))
_SECOND = JOINTS17.indices(*(b for _, b, _ in _LIMBS))
_RADII = np.array([radius for _, _, radius in _LIMBS])


def depth_image(
    joints: np.ndarray, height: float, lens: Lens, thickness: float, rng: np.random.Generator
) -> np.ndarray:
    """(240, 320) uint16 millimetres, 0 where missing (16UC1 of REP-118).

    Args:
        joints: (17, 3) metres in the camera.
        height: of the person, metres.
        lens: of the whole image, without distortion.
        thickness: factor of the radii, see :func:`draw_thickness`.
        rng: of noise and missing pixels.
    """
    small = lens.for_size(SIZE)
    y, x = np.mgrid[0 : SIZE[1], 0 : SIZE[0]]
    rays = np.concatenate([small.undistort(np.stack([x, y], -1)), np.ones((*x.shape, 1))], -1)
    radii = _RADII * height * thickness
    depth = np.full(x.shape, joints[0, 2] + _WALL)
    near = _near(joints, rays, radii.max())
    depth[near] = np.minimum(depth[near], _march(rays[near], joints, radii))
    depth += _NOISE * depth * rng.standard_normal(depth.shape)
    depth[rng.random(depth.shape) < _MISSING] = 0
    return np.clip(1000 * depth, 0, 65535).astype(np.uint16)


def draw_thickness(rng: np.random.Generator) -> float:
    """How thick somebody is, as a factor of the radii."""
    return float(np.clip(rng.normal(1, _THICKNESS), 0.7, 1.3))


def _near(joints: np.ndarray, rays: np.ndarray, margin: float) -> np.ndarray:
    """(H, W) the pixels in the box around the body."""
    flat = joints[:, :2] / np.maximum(joints[:, 2:], 0.2)
    room = 1.5 * margin / max(joints[:, 2].min(), 0.3)
    low, high = flat.min(axis=0) - room, flat.max(axis=0) + room
    return ((rays[..., :2] >= low) & (rays[..., :2] <= high)).all(axis=-1)


def _march(rays: np.ndarray, joints: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """Depth (M,) at which rays (M, 3) meet the body, by sphere tracing; infinity for none."""
    start, way = joints[_FIRST], joints[_SECOND] - joints[_FIRST]
    length = np.linalg.norm(rays, axis=-1)
    beyond = joints[:, 2].max() + radii.max()
    depth = np.full(len(rays), max(joints[:, 2].min() - radii.max(), 0.2))
    met = np.zeros(len(rays), bool)
    going = np.arange(len(rays))
    for _ in range(_STEPS):
        gap = _distance(rays[going] * depth[going, None], start, way, radii)
        met[going] = gap < _CLOSE
        depth[going] += np.maximum(gap, 0) / length[going]
        going = going[(gap >= _CLOSE) & (depth[going] < beyond)]
    return np.where(met, depth, np.inf)


def _distance(
    points: np.ndarray, start: np.ndarray, way: np.ndarray, radii: np.ndarray
) -> np.ndarray:
    """(M,) from points (M, 3) to the nearest of C capsules; negative inside."""
    square = np.maximum((way * way).sum(axis=-1), 1e-9)
    share = np.clip((points @ way.T - (start * way).sum(axis=-1)) / square, 0, 1)  # (M, C)
    # |p - s - share w|^2 without an array of M x C x 3.
    from_start = (points * points).sum(-1)[:, None] - 2 * points @ start.T + (start * start).sum(-1)
    along = points @ way.T - (start * way).sum(axis=-1)
    squared = from_start - 2 * share * along + share * share * square
    return (np.sqrt(np.maximum(squared, 0)) - radii).min(axis=-1)
