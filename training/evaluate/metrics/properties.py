"""What an embedding is like: its map, what its variance and its probability are worth, and
how many of its dimensions it needs (Pr-VIPE, the section on properties)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vipe_core.errors import VipeError
from vipe_core.geometry import normalize_2d

NEIGHBOURS = 10
_BLOCK = 200  # queries whose 2D distances are computed at once
_EMPTY = 1e-12


def principal_axes(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Principal component analysis of (N, D).

    Returns:
        the mean (D,); the axes (D, D) as rows, of the largest variance first, each with its
        largest entry positive; the share of the variance along each (D,).
    """
    vectors = np.asarray(vectors, np.float64)
    mean = vectors.mean(axis=0)
    # D x D however many vectors there are.
    variance, axes = np.linalg.eigh(np.cov(vectors.T, ddof=0).reshape(vectors.shape[1], -1))
    axes = axes.T[::-1]
    axes = axes * np.sign(np.take_along_axis(axes, np.abs(axes).argmax(1)[:, None], axis=1))
    variance = np.maximum(variance[::-1], 0)
    return mean, axes, variance / max(variance.sum(), _EMPTY)


def leading(
    mean: np.ndarray, variance: np.ndarray, axes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Gaussians (N, D) with diagonal covariance along axes (K, D): means and variances (N, K).

    The covariance between the axes, which a diagonal cannot hold, is dropped.
    """
    return mean @ axes.T, variance @ (axes**2).T


def camera_share(codes: np.ndarray) -> float:
    """Share of the variance of embeddings (V, N, D) that is between views of the same pose.

    0: an embedding depends on the pose alone; 1: on the camera alone.
    """
    codes = np.asarray(codes, np.float64)
    within = ((codes - codes.mean(axis=0)) ** 2).sum()
    return float(within / max(((codes - codes.mean(axis=(0, 1))) ** 2).sum(), _EMPTY))


def hit_of_kept(right: np.ndarray, uncertainty: np.ndarray, shares: Sequence[float]) -> list[float]:
    """Share of right answers among the queries that are left when the most uncertain go.

    Args:
        right, uncertainty: (N,) of each query.
        shares: of the queries to discard, in percent; one query always stays.

    Source: Pr-VIPE, figure 10.
    """
    surest = np.argsort(uncertainty, kind="stable")
    kept = [max(1, round(len(surest) * (1 - share / 100))) for share in shares]
    return [float(right[surest[:count]].mean()) for count in kept]


def pairwise_2d(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    """NP-MPJPE in 2D (N, M): mean joint error after the best similarity of the image plane.

    Both are normalised first (mid-hip at 0, longest torso distance 0.5); the target of the
    alignment is ``points``. There is no reflection.

    Args:
        points, others: (N, 13, 2) and (M, 13, 2), body13, every joint there.

    Source: Pr-VIPE, figure on the variance of ambiguous poses. In the plane a similarity is
    one complex factor, so the best one is a ratio of two inner products.
    """
    target, source = (_complex(normalize_2d(p, "body13")) for p in (points, others))
    energy = np.maximum((np.abs(source) ** 2).sum(axis=1), _EMPTY)
    rows = []
    for start in range(0, len(target), _BLOCK):
        block = target[start : start + _BLOCK]
        factor = block @ source.conj().T / energy  # (B, M)
        rows.append(np.abs(block[:, None] - factor[..., None] * source).mean(axis=-1))
    return np.concatenate(rows) if rows else np.empty((0, len(source)))


def _complex(points: np.ndarray) -> np.ndarray:
    """Points (N, J, 2) as complex numbers about their centroid."""
    flat = points[..., 0].astype(np.float64) + 1j * points[..., 1]
    return flat - flat.mean(axis=1, keepdims=True)


def look_alikes(distance: np.ndarray, other: np.ndarray, count: int = NEIGHBOURS) -> np.ndarray:
    """Mean 2D distance (N,) to the nearest look-alikes of another 3D pose.

    The smaller, the more ambiguous is what the camera saw. NaN where nothing is another pose.

    Args:
        distance: (N, M) in 2D.
        other: (N, M) bool, of those whose 3D poses are at least kappa apart.
        count: of the neighbours; fewer if there are no more.
    """
    distance = np.where(other, distance, np.inf)
    nearest = np.partition(distance, min(count, distance.shape[1]) - 1, axis=1)[:, :count]
    there = np.isfinite(nearest)
    total = np.where(there, nearest, 0).sum(axis=1)
    return np.divide(
        total, there.sum(axis=1), out=np.full(len(total), np.nan), where=there.any(axis=1)
    )


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float | None:
    """Spearman's rank correlation of (N,) and (N,); None if either is constant."""
    rank_a, rank_b = _ranks(a), _ranks(b)
    if len(a) < 2 or np.ptp(rank_a) == 0 or np.ptp(rank_b) == 0:
        return None
    return float(np.corrcoef(rank_a, rank_b)[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    """Rank (N,) of each value; equal ones share their mean."""
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (counts.cumsum() - (counts - 1) / 2)[group]


def reliability(
    probability: np.ndarray, right: np.ndarray, bins: int = 10
) -> list[tuple[int, float, float]]:
    """Count, mean predicted probability and observed share of each bin that holds a pair.

    Args:
        probability: (M,) in 0..1.
        right: (M,) bool.
        bins: of equal width over 0..1.

    Raises:
        VipeError: there is no pair.
    """
    if not len(probability):
        raise VipeError("no pair to compare probabilities on")
    place = np.minimum((np.asarray(probability) * bins).astype(int), bins - 1)
    found = []
    for one in np.unique(place):
        held = place == one
        found.append((int(held.sum()), float(probability[held].mean()), float(right[held].mean())))
    return found


def calibration_error(rows: Sequence[tuple[int, float, float]]) -> float:
    """Expected calibration error of :func:`reliability`: the mean gap of the bins, by count.

    Source: Naeini, Cooper and Hauskrecht 2015.
    """
    count = sum(row[0] for row in rows)
    return sum(n * abs(predicted - seen) for n, predicted, seen in rows) / count
