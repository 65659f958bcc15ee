"""How far away a body is, from a depth image registered to the camera's.

Depth sees the skin and not the joints: between the two lies half a trunk. The trunk is taken for
an upright elliptic cylinder of the body frame, and the way from a point inside it to its surface,
towards the camera, is added to what was measured.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vipe_core.errors import VipeError
from vipe_core.placement.pnp import Pose
from vipe_core.skeletons import BODY13

CORNERS = BODY13.indices("left_shoulder", "right_shoulder", "left_hip", "right_hip")
# The corners of the trunk, the middles of its sides, and its centre.
_SAMPLES = np.concatenate(
    [
        np.eye(4),
        [[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5], [0.5, 0, 0.5, 0], [0, 0.5, 0, 0.5]],
        np.full((1, 4), 0.25),
    ]
)
# Half axes of the trunk in statures, out of the chest and to the side, at the shoulders and at
# the hips. Rounded from chest depth 0.145, buttock depth 0.14, bideltoid breadth 0.29 and hip
# breadth 0.20 statures, means of ANSUR II (Gordon et al. 2014, NATICK/TR-15/007).
_HALF_DEPTH = 0.07
_HALF_BREADTH = _SAMPLES @ np.array([0.145, 0.145, 0.10, 0.10])
_THICKNESS_STD = 0.015  # statures: people and their clothes differ
_SENSOR_STD = 0.01  # of the distance
# Standard deviations of the prediction, and a share of the distance beside it: a child is a
# third smaller than the adult that was assumed.
_GATE, _GATE_STD = 3.0, 0.1
_APART = 0.07  # statures from the median: another body part, or something in front
_MIN_SAMPLES = 3
_WINDOW = np.stack(np.meshgrid(np.arange(-2, 3), np.arange(-2, 3)), axis=-1).reshape(-1, 2)
_SPACING = 0.006  # statures between the pixels of a window


@dataclass(frozen=True)
class Measured:
    """Depth (N,) of the body's origin along the optical axis in metres, its standard deviation
    (N,), and whether (N,) there is one."""

    there: np.ndarray
    depth: np.ndarray
    std: np.ndarray


def checked(depth: np.ndarray) -> np.ndarray:
    """A depth image (H, W) as REP-118 has it; millimetres are converted where they are read.

    Raises:
        VipeError: neither floating point metres nor uint16 millimetres, or not (H, W).
    """
    depth = np.asarray(depth)
    if depth.ndim != 2 or not depth.size:
        raise VipeError(f"depth image has shape {depth.shape}, (H, W) needed")
    if depth.dtype != np.uint16 and depth.dtype.kind != "f":
        raise VipeError(
            f"depth image of {depth.dtype}: metres (32FC1) or uint16 millimetres needed"
        )
    return depth


def measure(
    depth: np.ndarray,
    size: tuple[int, int] | None,
    points: np.ndarray,
    seen: np.ndarray,
    shape: np.ndarray,
    pose: Pose,
    height: np.ndarray,
    focal: float,
) -> Measured:
    """Depth of N people.

    Args:
        depth: (H, W), see :func:`checked`; 0, NaN and infinity are missing.
        size: (width, height) of the image that the points are in; the depth image may be
            larger or smaller by one factor. None: of the same size.
        points: (N, 13, 2) pixels.
        seen: (N, 13) bool, which of them count.
        shape: (N, 13, 3) body frame, statures.
        pose: what to expect, metres, with the covariance of that.
        height: (N,) metres per stature.
        focal: length in pixels of the image.

    Raises:
        VipeError: a depth image of another shape than the image.
    """
    uses = _SAMPLES > 0
    ready = (seen[:, CORNERS][:, None] | ~uses).all(axis=-1)  # (N, S)
    at = _SAMPLES @ np.where(seen[:, CORNERS, None], points[:, CORNERS], 0.0)
    surface = _read(depth, size, at, height, pose.translation[:, 2], focal)
    inside = _SAMPLES @ shape[:, CORNERS]  # (N, S, 3)
    root = surface + _from_surface(inside, pose, height)
    expected = pose.translation[:, 2:]
    gate = _GATE * np.hypot(np.sqrt(pose.covariance[:, 2, 2]), _GATE_STD * expected[:, 0])
    good = ready & (np.abs(root - expected) < gate[:, None])  # NaN is not
    middle = _median(root, good)
    good &= np.abs(root - middle[:, None]) < _APART * height[:, None]
    count = np.maximum(good.sum(axis=1), 1)
    mean = np.where(good, root, 0).sum(axis=1) / count
    scatter = np.where(good, root - mean[:, None], 0)
    noise = (scatter * scatter).sum(axis=1) / count**2
    std = np.sqrt(noise + (_THICKNESS_STD * height) ** 2 + (_SENSOR_STD * mean) ** 2)
    return Measured(good.sum(axis=1) >= _MIN_SAMPLES, mean, std)


def _from_surface(inside: np.ndarray, pose: Pose, height: np.ndarray) -> np.ndarray:
    """(N, S) metres along the optical axis from the skin in front of a point of the trunk
    (N, S, 3), in statures, to the body's origin."""
    scale = height[:, None, None]
    turned = scale * inside @ np.swapaxes(pose.rotation, -1, -2)
    place = turned + pose.translation[:, None]
    ray = place / np.linalg.norm(place, axis=-1, keepdims=True)  # from the camera
    back = -ray @ pose.rotation  # to the camera, in body axes
    half = np.stack([np.full(len(_SAMPLES), _HALF_DEPTH), _HALF_BREADTH], axis=-1)
    start, way = inside[..., :2] / half, back[..., :2] / half
    # |start + length * way| = 1; nearly along the body the cylinder has no end, a trunk has.
    a = np.maximum((way * way).sum(axis=-1), (0.25 / _HALF_BREADTH) ** 2)
    b = (start * way).sum(axis=-1)
    c = np.minimum((start * start).sum(axis=-1) - 1, 0)
    length = (-b + np.sqrt(b * b - a * c)) / a
    return scale[..., 0] * length * ray[..., 2] - turned[..., 2]


