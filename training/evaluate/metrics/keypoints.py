"""Distances between views by their 2D keypoints alone: the baseline without learning."""

from __future__ import annotations

import numpy as np

_TILE = (64, 128)  # pairs; a plane of a tile is 64 kB
_TINY = 1e-30


def normalized(points: np.ndarray, visibility: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points (N, J) as complex numbers, and what is visible (N, J) bool.

    The visible points of a view have their mean at 0 and a root mean square length of 1;
    hidden ones are 0.

    Args:
        points: (N, J, 2) pixels; not finite where missing.
        visibility: (N, J) in 0..1.
    """
    shown = (np.asarray(visibility) >= 0.5) & np.isfinite(points).all(axis=-1)
    points = np.where(shown[..., None], points, 0).astype(np.float64)
    number = np.maximum(shown.sum(axis=1), 1)[:, None]
    flat = points[..., 0] + 1j * points[..., 1]
    flat = np.where(shown, flat - flat.sum(axis=1, keepdims=True) / number, 0)
    length = np.sqrt((np.abs(flat) ** 2).sum(axis=1, keepdims=True) / number)
    return flat / np.maximum(length, _TINY), shown


def pairwise_aligned(
    targets: np.ndarray, target_shown: np.ndarray, sources: np.ndarray, source_shown: np.ndarray
) -> np.ndarray:
    """Mean distance (N, M) of the points of every pair after a 2D similarity alignment.

    Only points count that both views show. The rotation, scale and shift that bring a source
    closest to its target are one complex factor and a sum, in closed form (Umeyama 1991 in
    the plane). A pair with fewer than two common points is infinitely far apart.

    Args:
        targets, sources: (N, J) and (M, J) complex, as :func:`normalized` gives them; the
            unit of the result is the target's.
        target_shown, source_shown: (N, J) and (M, J) bool.
    """
    out = np.empty((len(targets), len(sources)), np.float32)
    w, v = target_shown.astype(np.float64), source_shown.astype(np.float64)
    for i in range(0, len(targets), _TILE[0]):
        rows = slice(i, i + _TILE[0])
        for j in range(0, len(sources), _TILE[1]):
            columns = slice(j, j + _TILE[1])
            out[rows, columns] = _tile(targets[rows], w[rows], sources[columns], v[columns])
    return out


def _tile(a: np.ndarray, w: np.ndarray, b: np.ndarray, v: np.ndarray) -> np.ndarray:
    count = w @ v.T
    most = np.maximum(count, 1)
    mean_a, mean_b = a @ v.T / most, w @ b.T / most
    together = a @ b.conj().T - most * mean_a * mean_b.conj()
    spread = w @ (np.abs(b) ** 2).T - most * np.abs(mean_b) ** 2
    factor = together / np.maximum(spread, _TINY)
    shift = mean_a - factor * mean_b
    factor, shift = factor.astype(np.complex64), shift.astype(np.complex64)
    a, b = a.astype(np.complex64), b.astype(np.complex64)
    total = np.zeros(count.shape, np.float32)
    for joint in range(a.shape[1]):
        gap = factor * b[:, joint]
        gap += shift
        gap -= a[:, joint, None]
        distance = np.abs(gap)
        distance *= (w[:, joint, None] * v[:, joint]).astype(np.float32)
        total += distance
    return np.where(count >= 2, total / most, np.inf)
