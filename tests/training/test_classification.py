"""Classification by hand; the window average and the confusion against loops."""

from __future__ import annotations

import numpy as np
import pytest

from vipe_core.errors import VipeError
from vipe_training.evaluate.metrics.classification import (
    WINDOWS,
    accuracy_per_class,
    confusion,
    mean_accuracy,
    nearest_labels,
    one_view,
    window_average,
)
from vipe_training.evaluate.metrics.ordering import kendall_tau, pair_tau

TRUTH, INDEX = ["a", "a", "a", "b"], ["a", "b"]


def test_windows_are_the_published_ones():
    assert WINDOWS["released"] == (-6, -3, 0, 3, 6)
    assert len(WINDOWS["paper"]) == 7
    assert set(np.diff(WINDOWS["paper"])) == {3}


@pytest.mark.parametrize("name", sorted(WINDOWS))
def test_window_average_is_that_of_a_loop(name):
    rng = np.random.default_rng(0)
    starts = np.cumsum([0, 12, 1, 7])
    distance = rng.uniform(size=(10, 20))
    found = window_average(distance, starts, WINDOWS[name])
    for clip in range(3):
        first, end = starts[clip], starts[clip + 1]
        for t in range(10):
            for s in range(first, end):
                pairs = [
                    distance[min(max(t + o, 0), 9), min(max(s + o, first), end - 1)]
                    for o in WINDOWS[name]
                ]
                assert found[t, s] == pytest.approx(np.mean(pairs))


def test_two_classes_by_hand():
    distance = np.array([[1.0, 2], [1, 2], [2, 1], [3, 1]])
    found = nearest_labels(distance, INDEX)
    assert found.tolist() == ["a", "a", "b", "b"]
    assert accuracy_per_class(TRUTH, found) == {"a": pytest.approx(200 / 3), "b": 100}
    assert mean_accuracy(TRUTH, found) == pytest.approx(250 / 3)
    np.testing.assert_allclose(confusion(TRUTH, found, INDEX), [[200 / 3, 100 / 3], [0, 100]])
    assert np.isnan(confusion(["a"], ["b"], INDEX)[1]).all()


def test_a_clip_does_not_find_itself():
    distance = 1 - np.eye(3)
    assert nearest_labels(distance, ["a", "b", "a"], np.eye(3, dtype=bool)).tolist() == list("baa")
    with pytest.raises(VipeError, match="no clip left"):
        nearest_labels(distance, ["a", "b", "a"], np.ones((3, 3), bool))


def test_oracle_is_always_right_and_chance_is_chance():
    rng = np.random.default_rng(0)
    truth, index = (rng.choice(list("abcd"), 2000) for _ in range(2))
    oracle = (truth[:, None] != index).astype(float)
    assert mean_accuracy(truth, nearest_labels(oracle, index)) == 100
    assert (np.diag(confusion(truth, nearest_labels(oracle, index), list("abcd"))) == 100).all()
    found = nearest_labels(rng.uniform(size=oracle.shape), index)
    assert mean_accuracy(truth, found) == pytest.approx(25, abs=3)


def test_one_view_leaves_out_classes_with_a_single_clip():
    index = ["a", "a", "b", "b", "c", "a", "b", "b"]
    views = ["left"] * 5 + ["right"] * 3
    found = list(one_view(["a", "c", "b"], index, views))
    assert len(found) == 1  # right has but one class with two clips
    view, queries, clips = found[0]
    assert view == "left"
    assert queries.tolist() == [0, 2]
    assert clips.tolist() == [0, 1, 2, 3]


class TestTau:
    def test_order_kept_reversed_and_stuck(self):
        assert kendall_tau(np.arange(6)) == 1
        assert kendall_tau(np.arange(6)[::-1]) == -1
        assert kendall_tau(np.zeros(6)) == 0
        assert kendall_tau(np.array([0, 2, 1])) == pytest.approx(1 / 3)

    def test_as_a_loop(self):
        matched = np.random.default_rng(0).integers(0, 9, 30)
        score = [np.sign(matched[v] - matched[u]) for u in range(30) for v in range(u + 1, 30)]
        assert kendall_tau(matched) == pytest.approx(np.sum(score) / (30 * 29 / 2))

    def test_too_short(self):
        with pytest.raises(VipeError, match="two frames"):
            kendall_tau(np.zeros(1))

    def test_pairs_of_clips(self):
        times = np.array([0, 1, 2, 3, 3, 2, 1, 0, 5.0])  # forwards, backwards, a single moment
        starts = np.array([0, 4, 8, 9])
        tau = pair_tau(np.abs(times[:, None] - times), starts, [(0, 0), (0, 1), (1, 0), (0, 2)])
        assert tau.tolist() == [1, -1, -1, 0]
