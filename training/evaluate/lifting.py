"""Lifting: how far the canonical 3D pose is from the truth, and whether it knows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from vipe_core.geometry import mpjpe, normalize_3d, np_mpjpe, stature, to_body_frame
from vipe_core.geometry.procrustes import procrustes
from vipe_training.evaluate import protocol

Lift = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
# Half-widths, in standard deviations, of intervals that hold half and 90 % of a Gaussian.
_INTERVALS = {"coverage50": 0.6745, "coverage90": 1.6449}


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
    truth = to_body_frame(protocol.middle(joints), "joints17").astype(np.float64)
    scale = stature(truth) if height is None else np.full(len(truth), height)
    points = protocol.render(joints, protocol.novel8(seed), 0.02, seed)
    errors, aligned, relative, inside = [], [], [], {name: [] for name in _INTERVALS}
    for view in points:
        lifted, std = lift(view, np.ones(view.shape[:-1]))
        lifted = lifted * scale[:, None, None]
        errors.append(mpjpe(truth, lifted))
        rotation, factor, shift = procrustes(truth, lifted)
        aligned.append(mpjpe(truth, factor * lifted @ rotation + shift))
        relative.append(np_mpjpe(*(normalize_3d(j, "joints17") for j in (truth, lifted))))
        standard = np.abs(lifted - truth)[:, 1:] / (std * scale[:, None])[:, 1:, None]
        for name, width in _INTERVALS.items():
            inside[name].append((standard <= width).mean())
    mean_pose = mpjpe(truth, np.broadcast_to(truth.mean(axis=0), truth.shape))
    return {
        "mpjpe": round(1000 * float(np.mean(errors)), 2),
        "pa_mpjpe": round(1000 * float(np.mean(aligned)), 2),
        "np_mpjpe": round(float(np.mean(relative)), 4),
        "mean_pose": round(1000 * float(mean_pose.mean()), 2),
        **{name: round(100 * float(np.mean(values)), 2) for name, values in inside.items()},
    }
