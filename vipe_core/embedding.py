"""Probability that two embeddings show the same pose (Pr-VIPE section 4.2)."""

from __future__ import annotations

import numpy as np

from vipe_core.geometry.normalize import as_float

_TILE = (64, 1024)  # pairs of a tile: half a megabyte in float64
_FACTORS = 8  # their product stays finite up to variances of 1e38
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


def likelihood_match_probability(
    mean_a: np.ndarray,
    variance_a: np.ndarray,
    mean_b: np.ndarray,
    variance_b: np.ndarray,
    a: float,
    b: float,
) -> np.ndarray:
    """Matching probability (...,) without sampling: that of the :func:`likelihood_distance`.

    Arguments as in :func:`match_probability`; element-wise, leading axes broadcast.
    """
    distance = likelihood_distance(mean_a, variance_a, mean_b, variance_b)
    return _squeezed_sigmoid(distance, a, b).astype(distance.dtype)


def likelihood_distance(
    mean_a: np.ndarray, variance_a: np.ndarray, mean_b: np.ndarray, variance_b: np.ndarray
) -> np.ndarray:
    """Distance (...,) between Gaussians that knows what either leaves open.

    The root of -2 log of the expected unit Gaussian kernel between samples of both: with
    ``v = 1 + variance_a + variance_b``, the squared distance is the sum over dimensions
    of ``(mean_a - mean_b)^2 / v + log v``. Without variance it is Euclidean. A dimension
    that is uncertain, because a limb is hidden, hardly counts, and costs a little.

    Args:
        mean_a, variance_a: (..., D) first embedding, diagonal covariance.
        mean_b, variance_b: (..., D) second embedding; leading axes broadcast.

    Source: the probability product kernel with exponent 1 (Jebara, Kondor and Howard
    2004) of the two Gaussians, widened by a unit kernel.
    """
    mean_a, mean_b = as_float(mean_a), as_float(mean_b)
    variance = 1 + np.asarray(variance_a) + np.asarray(variance_b)
    gap = mean_a - mean_b
    squared = (gap * gap / variance + np.log(variance)).sum(axis=-1)
    return np.sqrt(squared).astype(np.result_type(mean_a, mean_b))


def pairwise_likelihood_distance(
    mean_a: np.ndarray, variance_a: np.ndarray, mean_b: np.ndarray, variance_b: np.ndarray
) -> np.ndarray:
    """:func:`likelihood_distance` (N, M) of every pair of two sets (N, D) and (M, D),
    computed in float64, in tiles that stay in the cache."""
    out_type = np.result_type(as_float(mean_a), as_float(mean_b))
    squared = pairwise_squared(mean_a, variance_a, mean_b, variance_b)
    return np.sqrt(squared, out=squared).astype(out_type, copy=False)


def pairwise_excess_distance(
    mean_a: np.ndarray, variance_a: np.ndarray, mean_b: np.ndarray, variance_b: np.ndarray
) -> np.ndarray:
    """How much farther apart than from themselves (N, M): 0 for two equal Gaussians.

    The squared likelihood distance less the mean of both distances to themselves, which is
    -2 log of the cosine between the two as functions. For costs along a sequence, where being
    unsure shall not cost by itself.
    """
    squared = pairwise_squared(mean_a, variance_a, mean_b, variance_b)
    squared -= (self_squared(variance_a)[:, None] + self_squared(variance_b)) / 2
    return np.sqrt(np.maximum(squared, 0, out=squared), out=squared)


def self_squared(variance: np.ndarray) -> np.ndarray:
    """Squared likelihood distance (...,) of Gaussians with variance (..., D) to themselves."""
    return np.log1p(2 * np.asarray(variance, np.float64)).sum(axis=-1)


def pairwise_squared(
    mean_a: np.ndarray, variance_a: np.ndarray, mean_b: np.ndarray, variance_b: np.ndarray
) -> np.ndarray:
    """Squares (N, M) float64 of the distances of :func:`pairwise_likelihood_distance`."""
    # Dimensions first: each is then one contiguous row.
    m_a, v_a = (np.ascontiguousarray(np.asarray(x, np.float64).T) for x in (mean_a, variance_a))
    m_b, v_b = (np.ascontiguousarray(np.asarray(x, np.float64).T) for x in (mean_b, variance_b))
    out = np.empty((m_a.shape[1], m_b.shape[1]))
    for i in range(0, out.shape[0], _TILE[0]):
        rows = slice(i, i + _TILE[0])
        for j in range(0, out.shape[1], _TILE[1]):
            columns = slice(j, j + _TILE[1])
            _squared_tile(
                m_a[:, rows], v_a[:, rows], m_b[:, columns], v_b[:, columns], out[rows, columns]
            )
    return out


def _squared_tile(
    mean_a: np.ndarray,
    variance_a: np.ndarray,
    mean_b: np.ndarray,
    variance_b: np.ndarray,
    out: np.ndarray,
) -> None:
    """Fill ``out`` (N, M) from (D, N) and (D, M), one dimension after the other."""
    out[:] = 0
    product, gap = np.ones(out.shape), np.empty(out.shape)
    for d in range(len(mean_a)):
        variance = (1 + variance_a[d])[:, None] + variance_b[d]
        np.subtract(mean_a[d][:, None], mean_b[d], out=gap)
        gap *= gap
        gap /= variance
        out += gap
        product *= variance
        # A logarithm costs as much as all the rest: one for several dimensions.
        if d % _FACTORS == _FACTORS - 1 or d == len(mean_a) - 1:
            out += np.log(product)
            product[:] = 1


def _samples(mean: np.ndarray, variance: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """(..., K, D) points of the Gaussian."""
    return mean[..., None, :] + np.sqrt(variance)[..., None, :] * noise


def _squeezed_sigmoid(distance: np.ndarray, a: float, b: float) -> np.ndarray:
    logit = np.clip(b - a * distance, -60, 60)
    return (1 - _SQUEEZE) / (1 + np.exp(-logit)) + _SQUEEZE / 2
