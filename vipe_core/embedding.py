"""Probability that two embeddings show the same pose (Pr-VIPE section 4.2)."""

from __future__ import annotations

import numpy as np

from vipe_core.geometry.normalize import as_float

_SQUEEZE = 0.1  # probabilities are kept in [0.05, 0.95], as in Pr-VIPE


def match_probability(
    mean_a: np.ndarray,
    variance_a: np.ndarray,
    mean_b: np.ndarray,
    variance_b: np.ndarray,
    a: float,
    b: float,
    samples: int = 20,
    seed: int = 0,
) -> np.ndarray:
    """Sampled matching probability (...,) in [0.05, 0.95].

    ``samples`` points are drawn from either Gaussian; the result is the mean over all
    samples x samples pairs of the squeezed ``sigmoid(-a * distance + b)``.

    Args:
        mean_a, variance_a: (..., D) first embedding, diagonal covariance.
        mean_b, variance_b: (..., D) second embedding; leading axes broadcast.
        a: slope, > 0.
        b: offset.
        samples: K of the paper.
        seed: the same seed gives the same result.

    Source: Pr-VIPE, equations for p(m | x_i, x_j) and its Monte Carlo estimate.
    """
    mean_a, mean_b = as_float(mean_a), as_float(mean_b)
    rng = np.random.default_rng(seed)
    size = (samples, mean_a.shape[-1])
    # One noise table for every pair: equal inputs give equal results in any batch.
    z_a = _samples(mean_a, variance_a, rng.standard_normal(size))
    z_b = _samples(mean_b, variance_b, rng.standard_normal(size))
    gap = z_a[..., :, None, :] - z_b[..., None, :, :]
    distance = np.sqrt((gap * gap).sum(axis=-1))
    probability = _squeezed_sigmoid(distance, a, b).mean(axis=(-2, -1))
    return probability.astype(np.result_type(mean_a, mean_b))


def expected_match_probability(
    mean_a: np.ndarray,
    variance_a: np.ndarray,
    mean_b: np.ndarray,
    variance_b: np.ndarray,
    a: float,
    b: float,
) -> np.ndarray:
    """Matching probability (...,) without sampling, from the expected squared distance.

    ``E |z_a - z_b|^2 = |mean_a - mean_b|^2 + sum(variance_a) + sum(variance_b)``; its
    root takes the place of the sampled distance. Arguments as in
    :func:`match_probability`; element-wise, leading axes broadcast.
    """
    mean_a, mean_b = as_float(mean_a), as_float(mean_b)
    gap = mean_a - mean_b
    squared = (gap * gap).sum(-1) + np.sum(variance_a, axis=-1) + np.sum(variance_b, axis=-1)
    probability = _squeezed_sigmoid(np.sqrt(squared), a, b)
    return probability.astype(np.result_type(mean_a, mean_b))


def pairwise_match_probability(
    mean_a: np.ndarray,
    variance_a: np.ndarray,
    mean_b: np.ndarray,
    variance_b: np.ndarray,
    a: float,
    b: float,
) -> np.ndarray:
    """:func:`expected_match_probability` (N, M) of every pair of two sets.

    Args:
        mean_a, variance_a: (N, D).
        mean_b, variance_b: (M, D).
        a, b: slope and offset of the sigmoid.
    """
    distance = expected_distance(mean_a, variance_a, mean_b, variance_b)
    return _squeezed_sigmoid(distance, a, b).astype(distance.dtype)


def expected_distance(
    mean_a: np.ndarray, variance_a: np.ndarray, mean_b: np.ndarray, variance_b: np.ndarray
) -> np.ndarray:
    """Root of the expected squared distance (N, M) between two sets of embeddings.

    Computed as one matrix product; with float32 input that is good to about 1e-3 of
    the embedding's own length, so the sums run in float64 and are cast back.
    """
    out_type = np.result_type(as_float(mean_a), as_float(mean_b))
    mean_a, mean_b = np.asarray(mean_a, np.float64), np.asarray(mean_b, np.float64)
    squared = (mean_a * mean_a).sum(1)[:, None] + (mean_b * mean_b).sum(1)[None]
    squared -= 2 * mean_a @ mean_b.T
    np.maximum(squared, 0, out=squared)
    squared += np.asarray(variance_a, np.float64).sum(axis=1)[:, None]
    squared += np.asarray(variance_b, np.float64).sum(axis=1)[None]
    return np.sqrt(squared, out=squared).astype(out_type)


def _samples(mean: np.ndarray, variance: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """(..., K, D) points of the Gaussian."""
    return mean[..., None, :] + np.sqrt(variance)[..., None, :] * noise


def _squeezed_sigmoid(distance: np.ndarray, a: float, b: float) -> np.ndarray:
    logit = np.clip(b - a * distance, -60, 60)
    return (1 - _SQUEEZE) / (1 + np.exp(-logit)) + _SQUEEZE / 2
