"""Search against a naive loop over all pairs."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest

from vipe_core.embedding import pairwise_likelihood_distance
from vipe_core.errors import VipeError
from vipe_core.gallery import exact

A, B = 1.5, 0.75


def embeddings(count: int, seed: int, size: int = 16) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    mean = rng.normal(size=(count, size)).astype(np.float32)
    return mean, rng.uniform(0.01, 0.5, (count, size)).astype(np.float32)


def naive(index, query, k):
    """One pair at a time, straight from the formula; ties to the lower row."""
    rows = []
    for mean_q, variance_q in zip(*query, strict=True):
        scored = []
        for row, (mean_i, variance_i) in enumerate(zip(*index, strict=True)):
            squared = 0.0
            for x, vx, y, vy in zip(mean_q, variance_q, mean_i, variance_i, strict=True):
                v = 1 + float(vx) + float(vy)
                squared += (float(x) - float(y)) ** 2 / v + math.log(v)
            p = 0.05 + 0.9 / (1 + math.exp(A * math.sqrt(squared) - B))
            scored.append((squared, row, p))
        rows.append(sorted(scored)[:k])
    indices = np.array([[row for _, row, _ in r] for r in rows])
    return indices, np.array([[p for _, _, p in r] for r in rows])


@pytest.mark.parametrize(
    ("rows", "queries", "k"), [(1, 1, 1), (7, 3, 7), (40, 11, 5), (300, 4, 20), (30, 30, 29)]
)
def test_equal_to_the_naive_loop(rows, queries, k):
    index, query = embeddings(rows, 0), embeddings(queries, 1)
    indices, probability = exact.nearest(*index, *query, A, B, k)
    expected, expected_probability = naive(index, query, k)
    np.testing.assert_array_equal(indices, expected)
    np.testing.assert_allclose(probability, expected_probability, rtol=1e-6)
    assert indices.dtype == np.int64


@pytest.mark.parametrize("order", ["as it comes", "farthest first", "nearest first"])
def test_equal_to_the_whole_matrix_over_many_blocks(order):
    index, query = embeddings(2 * exact.INDEX_BLOCK + 37, 0), embeddings(exact.QUERY_BLOCK + 5, 1)
    length = np.linalg.norm(index[0], axis=1)
    by = {"farthest first": np.argsort(-length), "nearest first": np.argsort(length)}
    if order in by:
        index = (index[0][by[order]], index[1][by[order]])
    indices, probability = exact.nearest(*index, *query, A, B, 20)
    double = [x.astype(np.float64) for x in (*query, *index)]
    everything = pairwise_likelihood_distance(*double)
    best = np.argsort(everything, axis=1, kind="stable")[:, :20]
    np.testing.assert_array_equal(indices, best)
    nearest = np.take_along_axis(everything, best, 1)
    np.testing.assert_allclose(probability, 0.05 + 0.9 / (1 + np.exp(A * nearest - B)))


def test_equal_to_the_whole_matrix_where_variances_differ_wildly():
    index, query = embeddings(3 * exact.INDEX_BLOCK, 0, 4), embeddings(20, 1, 4)
    scale = np.random.default_rng(2).choice([1e-4, 1, 100], (len(index[1]), 4))
    index = (10 * index[0], (index[1] * scale).astype(np.float32))
    indices, _ = exact.nearest(*index, *query, A, B, 30)
    double = [x.astype(np.float64) for x in (*query, *index)]
    best = np.argsort(pairwise_likelihood_distance(*double), axis=1, kind="stable")[:, :30]
    np.testing.assert_array_equal(indices, best)


def test_order_is_exact_where_the_probability_saturates():
    index, query = embeddings(50, 0), embeddings(1, 1)
    far = (query[0] + 1e3 + np.arange(50)[::-1, None], np.full_like(index[1], 0.1))
    indices, probability = exact.nearest(*far, *query, A, B, 50)
    assert (probability == probability[0, 0]).all()
    assert indices[0].tolist() == list(range(49, -1, -1))


def test_variance_decides_between_equal_means():
    index = (np.zeros((3, 4)), np.array([[0.3] * 4, [0.1] * 4, [0.2] * 4]))
    indices, _ = exact.nearest(*index, np.zeros((1, 4)), np.zeros((1, 4)), A, B, 3)
    assert indices.tolist() == [[1, 2, 0]]


def test_equal_rows_come_in_order():
    index = (np.ones((30, 4)), np.ones((30, 4)))
    indices, _ = exact.nearest(*index, *embeddings(3, 0, 4), A, B, 10)
    assert indices.tolist() == [list(range(10))] * 3


def test_rows_without_a_person_match_nothing():
    index, query = embeddings(12, 0), embeddings(3, 1)
    index[0][4] = np.nan
    index[1][7, 3] = np.inf
    query[0][1] = np.nan
    indices, probability = exact.nearest(*index, *query, A, B, 12)
    assert not np.isin(indices, [4, 7]).any()
    assert (indices[1] == -1).all()
    assert np.isnan(probability[1]).all()
    for row in (0, 2):
        assert sorted(indices[row, :10]) == [0, 1, 2, 3, 5, 6, 8, 9, 10, 11]
        assert indices[row, 10:].tolist() == [-1, -1]
        assert np.isnan(probability[row]).tolist() == [False] * 10 + [True] * 2


@pytest.mark.parametrize(("rows", "queries"), [(0, 3), (3, 0), (0, 0)])
def test_nothing_to_search(rows, queries):
    indices, probability = exact.nearest(*embeddings(rows, 0), *embeddings(queries, 1), A, B, 4)
    assert indices.shape == probability.shape == (queries, 4)
    assert (indices == -1).all()


def test_progress_counts_the_queries_with_a_person():
    query = embeddings(exact.QUERY_BLOCK + 9, 0)
    query[0][3] = np.nan
    done: list[int] = []
    exact.nearest(*embeddings(5, 1), *query, A, B, 2, progress=done.append)
    assert done == [exact.QUERY_BLOCK, 8]


def test_memory_does_not_grow_with_the_number_of_pairs():
    index, query = embeddings(50_000, 0, 4), embeddings(1_000, 1, 4)
    tracemalloc.start()
    exact.nearest(*index, *query, A, B, 5)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 80e6  # all pairs at once would take 400 MB


@pytest.mark.parametrize("k", [0, -3])
def test_k_out_of_range(k):
    with pytest.raises(VipeError, match="k must be at least 1"):
        exact.nearest(*embeddings(3, 0), *embeddings(3, 1), A, B, k)


def test_sizes_that_differ():
    with pytest.raises(VipeError, match="index has embeddings of size 8, the query of size 16"):
        exact.nearest(*embeddings(3, 0, 8), *embeddings(3, 1), A, B, 1)
