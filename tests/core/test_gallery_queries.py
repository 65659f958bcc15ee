"""The pose to search for, out of real videos, images, bags and from the live image."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from tests import bags
from tests.detector_factory import figures, one_stage, paint
from tests.model_factory import make_model
from vipe_core import runtime, skeletons
from vipe_core.bodies import Bodies2D
from vipe_core.errors import VipeError
from vipe_core.estimate import estimate
from vipe_core.gallery import Filter, Gallery, Origin, indexing, queries
from vipe_core.gallery.indexing import Settings
from vipe_core.keypoint_file import KeypointFile, write
from vipe_core.pipeline import Pipeline
from vipe_core.recordings.messages import EMBEDDINGS
from vipe_core.runtime import Model

SIZE, FPS = (320, 192), 10
ARMS = ("left_elbow", "left_wrist", "right_elbow", "right_wrist", "nose")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("queries")


@pytest.fixture(scope="module")
def model(folder: Path) -> Model:
    return runtime.load(make_model(folder / "model.onnx"))


@pytest.fixture(scope="module")
def detector(folder: Path) -> Path:
    one_stage(folder / "rtmo.onnx", "rtmo", SIZE)
    path = folder / "detector.yaml"
    path.write_text(yaml.safe_dump({"model": "rtmo.onnx", "layout": "rtmo", "skeleton": "coco17"}))
    return path


def people(frame: int, count: int = 2) -> np.ndarray:
    """(P, 17, 2) pixels, another pose in each frame."""
    middles = np.array([[60.0, 96.0], [230.0, 96.0]])[:count]
    return figures(middles, size=50.0, seed=frame)


@pytest.fixture(scope="module")
def video(folder: Path) -> Path:
    """Two people, and one of them alone in the last three of nine images."""
    path = folder / "walk.mkv"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"FFV1"), FPS, SIZE)
    for frame in range(9):
        writer.write(paint(SIZE, people(frame, 1 if frame > 5 else 2)))
    writer.release()
    return path


@pytest.fixture(scope="module")
def image(folder: Path) -> Path:
    path = folder / "two.png"
    cv2.imwrite(str(path), paint(SIZE, people(0)))
    return path


def expected(model: Model, query: queries.Query) -> tuple[np.ndarray, np.ndarray]:
    """What the model says of the keypoints that the query brings."""
    shown = query.people.to_skeleton("body13")
    return model(shown.points, shown.visibility).embedding()


def check(model: Model, query: queries.Query) -> None:
    mean, variance = expected(model, query)
    np.testing.assert_allclose(query.mean, mean, atol=1e-5)
    np.testing.assert_allclose(query.variance, variance, atol=1e-5)


def test_everybody_in_an_image(image, model, detector):
    query = queries.read(image, model, detector=detector)
    assert query.mean.shape == (2, 16)
    np.testing.assert_array_equal(query.image, paint(SIZE, people(0)))
    check(model, query)


def test_a_person_at_a_moment_of_a_video(video, model, detector):
    query = queries.read(video, model, at_s=0.33, person="1", detector=detector)
    assert query.mean.shape == (1, 16)
    near = np.abs(query.people.points[0] - people(3)[1]) < 0.5
    assert near.mean() > 0.9
    check(model, query)


def test_the_only_person_needs_no_name(video, model, detector):
    query = queries.read(video, model, at_s=0.8, detector=detector)
    assert len(query.mean) == 1
    np.testing.assert_array_equal(query.image, paint(SIZE, people(8, 1)))


def test_only_some_joints(video, model, detector):
    query = queries.read(video, model, 0.0, "0", ARMS, detector)
    whole = queries.read(video, model, 0.0, "0", (), detector)
    seen = np.array([joint in ARMS for joint in skeletons.BODY13.joints])
    np.testing.assert_array_equal(query.people.visibility > 0, [seen])
    check(model, query)
    assert (query.variance > whole.variance).all()  # the test model knows less, the more is hidden


def test_the_live_person(model):
    body = Bodies2D.from_arrays(people(4), None, "coco17")
    query = queries.of_people(body, model, ARMS)
    check(model, query)
    everything = queries.of_people(body, model)
    np.testing.assert_allclose(
        everything.mean, estimate(model, body.points, body.visibility, "coco17")[0].mean
    )


def test_a_moment_of_a_bag(tmp_path, model):
    start, pipeline, entries = 1_700_000_000.25, Pipeline(model), []
    for frame in range(6):
        stamp_s = start + frame / FPS
        given = Bodies2D.from_arrays(people(frame), None, "coco17", ["anna", "ben"])
        scene = pipeline(given, stamp_s)
        message = bags.embeddings_message(scene.people.track_ids, scene.estimates, model, stamp_s)
        entries.append(("/embeddings", EMBEDDINGS, stamp_s, message))
        entries.append(("/other", EMBEDDINGS, stamp_s, message))
    bag = bags.write_bag(tmp_path / "bag", entries)
    with pytest.raises(VipeError, match="several topics would do"):
        queries.read(bag, model, at_s=0.3, person="ben")

    def at(at_s: float, person: str | None = None, joints: tuple[str, ...] = ()) -> queries.Query:
        return queries.read(bag, model, at_s, person, joints, topic="/embeddings")

    query = at(0.31, "ben")
    points = skeletons.convert(people(3)[1:], "coco17", "body13")
    np.testing.assert_allclose(query.mean, model(points).mean, atol=1e-5)
    assert query.people is None
    with pytest.raises(VipeError, match="joints can be left out of keypoints only"):
        at(0.31, "ben", ARMS)
    with pytest.raises(VipeError, match="2 people at that moment: name one of anna, ben"):
        at(0.3)
    with pytest.raises(VipeError, match="no person 'carl'; there: anna, ben"):
        at(0.3, "carl")
    with pytest.raises(VipeError, match=r"lasts 0\.5 s: there is no moment at 9 s"):
        at(9, "anna")


def test_a_video_is_indexed_with_pictures_of_it_and_found_again(tmp_path, video, model, detector):
    gallery = Gallery.create(tmp_path / "gallery", model)
    summary = indexing.index(gallery, [video], model, Settings(detector=str(detector)))
    assert (summary.indexed, summary.rows) == (1, 15)
    query = queries.read(video, model, at_s=0.4, person="1", detector=detector)
    where = Filter(since=0.35, until=0.45)
    found = gallery.search(query.mean[0], query.variance[0] * 0, where=where)
    assert [one.body for one in found] == ["1", "0"]
    picture = cv2.imdecode(np.frombuffer(found[0].thumbnail, np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (96, 96, 3)
    assert len(np.unique(picture.reshape(-1, 3) // 64, axis=0)) > 10  # coloured discs, not paper


def test_the_topic_of_a_bag(tmp_path, model):
    robot = bags.Robot(model)
    entries = [*robot.embeddings("/left/embeddings"), *robot.embeddings("/right/embeddings")]
    bag = bags.write_bag(tmp_path / "bag", sorted(entries, key=lambda entry: entry[2]))
    gallery = Gallery.create(tmp_path / "gallery", model)
    summary = indexing.index(gallery, [bag], model)
    (line,) = summary.failed
    assert "several topics would do" in line
    summary = indexing.index(gallery, [bag], model, Settings(topic="/left/embeddings"))
    assert (summary.indexed, summary.failed) == (1, [])
    assert summary.rows == len(gallery) == 2 * robot.count


def test_a_clip_without_times(tmp_path, model):
    path = tmp_path / "clip.npz"
    points = np.stack([people(frame, 1)[0] for frame in range(3)])
    write(path, KeypointFile(points, np.ones((3, 17)), "coco17"))
    assert len(queries.read(path, model).mean) == 3
    with pytest.raises(VipeError, match="says neither stamp nor fps: no moment can be named"):
        queries.read(path, model, at_s=1)


class TestBadInput:
    """One line each."""

    @pytest.mark.parametrize("at_s", [-1.0, -1e-9, np.nan, np.inf])
    def test_a_moment_that_is_none_is_refused_before_reading(self, tmp_path, model, at_s):
        broken = tmp_path / "broken.mp4"
        broken.write_bytes(b"not read")
        with pytest.raises(VipeError, match=r"no moment at .* s, seconds from 0 needed \(--at\)"):
            queries.read(broken, model, at_s=at_s)
        with pytest.raises(VipeError, match=r"no moment at .* s, seconds from 0 needed \(--at\)"):
            queries.read_embeddings(broken, Origin.of(model), at_s)

    def test_a_video_without_a_moment(self, video, model, detector):
        with pytest.raises(VipeError, match=r"say which moment, in seconds \(--at\)"):
            queries.read(video, model, detector=detector)

    def test_nobody(self, tmp_path, model, detector):
        empty = tmp_path / "empty.png"
        cv2.imwrite(str(empty), np.zeros((SIZE[1], SIZE[0], 3), np.uint8))
        with pytest.raises(VipeError, match="nobody to search for, no person is seen there"):
            queries.read(empty, model, detector=detector)

    def test_an_unknown_joint(self, image, model, detector):
        with pytest.raises(VipeError, match="unknown joint tail; known: nose, left_shoulder"):
            queries.read(image, model, joints=["tail"], detector=detector)

    def test_too_few_joints(self, model):
        body = Bodies2D.from_arrays(people(4), None, "coco17")
        with pytest.raises(VipeError, match="2 joints say too little: name 4 or more"):
            queries.of_people(body, model, ["nose", "left_wrist"])

    def test_a_model_of_windows(self, tmp_path):
        windowed = runtime.load(make_model(tmp_path / "windowed.onnx", frames=5))
        body = Bodies2D.from_arrays(people(4), None, "coco17")
        with pytest.raises(VipeError, match="looks at windows of frames"):
            queries.of_people(body, windowed)
