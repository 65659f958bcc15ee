"""Keypoint and embedding files as recordings; whole recordings; what cannot be opened."""

from __future__ import annotations

import tracemalloc
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.model_factory import make_model
from vipe_core import embedding_file, keypoint_file, recordings, runtime
from vipe_core.embedding_file import EmbeddingFile
from vipe_core.errors import VipeError
from vipe_core.estimate import estimate
from vipe_core.keypoint_file import KeypointFile
from vipe_core.recordings import Moment, clips, open_source, read
from vipe_core.runtime import Model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def model(folder: Path) -> Model:
    return runtime.load(make_model(folder / "model.onnx", mirror=True))


@pytest.fixture(scope="module")
def windowed(folder: Path) -> Model:
    return runtime.load(make_model(folder / "windowed.onnx", frames=7))


def clip(frames: int, people: int = 1, seed: int = 0, **fields: object) -> KeypointFile:
    """Random people of coco17 in an image of 640 x 480."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(0, 480, (frames, people, 17, 2)).astype(np.float32)
    given: dict = {"fps": 30.0, "image_size": (640, 480)} | fields
    return KeypointFile(points, np.ones(points.shape[:-1]), "coco17", **given)


def write(path: Path, content: KeypointFile) -> Path:
    keypoint_file.write(path, content)
    return path


def test_moments_of_a_keypoint_file_are_what_the_model_says(tmp_path: Path, model: Model) -> None:
    content = clip(clips.FRAMES + 5, people=2, label="wave")
    expected, _ = estimate(model, content.points, content.visibility, "coco17")
    with open_source(write(tmp_path / "wave.npz", content), model) as source:
        assert (source.kind, source.label, source.count) == ("keypoints", "wave", len(content))
        assert source.image_size == (640, 480)
        moments = list(source.moments())
    assert len(moments) == len(content)
    for frame, moment in enumerate(moments):
        assert moment.stamp_s == pytest.approx(frame / 30)
        assert moment.bodies == ("0", "1")
        for head in ("mean", "variance", "mirror_mean", "joints", "std"):
            values, wanted = getattr(moment.estimates, head), getattr(expected, head)[frame]
            np.testing.assert_allclose(values, wanted, rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(moment.people.points, content.points[frame])


def test_who_shows_too_few_joints_is_absent(tmp_path: Path, model: Model) -> None:
    content = clip(6, people=3)
    visibility = content.visibility.copy()
    visibility[2, 1] = 0
    visibility[4] = 0
    path = write(tmp_path / "gap.npz", replace(content, visibility=visibility))
    with open_source(path, model) as source:
        seen = [moment.bodies for moment in source.moments()]
        again = [moment.bodies for moment in source.moments()]
    everybody = ("0", "1", "2")
    assert seen == [everybody, everybody, ("0", "2"), everybody, (), everybody]
    assert again == seen


def test_a_model_of_windows_sees_across_blocks(
    tmp_path: Path, windowed: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(1)
    stamp = np.cumsum(rng.uniform(0.01, 0.25, 60))
    content = clip(60, people=2, fps=None, stamp=stamp)
    path = write(tmp_path / "uneven.npz", content)
    whole, _ = estimate(windowed, content.points, content.visibility, "coco17", stamps=stamp)
    monkeypatch.setattr(clips, "FRAMES", 7)
    with open_source(path, windowed) as source:
        means = np.stack([moment.estimates.mean for moment in source.moments()])
    np.testing.assert_allclose(means, whole.mean, rtol=1e-4, atol=1e-5)


def test_a_long_clip_is_not_held(tmp_path: Path, model: Model) -> None:
    path = write(tmp_path / "long.npz", clip(12 * clips.FRAMES))

    def peak(take: Callable[[Iterator[Moment]], object]) -> int:
        with open_source(path, model) as source:
            tracemalloc.start()
            take(source.moments())
            most = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        return most

    assert peak(lambda moments: deque(moments, maxlen=1)) < peak(list) / 4


def test_a_single_pose_needs_no_time(tmp_path: Path, model: Model) -> None:
    path = write(tmp_path / "pose.npz", clip(1, fps=None))
    with open_source(path, model) as source:
        assert [moment.stamp_s for moment in source.moments()] == [0.0]


def embedded(path: Path, model: Model, content: KeypointFile) -> Path:
    """What ``vipe embed`` writes."""
    found, _ = estimate(model, content.points, content.visibility, "coco17")
    info = model.metadata
    made = EmbeddingFile(
        mean=found.mean,
        variance=found.variance,
        skeleton="coco17",
        model=f"{info.name} {info.version}",
        fingerprint=model.fingerprint,
        sigmoid_a=info.sigmoid_a,
        sigmoid_b=info.sigmoid_b,
        fps=content.fps,
        label=content.label,
    )
    return embedding_file.write(path, made)


def test_an_embedding_file_gives_the_moments_of_its_keypoints(tmp_path: Path, model: Model) -> None:
    content = clip(9, people=2, label="wave")
    visibility = content.visibility.copy()
    visibility[3, 0] = 0
    content = replace(content, visibility=visibility)
    path = embedded(tmp_path / "wave.embedding.npz", model, content)
    with (
        open_source(path, model) as source,
        open_source(write(tmp_path / "wave.npz", content), model) as original,
    ):
        assert (source.kind, source.label, source.count) == ("embeddings", "wave", 9)
        for moment, wanted in zip(source.moments(), original.moments(), strict=True):
            assert moment.bodies == wanted.bodies
            assert moment.stamp_s == wanted.stamp_s
            assert moment.people is None
            np.testing.assert_allclose(moment.estimates.mean, wanted.estimates.mean, rtol=1e-4)


def test_embeddings_of_another_model_are_refused(tmp_path: Path, model: Model) -> None:
    path = embedded(tmp_path / "old.npz", model, clip(3))
    other = runtime.load(make_model(tmp_path / "other.onnx", mirror=True, sigmoid_b=0.5))
    with pytest.raises(VipeError, match=r"is of model test-model .*vipe embed KEYPOINTS\.npz"):
        open_source(path, other)


def test_read_gathers_everybody_longest_first(tmp_path: Path, model: Model) -> None:
    content = clip(20, people=2, label="wave")
    visibility = content.visibility.copy()
    visibility[:12, 0] = 0
    path = write(tmp_path / "wave.npz", replace(content, visibility=visibility))
    ticks: list[int] = []
    recording = read(path, model, progress=ticks.append)
    assert sum(ticks) == len(recording.stamps) == 20
    assert recording.source == str(path)
    assert (recording.label, recording.image_size) == ("wave", (640, 480))
    assert recording.fingerprint == model.fingerprint
    assert (recording.sigmoid_a, recording.sigmoid_b) == (1.5, 0.75)
    assert [person.body for person in recording.people] == ["1", "0"]
    first, second = recording.people
    assert (len(first.track), len(second.track)) == (20, 8)
    np.testing.assert_allclose(second.track.stamp, np.arange(12, 20) / 30)
    np.testing.assert_array_equal(second.points, content.points[12:, 0])
    assert second.visibility.shape == (8, 17)
    assert second.skeleton == "coco17"
    assert second.joints.shape == (8, 17, 3)
    assert second.std.shape == (8, 17)
    expected, _ = estimate(model, content.points[12:, 0], content.visibility[12:, 0], "coco17")
    np.testing.assert_allclose(second.track.mean, expected.mean, rtol=1e-4)
    np.testing.assert_allclose(second.track.mirror_mean, expected.mirror_mean, rtol=1e-4)


def test_embeddings_alone_make_people_without_keypoints(tmp_path: Path, model: Model) -> None:
    person = read(embedded(tmp_path / "a.npz", model, clip(4)), model).people[0]
    assert (person.points, person.visibility, person.joints, person.skeleton) == (
        *(None,) * 3,
        "",
    )
    assert person.track.mirror_mean is None


def test_a_part_counts_from_the_first_moment(tmp_path: Path, model: Model) -> None:
    path = write(tmp_path / "a.npz", clip(30, fps=None, stamp=100 + np.arange(30) / 10))
    recording = read(path, model, start_s=0.5, end_s=1.0)
    np.testing.assert_allclose(recording.stamps, 100 + np.arange(5, 11) / 10)


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"start_s": 9.0}, r"keypoints .*a\.npz: no moment from 9 s to its end"),
        ({"start_s": 0.0, "end_s": 0.2}, r"keypoints .*a\.npz: nobody is seen from 0 s to 0\.2 s"),
    ],
)
def test_nothing_in_a_part(tmp_path: Path, model: Model, part: dict, message: str) -> None:
    content = clip(30)
    visibility = content.visibility.copy()
    visibility[:10] = 0
    path = write(tmp_path / "a.npz", replace(content, visibility=visibility))
    with pytest.raises(VipeError, match=message):
        read(path, model, **part)


def truncated(path: Path) -> None:
    write(path, clip(50))
    path.write_bytes(path.read_bytes()[:500])


def several_frames_without_time(path: Path) -> None:
    write(path, clip(3, fps=None))


def no_frames(path: Path) -> None:
    write(path, clip(0))


def no_people(path: Path) -> None:
    np.savez(path, points=np.empty((4, 0, 17, 2)), visibility=np.empty((4, 0, 17)),
             skeleton="coco17", fps=30.0)  # fmt: skip


def unknown_skeleton(path: Path) -> None:
    np.savez(path, points=np.zeros((1, 3, 2)), visibility=np.ones((1, 3)), skeleton="octopus")


def foreign(path: Path) -> None:
    np.savez(path, weights=np.zeros(3))


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("a.npz", lambda path: None, r"recording .*a\.npz does not exist"),
        ("a.npz", Path.touch, r"recording .*a\.npz is empty"),
        ("a.npz", truncated, r"keypoint file .*a\.npz: not an \.npz"),
        ("a.npz", several_frames_without_time, r"keypoint file .*: neither stamp nor fps"),
        ("a.npz", no_frames, r"keypoint file .*a\.npz: no frames"),
        ("a.npz", unknown_skeleton, r"keypoint file .*octopus"),
        ("a.npz", foreign, r"keypoint file .*a\.npz: points, visibility, skeleton: missing"),
        ("a.txt", Path.touch, r"recording .*a\.txt: unknown ending '\.txt'; known: keypoint"),
        ("a", Path.touch, r"recording .*a: unknown ending ''"),
        ("a", Path.mkdir, r"folder .*a is no recording: no bag is in it"),
    ],
)
def test_what_cannot_be_opened(
    tmp_path: Path, model: Model, name: str, make: Callable[[Path], object], message: str
) -> None:
    make(tmp_path / name)
    with pytest.raises(VipeError, match=message):
        open_source(tmp_path / name, model)


def test_a_file_with_room_for_nobody(tmp_path: Path, model: Model) -> None:
    no_people(tmp_path / "a.npz")
    with pytest.raises(VipeError, match=r"a\.npz: nobody is seen$"):
        read(tmp_path / "a.npz", model)


def test_a_skeleton_that_the_model_cannot_take(tmp_path: Path, folder: Path) -> None:
    wants_spine = runtime.load(make_model(folder / "h36m.onnx", skeleton_2d="h36m17"))
    path = write(tmp_path / "a.npz", clip(3))
    with pytest.raises(VipeError, match=r"a\.npz: .*takes h36m17, which cannot be made"):
        open_source(path, wants_spine)


def test_a_model_without_embedding(tmp_path: Path, folder: Path) -> None:
    lifter = runtime.load(make_model(folder / "pose.onnx", task="pose"))
    path = write(tmp_path / "a.npz", clip(3))
    with pytest.raises(VipeError, match=r"gives no embedding, its task is pose"):
        open_source(path, lifter)


def test_the_names_of_the_package() -> None:
    assert all(hasattr(recordings, name) for name in recordings.__all__)
