"""The frozen data types."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from vipe_core.bodies import Bodies2D, Estimates
from vipe_core.errors import VipeError


def points(people: int, joints: int = 13) -> np.ndarray:
    return np.random.default_rng(0).normal(300, 80, (people, joints, 2))


@pytest.mark.parametrize("people", [0, 1, 100])
def test_what_is_not_given_is_completed(people):
    bodies = Bodies2D.from_arrays(points(people))
    assert len(bodies) == people
    assert bodies.points.shape == (people, 13, 2)
    assert bodies.visibility.tolist() == [[1.0] * 13] * people
    assert bodies.scores.tolist() == [1.0] * people
    assert bodies.track_ids == ("",) * people
    assert bodies.image_size is None
    assert {bodies.points.dtype, bodies.visibility.dtype, bodies.scores.dtype} == {
        np.dtype(np.float32)
    }


@pytest.mark.parametrize("empty", [[], np.empty((0, 13, 2)), np.empty((0, 2))])
def test_nobody_in_any_spelling(empty):
    bodies = Bodies2D.from_arrays(empty, visibility=[], scores=[], track_ids=[])
    assert bodies.points.shape == (0, 13, 2)
    assert bodies.visibility.shape == (0, 13)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_bad_coordinate_makes_the_joint_missing(value):
    given = points(2)
    given[1, 4, 0] = value
    bodies = Bodies2D.from_arrays(given)
    assert np.isnan(bodies.points[1, 4]).all()
    assert bodies.visibility[1, 4] == 0
    assert np.isfinite(bodies.points).sum() == 2 * 26 - 2


@pytest.mark.parametrize(("given", "kept"), [(np.nan, 0), (-0.5, 0), (0.25, 0.25), (7, 1)])
def test_visibility_is_kept_in_range(given, kept):
    bodies = Bodies2D.from_arrays(points(1), np.full((1, 13), given))
    assert (bodies.visibility == kept).all()


def test_the_given_array_is_left_alone():
    given = points(1).astype(np.float32)
    given[0, 0] = [np.nan, 5]
    before = given.copy()
    bodies = Bodies2D.from_arrays(given)
    np.testing.assert_array_equal(given, before)
    assert not np.shares_memory(given, bodies.points)


@pytest.mark.parametrize("shape", [(2, 12, 2), (13, 2), (2, 13, 3), (2, 13)])
def test_points_of_a_wrong_shape(shape):
    with pytest.raises(VipeError, match=r"points have shape .*, body13 needs \(P, 13, 2\)"):
        Bodies2D.from_arrays(np.ones(shape))


@pytest.mark.parametrize("shape", [(13,), (1, 13), (2, 12)])
def test_visibility_of_a_wrong_shape(shape):
    with pytest.raises(VipeError, match=r"visibility has shape .*, expected \(2, 13\)"):
        Bodies2D.from_arrays(points(2), np.ones(shape))


@pytest.mark.parametrize("wrong", [{"scores": [1.0]}, {"track_ids": ["a", "b", "c"]}])
def test_scores_and_ids_of_another_count(wrong):
    with pytest.raises(VipeError, match=r"\d scores and \d ids for 2 people"):
        Bodies2D.from_arrays(points(2), **wrong)


def test_unknown_skeleton():
    with pytest.raises(VipeError, match="unknown skeleton 'octopus8'"):
        Bodies2D.from_arrays(points(1), skeleton="octopus8")


def test_another_skeleton_keeps_the_people():
    given = points(2, 17)
    given[0, 11] = np.nan
    bodies = Bodies2D.from_arrays(
        given, skeleton="coco17", track_ids=["a", "b"], scores=[0.5, 1], image_size=(640, 480)
    )
    found = bodies.to_skeleton("body13")
    assert found.skeleton == "body13"
    np.testing.assert_array_equal(found.points[:, 1:], bodies.points[:, 5:])
    assert found.visibility[0, 7] == 0
    assert np.isnan(found.points[0, 7]).all()
    assert (found.track_ids, found.image_size) == (("a", "b"), (640, 480))
    np.testing.assert_array_equal(found.scores, bodies.scores)


def test_the_same_skeleton_is_the_same_object():
    bodies = Bodies2D.from_arrays(points(1))
    assert bodies.to_skeleton("body13") is bodies


def test_track_ids_are_replaced():
    bodies = Bodies2D.from_arrays(points(2)).with_track_ids(["x", "y"])
    assert bodies.track_ids == ("x", "y")


def test_frozen():
    with pytest.raises(FrozenInstanceError):
        Bodies2D.from_arrays(points(1)).skeleton = "coco17"
    with pytest.raises(FrozenInstanceError):
        Estimates().mean = np.ones(1)


def test_select_keeps_rows_together() -> None:
    points = np.arange(3 * 26, dtype=np.float32).reshape(3, 13, 2)
    given = Bodies2D.from_arrays(points, track_ids="abc", scores=np.arange(3))
    kept = given.select(np.array([True, False, True]))
    assert kept.track_ids == ("a", "c")
    assert kept.scores.tolist() == [0, 2]
    np.testing.assert_array_equal(kept.points, points[[0, 2]])
