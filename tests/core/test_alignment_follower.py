"""Live progress along a reference: made-up movements, then real motion from other cameras."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.core.alignment_tracks import MIRROR, SIZE, A, B, evenly, performed, varied, way
from vipe_core import model_file, runtime
from vipe_core.alignment import Follower, Following
from vipe_core.errors import VipeError
from vipe_core.geometry import Camera, project
from vipe_core.skeletons import BODY13, JOINTS17
from vipe_core.track import Track

WAY = way()
SECONDS = 4.0
NOBODY = np.full(SIZE, np.nan)


def follower(poses: np.ndarray = WAY, seconds: float = SECONDS, **options: bool) -> Follower:
    return Follower(performed(poses, evenly(seconds)), A, B, **options)


def play(follower: Follower, track: Track, gone: slice = slice(0, 0)) -> list[Following]:
    """What is said of every frame; nobody is seen in those that are ``gone``."""
    away = np.zeros(len(track), bool)
    away[gone] = True
    answers = []
    for row in range(len(track)):
        pairs = (track.mean, track.variance, track.mirror_mean, track.mirror_variance)
        values = [NOBODY if away[row] else pair[row] for pair in pairs]
        answers.append(follower.update(float(track.stamp[row]), *values))
    return answers


def progress(answers: list[Following]) -> np.ndarray:
    return np.array([answer.progress for answer in answers])


@pytest.mark.parametrize("fps", [10.0, 25.0, 60.0])
@pytest.mark.parametrize("slower", [0.6, 1.0, 1.9])
def test_progress_at_other_speeds_and_rates(fps, slower):
    shares = varied(SECONDS * slower, fps)
    answers = play(follower(), performed(WAY, shares, fps, start=500.0, noise=0.3))
    inside = np.array([not answer.finished for answer in answers])
    error = np.abs(progress(answers) - shares)[inside]
    assert np.median(error) < 0.02
    assert error.max() < 0.12
    assert answers[-1].finished
    middle = answers[len(answers) // 2]
    assert middle.reference_time_s == pytest.approx(middle.progress * SECONDS)
    assert middle.likeness > 0.8
    speeds = [answer.speed for answer in answers[len(answers) // 4 : -len(answers) // 4]]
    assert np.median(speeds) == pytest.approx(1 / slower, rel=0.5)


def test_held_while_the_person_waits_and_then_on():
    shares = np.concatenate([evenly(SECONDS)[:50], np.full(100, 0.5), evenly(SECONDS)[50:]])
    answers = play(follower(), performed(WAY, shares, noise=0.3))
    waiting = progress(answers)[60:150]
    assert np.abs(waiting - 0.5).max() < 0.06
    assert np.median([answer.speed for answer in answers[90:150]]) < 0.2
    assert np.abs(progress(answers)[170:] - shares[170:]).max() < 0.1
    assert answers[-1].finished


def test_before_it_begins_there_is_no_progress():
    other = performed(way(7), evenly(3.0))
    answers = play(follower(), other)
    assert progress(answers)[-20:].max() < 0.1
    assert not any(answer.finished for answer in answers)


def test_begins_late_in_the_stream():
    lead = performed(way(7), evenly(3.0))
    track = performed(WAY, evenly(SECONDS), start=3.1, noise=0.3)
    names = Track.__dataclass_fields__
    both = Track(*(np.concatenate([getattr(t, name) for t in (lead, track)]) for name in names))
    answers = play(follower(), both)[len(lead) :]
    assert np.median(np.abs(progress(answers) - evenly(SECONDS))) < 0.03
    assert answers[-1].finished


@pytest.mark.parametrize("frames", [10, 25])
def test_out_of_sight_for_a_while(frames):
    shares = evenly(SECONDS)
    gone = slice(40, 40 + frames)
    answers = play(follower(), performed(WAY, shares, noise=0.3), gone)
    assert set(progress(answers)[gone]) == {progress(answers)[39]}  # held
    after = slice(45 + frames, None)
    assert np.abs(progress(answers)[after] - shares[after]).max() < 0.1
    assert answers[-1].finished


def test_away_for_a_minute_and_back_where_they_left():
    shares = evenly(SECONDS)
    track = performed(WAY, shares, noise=0.3)
    track = replace(track, stamp=track.stamp + np.where(shares > 0.5, 60.0, 0.0))
    answers = play(follower(), track)
    after = shares > 0.6
    assert np.abs(progress(answers)[after] - shares[after]).max() < 0.1


def test_one_pose_like_the_end_is_not_the_end():
    shares = evenly(SECONDS).copy()
    shares[30:34] = 1.0  # for 0.16 s
    answers = play(follower(), performed(WAY, shares, noise=0.3))
    assert progress(answers)[30:40].max() < 0.5
    assert not any(answer.finished for answer in answers[:80])
    assert np.abs(progress(answers)[45:] - shares[45:]).max() < 0.1


def test_a_movement_that_repeats_itself_is_counted_through():
    poses = np.tile(way(5, 2), (4, 1))  # there and back, four times
    shares = varied(8.0)
    answers = play(follower(poses, 8.0), performed(poses, shares, noise=0.3))
    error = np.abs(progress(answers) - shares)
    assert np.median(error) < 0.03
    assert error.max() < 0.2  # less than one repetition
    first = next(row for row, answer in enumerate(answers) if answer.finished)
    assert shares[first] > 0.85


def test_mirrored():
    shares = varied(SECONDS)
    track = performed(WAY, shares, noise=0.3, mirrored=True)
    answers = play(follower(), track)
    assert all(answer.mirrored for answer in answers[25:])
    assert np.median(np.abs(progress(answers) - shares)) < 0.03
    plain = play(follower(mirror=False), track)
    assert not any(answer.mirrored for answer in plain)
    assert plain[50].likeness < answers[50].likeness


def test_without_the_mirrored_twin_of_the_person():
    track = performed(WAY, evenly(SECONDS), noise=0.3)
    live = follower()
    answers = [
        live.update(float(stamp), mean, variance)
        for stamp, mean, variance in zip(track.stamp, track.mean, track.variance, strict=True)
    ]
    assert np.median(np.abs(progress(answers) - evenly(SECONDS))) < 0.03
    assert not any(answer.mirrored for answer in answers)
    assert answers[-1].finished


def test_finished_stays_finished_until_reset():
    live = follower()
    track = performed(WAY, evenly(SECONDS))
    assert play(live, track)[-1].finished
    again = replace(track, stamp=track.stamp + 10)
    assert {(a.finished, a.progress) for a in play(live, again)} == {(True, 1.0)}
    live.reset()
    answers = play(live, replace(track, stamp=track.stamp + 20))
    assert not answers[50].finished
    assert answers[50].progress == pytest.approx(0.5, abs=0.05)


def test_frames_that_say_nothing_change_nothing():
    live, track = follower(), performed(WAY, evenly(SECONDS))
    before = play(live, Track(*(values[:50] for values in vars(track).values())))[-1]
    frame = (track.mean[80], track.variance[80])
    assert live.update(float(track.stamp[49]), *frame) == before  # the same stamp again
    assert live.update(float(track.stamp[10]), *frame) == before  # the past
    assert live.update(float("nan"), *frame) == before
    assert live.update(float(track.stamp[60]), NOBODY, NOBODY) == before


def test_memory_and_work_do_not_grow():
    live = follower()
    sizes = set()
    track = performed(way(7), np.tile(evenly(3.0), 10))
    for row in range(len(track)):
        live.update(float(track.stamp[row]), track.mean[row], track.variance[row])
        arrays = [value for value in vars(live).values() if isinstance(value, np.ndarray)]
        sizes.add(sum(array.nbytes for array in arrays))
    assert len(sizes) == 1


def test_a_reference_of_one_frame():
    reference = performed(WAY, np.zeros(1))
    live = Follower(reference, A, B)
    answer = live.update(0.0, reference.mean[0], reference.variance[0])
    assert np.isfinite(answer.progress)
    for tick in range(1, 30):
        answer = live.update(tick / 15, reference.mean[0], reference.variance[0])
    assert answer.finished


def test_no_reference():
    empty = Track(np.empty(0), np.empty((0, SIZE)), np.empty((0, SIZE)))
    with pytest.raises(VipeError, match="the reference has no frames"):
        Follower(empty, A, B)


def test_embeddings_of_another_model():
    with pytest.raises(VipeError, match=r"shape \(5,\), the reference has \(8,\): another model"):
        follower().update(0.0, np.zeros(5), np.ones(5))


# ---- real motion, the shipped model


@pytest.mark.skipif("VIPE_DATA" not in os.environ, reason="VIPE_DATA names no data folder")
@pytest.mark.parametrize("number", [2, 4, 25])  # a jump, washing windows, a kick
def test_motion_from_another_camera_at_another_speed(number):
    data = np.load(Path(os.environ["VIPE_DATA"]) / "mocap" / "cmu_mocap_test.npz")
    rows = slice(*data["clip_start"][number : number + 2])
    joints = data["pose"][rows].astype(float)[:400]
    fps = float(data["fps"][number])
    seconds = (len(joints) - 1) / fps
    model = runtime.load(model_file.default_path())
    rng = np.random.default_rng(0)

    def seen(joints: np.ndarray, azimuth: float) -> Track:
        place = 4 * np.array([np.sin(azimuth), 0.2, np.cos(azimuth)])
        pixels = project(joints, Camera.look_at(place, np.zeros(3), np.array([0, 1.0, 0])))
        pixels = pixels[:, JOINTS17.indices(*BODY13.joints)] + rng.normal(
            0, 2, (len(joints), 13, 2)
        )
        found = model(pixels.astype(np.float32), np.ones(pixels.shape[:2], np.float32))
        stamp = np.arange(len(joints)) / fps
        mirror = (found.mirror_mean, found.mirror_variance)
        return Track(stamp, found.mean, found.variance, *mirror)

    info = model.metadata
    live = Follower(seen(joints, 0.4), info.sigmoid_a, info.sigmoid_b)
    shares = varied(seconds * 1.3, fps)
    at = shares * (len(joints) - 1)
    low = np.minimum(at.astype(int), len(joints) - 2)
    part = (at - low)[:, None, None]
    answers = play(live, seen(joints[low] * (1 - part) + joints[low + 1] * part, 2.2))
    under_way = np.array([not answer.finished for answer in answers])
    error = np.abs(progress(answers) - shares)[under_way] * seconds
    assert np.median(error) < 0.15
    assert error.mean() < 0.5
    assert shares[under_way][-1] > 0.85
    assert not any(answer.mirrored for answer in answers[len(answers) // 4 :])


def test_the_made_up_mirror_is_one():
    np.testing.assert_array_equal(MIRROR * MIRROR, np.ones(SIZE))
