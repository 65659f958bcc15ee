"""Bags as recordings: real ones, MCAP and sqlite3."""

from __future__ import annotations

import sys
import tracemalloc
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from tests import bags
from tests.bags import COUNT, SIZE, Robot, in_time, picture, stamp, write_bag
from tests.detector_factory import rtmo
from tests.model_factory import make_model
from vipe_core import runtime
from vipe_core.errors import VipeError
from vipe_core.recordings import Moment, open_source, read
from vipe_core.runtime import Model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bags")


@pytest.fixture(scope="module")
def model(folder: Path) -> Model:
    return runtime.load(make_model(folder / "model.onnx", mirror=True))


@pytest.fixture(scope="module")
def detector(folder: Path) -> Path:
    return rtmo(folder, SIZE)


@pytest.fixture(scope="module")
def robot(model: Model) -> Robot:
    return Robot(model)


@pytest.fixture(scope="module")
def whole(folder: Path, robot: Robot) -> Path:
    return write_bag(folder / "whole", robot.everything())


@pytest.mark.parametrize("form", ["mcap", "zstd", "sqlite3"])
def test_embeddings_are_taken_as_they_are(
    tmp_path: Path, model: Model, robot: Robot, form: str
) -> None:
    given = {"sqlite": form == "sqlite3", "compressed": form == "zstd"}
    path = write_bag(tmp_path / "bag", robot.everything(), **given)
    with open_source(path, model, images=True) as source:
        assert (source.kind, source.topic, source.count) == ("bag", "/embeddings", COUNT)
        moments = list(source.moments())
        assert (source.notes, source.image_size) == ([], SIZE)
    assert len(moments) == COUNT
    for i, (moment, scene) in enumerate(zip(moments, robot.scenes, strict=True)):
        assert moment.stamp_s == pytest.approx(stamp(i), abs=1e-6)
        assert moment.bodies == robot.ids
        for head in ("mean", "variance", "mirror_mean", "mirror_variance"):
            expected = getattr(scene.estimates, head)
            np.testing.assert_array_equal(getattr(moment.estimates, head), expected)
        np.testing.assert_array_equal(moment.people.points, scene.people.points)
        np.testing.assert_array_equal(moment.image, picture(i))


def test_one_file_of_a_bag_is_enough(whole: Path, model: Model) -> None:
    with open_source(whole / "whole.mcap", model) as source:
        assert len(list(source.moments())) == COUNT


def test_an_episode_is_a_folder_around_a_bag(tmp_path: Path, model: Model, robot: Robot) -> None:
    write_bag(tmp_path / "episode-2026", in_time(robot.embeddings()))
    recording = read(tmp_path, model)
    assert [person.body for person in recording.people] == list(robot.ids)
    assert recording.people[0].points is None
    assert recording.image_size is None


def test_several_bags_in_a_folder_must_be_named(tmp_path: Path, model: Model, robot: Robot) -> None:
    for name in ("morning", "evening"):
        write_bag(tmp_path / name, in_time(robot.embeddings()))
    with pytest.raises(VipeError, match=r"holds 2 bags: name one of evening, morning"):
        open_source(tmp_path, model)


def test_keypoints_are_followed_and_embedded(whole: Path, model: Model, robot: Robot) -> None:
    with open_source(whole, model, topic="/bodies_2d") as source:
        for moment, scene in zip(source.moments(), robot.scenes, strict=True):
            assert moment.bodies == ("0", "1")
            np.testing.assert_allclose(moment.estimates.mean, scene.estimates.mean, rtol=1e-5)
            assert moment.estimates.joints.shape == (2, 17, 3)


def test_named_people_keep_their_names(tmp_path: Path, model: Model, robot: Robot) -> None:
    path = write_bag(tmp_path / "bag", in_time(robot.bodies(), robot.tracked()))
    with open_source(path, model) as source:
        assert source.topic == "/bodies_2d/tracked"
        assert {moment.bodies for moment in source.moments()} == {robot.ids}


