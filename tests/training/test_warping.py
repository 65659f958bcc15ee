"""Warping of many pairs against the one that has paths; warps that go from end to end."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from vipe_core.alignment import dtw
from vipe_core.errors import VipeError
from vipe_training.evaluate.metrics.warping import (
    clip_distances,
    dtw_many,
    found_warp,
    random_warp,
    warped,
)


@pytest.mark.parametrize("whole_numbers", [False, True])  # whole numbers make ties
def test_many_pairs_are_as_one_at_a_time(whole_numbers):
    rng = np.random.default_rng(0)
    cost = rng.uniform(0, 3, (40, 9, 7))
    cost = np.rint(cost) if whole_numbers else cost
    heights, widths = rng.integers(1, 10, 40), rng.integers(1, 8, 40)
    total, steps = dtw_many(cost, heights, widths)
    for b in range(40):
        path, expected = dtw(cost[b, : heights[b], : widths[b]])
        assert total[b] == expected
        assert steps[b] == len(path)


def test_clip_distances_are_mean_costs_along_the_path():
    rng = np.random.default_rng(1)
    starts = np.cumsum([0, 5, 1, 8, 3])
    cost = rng.uniform(0, 1, (6, starts[-1]))
    expected = []
    for a, b in pairwise(starts):
        path, total = dtw(cost[:, a:b])
        expected.append(total / len(path))
    np.testing.assert_allclose(clip_distances(cost, starts), expected, rtol=1e-12)


def test_many_batches_are_as_one(monkeypatch):
    rng = np.random.default_rng(1)
    starts = np.cumsum([0, *rng.integers(1, 9, 20)])
    cost = rng.uniform(0, 1, (6, starts[-1]))
    expected = clip_distances(cost, starts)
    monkeypatch.setattr("vipe_training.evaluate.metrics.warping._CELLS", 100)
    np.testing.assert_array_equal(clip_distances(cost, starts), expected)


def test_a_cost_that_is_not_finite_is_refused():
    with pytest.raises(VipeError, match="not finite"):
        clip_distances(np.array([[0.0, np.nan]]), np.array([0, 2]))


def test_a_warp_rises_from_end_to_end_within_its_speeds():
    for seed in range(20):
        warp = random_warp(50, np.random.default_rng(seed), fastest=2.0)
        speed = np.diff(warp)
        assert warp[0] == 0
        assert warp[-1] == pytest.approx(49)
        assert speed.min() > 0
        assert speed.max() / speed.min() <= 4
    one, same = (random_warp(50, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(one, same)


def test_values_between_frames():
    values = np.array([[0.0, 0], [10, 1], [20, 4]])
    found = warped(values, np.array([0, 0.5, 1.25, 2]))
    np.testing.assert_allclose(found, [[0, 0], [5, 0.5], [12.5, 1.75], [20, 4]])


def test_found_warp_is_the_mean_over_the_path():
    path = np.array([[0, 0], [1, 1], [2, 1], [3, 2], [3, 3]])
    np.testing.assert_array_equal(found_warp(path, 4), [0, 1.5, 3, 3])


def test_the_path_of_a_known_warp_is_found():
    warp = random_warp(60, np.random.default_rng(2))
    path, _ = dtw(np.abs(np.arange(60)[:, None] - warp[None]))
    assert np.abs(found_warp(path, 60) - warp).max() <= 1
