"""Exact nearest neighbours under the match probability, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from vipe_core.embedding import likelihood_distance, likelihood_match_probability
from vipe_core.errors import VipeError

QUERY_BLOCK = 256
PAIR_BLOCK = 1 << 16  # pairs looked at exactly at a time
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
    keys = _Keys(*index)
    for start in range(0, len(query_rows) if kept else 0, QUERY_BLOCK):
        block = slice(start, start + QUERY_BLOCK)
        mean, variance = query[0][block], query[1][block]
        found = _smallest(mean, variance, keys, kept)
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


class _Keys:
    """An index prepared for bounds: no row is nearer than one matrix product says.

    A query's distance to any row is at least ``sum w (q - x)^2 + c``, where the weights w
    take the largest and the constant c the smallest variance of any row. With the query's
    w fixed that is linear in ``x^2`` and ``x``.
    """

    def __init__(self, mean: np.ndarray, variance: np.ndarray) -> None:
        self.mean, self.variance = mean, variance
        self._columns = np.concatenate([mean * mean, mean], 1)  # (M, 2 D)
        empty = np.zeros((1, mean.shape[1]))
        self._least = variance.min(axis=0) if len(mean) else empty
        self._most = variance.max(axis=0) if len(mean) else empty

    def __len__(self) -> int:
        return len(self.mean)

    def bounds(self, mean: np.ndarray, variance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows (Q, 2 D) and constants (Q, 1) for :meth:`at_least`."""
        weight = 1 / (1 + variance + self._most)
        constant = (weight * mean * mean + np.log(1 + variance + self._least)).sum(1)
        return np.concatenate([weight, -2 * weight * mean], 1), constant[:, None]

    def at_least(self, rows: np.ndarray, constant: np.ndarray, block: slice) -> np.ndarray:
        """(Q, B) squared distances that no row of a block falls below, but for rounding."""
        bound = rows @ self._columns[block].T + constant
        return bound - 1e-9 * (np.abs(bound) + np.abs(constant))


def _smallest(mean: np.ndarray, variance: np.ndarray, keys: _Keys, k: int) -> np.ndarray:
    """(Q, k) rows of ``keys`` with the lowest distance to each of Q queries, lowest first.

    Blocks of the index pass by. Exact distances are computed only for rows whose bound
    is under the k-th lowest distance so far.
    """
    best = np.full((len(mean), k), np.inf)
    rows = np.full((len(mean), k), len(keys))
    asked = keys.bounds(mean, variance)
    for start in range(0, len(keys), INDEX_BLOCK):
        bound = keys.at_least(*asked, slice(start, start + INDEX_BLOCK))
        width = bound.shape[1]
        if start == 0 and width > 2 * k:
            # The most promising rows first: they lower the bar for all others.
            column = np.argpartition(bound, 2 * k, axis=1)[:, : 2 * k]
            at_query = np.repeat(np.arange(len(mean)), 2 * k)
            np.put_along_axis(bound, column, np.inf, axis=1)
            best, rows = _weigh(mean, variance, keys, best, rows, at_query, column.ravel())
        hits = np.flatnonzero(bound <= best[:, -1:])  # several times faster than a 2D nonzero
        for part in np.array_split(hits, 1 + len(hits) // PAIR_BLOCK):
            at_query, at_row = np.divmod(part, width)
            best, rows = _weigh(mean, variance, keys, best, rows, at_query, at_row + start)
    return rows


def _weigh(
    mean: np.ndarray,
    variance: np.ndarray,
    keys: _Keys,
    best: np.ndarray,
    rows: np.ndarray,
    at_query: np.ndarray,
    at_row: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """The k lowest distances and their rows after looking at the pairs (n,) exactly."""
    if not len(at_query):
        return best, rows
    distance = likelihood_distance(
        mean[at_query], variance[at_query], keys.mean[at_row], keys.variance[at_row]
    )
    return _merge(best, rows, at_query, at_row, distance**2)


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
