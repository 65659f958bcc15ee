"""Similarity alignment of point sets."""

from __future__ import annotations

import numpy as np

from vipe_core.geometry.normalize import as_float

_EPSILON = 1e-12


def procrustes(
    target: np.ndarray, source: np.ndarray, weights: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rotation, scale and translation that bring ``source`` closest to ``target``.

    ``aligned = scale * source @ rotation + translation`` minimises the weighted sum of
    squared distances. The rotation is proper (det +1): a mirrored body is another body.

    Args:
        target: (..., J, D) points.
        source: (..., J, D) points; leading axes broadcast against ``target``.
        weights: (..., J) non-negative, or None for equal weights.

    Returns:
        rotation (..., D, D), scale (..., 1, 1), translation (..., 1, D). A source without
        extent gets scale 0; a target without extent too. Never NaN on finite input.

    Source: Umeyama 1991; Pr-VIPE, equation for NP-MPJPE (alignment part).
    """
    target, source = np.broadcast_arrays(as_float(target), as_float(source))
    if weights is None:
        weights = np.ones(target.shape[:-1], target.dtype)
    w = np.asarray(weights, target.dtype)[..., None]
    w = w / np.maximum(w.sum(axis=-2, keepdims=True), _EPSILON)
    target_mean = (w * target).sum(axis=-2, keepdims=True)
    source_mean = (w * source).sum(axis=-2, keepdims=True)
    a, b = target - target_mean, source - source_mean
    u, singular, vt = np.linalg.svd(np.swapaxes(a * w, -1, -2) @ b)
    flip = np.sign(np.linalg.det(u @ vt))
    flip = np.where(flip == 0, 1, flip).astype(target.dtype)
    singular[..., -1] *= flip
    vt[..., -1, :] *= flip[..., None]
    rotation = np.swapaxes(u @ vt, -1, -2)
    spread = (w * b * b).sum(axis=(-2, -1))
    scale = np.where(spread > _EPSILON, singular.sum(axis=-1) / np.maximum(spread, _EPSILON), 0)
    scale = scale.astype(target.dtype)[..., None, None]
    return rotation, scale, target_mean - scale * source_mean @ rotation
