"""Videos and images as recordings: real files, through a real detector of our own.

The people in them are painted discs, see :mod:`tests.detector_factory`; the files are lossless.
"""

from __future__ import annotations

import os
import re
import struct
import sys
import tracemalloc
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.detector_factory import figures, paint, rtmo
from tests.model_factory import make_model
from vipe_core import assets, detectors, model_file, runtime
from vipe_core.errors import VipeError
from vipe_core.estimate import estimate
from vipe_core.recordings import Moment, open_source, read
from vipe_core.runtime import Model

SIZE = (320, 192)
FPS = 30


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("networks")


@pytest.fixture(scope="module")
def model(folder: Path) -> Model:
    return runtime.load(make_model(folder / "model.onnx", mirror=True))


@pytest.fixture(scope="module")
def detector(folder: Path) -> Path:
    """The YAML of a detector that finds painted people."""
    return rtmo(folder, SIZE)


@cache
def painted(frame: int, count: int = 2) -> np.ndarray:
    """The image in which they are seen."""
    return paint(SIZE, people(frame, count))


def people(frame: int, count: int = 2) -> np.ndarray:
    """(P, 17, 2) pixels of people who walk to the right."""
    middles = np.array([[60.0 + frame / 4, 96.0], [230.0 + frame / 4, 96.0]])[:count]
    return figures(middles, size=50.0)


def write_video(path: Path, images: Sequence[np.ndarray], codec: str = "FFV1") -> Path:
    height, width = images[0].shape[:2] if images else (SIZE[1], SIZE[0])
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), FPS, (width, height))
    assert writer.isOpened()
    for image in images:
        writer.write(image)
    writer.release()
    return path


@pytest.fixture(scope="module")
def walk(folder: Path) -> Path:
    """Twelve images of two people; the second is out of the last four."""
    images = [painted(i, 1 if i >= 8 else 2) for i in range(12)]
    return write_video(folder / "walk.mkv", images)


def test_people_are_found_followed_and_embedded(walk: Path, detector: Path, model: Model) -> None:
    with open_source(walk, model, detector) as source:
        assert (source.kind, source.count, source.image_size) == ("video", 12, SIZE)
        moments = list(source.moments())
        assert source.notes == []
    assert [moment.bodies for moment in moments] == [("0", "1")] * 8 + [("0",)] * 4
    for frame, moment in enumerate(moments):
        assert moment.stamp_s == pytest.approx(frame / FPS, abs=1e-3)
        assert moment.image is None
        assert moment.people.skeleton == "coco17"
        assert moment.estimates.mean.shape == (len(moment.bodies), 16)
        expected = people(frame)[: len(moment.bodies)]
        # The edges of the detector's strips cut a few discs.
        assert (np.abs(moment.people.points - expected) < 0.5).mean() > 0.9


def test_every_reading_gives_the_same(walk: Path, detector: Path, model: Model) -> None:
    first, second = (read(walk, model, detector) for _ in range(2))
    assert [person.body for person in first.people] == ["0", "1"]
    for a, b in zip(first.people, second.people, strict=True):
        assert a.body == b.body
        np.testing.assert_array_equal(a.track.mean, b.track.mean)


def test_images_are_kept_when_asked_for(walk: Path, detector: Path, model: Model) -> None:
    with open_source(walk, model, detectors.load(detector), images=True) as source:
        for frame, moment in enumerate(source.moments()):
            shown = painted(frame, 1 if frame >= 8 else 2)
            np.testing.assert_array_equal(moment.image, shown)


def test_a_detector_forgets_what_another_video_showed(
    walk: Path, detector: Path, model: Model, tmp_path: Path
) -> None:
    class Counting:
        def __init__(self, inner: detectors.Detector) -> None:
            self.inner, self.resets = inner, 0
            self.skeleton, self.name = inner.skeleton, inner.name
            self.backend, self.model = inner.backend, inner.model

        def __call__(self, image: np.ndarray):
            return self.inner(image)

        def reset(self) -> None:
            self.resets += 1

    shared = Counting(detectors.load(detector))
    for _ in range(2):
        read(walk, model, shared)
    assert shared.resets == 2


