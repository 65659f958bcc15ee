"""Ids last as long as the person does."""

from __future__ import annotations

from itertools import count

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from vipe_core import skeletons
from vipe_core.bodies import Bodies2D, Estimates
from vipe_core.errors import VipeError
from vipe_core.tracking import Tracker
from vipe_core.tracking.evidence import pose_evidence, undisputed
from vipe_core.tracking.tracks import Sighting, Tracks

RNG = np.random.default_rng(0)
# A standing person about 200 px tall, mirror-symmetric about x = 0.
PERSON = np.array(
    [
        *([0, -100], [25, -70], [-25, -70], [40, -30], [-40, -30], [45, 5], [-45, 5]),
        *([15, 0], [-15, 0], [17, 50], [-17, 50], [18, 100], [-18, 100]),
    ],
    np.float32,
)
ARMS_UP = PERSON.copy()
ARMS_UP[3:7] = [50, -110], [-50, -110], [45, -150], [-45, -150]
SWAPPED = list(skeletons.BODY13.mirror)
ODDS = (2.0, 6.0)


def tracker_of(**keys) -> Tracker:
    """Names 00001, 00002, ... in the order of appearance."""
    numbers = count(1)
    return Tracker(name=lambda: f"{next(numbers):05d}", **keys)


def name(number: int) -> str:
    return f"{number:05d}"


def bodies(*people, ids=None, visibility=None) -> Bodies2D:
    points = np.array(people, np.float32).reshape(-1, 13, 2)
    return Bodies2D.from_arrays(points, visibility, track_ids=ids)


def crowd(*places, noise=0.0) -> Bodies2D:
    points = np.array([PERSON + place for place in places], np.float32).reshape(-1, 13, 2)
    return Bodies2D.from_arrays(points + RNG.normal(0, noise, points.shape))


def at(x: float, y: float = 0.0, person: np.ndarray = PERSON) -> np.ndarray:
    """The person (13, 2) moved to there."""
    return person + np.array([x, y], np.float32)


def looks(*means, mirrored=None) -> Estimates:
    """Estimates of people with these embeddings, the mirrored ones far away unless given."""
    mean = np.array(means, np.float32).reshape(len(means), -1)
    other = mean + 50 if mirrored is None else np.array(mirrored, np.float32).reshape(mean.shape)
    small = np.full_like(mean, 0.01)
    return Estimates(mean, small, other, small)


def walk(tracker: Tracker, place, speed, frames, start=0, noise=3.0):
    """The ids of one person walking along x, 30 frames a second."""
    return [
        tracker.update(crowd((place[0] + speed * f, place[1]), noise=noise), f / 30).track_ids
        for f in range(start, start + frames)
    ]


def test_an_id_may_be_part_of_a_topic_name():
    ids = Tracker().update(crowd(*((400 * x, 0) for x in range(50))), 0.0).track_ids
    assert len(set(ids)) == 50
    assert all(len(one) == 5 and set(one) <= set("abcdefghijklmnop") for one in ids)


def test_an_id_is_never_used_again():
    drawn = iter(["abcdef01", "abcdef01", "abcdef02", "12345678"])
    tracker = Tracker(max_gap_s=0.1, name=lambda: next(drawn))
    ids = [tracker.update(crowd((0, 0)), float(second)).track_ids for second in range(4)]
    assert ids == [("abcde",), ("abcdef",), ("abcdef0",), ("12345",)]


def test_names_that_are_not_random_are_an_error():
    tracker = Tracker(name=lambda: "12345")
    tracker.update(crowd((0, 0)), 0.0)
    with pytest.raises(VipeError, match=r"no free id .* must be random"):
        tracker.update(crowd((0, 0), (500, 0)), 0.1)


def test_one_person_walking_keeps_its_id():
    assert walk(tracker_of(), (0, 300), 5, 100) == [(name(1),)] * 100


def test_order_of_the_detector_does_not_matter():
    tracker = tracker_of()
    assert tracker.update(crowd((100, 0), (400, 0)), 0.0).track_ids == (name(1), name(2))
    assert tracker.update(crowd((405, 0), (105, 0)), 0.1).track_ids == (name(2), name(1))


