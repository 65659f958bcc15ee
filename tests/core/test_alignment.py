"""Warping kernels against plain loops and against dtaidistance."""

from __future__ import annotations

import numpy as np
import pytest

from vipe_core.alignment import StreamAligner, dtw
from vipe_core.errors import VipeError


def naive_dtw(cost):
    height, width = cost.shape
    total = np.full((height + 1, width + 1), np.inf)
    total[0, 0] = 0
    for i in range(height):
        for j in range(width):
            total[i + 1, j + 1] = cost[i, j] + min(total[i, j], total[i, j + 1], total[i + 1, j])
    return total[-1, -1]


def check_path(path, cost, total):
    assert path.dtype.kind == "i"
    assert tuple(path[0]) == (0, 0)
    assert tuple(path[-1]) == (cost.shape[0] - 1, cost.shape[1] - 1)
    assert {tuple(step) for step in np.diff(path, axis=0)} <= {(1, 1), (1, 0), (0, 1)}
    assert cost[tuple(path.T)].sum() == pytest.approx(total)


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (2, 2), (5, 9), (9, 5), (40, 31)])
@pytest.mark.parametrize("integer", [False, True])  # whole numbers bring ties
def test_dtw_against_a_plain_loop(shape, integer):
    cost = np.random.default_rng(sum(shape)).uniform(0, 4, shape)
    cost = np.floor(cost) if integer else cost
    path, total = dtw(cost)
    assert total == pytest.approx(naive_dtw(cost))
    check_path(path, cost, total)


def test_dtw_with_costs_below_zero():
    cost = np.random.default_rng(3).normal(size=(12, 15))
    path, total = dtw(cost)
    assert total == pytest.approx(naive_dtw(cost))
    check_path(path, cost, total)


def test_dtw_against_dtaidistance():
    oracle = pytest.importorskip("dtaidistance.dtw_ndim")
    rng = np.random.default_rng(5)
    a, b = rng.normal(size=(50, 16)).cumsum(axis=0), rng.normal(size=(70, 16)).cumsum(axis=0)
    squared = ((a[:, None] - b[None]) ** 2).sum(axis=-1)
    _, total = dtw(squared)
    assert np.sqrt(total) == pytest.approx(oracle.distance(a, b))


def test_equal_sequences_align_on_the_diagonal():
    x = np.arange(6.0)
    path, total = dtw(abs(x[:, None] - x[None]))
    assert total == 0
    np.testing.assert_array_equal(path, np.stack([np.arange(6)] * 2, axis=1))


@pytest.mark.parametrize(
    ("cost", "line"),
    [
        (np.zeros((0, 3)), r"shape \(0, 3\)"),
        (np.zeros(3), r"shape \(3,\)"),
        (np.full((2, 2), np.nan), "not finite"),
        (np.array([[1, np.inf]]), "not finite"),
    ],
)
def test_dtw_of_no_cost(cost, line):
    with pytest.raises(VipeError, match=line):
        dtw(cost)


def naive_stream(cost):
    """Best match of a whole example (L frames) ending at each frame of a stream.

    ``cost`` (T, L). Returns T pairs (mean cost, first frame), by trying every path.
    """
    frames, length = cost.shape
    best = {}  # (t, i) -> (total, start)

    def reach(t, i):
        """Best way to have paired frame i of the example at time t; i = -1 is "not begun"."""
        if i == -1:
            return 0.0, t + 1
        return best.get((t, i), (np.inf, -1))

    for t in range(frames):
        for i in range(length):
            ways = [(1, 1, cost[t, i])]
            if i >= 1:
                ways.append((1, 2, cost[t, i] + cost[t, i - 1]))
            if t >= 1:
                ways.append((2, 1, (cost[t, i] + cost[t - 1, i]) / 2))
            found = []
            for dt, di, step in ways:
                if t - dt >= -1 and i - di >= -1:
                    total, start = reach(t - dt, i - di)
                    found.append((total + step, start))
            best[t, i] = min(found, key=lambda way: way[0])
    return [(best[t, length - 1][0] / length, best[t, length - 1][1]) for t in range(frames)]


def test_stream_against_a_plain_loop():
    rng = np.random.default_rng(8)
    lengths = [4, 1, 9, 2]
    stream = [rng.uniform(0, 1, (30, length)) for length in lengths]
    aligner = StreamAligner(lengths)
    expected = [naive_stream(cost) for cost in stream]
    for t in range(30):
        column = rng.uniform(0, 1, (4, 9))  # what is beyond an example must not matter
        for row, cost in enumerate(stream):
            column[row, : lengths[row]] = cost[t]
        mean, start = aligner.update(column, float(t))
        for row in range(4):
            want_mean, want_start = expected[row][t]
            assert mean[row] == pytest.approx(want_mean)
            if np.isfinite(want_mean):
                assert start[row] == want_start
            else:
                assert np.isnan(start[row])


def follow(example, stream):
    aligner = StreamAligner([len(example)])
    results = [aligner.update(abs(x - example)[None], float(t)) for t, x in enumerate(stream)]
    return np.array([r[0][0] for r in results]), np.array([r[1][0] for r in results])


@pytest.mark.parametrize("speed", [0.55, 1.0, 1.9])
def test_example_is_found_in_a_stream_at_other_speeds(speed):
    example = np.sin(np.linspace(0, 2 * np.pi, 40))
    again = np.interp(np.linspace(0, 39, round(40 / speed)), np.arange(40), example)
    stream = np.concatenate([np.full(50, 3.0), again, np.full(50, 3.0)])
    mean, start = follow(example, stream)
    end = int(mean.argmin())
    assert mean[end] < 0.08
    assert end == pytest.approx(50 + len(again) - 1, abs=2)
    assert start[end] == pytest.approx(50, abs=2)


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_standstill_does_not_match_a_movement(level):
    example = np.linspace(0, 1, 20)
    mean, _ = follow(example, np.full(200, level))
    assert mean.min() > 0.2


def test_too_fast_and_too_slow_do_not_match():
    example = np.linspace(0, 10, 41)
    for count in (12, 110):
        stream = np.concatenate([np.full(30, 20.0), np.linspace(0, 10, count), np.full(30, 20.0)])
        mean, _ = follow(example, stream)
        assert mean.min() > 0.5  # at a speed within the limits it is below 0.1


def test_reset_forgets_and_stream_length_does_not_matter():
    rng = np.random.default_rng(2)
    aligner = StreamAligner([5, 3])
    first = [aligner.update(c, float(t)) for t, c in enumerate(rng.uniform(0, 1, (20, 2, 5)))]
    aligner.reset()
    rng = np.random.default_rng(2)
    again = [aligner.update(c, float(t)) for t, c in enumerate(rng.uniform(0, 1, (20, 2, 5)))]
    np.testing.assert_array_equal(np.array(first), np.array(again))


@pytest.mark.parametrize("lengths", [[], [0], [3, -1]])
def test_examples_without_frames(lengths):
    with pytest.raises(VipeError, match="lengths of examples"):
        StreamAligner(lengths)