def test_the_stamps_are_those_of_the_container(
    walk: Path, detector: Path, model: Model, tmp_path: Path
) -> None:
    data = walk.read_bytes()
    for old, new in ((267, 500), (300, 533), (333, 900), (367, 933)):
        data = data.replace(b"\x81" + struct.pack(">h", old), b"\x81" + struct.pack(">h", new))
    path = tmp_path / "uneven.mkv"
    path.write_bytes(data)
    recording = read(path, model, detector)
    expected = [0, 33, 67, 100, 133, 167, 200, 233, 500, 533, 900, 933]
    np.testing.assert_allclose(recording.stamps, np.array(expected) / 1e3, atol=6e-4)


def test_a_turned_video_is_seen_upright(detector: Path, model: Model, tmp_path: Path) -> None:
    path = write_video(tmp_path / "turned.mp4", [np.zeros((192, 320, 3), np.uint8)] * 3, "mp4v")
    data = bytearray(path.read_bytes())
    matrix = data.find(b"tkhd") + 44  # where ISO 14496-12 puts the matrix of version 0
    quarter = (0, 1 << 16, 0, -(1 << 16), 0, 0, 192 << 16, 0, 1 << 30)
    data[matrix : matrix + 36] = struct.pack(">9i", *quarter)
    path.write_bytes(data)
    with open_source(path, model, detector, images=True) as source:
        assert source.image_size == (192, 320)
        assert all(moment.image.shape == (320, 192, 3) for moment in source.moments())


@pytest.mark.parametrize(
    ("name", "codec", "begin"),
    [("a.mkv", "MJPG", rb"\xff\xd8\xff"), ("a.mp4", "mp4v", rb"\x00\x00\x01\xb6")],
)
def test_images_that_cannot_be_decoded_are_counted(
    detector: Path, model: Model, tmp_path: Path, name: str, codec: str, begin: bytes
) -> None:
    images = [painted(i) for i in range(10)]
    path = write_video(tmp_path / name, images, codec)
    data = path.read_bytes()
    starts = [match.start() for match in re.finditer(begin, data)]
    assert len(starts) == 10
    length = starts[7] - starts[6] - 32  # of the image, less what the container puts between two
    path.write_bytes(data[: starts[6]] + bytes(length) + data[starts[6] + length :])
    with open_source(path, model, detector) as source:
        moments = list(source.moments())
        assert source.notes == [f"video {path}: 1 of 10 images lost"]
    stamps = [moment.stamp_s for moment in moments]
    np.testing.assert_allclose(stamps, np.delete(np.arange(10), 6) / FPS, atol=1e-3)


