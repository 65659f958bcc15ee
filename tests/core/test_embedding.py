"""Match probability against the written-out formula."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vipe_core.embedding import (
    likelihood_distance,
    likelihood_match_probability,
    match_probability,
    pairwise_excess_distance,
    pairwise_likelihood_distance,
)

A, B = 1.3, 0.7


def gaussians(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, 16)), rng.uniform(0.01, 0.3, (count, 16))


def squeezed(distance: float) -> float:
    return 0.9 / (1 + math.exp(A * distance - B)) + 0.05


def test_sampled_probability_against_a_loop_over_sample_pairs():
    (mean_a, var_a), (mean_b, var_b) = gaussians(1, 0), gaussians(1, 1)
    rng = np.random.default_rng(5)
    z_a = [mean_a[0] + np.sqrt(var_a[0]) * e for e in rng.standard_normal((20, 16))]
    z_b = [mean_b[0] + np.sqrt(var_b[0]) * e for e in rng.standard_normal((20, 16))]
    naive = sum(squeezed(math.dist(x, y)) for x in z_a for y in z_b) / 400
    result = match_probability(mean_a, var_a, mean_b, var_b, A, B, samples=20, seed=5)
    assert result.shape == (1,)
    assert result[0] == pytest.approx(naive, abs=1e-12)


def test_without_variance_both_forms_agree():
    (mean_a, _), (mean_b, _) = gaussians(6, 0), gaussians(6, 1)
    zero = np.zeros_like(mean_a)
    sampled = match_probability(mean_a, zero, mean_b, zero, A, B)
    closed = likelihood_match_probability(mean_a, zero, mean_b, zero, A, B)
    naive = [squeezed(math.dist(x, y)) for x, y in zip(mean_a, mean_b, strict=True)]
    np.testing.assert_allclose(sampled, naive)
    np.testing.assert_allclose(closed, naive)


def test_likelihood_distance_is_what_samples_converge_to():
    (mean_a, var_a), (mean_b, var_b) = (
        (mean[:, :2], 3 * var[:, :2]) for mean, var in (gaussians(3, 2), gaussians(4, 3))
    )
    rng = np.random.default_rng(0)
    z_a = mean_a[:, None] + np.sqrt(var_a)[:, None] * rng.standard_normal((3, 100_000, 2))
    z_b = mean_b[:, None] + np.sqrt(var_b)[:, None] * rng.standard_normal((4, 100_000, 2))
    squared = ((z_a[:, None] - z_b[None]) ** 2).sum(-1)
    expected = -2 * np.log(np.exp(-squared / 2).mean(-1))
    distance = pairwise_likelihood_distance(mean_a, var_a, mean_b, var_b)
    np.testing.assert_allclose(distance**2, expected, rtol=0.02)


def test_pairs_are_the_element_wise_form_in_any_block():
    (mean_a, var_a), (mean_b, var_b) = gaussians(20, 0), gaussians(1000, 1)
    pairs = pairwise_likelihood_distance(mean_a, var_a, mean_b, var_b)
    expected = likelihood_distance(mean_a[:, None], var_a[:, None], mean_b, var_b)
    np.testing.assert_allclose(pairs, expected, rtol=1e-12)
    assert pairwise_likelihood_distance(mean_a[:0], var_a[:0], mean_b, var_b).shape == (0, 1000)


def test_excess_distance_is_the_angle_between_gaussians():
    (mean_a, var_a), (mean_b, var_b) = gaussians(5, 0), gaussians(7, 1)
    excess = pairwise_excess_distance(mean_a, var_a, mean_b, var_b)
    own = [
        pairwise_likelihood_distance(m, v, m, v).diagonal() ** 2
        for m, v in ((mean_a, var_a), (mean_b, var_b))
    ]
    between = pairwise_likelihood_distance(mean_a, var_a, mean_b, var_b) ** 2
    for i, j in ((0, 0), (4, 6), (2, 3)):
        cosine = math.exp(-between[i, j] / 2) / math.exp(-(own[0][i] + own[1][j]) / 4)
        assert excess[i, j] == pytest.approx(math.sqrt(-2 * math.log(cosine)))
    itself = pairwise_excess_distance(mean_a, var_a, mean_a, var_a)
    np.testing.assert_allclose(itself.diagonal(), 0, atol=1e-6)


def test_an_open_dimension_hardly_counts():
    a, b = np.zeros(2), np.array([0.0, 3.0])
    sure, open_ = np.zeros(2), np.array([0.0, 100.0])
    assert likelihood_distance(a, sure, b, sure) == pytest.approx(3)
    near, far = (likelihood_distance(a, open_, m, sure) for m in (a, b))
    assert far - near < 0.03
    assert near > 2  # not knowing costs: log(101) in the square


def test_probability_stays_in_its_range_and_falls_with_distance():
    mean = np.zeros((200, 16))
    mean[:, 0] = np.linspace(0, 1e4, 200)
    zero = np.zeros_like(mean)
    p = match_probability(mean[:1], zero[:1], mean, zero, A, B)
    assert p.min() >= 0.05
    assert p.max() <= 0.95
    assert (np.diff(p) <= 0).all()


def test_more_variance_means_less_certainty():
    mean = np.zeros((1, 16))
    p = [likelihood_match_probability(mean, mean + v, mean, mean, A, B)[0] for v in (0, 0.1, 1)]
    assert p[0] > p[1] > p[2]


def test_result_does_not_depend_on_the_batch_and_is_reproducible():
    (mean_a, var_a), (mean_b, var_b) = gaussians(8, 0), gaussians(8, 1)
    whole = match_probability(mean_a, var_a, mean_b, var_b, A, B)
    alone = match_probability(mean_a[3], var_a[3], mean_b[3], var_b[3], A, B)
    assert whole[3] == alone
    assert not np.allclose(whole, match_probability(mean_a, var_a, mean_b, var_b, A, B, seed=1))


def test_dtype_is_kept_and_float32_does_not_cancel():
    mean = np.full((2, 16), 1000.0, np.float32)
    mean[1, 0] += 0.01
    zero = np.zeros_like(mean)
    distance = pairwise_likelihood_distance(mean, zero, mean, zero)
    assert distance.dtype == np.float32
    assert distance[0, 1] == pytest.approx(0.01, rel=0.02)
