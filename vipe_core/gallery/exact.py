"""Exact nearest neighbours under the match probability, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from vipe_core.embedding import likelihood_match_probability, pairwise_squared
from vipe_core.errors import VipeError

QUERY_BLOCK = 256
INDEX_BLOCK = 4096  # a block of scores, 256 x 4096 float64, is 8 MB


def nearest(
    mean_index: np.ndarray,
    variance_index: np.ndarray,
    mean_query: np.ndarray,
    variance_query: np.ndarray,
    a: float,
    b: float,
    k: int = 20,
    progress: Callable[[int], object] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The k index rows that each query most probably matches.

    Ranked by :func:`vipe_core.embedding.likelihood_distance`, in which the match
    probability falls; so the order is exact also where probabilities saturate. Equal
    distances: the lower row first.

    Args:
        mean_index, variance_index: (M, D).
        mean_query, variance_query: (Q, D).
        a, b: slope (> 0) and offset of the match probability.
        k: neighbours per query, from 1.
        progress: called with the number of queries just finished.

    Returns:
        indices (Q, k) int64 and probability (Q, k) float64, best first. A row with a
        value that is not finite matches nothing: where no usable row is left, and for
        every place of such a query, the index is -1 and the probability NaN.

    Raises:
        VipeError: k below 1, or sizes that differ.
    """
    if k < 1:
        raise VipeError(f"k must be at least 1, not {k}")
    if mean_index.shape[1] != mean_query.shape[1]:
        raise VipeError(
            f"the index has embeddings of size {mean_index.shape[1]}, "
            f"the query of size {mean_query.shape[1]}"
        )
    index_rows, index = _usable(mean_index, variance_index)
    query_rows, query = _usable(mean_query, variance_query)
    indices = np.full((len(mean_query), k), -1, np.int64)
    probability = np.full((len(mean_query), k), np.nan)
    kept = min(k, len(index_rows))
    for start in range(0, len(query_rows) if kept else 0, QUERY_BLOCK):
        block = slice(start, start + QUERY_BLOCK)
        mean, variance = query[0][block], query[1][block]
        found = _smallest(mean, variance, index, kept)
        p = likelihood_match_probability(
            mean[:, None], variance[:, None], index[0][found], index[1][found], a, b
        )
        indices[query_rows[block], :kept] = index_rows[found]
        probability[query_rows[block], :kept] = p
        if progress:
            progress(len(found))
    return indices, probability


def _usable(mean: np.ndarray, variance: np.ndarray) -> tuple[np.ndarray, tuple]:
    """Numbers of the finite rows, and those rows in float64: in float32 the matrix product
    would cancel to about 1e-3 of the embedding's length and swap near neighbours."""
    rows = np.flatnonzero(np.isfinite(mean).all(1) & np.isfinite(variance).all(1))
    return rows, (mean[rows].astype(np.float64), variance[rows].astype(np.float64))


def _smallest(
    mean: np.ndarray, variance: np.ndarray, index: tuple[np.ndarray, np.ndarray], k: int
) -> np.ndarray:
    """(Q, k) rows of the index with the lowest distance to each of Q queries, lowest first.

    Blocks of the index pass by; only what is under the k-th lowest so far is looked at.
    """
    best = np.full((len(mean), k), np.inf)
    rows = np.zeros((len(mean), k), np.int64)
    for start in range(0, len(index[0]), INDEX_BLOCK):
        block = slice(start, start + INDEX_BLOCK)
        score = pairwise_squared(mean, variance, index[0][block], index[1][block])
        bar = best[:, -1:]
        if start == 0 and score.shape[1] > k:
            bar = np.partition(score, k - 1, axis=1)[:, k - 1 : k]
            bar = np.nextafter(bar, np.inf)
        hits = np.flatnonzero(score < bar)  # several times faster than a 2D nonzero
        if len(hits):
            at_query, at_row = np.divmod(hits, score.shape[1])
            best, rows = _merge(best, rows, at_query, at_row + start, score.ravel()[hits])
    return rows


def _merge(
    best: np.ndarray, rows: np.ndarray, at_query: np.ndarray, at_row: np.ndarray, score: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The k lowest of what is kept, (Q, k) each, and of what has come, (n,) each."""
    count, k = best.shape
    of = np.concatenate([np.repeat(np.arange(count), k), at_query])
    score = np.concatenate([best.ravel(), score])
    row = np.concatenate([rows.ravel(), at_row])
    order = np.lexsort((row, score, of))
    first = np.searchsorted(of[order], np.arange(count))
    chosen = order[first[:, None] + np.arange(k)]
    return score[chosen], row[chosen]
