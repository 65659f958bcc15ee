"""Ids last as long as the person does."""

from __future__ import annotations

import numpy as np
import pytest

from vipe_core import skeletons
from vipe_core.bodies import Bodies2D
from vipe_core.errors import VipeError
from vipe_core.tracking import Tracker

RNG = np.random.default_rng(0)
# A standing person about 200 px tall, mirror-symmetric about x = 0.
PERSON = np.array(
    [
        *([0, -100], [25, -70], [-25, -70], [40, -30], [-40, -30], [45, 5], [-45, 5]),
        *([15, 0], [-15, 0], [17, 50], [-17, 50], [18, 100], [-18, 100]),
    ],
    np.float32,
)


def crowd(*places, noise=0.0):
    points = np.array([PERSON + place for place in places], np.float32).reshape(-1, 13, 2)
    return Bodies2D.from_arrays(points + RNG.normal(0, noise, points.shape))


def test_one_person_walking_keeps_its_id():
    tracker = Tracker()
    for frame in range(100):
        bodies = tracker.update(crowd((5 * frame, 300), noise=3), frame / 30)
        assert bodies.track_ids == ("1",)


def test_order_of_the_detector_does_not_matter():
    tracker = Tracker()
    assert tracker.update(crowd((100, 0), (400, 0)), 0.0).track_ids == ("1", "2")
    assert tracker.update(crowd((405, 0), (105, 0)), 0.1).track_ids == ("2", "1")


def test_two_people_passing_each_other_at_some_distance():
    tracker = Tracker()
    for frame in range(60):
        x = 10 * frame
        ids = tracker.update(crowd((x, 0), (600 - x, 60)), frame / 30).track_ids
        assert ids == ("1", "2")


def test_the_only_person_somewhere_else_is_somebody_else():
    tracker = Tracker()
    assert tracker.update(crowd((650, 300)), 0.0).track_ids == ("1",)
    assert tracker.update(crowd((330, 720)), 1 / 30).track_ids == ("2",)
    # ... and the first one is recognised while not yet forgotten.
    assert tracker.update(crowd((655, 300)), 2 / 30).track_ids == ("1",)


def test_short_gap_keeps_the_id_and_long_gap_does_not():
    tracker = Tracker(max_gap_s=1.0)
    nobody = crowd()
    assert tracker.update(crowd((100, 100)), 10.0).track_ids == ("1",)
    assert tracker.update(nobody, 10.5).track_ids == ()
    assert tracker.ids == ("1",)
    assert tracker.update(crowd((120, 100)), 10.9).track_ids == ("1",)
    assert tracker.update(crowd((120, 100)), 12.0).track_ids == ("2",)
    assert tracker.update(nobody, 20).track_ids == ()
    assert tracker.ids == ()


def test_left_right_swap_of_the_detector_is_no_new_person():
    tracker = Tracker()
    wide = PERSON * (2, 1) + (300, 300)
    swapped = wide[list(skeletons.BODY13.mirror)]
    assert tracker.update(Bodies2D.from_arrays(wide[None]), 0.0).track_ids == ("1",)
    assert tracker.update(Bodies2D.from_arrays(swapped[None]), 0.03).track_ids == ("1",)


def test_missing_joints():
    tracker = Tracker()
    upper, lower = (PERSON.copy() for _ in range(2))
    upper[7:], lower[:5] = np.nan, np.nan
    ids = [
        tracker.update(Bodies2D.from_arrays(p[None]), t / 10).track_ids
        for t, p in enumerate((PERSON, upper, PERSON, lower))
    ]
    assert ids == [("1",)] * 4


def test_person_without_a_joint_has_no_track():
    tracker = Tracker()
    points = np.stack([np.full_like(PERSON, np.nan), PERSON])
    for frame in range(3):
        bodies = tracker.update(Bodies2D.from_arrays(points), frame / 30)
        assert bodies.track_ids == ("", "1")
    assert tracker.ids == ("1",)


def test_hundred_people_shuffled():
    tracker, places = Tracker(), [(150.0 * (i % 10), 250.0 * (i // 10)) for i in range(100)]
    first = tracker.update(crowd(*places, noise=2), 0.0).track_ids
    assert len(set(first)) == 100
    order = RNG.permutation(100)
    ids = tracker.update(crowd(*(places[i] for i in order), noise=2), 0.03).track_ids
    assert ids == tuple(first[i] for i in order)


def test_nobody():
    tracker = Tracker()
    for frame in range(3):
        bodies = tracker.update(crowd(), frame)
        assert len(bodies) == 0
        assert bodies.track_ids == ()


def test_time_going_back_forgets_everybody_but_not_the_numbers():
    tracker = Tracker()
    assert tracker.update(crowd((0, 0)), 100.0).track_ids == ("1",)
    assert tracker.update(crowd((0, 0)), 100.0).track_ids == ("1",)  # the same time is fine
    assert tracker.update(crowd((0, 0)), 3.0).track_ids == ("2",)
    assert tracker.update(crowd((0, 0)), 3.1).track_ids == ("2",)


def test_another_skeleton_starts_anew():
    tracker = Tracker()
    bodies = crowd((0, 0))
    assert tracker.update(bodies, 0.0).track_ids == ("1",)
    assert tracker.update(bodies.to_skeleton("coco17"), 0.1).track_ids == ("2",)


@pytest.mark.parametrize("stamp", [np.nan, np.inf, -np.inf])
def test_stamp_that_is_no_number(stamp):
    with pytest.raises(VipeError, match="seconds needed"):
        Tracker().update(crowd(), stamp)
