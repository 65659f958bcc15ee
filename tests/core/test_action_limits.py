"""What is learned from examples of actions, and that it does not depend on how it came."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from tests.core.test_actions import (
    BOW,
    FPS,
    MIRROR,
    SIZE,
    WAVE,
    A,
    B,
    found,
    movement,
    noise,
    play,
    poses,
    track,
)
from vipe_core.actions import UNKNOWN, Example, Examples, Recognizer
from vipe_core.actions.comparison import Comparison
from vipe_core.actions.limits import Mutual
from vipe_core.embedding import pairwise_excess_distance


def taught() -> list[Example]:
    ways = [("wave", WAVE), ("bow", BOW), ("wave", WAVE + 0.3), ("turn", poses(3))]
    return [
        Example(label, track(movement(way, 0.8 + 0.2 * i))) for i, (label, way) in enumerate(ways)
    ]


def naive_cost(query: np.ndarray, known: np.ndarray) -> float:
    """Lowest mean cost of any match of ``known`` inside ``query``, by recursion."""
    variance = [np.full(x.shape, 0.01) for x in (query, known)]
    cost = pairwise_excess_distance(query, variance[0], known, variance[1])
    best = {}

    def reach(t: int, j: int) -> float:
        if j < 0:
            return 0.0 if j == -1 else np.inf
        if t < 0:
            return np.inf
        if (t, j) not in best:
            single = reach(t - 1, j - 1) + cost[t, j]
            faster = reach(t - 1, j - 2) + cost[t, j] + cost[t, j - 1] if j else np.inf
            slower = reach(t - 2, j - 1) + (cost[t, j] + cost[t - 1, j]) / 2 if t else np.inf
            best[t, j] = min(single, faster, slower)
        return best[t, j]

    last = len(known) - 1
    return min(reach(t, last) for t in range(len(query))) / len(known)


def test_cost_of_a_frame_is_the_excess_distance():
    rng = np.random.default_rng(0)
    tracks = [example.track for example in taught()]
    comparison = Comparison(tracks, 15.0)
    seen = np.abs(rng.normal(0, 2, (2, 2, SIZE)))
    cost = comparison.cost(seen)
    for e, known in enumerate(one.resampled(15.0) for one in tracks):
        for side in range(2):
            mean, variance = seen[side, :1], seen[side, 1:]
            expected = pairwise_excess_distance(mean, variance, known.mean, known.variance)[0]
            row = cost[side * len(tracks) + e]
            np.testing.assert_allclose(row[: len(known)], expected, rtol=1e-4, atol=1e-3)
            assert np.isinf(row[len(known) :]).all()


def test_costs_between_examples_are_those_of_the_naive_recursion():
    examples = taught()
    lowest = Mutual(examples, 7.5).lowest
    tracks = [example.track.resampled(7.5) for example in examples]
    for q, query in enumerate(tracks):
        for e, known in enumerate(tracks):
            assert lowest[q, 0, e] == pytest.approx(naive_cost(query.mean, known.mean), abs=1e-6)
            mirrored = naive_cost(query.mean * MIRROR, known.mean)
            assert lowest[q, 1, e] == pytest.approx(mirrored, abs=1e-6)


@pytest.mark.parametrize("kept", [[0, 1, 2], [0, 2], [3], [2, 0, 3, 1], []])
def test_with_examples_is_a_fresh_recogniser(kept):
    every = taught()
    before = Recognizer(Examples.from_examples([every[row] for row in (0, 1, 3)], A, B))
    wanted = [every[row] for row in kept]
    examples = Examples(tuple(wanted), A, B)
    after, fresh = before.with_examples(examples), Recognizer(examples)
    np.testing.assert_allclose(after.thresholds, fresh.thresholds)
    stream = track(np.concatenate([noise(30), movement(WAVE, 1.0), noise(30, 7)]))
    assert play(after, stream) == play(fresh, stream)
    assert len(before.thresholds) == 3


def test_settings_are_kept_with_other_examples():
    before = Recognizer(Examples((), A, B), 0.3, False, 20.0, 0.7)
    after = before.with_examples(Examples.from_examples(taught(), A, B))
    np.testing.assert_array_equal(after.thresholds, [0.3] * 4)
    assert (after.rate_hz, after.max_gap_s) == (20.0, 0.7)
    mirrored = np.concatenate([noise(60), movement(WAVE, 0.8) * MIRROR, noise(60, 7)])
    assert found(after, mirrored) == []


def test_nothing_taught_knows_nothing():
    recognizer = Recognizer(Examples((), A, B))
    action = play(recognizer, track(movement(WAVE, 1.0)))[-1]
    assert (action.label, action.probability) == (UNKNOWN, pytest.approx(1))
    assert (action.under_way, action.progress) == ("", 0.0)
    assert recognizer.thresholds.shape == (0,)


def test_progress_rises_while_the_action_is_under_way():
    recognizer = Recognizer(Examples.from_examples(taught()[:2], A, B))
    stream = np.concatenate([noise(60), movement(BOW, 1.0), noise(60, 7)])
    actions = play(recognizer, track(stream))
    under = [a.progress for a in actions[60:91] if a.under_way == "bow"]
    assert len(under) > 15
    assert all(b >= a for a, b in pairwise(under))
    assert under[-1] > 0.9
    assert all(0 <= a.progress <= 1 for a in actions)
    assert all(a.progress == 0 for a in actions if not a.under_way)
    assert not any(a.under_way for a in actions[: int(FPS)])
