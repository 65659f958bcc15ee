"""Actions by example: made-up embeddings, then mocap from other cameras, then real video."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tests.core.taught_examples import embed
from vipe_core import assets, model_file, runtime, skeletons
from vipe_core.actions import (
    UNKNOWN,
    Action,
    Example,
    Examples,
    Recognizer,
    segments,
)
from vipe_core.detectors import BlazePose
from vipe_core.errors import VipeError
from vipe_core.geometry import Camera, project
from vipe_core.keypoint_file import KeypointFile
from vipe_core.track import Track

SIZE, A, B = 8, 2.0, 8.0
FPS = 30.0
MIRROR = np.repeat([-1.0, 1.0], SIZE // 2)  # what mirroring a person does to these embeddings


# ---- made-up embeddings


def poses(seed: int, count: int = 6) -> np.ndarray:
    """(count, SIZE) poses far apart from each other and from those of other seeds."""
    return np.random.default_rng(seed).normal(0, 5, (count, SIZE))


def track(means: np.ndarray, fps: float = FPS, start: float = 0.0, mirror: bool = True) -> Track:
    """Embeddings with small variance."""
    variance = np.full(means.shape, 0.01)
    stamp = start + np.arange(len(means)) / fps
    return Track(stamp, means, variance, *((means * MIRROR, variance) if mirror else ()))


def movement(way: np.ndarray, seconds: float, fps: float = FPS) -> np.ndarray:
    """(T, SIZE) along the poses of ``way`` at even speed."""
    at = np.linspace(0, len(way) - 1, round(seconds * fps) + 1)
    columns = [np.interp(at, np.arange(len(way)), column) for column in way.T]
    return np.stack(columns, axis=1)


def noise(count: int, seed: int = 99) -> np.ndarray:
    """Other movements: a walk through poses of no example."""
    return movement(poses(seed, 2 + count // 15), count / FPS)[:count]


WAVE, BOW = poses(1), poses(2)


@pytest.fixture
def examples() -> Examples:
    examples = [
        Example("wave", track(movement(WAVE, 1.0))),
        Example("bow", track(movement(BOW, 1.5))),
    ]
    return Examples.from_examples(examples, A, B)


def play(recognizer: Recognizer, stream: Track, person: str = "1") -> list[Action]:
    frames = zip(stream.stamp, stream.mean, stream.variance, strict=True)
    twins = (
        zip(stream.mirror_mean, stream.mirror_variance, strict=True)
        if stream.mirror_mean is not None and stream.mirror_variance is not None
        else [(None, None)] * len(stream)
    )
    return [
        recognizer.update(person, *frame, *twin) for frame, twin in zip(frames, twins, strict=True)
    ]


def found(recognizer: Recognizer, means: np.ndarray, fps: float = FPS, **more) -> list[Action]:
    return segments(play(recognizer, track(means, fps, **more)))


def test_finds_actions_in_a_stream_and_nothing_elsewhere(examples):
    parts = [noise(60), movement(WAVE, 1.0), noise(45, 7), movement(BOW, 1.5), noise(60, 8)]
    first, second = found(Recognizer(examples), np.concatenate(parts))
    assert (first.label, second.label) == ("wave", "bow")
    assert first.probability > 0.9
    assert first.start == pytest.approx(60 / FPS, abs=0.15)
    assert first.end == pytest.approx(91 / FPS, abs=0.15)
    assert second.start == pytest.approx(136 / FPS, abs=0.15)
    assert second.end == pytest.approx(182 / FPS, abs=0.15)


def test_action_of_a_frame_is_complete(examples):
    actions = play(Recognizer(examples), track(np.concatenate([noise(30), movement(WAVE, 1.0)])))
    for action in actions:
        assert action.label == action.labels[0]
        assert action.probability == action.probabilities[0]
        assert set(action.labels) == {"wave", "bow", UNKNOWN}
        assert sum(action.probabilities) == pytest.approx(1)
        assert all(a >= b for a, b in pairwise(action.probabilities))
        assert (action.start is None) == (action.label == UNKNOWN)
    assert actions[20].label == UNKNOWN
    assert actions[-1].label == "wave"
    assert actions[-1].end <= actions[-1].start + 1.2


@pytest.mark.parametrize("speed", [0.6, 1.0, 1.7])
@pytest.mark.parametrize("fps", [12.0, 30.0, 100.0])
def test_other_speed_and_other_camera_rate(examples, speed, fps):
    rest = movement(poses(99, 4), 2.0, fps)
    means = np.concatenate([rest, movement(WAVE, 1 / speed, fps), rest])
    assert [a.label for a in found(Recognizer(examples), means, fps)] == ["wave"]


@pytest.mark.parametrize("seconds", [0.3, 3.5])
def test_much_faster_or_slower_is_something_else(examples, seconds):
    means = np.concatenate([noise(60), movement(WAVE, seconds), noise(60, 7)])
    assert found(Recognizer(examples), means) == []


def test_standing_still_is_no_movement(examples):
    for pose in movement(WAVE, 1.0)[::5]:
        assert found(Recognizer(examples), np.repeat(pose[None], 150, axis=0)) == []


def test_same_action_again_and_again_is_counted(examples):
    cycle = np.concatenate([movement(WAVE, 1.0), noise(30)])
    assert [a.label for a in found(Recognizer(examples), np.tile(cycle, (4, 1)))] == ["wave"] * 4


def test_held_pose_can_be_taught():
    held = np.repeat(WAVE[:1], 30, axis=0)
    recognizer = Recognizer(Examples.from_examples([Example("arms up", track(held))], A, B))
    means = np.concatenate([noise(60), np.repeat(WAVE[:1], 120, axis=0), noise(60, 7)])
    (action,) = found(recognizer, means)
    assert action.start == pytest.approx(2.0, abs=0.2)
    assert action.end == pytest.approx(6.0, abs=0.5)


def test_mirror_image_is_the_same_action_unless_asked_not_to(examples):
    means = np.concatenate([noise(60), movement(WAVE, 1.0) * MIRROR, noise(60, 7)])
    assert [a.label for a in found(Recognizer(examples), means)] == ["wave"]
    assert found(Recognizer(examples, mirror=False), means) == []
    assert found(Recognizer(examples), means, mirror=False) == []


def test_mirror_image_taught_as_another_action():
    left, right = movement(WAVE, 1.0), movement(WAVE, 1.0) * MIRROR
    pair = [Example("left", track(left)), Example("right", track(right))]
    recognizer = Recognizer(Examples.from_examples(pair, A, B))
    means = np.concatenate([noise(60), left, noise(60, 7), right, noise(60, 8)])
    assert [a.label for a in found(recognizer, means)] == ["left", "right"]


def test_match_does_not_mix_the_person_and_the_mirror_image(examples):
    means = movement(WAVE, 1.0)
    means[15:] *= MIRROR  # half of it mirrored: neither of the two
    assert found(Recognizer(examples), np.concatenate([noise(60), means, noise(60, 7)])) == []


@pytest.mark.parametrize(("apart", "wider"), [(0.0, False), (0.4, False), (2.0, True)])
def test_examples_of_a_label_that_are_far_apart_raise_the_limit(apart, wider):
    rng = np.random.default_rng(4)
    ways = [WAVE + rng.normal(0, apart, WAVE.shape) for _ in range(4)]
    bow = Example("bow", track(movement(BOW, 1.0)))
    taught = [Example("wave", track(movement(way, 1.0))) for way in ways]
    one = Recognizer(Examples.from_examples([taught[0], bow], A, B))
    many = Recognizer(Examples.from_examples([*taught, bow], A, B))
    assert (many.thresholds[0] > one.thresholds[0]) == wider
    # The same take twice is no reason to be stricter: another side is farther away.
    assert many.thresholds[0] >= one.thresholds[0]
    means = np.concatenate([noise(60), movement(ways[2], 1.0), noise(60, 7)])
    assert [a.label for a in found(many, means)] == ["wave"]


def test_threshold_may_be_given(examples):
    means = np.concatenate([noise(60), movement(WAVE, 1.0) + 0.8, noise(60, 7)])
    strict, lax = Recognizer(examples, threshold=0.06), Recognizer(examples, threshold=2.0)
    assert found(strict, means) == []
    assert "wave" in {a.label for a in found(lax, means)}
    np.testing.assert_array_equal(lax.thresholds, [2.0, 2.0])
    anything = play(Recognizer(examples, threshold=1e9), track(means))
    assert anything[0].label == UNKNOWN  # no match can have ended yet
    assert all(np.isfinite(a.start) for a in anything if a.start is not None)


def test_people_do_not_disturb_each_other(examples):
    together, alone = Recognizer(examples), Recognizer(examples)
    wave = track(np.concatenate([noise(30), movement(WAVE, 1.5)]))
    bow = track(np.concatenate([noise(30, 7), movement(BOW, 1.5)]))
    mixed: dict[str, list[Action]] = {"a": [], "b": []}
    for i in range(len(wave)):
        for name, stream in (("a", wave), ("b", bow)):
            frame = Track(*(getattr(stream, n)[i : i + 1] for n in Track.__dataclass_fields__))
            mixed[name] += play(together, frame, name)
    assert mixed["a"] == play(alone, wave, "a")
    assert mixed["b"] == play(alone, bow, "b")


def test_gap_time_going_back_and_drop_start_anew(examples):
    recognizer = Recognizer(examples, max_gap_s=0.5)
    stream = track(movement(WAVE, 1.0))
    half = len(stream) // 2

    def second_half(shift: float) -> list[Action]:
        fields = {n: getattr(stream, n)[half:] for n in Track.__dataclass_fields__}
        return play(recognizer, Track(**{**fields, "stamp": fields["stamp"] + shift}))

    def first_half() -> None:
        play(recognizer, Track(*(getattr(stream, n)[:half] for n in Track.__dataclass_fields__)))

    first_half()
    assert second_half(0.1)[-1].label == "wave"  # a short gap is bridged
    recognizer.drop("1")
    first_half()
    assert second_half(0.6)[-1].label == UNKNOWN
    first_half()  # back in time
    assert second_half(-0.5)[-1].label == UNKNOWN
    recognizer.drop("1")
    first_half()
    recognizer.drop("1")
    recognizer.drop("nobody")
    assert second_half(0.0)[-1].label == UNKNOWN


def test_frames_without_an_embedding_are_bridged(examples):
    means = np.concatenate([noise(60), movement(WAVE, 1.0), noise(60, 7)])
    means[[5, 70, 71, 80]] = np.nan
    actions = play(Recognizer(examples), track(means))
    assert actions[70].label == UNKNOWN
    assert [a.label for a in segments(actions)] == ["wave"]
    assert play(Recognizer(examples), track(means[70:72]))[0].label == UNKNOWN


def test_number_of_people_remembered_is_bounded(examples):
    recognizer = Recognizer(examples)
    frame = track(WAVE[:1])
    for person in range(300):
        play(recognizer, frame, str(person))
    assert len(recognizer._states) <= 100


def test_segments_of_nothing():
    assert segments([]) == []


@pytest.mark.parametrize("name", ["rate_hz", "max_gap_s", "threshold"])
@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf])
def test_parameters_out_of_range(examples, name, value):
    with pytest.raises(VipeError, match=f"{name} is .*, a positive number needed"):
        Recognizer(examples, **{name: value})


def test_embedding_of_another_model(examples):
    with pytest.raises(VipeError, match=r"shape \(5,\), the examples have \(8,\)"):
        Recognizer(examples).update("1", 0.0, np.zeros(5), np.ones(5))


@pytest.mark.parametrize(
    ("example", "line"),
    [
        (Example("wave", track(WAVE, fps=30)), "0.17 s long, at least 0.3 s needed"),
        (Example("wave", track(WAVE[:1])), "0.00 s long"),
        (Example("unknown", track(movement(WAVE, 1))), "label 'unknown' cannot be taught"),
        (Example(" ", track(movement(WAVE, 1))), "label '' cannot be taught"),
        (Example("wave", track(movement(WAVE, 1) * np.nan)), "not finite"),
        (Example("wave", track(movement(WAVE, 1), fps=-30)), "stamps do not rise"),
        (Example("wave", Track(np.arange(3), WAVE, WAVE)), r"shape \(6, 8\), \(3, 8\) needed"),
        (Example("wave", track(movement(WAVE, 1)), "that file"), None),
    ],
)
def test_bad_examples(example, line):
    good = Example("bow", track(movement(BOW, 1)))
    if line is None:
        assert len(Examples.from_examples([good, example], A, B).examples) == 2
        return
    with pytest.raises(VipeError, match=line):
        Examples.from_examples([good, example], A, B)


def test_no_examples():
    with pytest.raises(VipeError, match="no examples of actions"):
        Examples.from_examples([], A, B)


# ---- the shipped model


@pytest.fixture(scope="module")
def model() -> runtime.Model:
    path = model_file.default_path()
    if not path.exists():
        pytest.skip(f"no model {path}")
    return runtime.load(path)


def as_file(pixels: np.ndarray, fps: float, skeleton: str) -> KeypointFile:
    return KeypointFile(pixels, np.ones(pixels.shape[:-1]), skeleton, fps=fps)


@pytest.mark.skipif("VIPE_DATA" not in os.environ, reason="VIPE_DATA names no data folder")
def test_action_taught_from_one_camera_is_found_from_others(model):
    data = np.load(Path(os.environ["VIPE_DATA"]) / "mocap" / "cmu_mocap_test.npz")
    # Label -> clip and its first and last frame. The jump and the kick occur several times.
    taught = {"jump": (2, 280, 320), "kick": (25, 100, 140), "wash windows": (4, 280, 320)}
    rng = np.random.default_rng(0)

    def seen(number: int, azimuth: float) -> Track:
        rows = slice(*data["clip_start"][number : number + 2])
        joints = data["pose"][rows].astype(float) + data["pelvis"][rows, None]
        middle = joints[:, 0].mean(axis=0)
        place = middle + 4 * np.array([np.sin(azimuth), 0.2, np.cos(azimuth)])
        pixels = project(joints, Camera.look_at(place, middle, np.array([0, 1.0, 0])))
        pixels += rng.normal(0, 2, pixels.shape)
        return embed(as_file(pixels, float(data["fps"][number]), "joints17"), model)

    def part(whole: Track, first: int, last: int) -> Track:
        return Track(*(getattr(whole, n)[first:last] for n in Track.__dataclass_fields__))

    info = model.metadata
    examples = [Example(n, part(seen(c, 0.7), a, b)) for n, (c, a, b) in taught.items()]
    examples = Examples.from_examples(examples, info.sigmoid_a, info.sigmoid_b)
    hits, wrong = 0, 0
    for azimuth in (-2.2, -0.8, 2.2):
        for label, (number, first, last) in taught.items():
            actions = segments(play(Recognizer(examples), seen(number, azimuth)))
            fps = float(data["fps"][number])
            hits += any(
                a.label == label
                and abs(a.start - first / fps) < 0.5
                and abs(a.end - last / fps) < 0.5
                for a in actions
            )
            wrong += sum(a.label != label for a in actions)
    assert hits >= 8  # of 9
    assert wrong <= 2  # in about three minutes


def test_jumping_jacks_of_the_demo_video(model):
    cv2 = pytest.importorskip("cv2")
    assets.fetch()
    video = cv2.VideoCapture(str(assets.path("demo.mp4")))
    detector = BlazePose(threads=1)
    found = [detector(video.read()[1]) for _ in range(150)]
    video.release()
    assert all(len(bodies) == 1 for bodies in found)
    points = skeletons.convert(np.stack([b.points[0] for b in found]), "blazepose33", "body13")
    stream = embed(as_file(points, 30, "body13"), model)

    def taught(label: str, first: int, last: int) -> Example:
        names = Track.__dataclass_fields__
        return Example(label, Track(*(getattr(stream, n)[first : last + 1] for n in names)))

    info = model.metadata
    examples = [taught("jack_open", 6, 24), taught("jack_close", 26, 41)]
    examples = Examples.from_examples(examples, info.sigmoid_a, info.sigmoid_b)
    actions = play(Recognizer(examples), stream)
    spans = [(a.label, round(a.start * 30), round(a.end * 30)) for a in segments(actions)]
    expected = [
        ("jack_open", 6, 24),
        ("jack_close", 26, 41),
        ("jack_open", 45, 60),
        ("jack_close", 61, 77),
    ]
    assert [label for label, *_ in spans] == [label for label, *_ in expected]
    for (_, start, end), (_, want_start, want_end) in zip(spans, expected, strict=True):
        assert abs(start - want_start) <= 5
        assert abs(end - want_end) <= 5
    assert all(action.label == UNKNOWN for action in actions[90:])