@pytest.mark.parametrize("kind", ["raw", "compressed"])
def test_images_go_through_the_detector(
    tmp_path: Path, model: Model, detector: Path, robot: Robot, kind: str
) -> None:
    entries = robot.images() if kind == "raw" else robot.compressed()
    path = write_bag(tmp_path / "bag", in_time(entries))
    with open_source(path, model, detector, images=True) as source:
        moments = list(source.moments())
        assert source.image_size == SIZE
    assert [moment.bodies for moment in moments] == [("0", "1")] * COUNT
    np.testing.assert_array_equal(moments[3].image, picture(3))


def test_of_one_camera_the_raw_images_are_read(
    tmp_path: Path, model: Model, detector: Path, robot: Robot
) -> None:
    path = write_bag(tmp_path / "bag", in_time(robot.images(), robot.compressed()))
    with open_source(path, model, detector) as source:
        assert source.topic == "/camera/image"


def test_depth_images_show_nobody(tmp_path: Path, model: Model, robot: Robot) -> None:
    entries = list(robot.images("/depth"))
    for _, _, _, message in entries:
        message.encoding, message.step = "16UC1", 2 * SIZE[0]
        message.data = np.zeros(2 * SIZE[0] * SIZE[1], np.uint8)
    path = write_bag(tmp_path / "bag", entries)
    with pytest.raises(VipeError, match=r"no topic that shows people; .*/depth \(sensor_msgs"):
        open_source(path, model)


def test_embeddings_of_another_model_are_made_again(
    tmp_path: Path, model: Model, robot: Robot
) -> None:
    old = robot.embeddings(fingerprint="0123456789ab")
    path = write_bag(tmp_path / "bag", in_time(robot.bodies(), old))
    with open_source(path, model) as source:
        assert source.topic == "/bodies_2d"
        assert len(list(source.moments())) == COUNT
        (note,) = source.notes
    assert "embeddings on /embeddings are of model 0123456789ab" in note
    with pytest.raises(VipeError, match=r"/embeddings holds embeddings of model 0123456789ab"):
        open_source(path, model, topic="/embeddings")


def test_of_several_topics_one_must_be_named(tmp_path: Path, model: Model, robot: Robot) -> None:
    left, right = robot.bodies("/left/bodies_2d"), robot.bodies("/right/bodies_2d")
    path = write_bag(tmp_path / "bag", in_time(left, right))
    with pytest.raises(VipeError, match=r"several .*: /left/bodies_2d, /right/bodies_2d$"):
        open_source(path, model)
    with pytest.raises(VipeError, match=r"no topic '/top' of use; choices: /left/bodies_2d, /ri"):
        open_source(path, model, topic="/top")
    with open_source(path, model, topic="/right/bodies_2d") as source:
        assert len(list(source.moments())) == COUNT


def test_a_bag_without_a_usable_topic(tmp_path: Path, model: Model) -> None:
    kind = "std_msgs/msg/String"
    message = bags.typestore().types[kind](data="hello")
    path = write_bag(tmp_path / "bag", [("/chatter", kind, 1.0, message)])
    with pytest.raises(VipeError, match=r"shows people; it needs one of vipe_msgs/msg/Embeddings.*"
                       r"and has /chatter \(std_msgs/msg/String\)"):  # fmt: skip
        open_source(path, model)


def test_a_bag_without_messages(tmp_path: Path, model: Model) -> None:
    with pytest.raises(VipeError, match=r"bag .*bag holds no message"):
        open_source(write_bag(tmp_path / "bag", []), model)


def test_files_beside_each_other_are_no_bag(tmp_path: Path, model: Model, robot: Robot) -> None:
    folder = write_bag(tmp_path / "bag", in_time(robot.embeddings()))
    (tmp_path / "loose").mkdir()
    (folder / "bag.mcap").rename(tmp_path / "loose/one.mcap")
    assert len(read(tmp_path / "loose", model).stamps) == COUNT
    (tmp_path / "loose/two.mcap").touch()
    with pytest.raises(VipeError, match=r"holds 2 bags: name one of one\.mcap, two\.mcap"):
        open_source(tmp_path / "loose", model)


