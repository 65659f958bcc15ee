"""The One-Euro filter: against the paper's formulas in a loop, its delay, and its memory."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from vipe_core.errors import VipeError
from vipe_core.smoothing import OneEuro, OneEuroRotation

FPS = 30


def one_by_one(values, stamps, min_cutoff, beta, derivative_cutoff):
    """The paper's algorithm for one number at a time."""

    def alpha(cutoff, gap):
        return 1 / (1 + (1 / (2 * math.pi * cutoff)) / gap)

    out, before, smooth, speed = [], None, None, 0.0
    for i, value in enumerate(values):
        if before is None:
            smooth = value
        else:
            gap = stamps[i] - stamps[i - 1]
            a = alpha(derivative_cutoff, gap)
            speed = a * (value - before) / gap + (1 - a) * speed
            a = alpha(min_cutoff + beta * abs(speed), gap)
            smooth = a * value + (1 - a) * smooth
        before = value
        out.append(smooth)
    return out


def run(one, values, stamps, ids=("1",)):
    """(F, P, ...) of values (F, P, ...)."""
    return np.stack([one.update(ids, v, t) for v, t in zip(values, stamps, strict=True)])


@pytest.mark.parametrize("setting", [(1.0, 0.0, 1.0), (0.7, 3.0, 2.0)])
def test_as_in_the_paper_at_irregular_times(setting):
    rng = np.random.default_rng(0)
    stamps = np.cumsum(rng.uniform(0.005, 0.2, 40))
    values = rng.normal(size=(40, 2, 3)).cumsum(axis=0)
    found = run(OneEuro(*setting), values, stamps, ("a", "b"))
    for p in range(2):
        for d in range(3):
            wanted = one_by_one(values[:, p, d], stamps, *setting)
            np.testing.assert_allclose(found[:, p, d], wanted)


@pytest.mark.parametrize("fps", [10, 30, 120])
@pytest.mark.parametrize(("cutoff", "beta"), [(1.0, 0.0), (0.5, 2.0)])
def test_a_ramp_is_late_by_what_the_filter_says(fps, cutoff, beta):
    stamps = np.arange(12 * fps) / fps
    speed = 0.7
    one = OneEuro(cutoff, beta)
    found = run(one, speed * stamps[:, None], stamps)
    late = (speed * stamps[-1] - found[-1, 0]) / speed
    assert one.delay_s == pytest.approx(1 / (2 * math.pi * (cutoff + beta * speed)), rel=1e-3)
    assert late == pytest.approx(one.delay_s, rel=1e-3)


def test_a_slow_sine_is_late_by_what_the_filter_says():
    stamps = np.arange(60 * FPS) / FPS
    one, slow = OneEuro(1.0, 0.0), 0.05
    wave = np.sin(2 * math.pi * slow * stamps)
    found = run(one, wave[:, None], stamps)[:, 0]
    settled = stamps > 20  # two whole periods
    inner = np.exp(-2j * math.pi * slow * stamps[settled])
    phase = np.angle((wave[settled] * inner).sum() / (found[settled] * inner).sum())
    assert phase / (2 * math.pi * slow) == pytest.approx(one.delay_s, rel=0.01)
    assert one.delay_s == pytest.approx(1 / (2 * math.pi))


def test_noise_shrinks_at_rest():
    rng = np.random.default_rng(0)
    stamps = np.arange(300) / FPS
    noise = rng.normal(0, 0.01, (300, 1, 17, 3))
    found = run(OneEuro(1.0, 0.0), noise, stamps)
    assert found[30:].std() < noise.std() / 2.5


def test_delay_is_the_median_of_those_that_go_on():
    one = OneEuro(1.0, 10.0)
    assert one.delay_s == 0
    one.update(["a", "b", "c"], np.zeros(3), 0.0)
    assert one.delay_s == 0  # nobody is late yet
    one.update(["a", "b", "c", "new"], np.array([0, 0, 9.0, 0]), 0.1)
    assert one.delay_s == pytest.approx(1 / (2 * math.pi))
    one.update([], np.zeros(0), 0.2)
    assert one.delay_s == 0


def test_nan_stays_and_its_entry_begins_anew():
    one = OneEuro(0.5, 0.0)
    one.update(["1"], np.zeros((1, 2, 3)), 0.0)
    value = np.ones((1, 2, 3))
    value[0, 0, 0], value[0, 0, 1] = np.nan, np.inf
    found = one.update(["1"], value, 0.1)
    assert np.isnan(found[0, 0, :2]).all()
    assert (found[0, 1] < 1).all()
    found = one.update(["1"], np.ones((1, 2, 3)), 0.2)
    np.testing.assert_array_equal(found[0, 0, :2], 1)
    assert (found[0, 1] < 1).all()


def test_people_are_apart_and_go_by_their_id():
    one = OneEuro(0.5, 0.0)
    one.update(["a", "b"], np.array([[0.0], [100.0]]), 0.0)
    found = one.update(["b", "a"], np.array([[100.0], [0.0]]), 0.1)
    np.testing.assert_array_equal(found, [[100], [0]])


