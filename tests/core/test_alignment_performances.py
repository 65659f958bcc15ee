"""Two performances lined up: made-up ones, the chain against a plain loop, real motion."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.core.alignment_tracks import A, B, evenly, performed, somebody, varied, way
from vipe_core.alignment import align
from vipe_core.alignment.course import find_course, log_evidence, walk
from vipe_core.alignment.joints import joint_differences, mirror_joints
from vipe_core.alignment.pace import FINE, Pace, fine
from vipe_core.errors import VipeError
from vipe_core.skeletons import JOINTS17
from vipe_core.track import Track

WAY = way()


def true_moment(a: Track, shares: np.ndarray) -> np.ndarray:
    """Stamps of ``a``, which runs evenly, at shares of it."""
    return a.stamp[0] + shares * a.duration


def check_path(path, rows, columns):
    assert path.dtype.kind == "i"
    assert tuple(path[0]) == (0, 0)
    assert tuple(path[-1]) == (rows - 1, columns - 1)
    assert {tuple(step) for step in np.diff(path, axis=0)} <= {(1, 1), (1, 0), (0, 1)}


# ---- two performances


def test_the_same_at_another_frame_rate_later_and_at_varying_speed():
    a = performed(WAY, evenly(4.0))
    shares = varied(5.0, 12.0)
    b = performed(WAY, shares, fps=12.0, start=100.0, noise=0.2)
    found = align(a, b, A, B)
    check_path(found.path, len(a), len(b))
    np.testing.assert_allclose(found.moment_s, true_moment(a, shares), atol=0.04)
    lag = b.stamp - true_moment(a, shares)
    assert found.offset_s == pytest.approx(np.median(lag), abs=0.03)
    true_speed = np.gradient(true_moment(a, shares), b.stamp)
    speed = np.interp(a.stamp, true_moment(a, shares), true_speed)
    assert np.median(np.abs(found.speed / speed - 1)) < 0.06
    assert not found.mirrored
    assert found.likeness.shape == (len(found.path),)
    assert found.likeness.min() > 0.5
    assert found.cost < 0.3
    assert found.joint_difference is None


def test_a_performance_with_itself():
    a = performed(WAY, evenly(3.0))
    found = align(a, a, A, B)
    np.testing.assert_array_equal(found.path, np.repeat(np.arange(len(a)), 2).reshape(-1, 2))
    assert found.cost == pytest.approx(0, abs=1e-4)
    assert found.offset_s == pytest.approx(0, abs=1e-3)
    assert np.median(found.speed) == pytest.approx(1, abs=0.03)


def test_mirrored():
    a, b = performed(WAY, evenly(3.0)), performed(WAY, varied(3.0), mirrored=True)
    found = align(a, b, A, B)
    assert found.mirrored
    np.testing.assert_allclose(found.moment_s, true_moment(a, varied(3.0)), atol=0.05)
    assert not align(a, b, A, B, mirror=False).mirrored
    assert align(a, b, A, B, mirror=False).cost > 2 * found.cost


def test_what_is_the_same_mirrored_is_not_mirrored():
    poses = WAY * np.repeat([0.0, 1.0], 4)  # mirroring changes nothing
    found = align(performed(poses, evenly(3.0)), performed(poses, varied(3.0), noise=0.3), A, B)
    assert not found.mirrored


def test_without_the_mirrored_twin():
    a, b = performed(WAY, evenly(3.0)), performed(WAY, evenly(3.0))
    bare = Track(b.stamp, b.mean, b.variance)
    assert not align(a, bare, A, B).mirrored


def test_one_inside_the_other():
    a = performed(way(3, 30), evenly(12.0))
    inside = a.stamp[100] + np.arange(60) / 25
    b = performed(way(3, 30), inside / a.duration, start=50.0, noise=0.3)
    found = align(a, b, A, B, subsequence=True)
    np.testing.assert_allclose(found.moment_s, inside, atol=0.08)
    first, last = found.path[0], found.path[-1]
    assert (first[1], last[1]) == (0, len(b) - 1)
    assert (first[0], last[0]) == (pytest.approx(100, abs=2), pytest.approx(159, abs=2))
    assert np.isnan(found.speed[:90]).all()
    assert np.isnan(found.speed[170:]).all()
    assert np.isfinite(found.speed[105:155]).all()
    assert found.offset_s == pytest.approx(50 - a.stamp[100], abs=0.08)


def test_who_waits_and_who_is_not_seen_for_a_while():
    a = performed(WAY, evenly(4.0))
    half = evenly(4.0)
    shares = np.concatenate([half[:50], np.full(40, half[50]), half[50:]])
    b = performed(WAY, shares, noise=0.2)
    seen = np.r_[:100, 118 : len(b)]
    fields = (b.stamp, b.mean, b.variance, b.mirror_mean, b.mirror_variance)
    b = Track(*(values[seen] for values in fields))
    found = align(a, b, A, B)
    np.testing.assert_allclose(found.moment_s, true_moment(a, shares[seen]), atol=0.15)
    check_path(found.path, len(a), len(b))


def test_a_repeated_pose_does_not_confuse():
    poses = np.tile(way(5, 2), (4, 1))  # there and back, four times
    shares = varied(8.0)
    found = align(performed(poses, evenly(8.0)), performed(poses, shares, noise=0.3), A, B)
    assert np.abs(found.moment_s - 8 * shares).max() < 0.25


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 9), (9, 1), (2, 2), (2, 40)])
def test_very_short_ones(rows, columns):
    a, b = (performed(WAY, np.linspace(0, 1, n)) for n in (rows, columns))
    found = align(a, b, A, B)
    check_path(found.path, rows, columns)
    assert np.isfinite(found.speed).all()
    assert np.isfinite(found.moment_s).all()


def test_twenty_times_as_slow_is_still_a_path():
    a, b = performed(WAY, evenly(0.4)), performed(WAY, evenly(8.0))
    check_path(align(a, b, A, B).path, len(a), len(b))
    check_path(align(b, a, A, B).path, len(b), len(a))


def test_other_movements_are_less_alike_and_cost_more():
    a = performed(WAY, evenly(3.0))
    same, other = (align(a, performed(w, varied(3.0)), A, B) for w in (WAY, way(9)))
    assert other.cost > 3 * same.cost
    assert other.likeness.mean() < same.likeness.mean() / 2


# ---- joints


def test_which_joints_differ():
    a, b = (somebody(performed(WAY, evenly(2.0))) for _ in range(2))
    wrist = JOINTS17.index("left_wrist")
    joints = b.joints.copy()
    joints[20:, wrist, 2] += 0.2
    found = align(a, replace(b, joints=joints), A, B, stature_m=2.0)
    assert found.joint_difference.shape == (len(found.path), 17)
    rows = found.path[:, 1] >= 20
    np.testing.assert_allclose(found.joint_difference[rows, wrist], 0.4)
    np.testing.assert_allclose(found.joint_difference[~rows], 0, atol=1e-9)
    others = np.delete(found.joint_difference, wrist, axis=1)
    np.testing.assert_allclose(others, 0, atol=1e-9)
    # 0.2 in one of three axes, each with a variance of 2 x 0.02 squared.
    expected = 0.2 / np.sqrt(3 * 2 * 0.02**2)
    np.testing.assert_allclose(found.joint_deviation[rows, wrist], expected)


def test_joints_of_the_mirrored_are_mirrored():
    a = somebody(performed(WAY, evenly(2.0)))
    b = somebody(performed(WAY, evenly(2.0), mirrored=True))
    b = replace(b, joints=mirror_joints(b.joints))
    found = align(a, b, A, B)
    assert found.mirrored
    np.testing.assert_allclose(found.joint_difference, 0, atol=1e-9)


def test_mirrored_joints_change_sides_and_come_back():
    joints = np.random.default_rng(0).normal(size=(5, 17, 3))
    twin = mirror_joints(joints)
    left, right = JOINTS17.index("left_knee"), JOINTS17.index("right_knee")
    np.testing.assert_array_equal(twin[:, left], joints[:, right] * (1, -1, 1))
    np.testing.assert_array_equal(mirror_joints(twin), joints)


def test_deviation_is_about_one_when_only_the_uncertainty_differs():
    rng = np.random.default_rng(0)
    std_a, std_b = rng.uniform(0.01, 0.1, (2, 4000, 17))
    joints = [rng.normal(size=(4000, 17, 3)) * std[..., None] for std in (std_a, std_b)]
    _, deviation = joint_differences(joints[0], std_a, joints[1], std_b)
    assert np.sqrt(np.mean(deviation**2)) == pytest.approx(1, abs=0.02)


def test_without_a_lifted_pose_no_joints():
    a = somebody(performed(WAY, evenly(2.0)))
    found = align(a, replace(a, joints=None, std=None), A, B)
    assert found.joint_difference is None
    assert found.joint_deviation is None


# ---- what is refused


def test_nothing_to_align():
    a = performed(WAY, evenly(1.0))
    empty = Track(np.empty(0), np.empty((0, 8)), np.empty((0, 8)))
    with pytest.raises(VipeError, match="the second performance has no frames"):
        align(a, empty, A, B)
    with pytest.raises(VipeError, match="the first performance has no frames"):
        align(empty, a, A, B)


def test_embeddings_of_two_models():
    a = performed(WAY, evenly(1.0))
    b = Track(a.stamp, a.mean[:, :5], a.variance[:, :5])
    with pytest.raises(VipeError, match="8 and 5 numbers: two models made them"):
        align(a, b, A, B)


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("mean", np.nan, "not finite"),
        ("variance", np.inf, "not finite"),
        ("stamp", 1e9, "stamps do not rise"),
    ],
)
def test_damaged_tracks(name, value, line):
    a = performed(WAY, evenly(1.0))
    values = getattr(a, name).copy()
    values[3] = value
    with pytest.raises(VipeError, match=line):
        align(a, replace(a, **{name: values}), A, B)


def test_embeddings_that_do_not_fit_their_stamps():
    a = performed(WAY, evenly(1.0))
    with pytest.raises(VipeError, match=r"embeddings of shape \(26, 8\) for 25 stamps"):
        align(a, replace(a, stamp=a.stamp[1:]), A, B)


def test_days_are_too_long():
    a = performed(WAY, np.linspace(0, 1, 500), fps=0.02)
    with pytest.raises(VipeError, match="too long to be aligned"):
        align(a, a, A, B)


# ---- the chain against plain loops


def every_course(pace, energy, whole):
    """Posterior (M, P) of the places and log evidence, from matrices over all states."""
    states = pace.shape[0] * pace.places
    step = np.zeros((states, states))
    for state in range(states):
        belief = np.zeros(states, np.float32)
        belief[state] = 1
        step[state] = pace.advance(belief.reshape(pace.shape)).ravel()
    odds = np.exp(energy.min(axis=1, keepdims=True) - energy) + 1e-3
    seen = np.tile(odds, (1, pace.shape[0]))
    place = np.tile(np.arange(pace.places), pace.shape[0])
    first = (place == 0) if whole else np.ones(states)
    last = (place >= pace.places - FINE) if whole else np.ones(states)
    forward = [first / first.sum() * seen[0]]
    for row in seen[1:]:
        forward.append(forward[-1] @ step * row)
    backward = [last * 1.0]
    for row in seen[:0:-1]:
        backward.append(step @ (row * backward[-1]))
    both = np.array(forward) * np.array(backward[::-1])
    posterior = both.reshape(len(energy), *pace.shape).sum(axis=1)
    return posterior / posterior.sum(axis=1, keepdims=True), both.reshape(len(energy), *pace.shape)


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("ticks", [4, 7, 12])
def test_course_against_matrices(whole, ticks):
    rng = np.random.default_rng(ticks)
    pace = Pace(6, 10.0, typical=6 / ticks)
    energy = rng.uniform(0, 3, (ticks, pace.places)).astype(np.float32)
    places, both = every_course(pace, energy, whole)
    found = find_course(pace, energy, whole)
    share = np.cumsum(places, axis=1) - places / 2
    median = [np.interp(0.5, row, np.arange(pace.places)) / FINE for row in share]
    np.testing.assert_allclose(found.tick, np.maximum.accumulate(median), atol=1e-4)
    by_speed = both.sum(axis=2) / both.sum(axis=(1, 2))[:, None]
    np.testing.assert_allclose(found.speed, by_speed @ pace.speeds, rtol=1e-4)


def test_evidence_against_matrices():
    pace = Pace(5, 10.0)
    energy = np.random.default_rng(0).uniform(0, 3, (6, pace.places)).astype(np.float32)
    _, both = every_course(pace, energy, True)
    # Whatever tick one looks at, the sum over all states is the probability of it all.
    total = both.sum(axis=(1, 2))
    np.testing.assert_allclose(total, total[0])
    expected = np.log(total[0]) - energy.min(axis=1).sum()
    assert log_evidence(pace, energy, True) == pytest.approx(expected, abs=1e-4)


def test_retreat_is_the_transpose_of_advance():
    pace, rng = Pace(9, 20.0), np.random.default_rng(0)
    x, y = rng.uniform(0, 1, (2, *pace.shape)).astype(np.float32)
    forwards, backwards = (pace.advance(x) * y).sum(), (x * pace.retreat(y)).sum()
    assert forwards == pytest.approx(backwards, rel=1e-5)


def test_a_belief_moves_on_at_its_speed_and_keeps_its_sum():
    pace = Pace(60, 25.0)
    belief = np.zeros(pace.shape, np.float32)
    normal = int(np.argmin(abs(pace.speeds - 1)))
    belief[normal, 0] = 1
    for _ in range(10):
        belief = pace.advance(belief)
    assert belief.sum() == pytest.approx(1, abs=1e-4)
    mean = belief.sum(axis=0) @ np.arange(pace.places) / FINE
    assert mean == pytest.approx(10, rel=0.1)
    for _ in range(200):
        belief = pace.advance(belief)
    assert belief.sum() < 0.1  # past the end


def test_values_between_ticks():
    np.testing.assert_allclose(fine(np.array([0.0, 2.0, 6.0])), [0, 1, 2, 4, 6])
    np.testing.assert_allclose(fine(np.array([5.0])), [5])


def test_walk_pairs_every_frame_with_the_nearest():
    rng = np.random.default_rng(0)
    for _ in range(200):
        rows, columns = rng.integers(2, 30, 2)
        at = np.sort(rng.uniform(0, rows - 1, columns))
        at[[0, -1]] = 0, rows - 1
        at = np.where(rng.uniform(size=columns) < 0.3, np.rint(at), at)  # exactly on frames, too
        path = walk(np.maximum.accumulate(at), rows, True)
        check_path(path, rows, columns)
        for j in range(columns):
            assert np.abs(path[path[:, 1] == j, 0] - at[j]).min() <= 0.5
