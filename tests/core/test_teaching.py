"""Lessons on made-up streams: who is meant, from when to when, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from vipe_core.actions.teaching import Lesson
from vipe_core.bodies import Bodies2D, Estimates
from vipe_core.errors import VipeError

FPS, SIZE = 30.0, 4


def heads(stamp_s: float, count: int, mirror: bool = True) -> Estimates:
    """Of ``count`` people: mean of person p is stamp + 100 p, in all dimensions."""
    mean = stamp_s + 100 * np.arange(count)[:, None] + np.zeros(SIZE)
    twin = (-mean, np.full(mean.shape, 0.2)) if mirror else (None, None)
    return Estimates(mean, np.full(mean.shape, 0.1), *twin)


def body13(stamp_s: float, count: int, skeleton: str = "body13") -> Bodies2D:
    joints = {"body13": 13, "coco17": 17}[skeleton]
    points = np.full((count, joints, 2), stamp_s) + np.arange(count)[:, None, None]
    return Bodies2D.from_arrays(points, skeleton=skeleton)


def show(
    lesson: Lesson, names: Sequence[str], first: int, last: int, fps: float = FPS, **more
) -> Lesson:
    """Frames ``first`` to before ``last``, with these people in view."""
    for frame in range(first, last):
        stamp_s = frame / fps
        people = body13(stamp_s, len(names)) if more.get("people", True) else None
        lesson.add(stamp_s, names, heads(stamp_s, len(names)), people)
    return lesson


def refused(lesson: Lesson) -> str:
    with pytest.raises(VipeError) as caught:
        lesson.example()
    assert "\n" not in str(caught.value)
    return str(caught.value)


# ---- what is learned


def test_the_only_person_from_the_first_frame_to_the_last():
    example = show(Lesson("wave", source="camera"), ["ann"], 0, 31).example()
    assert (example.label, example.source) == ("wave", "camera")
    stamps = np.arange(31) / FPS
    np.testing.assert_array_equal(example.track.stamp, stamps)
    np.testing.assert_array_equal(example.track.mean, stamps[:, None] + np.zeros(SIZE))
    np.testing.assert_array_equal(example.track.mirror_mean, -stamps[:, None] + np.zeros(SIZE))
    assert np.all(example.track.variance == 0.1)
    assert np.all(example.track.mirror_variance == 0.2)
    assert example.keypoints.skeleton == "body13"
    expected = np.broadcast_to(stamps.astype(np.float32)[:, None, None], (31, 13, 2))
    np.testing.assert_array_equal(example.keypoints.points, expected)


def test_the_person_who_is_named_among_several():
    lesson = Lesson("wave", "ben")
    example = show(lesson, ["ann", "ben", "cat"], 0, 31).example()
    np.testing.assert_allclose(example.track.mean[:, 0], 100 + np.arange(31) / FPS)
    np.testing.assert_allclose(example.keypoints.points[0], 1)


def test_from_a_stamp_to_a_stamp_both_included():
    lesson = show(Lesson("wave", start_s=1.0, end_s=2.0), ["ann"], 0, 100)
    assert lesson.finished
    track = lesson.example().track
    assert (track.stamp[0], track.stamp[-1], len(track)) == (1.0, 2.0, 31)


def test_some_seconds_from_the_first_frame_on():
    lesson = show(Lesson("wave", seconds=1.0), ["ann"], 10, 41)
    assert not lesson.finished  # one more might be in time
    show(lesson, ["ann"], 41, 42)
    assert lesson.finished
    track = lesson.example().track
    assert (track.stamp[0], len(track)) == (10 / FPS, 31)


def test_frames_after_the_end_change_nothing():
    lesson = show(Lesson("wave", seconds=1.0), ["ann"], 0, 32)
    before = lesson.example()
    show(lesson, ["ann", "ben"], 32, 60)
    np.testing.assert_array_equal(lesson.example().track.stamp, before.track.stamp)


def test_example_begins_and_ends_with_the_person_where_no_time_was_asked_for():
    lesson = show(Lesson("wave"), [], 0, 60)
    show(lesson, ["ann"], 60, 91)
    track = show(lesson, [], 91, 150).example().track
    assert (track.stamp[0], track.stamp[-1]) == (2.0, 3.0)


def test_a_short_absence_is_bridged():
    lesson = show(Lesson("wave"), ["ann"], 0, 15)
    show(lesson, [], 15, 25)
    track = show(lesson, ["ann"], 25, 40).example().track
    assert len(track) == 30
    assert np.diff(track.stamp).max() == pytest.approx(11 / FPS)


def test_a_frame_that_is_not_finite_is_an_absence():
    lesson = show(Lesson("wave"), ["ann"], 0, 15)
    bad = heads(0.5, 1)
    bad.mean[0, 2] = np.nan
    lesson.add(0.5, ["ann"], bad)
    assert len(show(lesson, ["ann"], 16, 31).example().track) == 30


def test_without_mirrored_embeddings_and_without_keypoints():
    lesson = Lesson("wave")
    for frame in range(31):
        lesson.add(frame / FPS, ["ann"], heads(frame / FPS, 1, mirror=False))
    example = lesson.example()
    assert example.track.mirror_mean is None
    assert example.track.mirror_variance is None
    assert example.keypoints is None


def test_keypoints_of_some_frames_are_kept_and_the_others_empty():
    lesson = Lesson("wave")
    for frame in range(31):
        people = None if frame % 2 else body13(frame / FPS, 1)
        lesson.add(frame / FPS, ["ann"], heads(frame / FPS, 1), people)
    points = lesson.example().keypoints.points
    assert np.isfinite(points[::2]).all()
    assert np.isnan(points[1::2]).all()
    assert not lesson.example().keypoints.visibility[1::2].any()


def test_keypoints_of_another_skeleton_in_between_are_not_mixed_in():
    lesson = Lesson("wave")
    for frame in range(31):
        skeleton = "coco17" if 10 <= frame < 12 else "body13"
        lesson.add(frame / FPS, ["ann"], heads(frame / FPS, 1), body13(frame / FPS, 1, skeleton))
    kept = lesson.example().keypoints
    assert kept.skeleton == "body13"
    assert np.flatnonzero(np.isnan(kept.points).all(axis=(1, 2))).tolist() == [10, 11]


def test_a_frame_that_comes_twice_counts_once():
    lesson = show(Lesson("wave"), ["ann"], 0, 31)
    show(lesson, ["ann"], 30, 31)
    lesson.add(31 / FPS, ["ann", "ann"], heads(31 / FPS, 2))
    assert len(lesson.example().track) == 32


def test_what_is_added_is_copied():
    lesson, shared = Lesson("wave"), heads(0.0, 1)
    for frame in range(31):
        shared.mean[:] = frame
        lesson.add(frame / FPS, ["ann"], shared)
    np.testing.assert_array_equal(lesson.example().track.mean[:, 0], np.arange(31))


# ---- what is refused


def test_no_image_came():
    assert refused(Lesson("wave", source="/action_node")) == (
        "/action_node: no image came in the time asked for"
    )
    assert "no image came" in refused(show(Lesson("wave", start_s=9.0), ["ann"], 0, 31))


def test_nobody_in_view():
    line = "nobody in view from 0.00 to 2.00 s"
    assert refused(show(Lesson("wave"), [], 30, 91)) == line
    assert refused(show(Lesson("wave", "ben"), [], 0, 31)) == "'ben' was not in view; nobody was"


def test_somebody_else_in_view():
    line = "'ben' was not in view; in view: ann, cat"
    assert refused(show(Lesson("wave", "ben"), ["ann", "cat"], 0, 31)) == line


def test_several_in_view_and_no_name():
    lesson = show(Lesson("wave"), ["ann"], 0, 31)
    show(lesson, ["ann", "ben"], 31, 47)
    line = "2 people in view, say who (track_id, --person): ann 1.5 s, ben 0.5 s"
    assert refused(lesson) == line


def test_people_without_ids():
    line = "the people in view have no ids, so nobody can be followed"
    assert refused(show(Lesson("wave"), ["", ""], 0, 31)) == line


@pytest.mark.parametrize("others", [[], ["ben"]])
def test_lost_in_the_middle(others):
    lesson = show(Lesson("wave", "ann"), ["ann", *others], 0, 16)
    show(lesson, others, 16, 46)
    line = "person ann was out of view from 0.50 to 1.53 s: show it again"
    assert refused(show(lesson, ["ann", *others], 46, 61)) == line


def test_lost_at_an_end_that_was_asked_for():
    late = show(Lesson("wave", seconds=2.0), [], 0, 30)
    line = "person ann was out of view from 0.00 to 1.00 s: show it again"
    assert refused(show(late, ["ann"], 30, 62)) == line
    early = show(Lesson("wave", start_s=1.0, end_s=3.0, origin_s=0.0), ["ann"], 0, 61)
    line = "person ann was out of view from 2.00 to 3.00 s: show it again"
    assert refused(show(early, [], 61, 100)) == line


def test_an_end_at_zero_was_asked_for_too():
    lesson = Lesson("wave", end_s=0.0)
    show(lesson, ["ann"], -60, -29)
    assert "out of view from 1.00 to 2.00 s" in refused(show(lesson, [], -29, 2))


def test_images_stop_for_a_while():
    lesson = show(Lesson("wave"), ["ann"], 0, 16)
    line = "no image from 0.50 to 2.00 s; one every 0.5 s is needed"
    assert refused(show(lesson, ["ann"], 60, 91)) == line


def test_recording_ends_before_the_end_that_was_asked_for():
    lesson = show(Lesson("wave", start_s=0.0, end_s=5.0), ["ann"], 0, 31)
    assert refused(lesson) == "no image from 1.00 to 5.00 s; one every 0.5 s is needed"


def test_images_come_too_seldom():
    lesson = show(Lesson("wave"), ["ann"], 0, 5, fps=1)
    assert "one every 0.5 s is needed" in refused(lesson)
    assert len(show(Lesson("wave", max_gap_s=1), ["ann"], 0, 5, fps=1).example().track) == 5


@pytest.mark.parametrize("frames", [1, 9])
def test_too_short(frames):
    line = rf"{(frames - 1) / FPS:.2f} s long, at least 0.3 s needed"
    assert line in refused(show(Lesson("wave"), ["ann"], 0, frames))
    assert len(show(Lesson("wave"), ["ann"], 0, 10).example().track) == 10


def test_endless():
    lesson = show(Lesson("wave"), ["ann"], 0, 1300, fps=10)
    assert lesson.finished
    assert refused(lesson) == "more than 120 s, which no action lasts: choose a part"


def test_time_goes_back():
    lesson = show(Lesson("wave"), ["ann"], 30, 61)
    assert "time went back" in refused(show(lesson, ["ann"], 0, 31))


def test_time_that_is_none():
    lesson = show(Lesson("wave"), ["ann"], 0, 31)
    lesson.add(float("nan"), ["ann"], heads(0, 1))
    assert len(lesson.example().track) == 31


def test_estimates_without_embedding():
    with pytest.raises(VipeError, match="gives no embedding"):
        Lesson("wave").add(0.0, ["ann"], Estimates(joints=np.ones((1, 17, 3))))


@pytest.mark.parametrize(
    ("asked", "line"),
    [
        ({"label": "unknown"}, "'unknown' cannot be taught"),
        ({"label": " "}, "cannot be taught"),
        ({"seconds": 0.0}, "0 s: a positive number"),
        ({"seconds": float("nan")}, "a positive number"),
        ({"seconds": float("inf")}, "a positive number"),
        ({"start_s": 2.0, "end_s": 2.0}, "the end is not after the start"),
    ],
)
def test_lessons_that_cannot_begin(asked, line):
    with pytest.raises(VipeError, match=line):
        Lesson(**{"label": "wave", **asked})