@pytest.mark.parametrize("make", [OneEuro, OneEuroRotation])
@pytest.mark.parametrize(
    ("name", "stamp", "begins"),
    [
        ("1", 10.1, False),
        ("1", 10.5, False),
        ("1", 10.6, True),  # out of sight
        ("1", 9.9, True),  # back in time
        ("2", 10.1, True),
        ("1", 10.0, False),  # the same moment again: what was there stays
    ],
)
def test_memory(make, name, stamp, begins):
    start, end = Rotation.from_rotvec([[0, 0, 0], [0, 0, 0.5]]).as_matrix()
    one = make(0.5, 0.0)
    one.update(["1"], start[None], 10.0)
    found = one.update([name], end[None], stamp)[0]
    assert np.allclose(found, end) == begins
    if stamp == 10.0:
        np.testing.assert_allclose(found, start)


def test_nobody_in_particular_is_not_smoothed():
    one = OneEuro(0.5, 0.0)
    one.update([""], np.zeros((1, 3)), 0.0)
    np.testing.assert_array_equal(one.update([""], np.ones((1, 3)), 0.1), 1)


def test_another_shape_begins_anew():
    one = OneEuro(0.5, 0.0)
    one.update(["1"], np.zeros((1, 3)), 0.0)
    np.testing.assert_array_equal(one.update(["1"], np.ones((1, 4)), 0.1), 1)


class TestRotation:
    def test_about_one_axis_it_is_the_filter_of_the_angle(self):
        rng = np.random.default_rng(0)
        stamps = np.cumsum(rng.uniform(0.01, 0.1, 60))
        angles = rng.normal(0.1, 0.3, 60).cumsum()
        axis = np.array([0.36, 0.48, 0.8])
        turns = Rotation.from_rotvec(angles[:, None] * axis).as_matrix()
        found = run(OneEuroRotation(1.0, 2.0), turns[:, None], stamps)[:, 0]
        # The angle passes half a turn: the way there is short all the same.
        wanted = one_by_one(angles, stamps, 1.0, 2.0, 1.0)
        wanted = Rotation.from_rotvec(np.array(wanted)[:, None] * axis).as_matrix()
        np.testing.assert_allclose(found, wanted, atol=1e-9)
        assert np.abs(angles).max() > math.pi

    def test_the_frame_does_not_matter(self):
        rng = np.random.default_rng(1)
        turns = Rotation.from_rotvec(rng.normal(0, 0.2, (30, 3)).cumsum(axis=0))
        stamps = np.arange(30) / FPS
        outer, inner = Rotation.random(2, np.random.default_rng(2))
        found = run(OneEuroRotation(1.0, 1.0), turns.as_matrix()[:, None], stamps)
        moved = run(OneEuroRotation(1.0, 1.0), (outer * turns * inner).as_matrix()[:, None], stamps)
        wanted = outer.as_matrix() @ found @ inner.as_matrix()
        np.testing.assert_allclose(moved, wanted, atol=1e-9)
        whole = found @ np.swapaxes(found, -1, -2)
        np.testing.assert_allclose(whole, np.broadcast_to(np.eye(3), whole.shape), atol=1e-9)

    def test_it_is_late_by_what_it_says(self):
        stamps = np.arange(10 * FPS) / FPS
        turns = Rotation.from_rotvec(stamps[:, None] * [0, 0.8, 0]).as_matrix()
        one = OneEuroRotation(1.0, 1.0)
        found = run(one, turns[:, None], stamps)[-1, 0]
        late = np.linalg.norm(Rotation.from_matrix(turns[-1] @ found.T).as_rotvec()) / 0.8
        assert late == pytest.approx(one.delay_s, rel=1e-3)
        assert one.delay_s == pytest.approx(1 / (2 * math.pi * 1.8), rel=1e-3)

    def test_half_a_turn_in_one_frame(self):
        turns = Rotation.from_rotvec([[0, 0, 0], [0, 0, np.pi]]).as_matrix()
        found = run(OneEuroRotation(1.0, 0.0), turns[:, None], [0, 0.1])[-1, 0]
        angle = np.linalg.norm(Rotation.from_matrix(found).as_rotvec())
        share = 1 / (1 + 1 / (2 * math.pi * 0.1))
        assert angle == pytest.approx(share * np.pi)

    def test_missing_ones_begin_anew(self):
        one = OneEuroRotation(0.5, 0.0)
        start, end = Rotation.from_rotvec([[0, 0, 0], [0, 0, 0.5]]).as_matrix()
        one.update(["1"], start[None], 0.0)
        lost = end.copy()
        lost[0, 0] = np.nan
        assert np.isnan(one.update(["1"], lost[None], 0.1)).all()
        assert one.delay_s == 0
        np.testing.assert_allclose(one.update(["1"], end[None], 0.2)[0], end)


@pytest.mark.parametrize("make", [OneEuro, OneEuroRotation])
def test_errors(make):
    for setting in ((0, 1, 1), (1, -1, 1), (1, 1, 0), (math.nan, 1, 1)):
        with pytest.raises(VipeError, match="positive cutoffs"):
            make(*setting)
    with pytest.raises(VipeError, match="2 ids for values of shape"):
        make().update(["1", "2"], np.zeros((1, 3, 3)), 0.0)
    with pytest.raises(VipeError, match="stamp of a frame is nan"):
        make().update(["1"], np.eye(3)[None], math.nan)


def test_rotations_are_three_by_three():
    with pytest.raises(VipeError, match=r"\(P, 3, 3\) needed"):
        OneEuroRotation().update(["1"], np.zeros((1, 4)), 0.0)