def test_of_two_cameras_the_images_are_those_of_the_people(
    tmp_path: Path, model: Model, robot: Robot
) -> None:
    other = list(robot.images("/a_door/image"))
    for i, (_, _, _, message) in enumerate(other):
        message.header = bags.header(stamp(i), "door")
        message.data = np.zeros_like(message.data)
    path = write_bag(tmp_path / "bag", in_time(iter(other), robot.images(), robot.embeddings()))
    with open_source(path, model, images=True) as source:
        assert all(moment.image.any() for moment in source.moments())


def test_messages_without_a_stamp_are_of_when_they_were_recorded(
    tmp_path: Path, model: Model, robot: Robot
) -> None:
    entries = in_time(robot.bodies())
    for _, _, _, message in entries:
        message.header = bags.header(0)
    recording = read(write_bag(tmp_path / "bag", entries), model)
    np.testing.assert_allclose(recording.stamps, [stamp(i) + 0.02 for i in range(COUNT)], atol=1e-6)


def test_keypoints_come_in_the_order_of_the_embeddings(
    tmp_path: Path, model: Model, robot: Robot
) -> None:
    turned = [
        (
            topic,
            kind,
            at,
            bags.bodies_message(scene.people.select(np.array([True, True])), stamp(i)),
        )
        for i, ((topic, kind, at, _), scene) in enumerate(
            zip(robot.tracked(), robot.scenes, strict=True)
        )
    ]
    for _, _, _, message in turned:
        message.bodies = message.bodies[::-1]
    path = write_bag(tmp_path / "bag", in_time(iter(turned), robot.embeddings()))
    with open_source(path, model) as source:
        for moment, scene in zip(source.moments(), robot.scenes, strict=True):
            np.testing.assert_array_equal(moment.people.points, scene.people.points)


def test_a_bag_of_images_is_not_held(tmp_path: Path, model: Model) -> None:
    long = Robot(model, 120)
    path = write_bag(tmp_path / "bag", long.everything())

    def peak(take: Callable[[Iterator[Moment]], object]) -> int:
        with open_source(path, model, images=True) as source:
            tracemalloc.start()
            take(source.moments())
            most = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        return most

    assert peak(lambda moments: deque(moments, maxlen=1)) < peak(list) / 3


def test_rosbags_that_is_not_installed(
    whole: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rosbags", None)
    with pytest.raises(VipeError, match=r"reading bags needs rosbags: pip install rosbags"):
        open_source(whole, model)


def test_a_bag_without_definitions_needs_the_package(
    tmp_path: Path, whole: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As sqlite3 bags before Iron are: the installed vipe_msgs says what its messages are."""
    robot = Robot(model, 5)
    path = write_bag(tmp_path / "bag", in_time(robot.bodies()), sqlite=True)
    forget_definitions(path / "bag.db3")
    monkeypatch.setenv("AMENT_PREFIX_PATH", "")
    with pytest.raises(VipeError, match=r"bag .* does not define vipe_msgs/msg/Bodies2D: source a"):
        read(path, model)
    share = tmp_path / "prefix/share/vipe_msgs"
    share.mkdir(parents=True)
    (share / "msg").symlink_to(bags.ROOT / "ros_ws/src/vipe_msgs/msg")
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"/nowhere:{tmp_path / 'prefix'}")
    assert len(read(path, model).stamps) == 5


def forget_definitions(file: Path) -> None:
    import sqlite3

    with sqlite3.connect(file) as database:
        database.execute("DELETE FROM message_definitions")
    database.close()


def test_moments_without_keypoints_of_the_same_stamp(
    tmp_path: Path, model: Model, robot: Robot
) -> None:
    """The recorder missed some: the embeddings are there all the same."""
    some = [entry for i, entry in enumerate(robot.tracked()) if i % 4]
    path = write_bag(tmp_path / "bag", in_time(iter(some), robot.embeddings()))
    with open_source(path, model) as source:
        known = [moment.people is not None for moment in source.moments()]
    assert known == [bool(i % 4) for i in range(COUNT)]
    person = read(path, model).people[0]
    assert np.isnan(person.points[::4]).all()
    assert np.isfinite(person.points[1::4]).all()