def test_two_people_passing_each_other():
    tracker = tracker_of()
    for frame in range(60):
        x = 10 * frame
        ids = tracker.update(crowd((x, 0), (600 - x, 20), noise=2), frame / 30).track_ids
        assert ids == (name(1), name(2))


@pytest.mark.parametrize("speed", [0, 4, -8])
def test_a_second_out_of_sight_keeps_the_id(speed):
    tracker = tracker_of()
    walk(tracker, (500, 300), speed, 30)
    for frame in range(30, 60):
        tracker.update(crowd(), frame / 30)
        assert tracker.ids == (name(1),)
    assert walk(tracker, (500, 300), speed, 10, start=60) == [(name(1),)] * 10


def test_without_prediction_who_walked_on_is_somebody_else():
    tracker = tracker_of(predict=False)
    walk(tracker, (0, 300), 12, 20)
    assert walk(tracker, (0, 300), 12, 1, start=50) == [(name(2),)]


def test_crossing_with_one_hidden_keeps_both_ids():
    """The farther one is not seen at all while the nearer one passes in front."""
    tracker = tracker_of()
    for frame in range(60):
        x = 10 * frame
        people = [at(x), at(600 - x, person=0.8 * ARMS_UP)]
        ids = [name(1), name(2)]
        if abs(600 - 2 * x) < 120:
            people, ids = people[:1], ids[:1]
        noisy = np.array(people) + RNG.normal(0, 3, (len(people), 13, 2))
        assert tracker.update(bodies(*noisy), frame / 30).track_ids == tuple(ids)


@pytest.mark.parametrize("turn_back", [False, True])
def test_meeting_with_different_gestures(turn_back):
    """Two people meet and are not seen for a moment; then they have passed, or gone back."""
    tracker = tracker_of()
    for frame in range(60):
        apart = 15 + 0.1 * (frame - 30) ** 2 if turn_back else 4 * (30 - frame)
        people = [at(-apart), at(apart, person=ARMS_UP)] if not 26 <= frame < 34 else []
        noisy = np.array(people).reshape(-1, 13, 2)
        ids = tracker.update(bodies(*noisy + RNG.normal(0, 2, noisy.shape)), frame / 30).track_ids
        assert ids == (name(1), name(2))[: len(people)]


def test_the_embedding_tells_who_is_who_where_places_do_not():
    """Both come back at the same distance from both; the poses look alike in the image."""
    places = (100.0, 0.0), (160.0, 0.0)
    between = crowd((130, 20), (130, -20))
    for first, second, expected in (
        ([0, 0], [5, 5], (name(1), name(2))),
        ([5, 5], [0, 0], (name(2), name(1))),
    ):
        tracker = tracker_of(odds=ODDS)
        tracker.update(crowd(*places), 0.0, looks([0, 0], [5, 5]))
        tracker.update(crowd(*places), 0.1, looks([0, 0], [5, 5]))
        assert tracker.update(between, 0.3, looks(first, second)).track_ids == expected


def test_the_embedding_knows_a_person_with_swapped_sides():
    tracker = tracker_of(odds=ODDS)
    for stamp in (0.0, 0.1):
        tracker.update(crowd((100, 0), (160, 0)), stamp, looks([0, 0], [5, 5]))
    swapped = looks([9, -9], [-9, 9], mirrored=[[5, 5], [0, 0]])
    ids = tracker.update(crowd((130, 20), (130, -20)), 0.3, swapped).track_ids
    assert ids == (name(2), name(1))


@pytest.mark.parametrize("distance", range(0, 400, 10))
def test_without_estimates_embeddings_count_neither_for_nor_against(distance):
    bare, able = tracker_of(), tracker_of(odds=ODDS)
    for stamp, place in ((0.0, 0), (0.1, 0), (0.6, distance)):
        ids = [one.update(crowd((place, 0)), stamp).track_ids for one in (bare, able)]
        assert ids[0] == ids[1]


