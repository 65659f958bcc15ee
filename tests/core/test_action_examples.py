"""Examples of actions: put together, embedded again, read out of a folder of recordings."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from tests.core.taught_examples import embed
from tests.model_factory import make_model
from vipe_core import embedding_file, files, keypoint_file, runtime
from vipe_core.actions import Example, Examples, Keypoints, Recognizer, examples_file
from vipe_core.actions.from_recordings import label_of
from vipe_core.actions.teaching import Lesson
from vipe_core.embedding_file import EmbeddingFile
from vipe_core.errors import VipeError
from vipe_core.keypoint_file import KeypointFile
from vipe_core.track import Track


@pytest.fixture(scope="module")
def small_model(tmp_path_factory) -> runtime.Model:
    return runtime.load(make_model(tmp_path_factory.mktemp("model") / "model.onnx", mirror=True))


def clip(label: str | None = "wave", frames: int = 30, seed: int = 3, **changes) -> KeypointFile:
    """Thirteen points that move from one random pose to another in a second."""
    first, last = np.random.default_rng(seed).uniform(100, 400, (2, 13, 2))
    points = first + (last - first) * np.linspace(0, 1, frames)[:, None, None]
    fields = {"points": points, "visibility": np.ones((frames, 13)), "skeleton": "body13"}
    return KeypointFile(**{**fields, "fps": 30, "label": label, **changes})


def example(
    label: str = "wave", seconds: float = 1.0, size: int = 16, variance: float = 1.0, **more
) -> Example:
    """Made-up embeddings."""
    frames = round(seconds * 30) + 1
    mean = np.random.default_rng(0).normal(size=(frames, size))
    track = Track(np.arange(frames) / 30, mean, np.full_like(mean, variance))
    return Example(label, track, **more)


@pytest.fixture
def two_waves_and_a_bow() -> Examples:
    taught = [example("wave", 1.0), example("bow", 2.0), example("wave", 3.0)]
    return Examples.from_examples(taught, 2.0, 1.0, "0123456789ab", "vipe 1.0")


# ---- adding and forgetting


def test_nothing_taught_then_something():
    none = Examples.empty(2.0, 1.0, "0123456789ab", "vipe 1.0")
    assert (len(none), none.labels, none.of("wave")) == (0, (), ())
    one = none.added(example())
    assert (len(one), one.labels) == (1, ("wave",))
    assert len(none) == 0  # as it was
    assert (one.sigmoid_a, one.sigmoid_b, one.fingerprint) == (2.0, 1.0, "0123456789ab")


def test_nothing_taught_to_a_model(small_model):
    none = Examples.empty_of(small_model)
    info = small_model.metadata
    assert (none.sigmoid_a, none.sigmoid_b) == (info.sigmoid_a, info.sigmoid_b)
    assert (none.fingerprint, none.model) == (small_model.fingerprint, "test-model 1.2.3")


def test_spaces_around_a_label_do_not_count():
    taught = Examples.from_examples([example(" wave ")], 1.0, 0.0)
    assert taught.labels == ("wave",)
    with pytest.raises(VipeError, match="'wave' is taught already"):
        taught.added(example("wave\n"))
    assert len(taught.of("wave ")) == 1
    assert len(taught.forgotten(" wave")) == 0
    assert Lesson(" wave ").label == "wave"
    with pytest.raises(VipeError, match="'unknown' cannot be taught"):
        Lesson(" unknown")


def test_a_label_taught_twice_must_be_meant(two_waves_and_a_bow):
    with pytest.raises(VipeError, match=r"'wave' is taught already \(2 examples\).*--another"):
        two_waves_and_a_bow.added(example("wave"))
    more = two_waves_and_a_bow.added(example("wave"), another=True)
    assert [one.label for one in more.examples] == ["wave", "bow", "wave", "wave"]


def test_examples_of_another_model_are_refused_with_the_command(two_waves_and_a_bow):
    line = (
        r"by model vipe 1\.0 \(0123456789ab\), not by ba9876543210; embed them again: "
        r"vipe teach FILE --embed-again --model MODEL\.onnx"
    )
    with pytest.raises(VipeError, match=line):
        two_waves_and_a_bow.added(example("sit"), fingerprint="ba9876543210")
    assert len(two_waves_and_a_bow.added(example("sit"), fingerprint="0123456789ab")) == 4
    two_waves_and_a_bow.check_model("")


def keypoints(frames: int = 31, skeleton: str = "body13", joints: int = 13) -> Keypoints:
    return Keypoints(np.ones((frames, joints, 2)), np.ones((frames, joints)), skeleton)


@pytest.mark.parametrize(
    ("bad", "line"),
    [
        (example("sit", size=8), r"shape \(31, 8\), \(31, 16\) needed"),
        (example("sit", variance=-1.0), "variance is negative"),
        (example("sit", variance=np.nan), "not finite"),
        (example("sit", 0.2), "0.20 s long, at least 0.3 s needed"),
        (example("sit", 121), "121 s long, at most 120 s are one action"),
        (example("unknown"), "label 'unknown' cannot be taught"),
        (example(""), "label '' cannot be taught"),
        (example("sit\ndown"), r"label 'sit\\ndown' cannot be taught"),
        (example("s" * 101), "label of 101 characters, at most 100"),
        (example("sit", keypoints=keypoints(30)), r"\(31, 13, 2\) and \(31, 13\) needed"),
        (example("sit", keypoints=keypoints(31, "coco17")), r"\(31, 17, 2\)"),
        (example("sit", keypoints=keypoints(31, "worm")), "unknown skeleton 'worm'"),
    ],
)
def test_what_cannot_be_added(two_waves_and_a_bow, bad, line):
    with pytest.raises(VipeError, match=line):
        two_waves_and_a_bow.added(bad)


def test_what_cannot_be_added_says_where_it_is_from(two_waves_and_a_bow):
    with pytest.raises(VipeError, match=r"^clip.mp4: 0.20 s long"):
        two_waves_and_a_bow.added(example("sit", 0.2, source="clip.mp4"))


@pytest.mark.parametrize(
    ("label", "number", "left"),
    [
        ("wave", -1, [("bow", 2.0)]),
        ("wave", 0, [("bow", 2.0), ("wave", 3.0)]),
        ("wave", 1, [("wave", 1.0), ("bow", 2.0)]),
        ("bow", 0, [("wave", 1.0), ("wave", 3.0)]),
    ],
)
def test_forgetting(two_waves_and_a_bow, label, number, left):
    kept = two_waves_and_a_bow.forgotten(label, number)
    assert [(one.label, round(one.track.duration, 6)) for one in kept.examples] == left
    assert len(two_waves_and_a_bow) == 3  # as it was
    assert kept.fingerprint == two_waves_and_a_bow.fingerprint


def test_forgetting_what_was_never_taught(two_waves_and_a_bow):
    with pytest.raises(VipeError, match="'sit' was never taught; taught: wave, bow"):
        two_waves_and_a_bow.forgotten("sit")
    with pytest.raises(VipeError, match="taught: nothing"):
        Examples.empty(1.0, 0.0).forgotten("sit")
    for number in (2, -2):
        with pytest.raises(VipeError, match=f"'wave' has 2 examples.*no number {number}"):
            two_waves_and_a_bow.forgotten("wave", number)


def test_forgetting_everything(two_waves_and_a_bow):
    assert len(two_waves_and_a_bow.forgotten("wave").forgotten("bow")) == 0


# ---- embedding again


def test_another_model_embeds_the_kept_keypoints_again(tmp_path, small_model):
    other = runtime.load(make_model(tmp_path / "other.onnx", embedding_size=8, sigmoid_a=3.0))
    keypoint_file.write(tmp_path / "clips" / "a.npz", clip("wave"))
    gone = clip(seed=4).points.copy()
    gone[10:13] = np.nan
    keypoint_file.write(tmp_path / "clips" / "b.npz", clip("bow", points=gone))
    before = Examples.from_folder(tmp_path / "clips", small_model)
    after, direct = before.reembedded(other), Examples.from_folder(tmp_path / "clips", other)
    assert (after.fingerprint, after.sigmoid_a) == (other.fingerprint, 3.0)
    for one, expected in zip(after.examples, direct.examples, strict=True):
        assert (one.label, one.source) == (expected.label, expected.source)
        np.testing.assert_allclose(one.track.mean, expected.track.mean, atol=1e-6)
        np.testing.assert_array_equal(one.track.stamp, expected.track.stamp)
        assert one.track.mirror_mean is None  # the other model has no mirrored head
        np.testing.assert_array_equal(one.keypoints.points, expected.keypoints.points)


def test_examples_without_keypoints_are_named(two_waves_and_a_bow, small_model):
    some = two_waves_and_a_bow.added(example("sit", source="sit.npz", keypoints=keypoints()))
    with pytest.raises(VipeError, match=r"kept of 'wave', 'bow', 'wave': forget and teach"):
        some.reembedded(small_model)


def test_keypoints_that_the_other_model_sees_nobody_in(small_model):
    unseen = Keypoints(np.full((31, 13, 2), np.nan), np.zeros((31, 13)), "body13")
    taught = Examples.from_examples([example("sit", keypoints=unseen)], 1.0, 0.0)
    with pytest.raises(VipeError, match="'sit': no frame shows a person"):
        taught.reembedded(small_model)


# ---- a folder of recordings


def test_a_folder(tmp_path, small_model):
    keypoint_file.write(tmp_path / "a.npz", clip("wave"))
    gone = clip(seed=4).points.copy()
    gone[10:13] = np.nan  # nobody in sight for three frames
    keypoint_file.write(tmp_path / "below" / "b.npz", clip("bow", points=gone))
    keypoint_file.write(tmp_path / "c.npz", clip("wave", seed=5))
    (tmp_path / "notes.txt").write_text("not an example")
    examples = Examples.from_folder(tmp_path, small_model)
    assert examples.labels == ("wave", "bow")
    assert examples.fingerprint == small_model.fingerprint
    assert examples.model == "test-model 1.2.3"
    assert [len(example.track) for example in examples.examples] == [30, 27, 30]
    assert examples.sigmoid_a == small_model.metadata.sigmoid_a
    for label, seed in (("wave", 3), ("bow", 4)):
        stream, recognizer = embed(clip(seed=seed), small_model), Recognizer(examples)
        heads = (stream.mean, stream.variance, stream.mirror_mean, stream.mirror_variance)
        said = [recognizer.update("1", *frame) for frame in zip(stream.stamp, *heads, strict=True)]
        assert said[-1].label == label


def test_embeddings_and_keypoints_of_an_example_are_those_of_the_file(tmp_path, small_model):
    gone = clip().points.copy()
    gone[5] = np.nan
    keypoint_file.write(tmp_path / "a.npz", clip(points=gone))
    (example,) = Examples.from_folder(tmp_path, small_model).examples
    direct, there = embed(clip(points=gone), small_model), np.arange(30) != 5
    for name in ("stamp", "mean", "variance", "mirror_mean", "mirror_variance"):
        np.testing.assert_allclose(
            getattr(example.track, name), getattr(direct, name), atol=1e-6, err_msg=name
        )
    assert example.keypoints.skeleton == "body13"
    np.testing.assert_array_equal(example.keypoints.points, gone[there].astype(np.float32))
    np.testing.assert_array_equal(example.keypoints.visibility, np.ones((29, 13)))
    assert example.source == str(tmp_path / "a.npz")


def test_an_embedding_file_is_an_example_without_keypoints(tmp_path, small_model):
    found = embed(clip(), small_model)
    info = small_model.metadata
    content = EmbeddingFile(
        found.mean, found.variance, "body13", "test-model", small_model.fingerprint,
        info.sigmoid_a, info.sigmoid_b, fps=30.0, label="wave",
    )  # fmt: skip
    embedding_file.write(tmp_path / "a.npz", content)
    (example,) = Examples.from_folder(tmp_path, small_model).examples
    assert (example.label, example.keypoints) == ("wave", None)
    np.testing.assert_array_equal(example.track.mean, found.mean)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (clip(None), "label: missing"),
        (clip(frames=9), "0.27 s long"),
        (clip(fps=None), "neither stamp nor fps"),
        (clip(points=np.full((30, 13, 2), np.nan)), "nobody in view from 0.00 to 0.97 s"),
        (
            clip(points=np.ones((30, 2, 13, 2)), visibility=np.ones((30, 2, 13))),
            r"2 people in view, say who .*: 0 1\.0 s, 1 1\.0 s",
        ),
        (clip("unknown"), "label 'unknown'"),
    ],
)
def test_a_bad_example_names_the_file(tmp_path, small_model, content, line):
    keypoint_file.write(tmp_path / "good.npz", clip())
    keypoint_file.write(tmp_path / "bad.npz", content)
    with pytest.raises(VipeError, match=line) as caught:
        Examples.from_folder(tmp_path, small_model)
    assert "bad.npz" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_folder_missing_empty_or_with_an_unreadable_file(tmp_path, small_model):
    with pytest.raises(VipeError, match="does not exist"):
        Examples.from_folder(tmp_path / "nowhere", small_model)
    with pytest.raises(VipeError, match="holds no recording"):
        Examples.from_folder(tmp_path, small_model)
    keypoint_file.write(tmp_path / "good.npz", clip())
    (tmp_path / "bad.npz").write_bytes(b"nonsense")
    with pytest.raises(VipeError, match=r"bad\.npz: not an \.npz"):
        Examples.from_folder(tmp_path, small_model)


def test_an_examples_file_in_the_folder_is_not_passed_over(tmp_path, small_model):
    keypoint_file.write(tmp_path / "good.npz", clip())
    examples_file.write(tmp_path / "taught.npz", Examples.from_folder(tmp_path, small_model))
    with pytest.raises(VipeError, match=r"taught\.npz is an examples file: name it in place of"):
        Examples.from_folder(tmp_path, small_model)


def test_embeddings_of_another_model(tmp_path, small_model):
    arrays = {"mean": np.zeros((30, 16)), "variance": np.ones((30, 16)), "fps": 30.0}
    origin = {"skeleton": "body13", "model": "m", "fingerprint": "other", "label": "wave"}
    files.write_npz(tmp_path / "a.npz", **arrays, **origin, sigmoid_a=1.0, sigmoid_b=0.0)
    with pytest.raises(VipeError, match=r"is of model m \(other\)"):
        Examples.from_folder(tmp_path, small_model)


def test_model_without_embedding(tmp_path):
    model = runtime.load(make_model(tmp_path / "pose.onnx", task="pose"))
    keypoint_file.write(tmp_path / "a.npz", clip())
    with pytest.raises(VipeError, match="has no embedding"):
        Examples.from_folder(tmp_path, model)


class Named:
    """What :func:`label_of` looks at."""

    def __init__(self, path: str, kind: str = "video", label: str | None = None) -> None:
        self.path, self.kind, self.label = Path(path), kind, label


@pytest.mark.parametrize(
    ("name", "label"),
    [
        *(("wave.mp4", "wave"), ("wave_2.mp4", "wave"), ("wave2.mp4", "wave")),
        *(("wave (3).mp4", "wave"), ("raise left arm-01.mov", "raise left arm")),
        *(("2_hands.mp4", "2_hands"), ("a.b.mp4", "a.b"), ("jack_open_12.mcap", "jack_open")),
    ],
)
def test_label_of_a_file_name(name, label):
    assert label_of(Named(f"{os.sep}somewhere/{name}")) == label


def test_label_of_a_folder(tmp_path):
    (tmp_path / "bow.v1_2").mkdir()
    assert label_of(Named(str(tmp_path / "bow.v1_2"), "bag")) == "bow.v1"
    assert label_of(Named(str(tmp_path / "bow.v1_2"), "bag", "greet")) == "greet"


@pytest.mark.parametrize("name", ["0001.mp4", "_7.mp4"])
def test_a_number_is_no_label(name):
    with pytest.raises(VipeError, match="says no label"):
        label_of(Named(name))
