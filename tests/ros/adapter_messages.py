"""Messages of every keypoint source, of people whose every joint has a place of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
from hri_msgs.msg import NormalizedPointOfInterest2D, Skeleton2D
from pose_msgs.msg import BodypartDetection, PersonDetection
from ros_openpose.msg import BodyPart, Frame, Person, Pixel
from vipe_msgs.msg import Bodies2D
from yolo_msgs.msg import Detection, DetectionArray, KeyPoint2D, KeyPoint2DArray, Point2D
from zed_msgs.msg import Object, ObjectsStamped

from tests.ros.harness import body, header, people
from vipe_core import skeletons

SIZE = (640, 480)
EVERY_JOINT = sorted({joint for each in skeletons.SKELETONS.values() for joint in each.joints})
BODY13 = skeletons.get("body13").joints


def _names(text: str) -> list[str]:
    return text.split()


# The orders of other projects as they document them, written out and not taken from ours.
COCO = _names(
    "nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow "
    "right_elbow left_wrist right_wrist left_hip right_hip left_knee right_knee left_ankle "
    "right_ankle"
)
OPENPOSE18 = _names(
    "nose neck right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist "
    "right_hip right_knee right_ankle left_hip left_knee left_ankle right_eye left_eye right_ear "
    "left_ear"
)
OPENPOSE25 = _names(
    "nose neck right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist pelvis "
    "right_hip right_knee right_ankle left_hip left_knee left_ankle right_eye left_eye right_ear "
    "left_ear left_foot_index left_small_toe left_heel right_foot_index right_small_toe right_heel"
)
ZED34 = _names(
    "pelvis naval_spine chest_spine neck left_clavicle left_shoulder left_elbow left_wrist "
    "left_hand left_handtip left_thumb right_clavicle right_shoulder right_elbow right_wrist "
    "right_hand right_handtip right_thumb left_hip left_knee left_ankle left_foot_index right_hip "
    "right_knee right_ankle right_foot_index head_center nose left_eye left_ear right_eye "
    "right_ear left_heel right_heel"
)
ZED38 = _names(
    "pelvis spine_1 spine_2 spine_3 neck nose left_eye right_eye left_ear right_ear left_clavicle "
    "right_clavicle left_shoulder right_shoulder left_elbow right_elbow left_wrist right_wrist "
    "left_hip right_hip left_knee right_knee left_ankle right_ankle left_foot_index "
    "right_foot_index left_small_toe right_small_toe left_heel right_heel left_thumb_tip "
    "right_thumb_tip left_index right_index left_middle_tip right_middle_tip left_pinky right_pinky"
)


def place(joint: str, shift: float = 0.0) -> tuple[float, float]:
    """Pixels that belong to one joint alone, within a square of 224."""
    index = EVERY_JOINT.index(joint)
    return 3.0 * index + 5 + shift, 210.0 - 2 * index


def yolo_message(*given: Detection, index: int = 0) -> DetectionArray:
    return DetectionArray(header=header(index), detections=list(given))


def yolo_person(shift: float = 0.0, track_id: str = "1", left_out: str = "") -> Detection:
    found = [
        KeyPoint2D(id=i + 1, point=Point2D(x=x, y=y), score=0.5 + 0.02 * i)
        for i, (x, y) in enumerate(place(joint, shift) for joint in COCO)
        if COCO[i] != left_out
    ]
    keypoints = KeyPoint2DArray(data=found)
    return Detection(class_name="person", score=0.75, id=track_id, keypoints=keypoints)


def zed_message(*given: Object, index: int = 0) -> ObjectsStamped:
    return ObjectsStamped(header=header(index), objects=list(given))


def zed_person(order: list[str] = ZED38, shift: float = 0.0, **fields: Any) -> Object:
    number = {18: 0, 34: 1, 38: 2}[len(order)]
    given = {"label_id": 7, "confidence": 80.0, "tracking_available": True, "tracking_state": 1}
    found = Object(skeleton_available=True, body_format=number, **{**given, **fields})
    for i, joint in enumerate(order):
        found.skeleton_2d.keypoints[i].kp = np.array(place(joint, shift), np.float32)
    return found


def hri_body(index: int = 0, shift: float = 0.0, size: tuple[int, int] = SIZE) -> Skeleton2D:
    result = Skeleton2D(header=header(index))
    for joint in skeletons.get("hri18").joints:
        x, y = place(joint, shift)
        poi = NormalizedPointOfInterest2D(x=x / size[0], y=y / size[1], c=0.9)
        result.skeleton[getattr(Skeleton2D, joint.upper())] = poi
    return result


def trt_person(number: int = 0, count: int = 1, shift: float = 0.0, size: tuple[int, int] = SIZE,
               found: int = 18, side: int = 224) -> PersonDetection:  # fmt: skip
    """A person of whom ros2_trt_pose has sent ``found`` joints, in its order: the neck last."""
    order = [*COCO, "neck"]
    result = PersonDetection(num_people_detected=count, person_id=number)
    nothing = BodypartDetection(x=float("nan"), y=float("nan"), confidence=float("nan"))
    for i, joint in enumerate(order):
        x, y = (v * side / s for v, s in zip(place(joint, shift), size, strict=True))
        setattr(result, joint, BodypartDetection(x=x, y=y) if i < found else nothing)
    return result


def openpose_message(*given: Person, index: int = 0) -> Frame:
    return Frame(header=header(index), persons=list(given))


def openpose_person(order: list[str] = OPENPOSE25, shift: float = 0.0) -> Person:
    pixels = [Pixel(x=x, y=y) for x, y in (place(joint, shift) for joint in order)]
    return Person(body_parts=[BodyPart(score=0.9, pixel=pixel) for pixel in pixels])


def vipe_message(index: int = 0, shift: float = 0.0) -> Bodies2D:
    return people(index, body(np.array([place(joint, shift) for joint in BODY13])))


def assert_places(found: Any, shifts: list[float] | float = 0.0, missing: tuple = ()) -> None:
    """Every joint of every person is where :func:`place` says; ``found`` is a Bodies2D."""
    joints = skeletons.get(found.skeleton).joints
    for person, shift in enumerate(np.atleast_1d(shifts)):
        expected = np.array([place(joint, shift) for joint in joints], np.float32)
        expected[[joints.index(joint) for joint in missing]] = np.nan
        np.testing.assert_allclose(found.points[person], expected, rtol=1e-5)
        seen = [joint not in missing for joint in joints]
        np.testing.assert_array_equal(found.visibility[person] > 0, seen)
    assert len(found) == np.size(shifts)
    assert found.points.dtype == found.visibility.dtype == found.scores.dtype == np.float32