def test_embeddings_may_come_and_go():
    tracker = tracker_of(odds=ODDS)
    sizes = (None, 4, None, 2, 4)
    for frame, size in enumerate(sizes):
        seen = None if size is None else looks(np.zeros(size))
        assert tracker.update(crowd((0, 0)), frame / 30, seen).track_ids == (name(1),)
    bare = Estimates(np.zeros((1, 4)), np.zeros((1, 4)))
    assert tracker.update(crowd((0, 0)), 1.0, bare).track_ids == (name(1),)
    with pytest.raises(VipeError, match="estimates of 2 people for 1"):
        tracker.update(crowd((0, 0)), 1.1, looks([0], [1]))
    with pytest.raises(VipeError, match="gives no embedding"):
        tracker.update(crowd((0, 0)), 1.2, Estimates())


def test_the_only_person_somewhere_else_is_somebody_else():
    tracker = tracker_of()
    assert tracker.update(crowd((650, 300)), 0.0).track_ids == (name(1),)
    assert tracker.update(crowd((330, 720)), 1 / 30).track_ids == (name(2),)
    # ... and the first one is recognised while not yet forgotten.
    assert tracker.update(crowd((655, 300)), 2 / 30).track_ids == (name(1),)


def test_short_gap_keeps_the_id_and_long_gap_does_not():
    tracker = tracker_of(max_gap_s=1.0)
    nobody = crowd()
    assert tracker.update(crowd((100, 100)), 10.0).track_ids == (name(1),)
    assert tracker.update(crowd((100, 100)), 10.1).track_ids == (name(1),)
    assert tracker.update(nobody, 10.5).track_ids == ()
    assert tracker.ids == (name(1),)
    assert tracker.update(crowd((120, 100)), 10.9).track_ids == (name(1),)
    assert tracker.update(crowd((120, 100)), 12.0).track_ids == (name(2),)
    assert tracker.update(nobody, 20).track_ids == ()
    assert tracker.ids == ()


def test_a_false_detection_takes_nobodys_place_and_is_soon_forgotten():
    tracker = tracker_of()
    walk(tracker, (0, 0), 5, 10)
    ids = tracker.update(crowd((62, 15), (50, 0)), 10 / 30).track_ids
    assert ids == (name(2), name(1))
    for frame in range(11, 22):
        ids = tracker.update(crowd((5 * frame, 0)), frame / 30).track_ids
        assert ids == (name(1),)
    assert tracker.ids == (name(1),)


def test_who_is_seen_once_a_second_is_followed():
    tracker = tracker_of()
    for second in range(5):
        assert tracker.update(crowd((20 * second, 0)), float(second)).track_ids == (name(1),)


def test_left_right_swap_of_the_detector_is_no_new_person():
    tracker = tracker_of()
    wide = PERSON * (2, 1) + (300, 300)
    for frame in range(10):
        person = wide[SWAPPED] if frame in (3, 4, 7) else wide
        assert tracker.update(bodies(person), frame / 30).track_ids == (name(1),)


def test_missing_joints():
    tracker = tracker_of()
    upper, lower = (PERSON.copy() for _ in range(2))
    upper[7:], lower[:5] = np.nan, np.nan
    ids = [
        tracker.update(bodies(person), frame / 30).track_ids
        for frame, person in enumerate((PERSON, upper, PERSON, lower, upper))
    ]
    assert ids == [(name(1),)] * 5


def test_what_is_guessed_does_not_count():
    """Joints that the detector does not see may be anywhere."""
    tracker = tracker_of()
    visibility = np.where(np.arange(13) < 6, 1.0, 0.05)[None]
    for frame in range(20):
        person = PERSON.copy()
        if frame:
            person[6:] += RNG.normal(0, 150, (7, 2))
        seen = bodies(person, visibility=visibility)
        assert tracker.update(seen, frame / 30).track_ids == (name(1),)


def test_person_without_a_joint_has_no_track():
    tracker = tracker_of()
    for frame in range(3):
        people = tracker.update(bodies(np.full_like(PERSON, np.nan), PERSON), frame / 30)
        assert people.track_ids == ("", name(1))
    assert tracker.ids == (name(1),)


