"""Every adapter on the real generated types, by joint name."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from hri_msgs.msg import NormalizedPointOfInterest2D, Skeleton2D
from pose_msgs.msg import BodypartDetection, PersonDetection
from ros_openpose.msg import BodyPart, Person
from yolo_msgs.msg import Detection, Point2D
from zed_msgs.msg import Object

from tests.ros.adapter_messages import (
    BODY13,
    COCO,
    OPENPOSE18,
    SIZE,
    ZED34,
    ZED38,
    assert_places,
    hri_body,
    openpose_message,
    openpose_person,
    place,
    trt_person,
    vipe_message,
    yolo_message,
    yolo_person,
    zed_message,
    zed_person,
)  # fmt: skip
from tests.ros.harness import people
from vipe_core.errors import VipeError
from vipe_ros import adapters
from vipe_ros.adapters import hri, openpose, trt_pose, vipe, yolo, zed
from vipe_ros.errors import InputError

# What each adapter makes of one person: read(size), and the skeleton it is in.
READERS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "vipe_msgs": (partial(vipe.bodies, vipe_message()), "body13"),
    "yolo_msgs": (partial(yolo.bodies, yolo_message(yolo_person())), "coco17"),
    "hri_msgs": (partial(hri.bodies, {"1": hri_body()}), "hri18"),
    "zed_msgs 18": (partial(zed.bodies, zed_message(zed_person(OPENPOSE18))), "openpose18"),
    "zed_msgs 34": (partial(zed.bodies, zed_message(zed_person(ZED34))), "zed34"),
    "zed_msgs 38": (partial(zed.bodies, zed_message(zed_person(ZED38))), "zed38"),
    "pose_msgs": (partial(trt_pose.bodies, [trt_person()]), "openpose18"),
    "ros_openpose 18": (
        partial(openpose.bodies, openpose_message(openpose_person(OPENPOSE18))), "openpose18"
    ),
    "ros_openpose 25": (partial(openpose.bodies, openpose_message(openpose_person())), "body25"),
}  # fmt: skip
EMPTY = {
    "vipe_msgs": partial(vipe.bodies, people(0)),
    "yolo_msgs": partial(yolo.bodies, yolo_message()),
    "hri_msgs": partial(hri.bodies, {}),
    "zed_msgs": partial(zed.bodies, zed_message()),
    "ros_openpose": partial(openpose.bodies, openpose_message()),
}


@pytest.mark.parametrize("source", READERS)
def test_every_joint_keeps_its_name(source):
    read, skeleton = READERS[source]
    found = read(SIZE)
    assert (found.skeleton, found.image_size) == (skeleton, SIZE)
    assert_places(found)
    # On the way to the model's skeleton too: a left wrist stays a left wrist.
    np.testing.assert_allclose(
        found.to_skeleton("body13").points[0], [place(joint) for joint in BODY13], rtol=1e-5
    )


@pytest.mark.parametrize("source", [s for s in READERS if not s.startswith(("hri", "pose"))])
def test_pixels_need_no_camera(source):
    assert READERS[source][0](None).image_size is None


@pytest.mark.parametrize("source", ["hri_msgs", "pose_msgs"])
def test_shares_of_an_image_need_a_camera(source):
    with pytest.raises(InputError, match="size of the image is needed, publish camera_info") as e:
        READERS[source][0](None)
    assert e.value.kind == "no camera_info"


@pytest.mark.parametrize("source", EMPTY)
def test_nobody_is_nobody(source):
    assert len(EMPTY[source](SIZE)) == 0


@pytest.mark.parametrize("source", EMPTY)
def test_nobody_needs_no_camera(source):
    assert len(EMPTY[source](None)) == 0


def test_our_own_size_counts_before_the_cameras():
    message = vipe_message()
    message.image_width, message.image_height = 320, 240
    assert vipe.bodies(message, SIZE).image_size == (320, 240)


# yolo_msgs


def test_yolo_people():
    boat = Detection(class_name="boat", keypoints=yolo_person().keypoints)
    hidden = Detection(class_name="person", score=0.9)
    message = yolo_message(yolo_person(), boat, hidden, yolo_person(400.0, "23", "left_wrist"))
    found = yolo.bodies(message, SIZE)
    assert found.track_ids == ("1", "23")
    assert_places(yolo.bodies(yolo_message(message.detections[3]), None), 400.0, ("left_wrist",))
    np.testing.assert_allclose(found.visibility[0], 0.5 + 0.02 * np.arange(17), rtol=1e-6)
    np.testing.assert_array_equal(found.scores, [0.75, 0.75])


@pytest.mark.parametrize("name", ["", "0"])
def test_yolo_without_its_tracker(name):
    assert yolo.bodies(yolo_message(yolo_person(track_id=name)), None).track_ids == ("",)


@pytest.mark.parametrize("value", [(0.0, 0.0), (np.nan, 3.0), (np.inf, 3.0), (5.0, -np.inf)])
def test_yolo_missing_joint(value):
    person = yolo_person()
    person.keypoints.data[9].point = Point2D(x=value[0], y=value[1])
    assert_places(yolo.bodies(yolo_message(person), None), missing=("left_wrist",))


@pytest.mark.parametrize(("score", "kept"), [(np.nan, 0.0), (-1.0, 0.0), (7.0, 1.0)])
def test_yolo_scores_stay_shares(score, kept):
    person = yolo_person()
    person.score = person.keypoints.data[0].score = score
    found = yolo.bodies(yolo_message(person), None)
    assert (found.scores[0], found.visibility[0, 0]) == (kept, kept)


@pytest.mark.parametrize("number", [0, 18, -5, 2**31 - 1])
def test_yolo_unknown_joint(number):
    person = yolo_person()
    person.keypoints.data[3].id = number
    with pytest.raises(InputError, match=rf"keypoint id {number}; COCO's are 1 to 17"):
        yolo.bodies(yolo_message(yolo_person(), person), None)


def test_yolo_repeated_joint():
    person = yolo_person()
    person.keypoints.data[3].id = 9
    with pytest.raises(InputError, match=r"two keypoints of the same id"):
        yolo.bodies(yolo_message(yolo_person(), person), None)


def test_yolo_with_a_model_that_finds_no_joints():
    people = [Detection(class_name="person") for _ in range(2)]
    with pytest.raises(InputError, match=r"2 people without keypoints: run yolo_ros with a pose"):
        yolo.bodies(yolo_message(*people), None)
    assert len(yolo.bodies(yolo_message(Detection(class_name="dog")), None)) == 0


# zed_msgs


@pytest.mark.parametrize(
    ("fields", "track_id"),
    [
        ({}, "7"),
        ({"tracking_available": False, "tracking_state": 0, "label_id": -1}, ""),
        ({"tracking_state": 0}, ""),
        ({"label_id": -1}, ""),
    ],
)
def test_zed_track_ids(fields, track_id):
    found = zed.bodies(zed_message(zed_person(**fields)), None)
    assert found.track_ids == (track_id,)
    assert found.scores.tolist() == [np.float32(0.8)]


@pytest.mark.parametrize(
    "fields", [{"tracking_state": 2}, {"tracking_state": 3}, {"skeleton_available": False}]
)
def test_zed_leaves_out_what_nobody_saw(fields):
    unseen = zed_person(shift=100.0)
    for name, value in fields.items():
        setattr(unseen, name, value)
    assert_places(zed.bodies(zed_message(unseen, zed_person()), None))


@pytest.mark.parametrize("value", [(-1.0, -1.0), (-3.0, 5.0), (0.0, 0.0), (np.nan, np.nan)])
def test_zed_missing_joint(value):
    person = zed_person()
    person.skeleton_2d.keypoints[16].kp = np.array(value, np.float32)
    assert_places(zed.bodies(zed_message(person), None), missing=("left_wrist",))


def test_zed_certainties_of_joints():
    person, silent = zed_person(), zed_person(shift=50.0)
    person.skeleton_keypoint_confidence[:3] = [50.0, np.nan, 200.0]
    found = zed.bodies(zed_message(person, silent), None)
    np.testing.assert_array_equal(found.visibility[0], [0.5, 0, 1] + 35 * [0])
    assert (found.visibility[1] == 1).all()  # the wrapper leaves the field at zero


def test_zed_release_without_certainties_of_joints():
    class Older:
        def __init__(self, newer: Object) -> None:
            self._newer = newer

        def __getattr__(self, name: str) -> Any:
            if name == "skeleton_keypoint_confidence":
                raise AttributeError(name)
            return getattr(self._newer, name)

    class Message:
        objects = (Older(zed_person()),)

    assert_places(zed.bodies(Message, None))


def test_zed_unknown_body_format():
    person = zed_person()
    person.body_format = 3
    with pytest.raises(InputError, match=r"body_format 3; known: 0 \(openpose18\), 1 \(zed34\)"):
        zed.bodies(zed_message(person), None)


def test_zed_several_body_formats():
    with pytest.raises(InputError, match=r"bodies of the formats \[1, 2\] in one message"):
        zed.bodies(zed_message(zed_person(ZED34), zed_person(ZED38)), None)


# ros_openpose


def test_openpose_missing_joint_and_score():
    person = openpose_person()
    person.body_parts[7] = BodyPart()
    found = openpose.bodies(openpose_message(person, Person(body_parts=[BodyPart()] * 25)), None)
    assert_places(openpose.bodies(openpose_message(person), None), missing=("left_wrist",))
    np.testing.assert_allclose(found.scores, [0.9, 0.0], rtol=1e-6)
    assert found.track_ids == ("", "")


@pytest.mark.parametrize("counts", [(0,), (17,), (26,), (18, 25)])
def test_openpose_wrong_number_of_parts(counts):
    given = [Person(body_parts=[BodyPart()] * count) for count in counts]
    with pytest.raises(InputError, match=r"18 \(COCO\) or 25 \(BODY_25\) are needed") as error:
        openpose.bodies(openpose_message(*given), None)
    assert error.value.kind == "wrong array length"


# hri_msgs


@pytest.mark.parametrize("value", [(0.0, 0.0), (-1.0, -1.0), (np.nan, 0.5)])
def test_hri_missing_joint(value):
    message = hri_body()
    x, y = value
    message.skeleton[Skeleton2D.LEFT_WRIST] = NormalizedPointOfInterest2D(x=x, y=y, c=0.3)
    found = hri.bodies({"abc": message}, SIZE)
    assert_places(found, missing=("left_wrist",))
    assert found.track_ids == ("abc",)
    np.testing.assert_allclose(found.scores, [0.9], rtol=1e-6)


# pose_msgs


def test_trt_pose_pixels_are_those_of_the_network():
    found = trt_pose.bodies([trt_person(side=256), trt_person(side=256, shift=9.0)], SIZE, 256)
    assert_places(found, [0.0, 9.0])
    assert found.track_ids == ("", "")


def test_trt_pose_missing_joints_and_certainty():
    person = trt_person(found=9)
    person.nose.confidence = 0.25
    found = trt_pose.bodies([person], SIZE)
    assert_places(found, missing=tuple([*COCO, "neck"][9:]))
    assert found.visibility[0, 0] == 0.25  # the node leaves it at zero; a fork may fill it in
    assert found.visibility[0, 1:].max() == 1


@pytest.mark.parametrize(
    ("x", "known", "expected"),
    [(224.0, 224, 224), (225.0, 224, 256), (1.0, 256, 256), (np.nan, 224, 224)],
)
def test_trt_pose_side_of_the_network(x, known, expected):
    assert trt_pose.side(PersonDetection(nose=BodypartDetection(x=x, y=1.0)), known) == expected


def test_trt_pose_other_pixels():
    with pytest.raises(InputError, match=r"a point at 600; ros2_trt_pose's are pixels of a square"):
        trt_pose.side(PersonDetection(nose=BodypartDetection(x=600.0, y=1.0)), 224)


# Types by name


def test_every_type_is_installed_here_and_has_an_adapter():
    for name in adapters.ADAPTERS:
        adapters.check(name)
    adapters.check("auto")


@pytest.mark.parametrize("name", ["", "nonsense", "std_msgs/msg/String", "yolo_msgs/Detection"])
def test_unknown_type(name):
    with pytest.raises(VipeError, match=r"no adapter for .*; known: vipe_msgs/msg/Bodies2D, yolo_"):
        adapters.check(name)


@pytest.mark.parametrize("name", ["absent_msgs/msg/People", "std_msgs/msg/People"])
def test_type_that_is_not_installed(name, monkeypatch):
    known = adapters.Adapter(adapters.ADAPTERS["yolo_msgs/msg/DetectionArray"].open, "a.b/c")
    monkeypatch.setitem(adapters.ADAPTERS, name, known)
    monkeypatch.setenv("ROS_DISTRO", "kilted")
    apt = f"ros-kilted-{name.split('_')[0]}-msgs"
    with pytest.raises(VipeError, match=rf"cannot read {name} .*apt install {apt}, or build a.b/c"):
        adapters.check(name)


def test_import_needs_none_of_the_packages():
    names = {name.split("/")[0] for name in adapters.ADAPTERS} - {"vipe_msgs"}
    code = f"import sys, vipe_ros.adapters; sys.exit(bool({names!r} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
