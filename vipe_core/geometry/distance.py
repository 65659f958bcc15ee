"""Distances between poses: MPJPE and NP-MPJPE; of many pairs see :mod:`.pairwise`."""

from __future__ import annotations

import numpy as np

from vipe_core.geometry.normalize import as_float
from vipe_core.geometry.procrustes import procrustes


def mpjpe(a: np.ndarray, b: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Mean per joint position error (...,), in the unit of the input.

    Args:
        a, b: (..., J, D).
        weights: (..., J) non-negative; joints with weight 0 do not count. All-zero
            weights give NaN: an average over nothing is not zero.
    """
    error = np.linalg.norm(as_float(a) - as_float(b), axis=-1)
    if weights is None:
        return error.mean(axis=-1)
    weights = np.broadcast_to(np.asarray(weights, error.dtype), error.shape)
    total = weights.sum(axis=-1)
    mean = (np.where(weights > 0, error, 0) * weights).sum(axis=-1) / np.where(total > 0, total, 1)
    return np.where(total > 0, mean, np.nan).astype(error.dtype)


def np_mpjpe(
    target: np.ndarray, source: np.ndarray, weights: np.ndarray | None = None
) -> np.ndarray:
    """Normalised Procrustes-aligned MPJPE (...,): Pr-VIPE's distance between two poses.

    Args:
        target: (..., J, 3) already normalised (:func:`normalize_3d`).
        source: (..., J, 3) already normalised; it is scaled and rotated to the target,
            so the distance is not symmetric.
        weights: (..., J): 1 for joints visible in both, 0 elsewhere.

    Source: Pr-VIPE, section 4.1 (NP-MPJPE). The unit is the trunk length.
    """
    rotation, scale, translation = procrustes(target, source, weights)
    return mpjpe(target, scale * as_float(source) @ rotation + translation, weights)
