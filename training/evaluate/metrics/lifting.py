"""Lifting: how far the canonical 3D pose is from the truth, and whether it knows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.special import erfinv

from vipe_core.geometry import mpjpe, normalize_3d, np_mpjpe, stature, to_body_frame
from vipe_core.geometry.procrustes import procrustes
from vipe_training.evaluate import protocol

Lift = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
NOISE = 0.02
# Half-widths, in standard deviations, of intervals that hold half and 90 % of a Gaussian.
_INTERVALS = {"coverage50": 0.6745, "coverage90": 1.6449}
SHARES = [round(0.05 * step, 2) for step in range(1, 20)]
ELEVATIONS = list(range(-60, 60, 10))  # lower ends of the bins, degrees
_PER_BIN = 4  # cameras


def evaluate_lifting(
    lift: Lift, joints: np.ndarray, height: float | None = None, seed: int = 0
) -> dict[str, float]:
    """Error in the body frame through eight noisy novel cameras.

    Args:
        lift: points (N, [T,] 13, 2) and visibility (N, [T,] 13) to joints (N, 17, 3) and
            standard deviations (N, 17), in statures, of the middle frame.
        joints: (N, [T,] 17, 3) metres.
        height: assumed stature of everybody in metres; None for the true one.

    Returns:
        millimetres: ``mpjpe`` (body frame, no alignment), ``pa_mpjpe`` (after similarity
        alignment), ``mean_pose`` (predicting the mean pose); ``np_mpjpe`` (normalised by the
        trunk and aligned, no unit); and the share of single
        coordinates that lie in the 50 % and 90 % intervals.
    """
    lifted, std, truth = through(lift, joints, protocol.novel8(seed), seed)
    return summarize(*in_metres(lifted, std, truth, height), truth)


def through(
    lift: Lift, joints: np.ndarray, views: Sequence[protocol.View], seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What is lifted through noisy cameras, and the truth.

    Arguments as in :func:`evaluate_lifting`.

    Returns:
        joints (C, N, 17, 3) and stds (C, N, 17) in statures; truth (N, 17, 3) in metres in
        the body frame.
    """
    truth = to_body_frame(protocol.middle(joints), "joints17").astype(np.float64)
    points = protocol.render(joints, views, NOISE, seed)
    found = [lift(view, np.ones(view.shape[:-1])) for view in points]
    return np.stack([f[0] for f in found]), np.stack([f[1] for f in found]), truth


def in_metres(
    lifted: np.ndarray, std: np.ndarray, truth: np.ndarray, height: float | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Joints (C, N, 17, 3) and stds (C, N, 17) in statures to metres: of the true height of
    each person, or of one height for everybody."""
    scale = stature(truth) if height is None else np.full(len(truth), height)
    return lifted * scale[:, None, None], std * scale[:, None]


def summarize(lifted: np.ndarray, std: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """The figures of :func:`evaluate_lifting` for joints (C, N, 17, 3), stds (C, N, 17) and
    truth (N, 17, 3), metres in the body frame."""
    relative = [
        np_mpjpe(*(normalize_3d(j, "joints17") for j in (truth, view))).mean() for view in lifted
    ]
    mean_pose = mpjpe(truth, np.broadcast_to(truth.mean(axis=0), truth.shape))
    standard = standardized(lifted, std, truth)
    return {
        "mpjpe": round(1000 * float(mpjpe(lifted, truth).mean()), 2),
        "pa_mpjpe": round(1000 * float(np.mean([aligned(truth, v).mean() for v in lifted])), 2),
        "np_mpjpe": round(float(np.mean(relative)), 4),
        "mean_pose": round(1000 * float(mean_pose.mean()), 2),
        **{
            name: round(100 * float((standard <= width).mean()), 2)
            for name, width in _INTERVALS.items()
        },
    }


def aligned(truth: np.ndarray, lifted: np.ndarray) -> np.ndarray:
    """MPJPE (...,) of (..., J, 3) after a similarity alignment to the truth (PA-MPJPE)."""
    rotation, factor, shift = procrustes(truth, lifted)
    return mpjpe(truth, factor * lifted @ rotation + shift)


def standardized(lifted: np.ndarray, std: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Absolute errors (C, N, 16, 3) of single coordinates in standard deviations; without the
    pelvis, which is the origin. Arguments as in :func:`summarize`."""
    return np.abs(lifted - truth)[..., 1:, :] / std[..., 1:, None]


def calibration(standard: np.ndarray) -> list[float]:
    """Share of errors inside the intervals that should hold :data:`SHARES` of a Gaussian.

    Args:
        standard: absolute errors in standard deviations, any shape.
    """
    widths = np.sqrt(2) * erfinv(SHARES)
    inside = np.searchsorted(np.sort(standard, axis=None), widths, side="right")
    return [round(float(value), 4) for value in inside / standard.size]


def by_joint(lifted: np.ndarray, truth: np.ndarray) -> list[float]:
    """Mean error of each joint (17,) in the body frame, mm; (C, N, 17, 3) and (N, 17, 3)."""
    gap = 1000 * np.linalg.norm(lifted - truth, axis=-1)
    return [round(float(value), 2) for value in gap.mean(axis=(0, 1))]


def bin_views(low: float, seed: int = 0) -> list[protocol.View]:
    """Four cameras of elevation ``low`` to ``low + 10`` degrees from any side."""
    rng = np.random.default_rng([seed, int(low) + 90])
    return [
        protocol.View(*angles)
        for angles in rng.uniform([-180, low], [180, low + 10], (_PER_BIN, 2))
    ]


def by_elevation(lift: Lift, joints: np.ndarray, low: float, seed: int = 0) -> float:
    """Error in the body frame, mm, seen from a bin of elevations; true height."""
    lifted, std, truth = through(lift, joints, bin_views(low, seed), seed)
    return round(1000 * float(mpjpe(in_metres(lifted, std, truth)[0], truth).mean()), 2)