@pytest.mark.parametrize("people", [10, 100])
def test_many_people_shuffled(people):
    tracker = tracker_of()
    places = [(150.0 * (i % 10), 250.0 * (i // 10)) for i in range(people)]
    first = tracker.update(crowd(*places, noise=2), 0.0).track_ids
    assert len(set(first)) == people
    for frame in range(1, 5):
        order = RNG.permutation(people)
        ids = tracker.update(crowd(*(places[i] for i in order), noise=2), frame / 30).track_ids
        assert ids == tuple(first[i] for i in order)


def test_nobody():
    tracker = tracker_of()
    for frame in range(3):
        people = tracker.update(crowd(), frame)
        assert len(people) == 0
        assert people.track_ids == ()


class TestGivenIds:
    def test_they_stay_and_only_the_others_are_named(self):
        tracker = tracker_of()
        people = bodies(PERSON, at(400), ids=["bob", ""])
        assert tracker.update(people, 0.0).track_ids == ("bob", name(1))
        # Wherever the source sees Bob, he is Bob, and nobody else is.
        moved = bodies(at(400), PERSON, ids=["bob", ""])
        assert tracker.update(moved, 0.03).track_ids == ("bob", name(2))

    def test_a_source_that_loses_an_id_for_a_moment(self):
        tracker = tracker_of()
        for frame, given in enumerate(["bob", "", "bob", ""]):
            people = tracker.update(bodies(PERSON, ids=[given]), frame / 30)
            assert people.track_ids == ("bob",)
        assert tracker.ids == ("bob",)

    def test_an_id_in_use_is_never_given(self):
        tracker = tracker_of()
        taken = bodies(PERSON, at(400), ids=[name(1), ""])
        assert tracker.update(taken, 0.0).track_ids == (name(1), name(2))
        # The source takes an id that the tracker gave: the person behind it needs another.
        both = bodies(at(800), at(400), ids=[name(2), ""])
        ids = tracker.update(both, 0.03).track_ids
        assert ids == (name(2), name(3))

    def test_an_id_given_twice_stays_as_it_is(self):
        tracker = tracker_of()
        people = bodies(PERSON, at(400), ids=["bob", "bob"])
        for frame in range(3):
            assert tracker.update(people, frame / 30).track_ids == ("bob", "bob")
        assert tracker.ids == ("bob",)

    def test_without_a_joint(self):
        tracker = tracker_of()
        nothing = bodies(np.full_like(PERSON, np.nan), ids=["bob"])
        assert tracker.update(nothing, 0.0).track_ids == ("bob",)
        assert tracker.ids == ()


def test_time_going_back_forgets_everybody_but_not_the_names():
    tracker = tracker_of()
    assert tracker.update(crowd((0, 0)), 100.0).track_ids == (name(1),)
    assert tracker.update(crowd((0, 0)), 100.0).track_ids == (name(1),)  # the same time is fine
    assert tracker.update(crowd((0, 0)), 3.0).track_ids == (name(2),)
    assert tracker.update(crowd((0, 0)), 3.1).track_ids == (name(2),)


def test_another_skeleton_starts_anew():
    tracker = tracker_of()
    people = crowd((0, 0))
    assert tracker.update(people, 0.0).track_ids == (name(1),)
    assert tracker.update(people.to_skeleton("coco17"), 0.1).track_ids == (name(2),)


def test_points_that_are_not_finite_are_missing_joints():
    tracker = tracker_of()
    assert tracker.update(crowd((0, 0)), 0.0).track_ids == (name(1),)
    broken = PERSON.copy()
    broken[4], broken[7, 0] = np.inf, -np.inf
    assert tracker.update(bodies(broken), 0.03).track_ids == (name(1),)
    far = bodies(PERSON * 1e30)
    assert tracker.update(far, 0.06).track_ids == (name(2),)
    assert tracker.update(crowd((0, 0)), 0.09).track_ids == (name(1),)


def test_embeddings_that_are_not_finite_say_nothing():
    tracker = tracker_of(odds=ODDS)
    for frame in range(4):
        value = np.nan if frame % 2 else 0.0
        ids = tracker.update(crowd((0, 0)), frame / 30, looks([value, 1.0])).track_ids
        assert ids == (name(1),)


@pytest.mark.parametrize("stamp", [np.nan, np.inf, -np.inf])
def test_stamp_that_is_no_number(stamp):
    with pytest.raises(VipeError, match="seconds needed"):
        Tracker().update(crowd(), stamp)


def test_swapped_sides_are_remembered_as_they_were():
    tracker = tracker_of()
    waving = ARMS_UP.copy()
    waving[4::2] = PERSON[4::2]  # one arm only
    people = [at(300 * place, person=waving) for place in range(3)]
    tracker.update(bodies(*people), 0.0)
    swapped = [people[1][SWAPPED], people[2], people[0][SWAPPED]]
    assert tracker.update(bodies(*swapped), 1 / 30).track_ids == (name(2), name(3), name(1))
    np.testing.assert_array_equal(tracker._tracks.points, people)


def seen_as(mean: np.ndarray, stamp_s: float) -> Sighting:
    """People of whom only the embeddings (N, D) matter."""
    count, points = len(mean), np.zeros((len(mean), 13, 2))
    return Sighting(points, points[..., 0], np.ones(count), mean, 0 * mean + 0.01, stamp_s)


def most_evidence(distance: float) -> float:
    """Log-odds that embeddings so far apart add at once, sides swapped or not."""
    tracks = Tracks().with_new(["a"], seen_as(np.zeros((1, 2)), 0.0))
    people = seen_as(np.full((2, 2), distance), 0.0)
    return float(pose_evidence(tracks, people, ODDS)[0, 0])


def test_what_embeddings_can_not_change():
    """Of random log-odds: whatever the embeddings add, who is who stays."""
    rng = np.random.default_rng(0)
    least, most = most_evidence(1e3), most_evidence(0.0)
    asked = 0
    for _ in range(400):
        score = rng.choice([-20.0, -1.0, -0.5, 1.0, 2.5, 6.0], (3, 4), p=[0.7, *[0.06] * 5])
        if not undisputed(score):
            asked += 1
            continue
        added = score + rng.choice([least, 0.0, most], score.shape)
        gains = [np.where(odds > 0, odds + 10, 0) for odds in (score, added)]
        pairs = [linear_sum_assignment(gain, maximize=True) for gain in gains]
        found = [
            {(t, p) for t, p in zip(*pair, strict=True) if gain[t, p] > 0}
            for pair, gain in zip(pairs, gains, strict=True)
        ]
        assert found[0] == found[1]
    assert 100 < asked < 380


@pytest.mark.parametrize(
    "score",
    [
        [[6.0, 6.0]],  # two people for a track
        [[6.0], [6.0]],  # two tracks for a person
        [[1.0]],  # embeddings could speak against it
        [[-0.5]],  # and for it
    ],
)
def test_what_embeddings_are_asked_about(score):
    assert not undisputed(np.array(score))


@pytest.mark.parametrize("visibility", [0.0, 0.9])
def test_one_wild_joint_lets_no_stranger_inherit(visibility):
    """A wrist far away in one image, invisible or not; then somebody else, elsewhere."""
    tracker, wild = tracker_of(), PERSON.copy()
    seen = np.ones((1, 13), np.float32)
    for frame in range(30):
        tracker.update(bodies(PERSON), frame / 30)
    wild[5] = 20_000
    seen[0, 5] = visibility
    tracker.update(bodies(wild, visibility=seen), 1.0)
    for frame in range(31, 60):
        tracker.update(bodies(), frame / 30)
    assert tracker.update(bodies(at(1500)), 2.0).track_ids == (name(2),)


def test_ids_that_would_never_be_drawn_are_not_kept():
    tracker = Tracker()
    tracker.update(bodies(PERSON, at(400), ids=["7", "x" * 10**6]), 0.0)
    assert not tracker._names._used