def _read(
    depth: np.ndarray,
    size: tuple[int, int] | None,
    at: np.ndarray,
    height: np.ndarray,
    distance: np.ndarray,
    focal: float,
) -> np.ndarray:
    """(N, S) metres: median of the valid pixels around points (N, S, 2) of the image."""
    high, wide = depth.shape
    factor = _factor(size, wide, high)
    spacing = np.maximum(_SPACING * height * focal * factor / np.maximum(distance, 0.1), 1)
    # Pixel centres are at whole numbers: the corner of an image is at (-0.5, -0.5).
    where = ((at + 0.5) * factor - 0.5)[:, :, None] + spacing[:, None, None, None] * _WINDOW
    where = np.rint(np.clip(where, -1, max(wide, high))).astype(np.intp)
    x, y = where[..., 0], where[..., 1]
    within = (x >= 0) & (x < wide) & (y >= 0) & (y < high)
    values = depth[np.where(within, y, 0), np.where(within, x, 0)].astype(np.float64)
    if depth.dtype == np.uint16:
        values /= 1000
    return _median(values, within & np.isfinite(values) & (values > 0))


def _factor(size: tuple[int, int] | None, wide: int, high: int) -> float:
    if size is None:
        return 1.0
    across, down = wide / size[0], high / size[1]
    if abs(across / down - 1) > 0.02:
        raise VipeError(
            f"the depth image is {wide}x{high} and the image {size[0]}x{size[1]}: "
            "it must be registered to the image (depth_registered)"
        )
    return across


def _median(values: np.ndarray, good: np.ndarray) -> np.ndarray:
    """Median over the last axis of what is good; NaN where nothing is."""
    ordered = np.sort(np.where(good, values, np.inf), axis=-1)
    count = good.sum(axis=-1)
    low = np.take_along_axis(ordered, np.maximum(count - 1, 0)[..., None] // 2, axis=-1)
    high = np.take_along_axis(ordered, np.minimum(count, values.shape[-1] - 1)[..., None] // 2, -1)
    with np.errstate(invalid="ignore"):
        return np.where(count > 0, (low + high)[..., 0] / 2, np.nan)