def test_a_video_cut_in_two_is_read_up_to_there(
    walk: Path, detector: Path, model: Model, tmp_path: Path
) -> None:
    path = tmp_path / "cut.mkv"
    path.write_bytes(walk.read_bytes()[: walk.stat().st_size // 2])
    with open_source(path, model, detector) as source:
        assert 3 <= len(list(source.moments())) <= 9
        assert len(source.notes) == 1


def test_a_video_is_not_held(detector: Path, model: Model, tmp_path: Path) -> None:
    path = write_video(tmp_path / "long.mkv", [painted(i % 4) for i in range(60)])

    def peak(take: Callable[[Iterator[Moment]], object]) -> int:
        with open_source(path, model, detector, images=True) as source:
            tracemalloc.start()
            take(source.moments())
            most = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        return most

    assert peak(lambda moments: deque(moments, maxlen=1)) < peak(list) / 3


def test_an_image_is_one_moment(detector: Path, model: Model, tmp_path: Path) -> None:
    path = tmp_path / "Pose.PNG"
    assert cv2.imwrite(str(tmp_path / "pose.png"), painted(0))
    (tmp_path / "pose.png").rename(path)
    with open_source(path, model, detector, images=True) as source:
        assert (source.kind, source.count, source.image_size) == ("image", 1, SIZE)
        (moment,) = source.moments()
    assert (moment.stamp_s, moment.bodies) == (0.0, ("0", "1"))
    np.testing.assert_array_equal(moment.image, painted(0))
    assert (np.abs(moment.people.points - people(0)) < 0.5).mean() > 0.9


def no_frames(path: Path) -> None:
    write_video(path, [], "MJPG")


def text(path: Path) -> None:
    path.write_text("this is no video\n" * 100)


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("a.mp4", Path.touch, r"recording .*a\.mp4 is empty"),
        ("a.mp4", text, r"video .*a\.mp4 cannot be opened: it is no video, or damaged"),
        ("a.avi", no_frames, r"video .*a\.avi has no image that can be decoded"),
        ("a.png", text, r"image .*a\.png cannot be decoded: it is no image, or damaged"),
        ("a.mp4", Path.mkdir, r"folder .*a\.mp4 is no recording"),
    ],
)
def test_what_cannot_be_opened(
    tmp_path: Path,
    detector: Path,
    model: Model,
    name: str,
    make: Callable[[Path], object],
    message: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    make(tmp_path / name)
    with pytest.raises(VipeError, match=message):
        open_source(tmp_path / name, model, detector)


def test_nobody_in_a_video(tmp_path: Path, detector: Path, model: Model) -> None:
    path = write_video(tmp_path / "empty.mkv", [np.zeros((192, 320, 3), np.uint8)] * 3)
    with pytest.raises(VipeError, match=r"video .*empty\.mkv: nobody is seen$"):
        read(path, model, detector)


def test_a_detector_that_is_missing(walk: Path, model: Model, tmp_path: Path) -> None:
    with pytest.raises(VipeError, match=r"gone\.yaml"):
        open_source(walk, model, tmp_path / "gone.yaml")


def test_blazepose_that_was_not_fetched(
    walk: Path, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIPE_ASSETS", str(tmp_path))
    with pytest.raises(VipeError, match=r"missing; run: vipe fetch"):
        open_source(walk, model)


def test_opencv_that_is_not_installed(
    walk: Path, detector: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = detectors.load(detector)
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(VipeError, match=r"needs OpenCV: pip install opencv-python-headless"):
        open_source(walk, model, found)


def test_a_model_of_windows_sees_what_follows(walk: Path, detector: Path, folder: Path) -> None:
    """As the keypoint file of the same people does."""
    windowed = runtime.load(make_model(folder / "windowed.onnx", frames=7))
    with open_source(walk, windowed, detector) as source:
        moments = list(source.moments())
    points = np.full((len(moments), 2, 17, 2), np.nan, np.float32)
    for frame, moment in enumerate(moments):
        points[frame, : len(moment.bodies)] = moment.people.points
    stamps = np.array([moment.stamp_s for moment in moments])
    visibility = np.isfinite(points[..., 0]).astype(np.float32)
    expected, _ = estimate(windowed, points, visibility, "coco17", stamps=stamps)
    for frame, moment in enumerate(moments):
        wanted = expected.mean[frame, : len(moment.bodies)]
        np.testing.assert_allclose(moment.estimates.mean, wanted, rtol=1e-3, atol=1e-4)


@pytest.fixture(scope="module")
def shipped() -> Model:
    """Where BlazePose was fetched too."""
    try:
        detectors.load()
    except VipeError as error:
        pytest.skip(str(error))
    return runtime.load(model_file.default_path(), "onnxruntime-cpu")


def test_the_demo_video_with_blazepose(shipped: Model) -> None:
    try:
        path = assets.path("demo.mp4")
    except VipeError as error:
        pytest.skip(str(error))
    recording = read(path, shipped, end_s=0.5)
    assert len(recording.stamps) == 16
    assert recording.image_size == (1768, 994)
    person = recording.people[0]
    assert len(person.track) == 16
    assert person.skeleton == "blazepose33"
    assert np.isfinite(person.track.mean).all()


def test_a_real_camera_as_another_implementation_sees_it(shipped: Model) -> None:
    """BlazePose's own tool on the same video, whose images are 1920 pixels high."""
    data = Path(os.environ.get("VIPE_DATA") or "nowhere") / "multiview"
    if not data.is_dir():
        pytest.skip("VIPE_DATA is not set to a folder with multiview")
    recording = read(data / "videos/single_cam01.mp4", shipped, end_s=0.2)
    np.testing.assert_allclose(recording.stamps, np.arange(13) / 60, atol=1e-3)
    (person,) = recording.people
    stored = np.load(data / "pose2sim_singleperson.npz")["kp33_full"][0, :13, :, :2]
    assert np.median(np.linalg.norm(person.points - stored, axis=-1)) < 10
