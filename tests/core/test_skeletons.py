"""Joint orders against the public documentation of each skeleton, and conversion by name."""

from __future__ import annotations

import numpy as np
import pytest

from vipe_core import skeletons
from vipe_core.errors import VipeError

# Index of joints as each project documents it, written out rather than derived.
DOCUMENTED = {
    # Pr-VIPE: nose, then left before right from shoulders to ankles.
    "body13": {
        **{"nose": 0, "left_shoulder": 1, "right_shoulder": 2, "left_elbow": 3, "right_elbow": 4},
        **{"left_wrist": 5, "right_wrist": 6, "left_hip": 7, "right_hip": 8, "left_knee": 9},
        **{"right_knee": 10, "left_ankle": 11, "right_ankle": 12},
    },
    # Human3.6M, 17 joints as lifting papers order them: right leg first, left arm first.
    "h36m17": {
        **{"pelvis": 0, "right_hip": 1, "right_knee": 2, "right_ankle": 3, "left_hip": 4},
        **{"left_knee": 5, "left_ankle": 6, "spine": 7, "neck": 8, "nose": 9, "head": 10},
        **{"left_shoulder": 11, "left_elbow": 12, "left_wrist": 13, "right_shoulder": 14},
        **{"right_elbow": 15, "right_wrist": 16},
    },
    # COCO person keypoints.
    "coco17": {
        **{"nose": 0, "left_eye": 1, "right_eye": 2, "left_ear": 3, "right_ear": 4},
        **{"left_shoulder": 5, "right_shoulder": 6, "left_elbow": 7, "right_elbow": 8},
        **{"left_wrist": 9, "right_wrist": 10, "left_hip": 11, "right_hip": 12},
        **{"left_knee": 13, "right_knee": 14, "left_ankle": 15, "right_ankle": 16},
    },
    # MediaPipe PoseLandmark.
    "blazepose33": {
        **{"nose": 0, "left_eye_inner": 1, "left_eye": 2, "left_eye_outer": 3},
        **{"right_eye_inner": 4, "right_eye": 5, "right_eye_outer": 6, "left_ear": 7},
        **{"right_ear": 8, "left_mouth": 9, "right_mouth": 10, "left_shoulder": 11},
        **{"right_shoulder": 12, "left_elbow": 13, "right_elbow": 14, "left_wrist": 15},
        **{"right_wrist": 16, "left_pinky": 17, "right_pinky": 18, "left_index": 19},
        **{"right_index": 20, "left_thumb": 21, "right_thumb": 22, "left_hip": 23},
        **{"right_hip": 24, "left_knee": 25, "right_knee": 26, "left_ankle": 27},
        **{"right_ankle": 28, "left_heel": 29, "right_heel": 30, "left_foot_index": 31},
        **{"right_foot_index": 32},
    },
    # OpenPose COCO model: right before left, eyes and ears too.
    "openpose18": {
        **{"nose": 0, "neck": 1, "right_shoulder": 2, "right_elbow": 3, "right_wrist": 4},
        **{"left_shoulder": 5, "left_elbow": 6, "left_wrist": 7, "right_hip": 8},
        **{"right_knee": 9, "right_ankle": 10, "left_hip": 11, "left_knee": 12},
        **{"left_ankle": 13, "right_eye": 14, "left_eye": 15, "right_ear": 16, "left_ear": 17},
    },
    # OpenPose BODY_25: mid-hip at 8, feet with the left one first.
    "body25": {
        **{"nose": 0, "neck": 1, "right_shoulder": 2, "right_elbow": 3, "right_wrist": 4},
        **{"left_shoulder": 5, "left_elbow": 6, "left_wrist": 7, "pelvis": 8, "right_hip": 9},
        **{"right_knee": 10, "right_ankle": 11, "left_hip": 12, "left_knee": 13},
        **{"left_ankle": 14, "right_eye": 15, "left_eye": 16, "right_ear": 17, "left_ear": 18},
        **{"left_foot_index": 19, "left_small_toe": 20, "left_heel": 21},
        **{"right_foot_index": 22, "right_small_toe": 23, "right_heel": 24},
    },
    # Halpe-FullBody, first 26: COCO, then head, neck, hip and feet.
    "halpe26": {
        **{"nose": 0, "left_eye": 1, "right_eye": 2, "left_ear": 3, "right_ear": 4},
        **{"left_shoulder": 5, "right_shoulder": 6, "left_elbow": 7, "right_elbow": 8},
        **{"left_wrist": 9, "right_wrist": 10, "left_hip": 11, "right_hip": 12},
        **{"left_knee": 13, "right_knee": 14, "left_ankle": 15, "right_ankle": 16},
        **{"head": 17, "neck": 18, "pelvis": 19, "left_foot_index": 20},
        **{"right_foot_index": 21, "left_small_toe": 22, "right_small_toe": 23},
        **{"left_heel": 24, "right_heel": 25},
    },
    # hri_msgs/Skeleton2D: OpenPose 18 with left and right of eyes and ears exchanged.
    "hri18": {
        **{"nose": 0, "neck": 1, "right_shoulder": 2, "right_elbow": 3, "right_wrist": 4},
        **{"left_shoulder": 5, "left_elbow": 6, "left_wrist": 7, "right_hip": 8},
        **{"right_knee": 9, "right_ankle": 10, "left_hip": 11, "left_knee": 12},
        **{"left_ankle": 13, "left_eye": 14, "right_eye": 15, "left_ear": 16, "right_ear": 17},
    },
    # ZED SDK BODY_34: each arm from the clavicle to the thumb; toes end the feet, heels the list.
    "zed34": {
        **{"pelvis": 0, "naval_spine": 1, "chest_spine": 2, "neck": 3, "left_clavicle": 4},
        **{"left_shoulder": 5, "left_elbow": 6, "left_wrist": 7, "left_hand": 8},
        **{"left_handtip": 9, "left_thumb": 10, "right_clavicle": 11, "right_shoulder": 12},
        **{"right_elbow": 13, "right_wrist": 14, "right_hand": 15, "right_handtip": 16},
        **{"right_thumb": 17, "left_hip": 18, "left_knee": 19, "left_ankle": 20},
        **{"left_foot_index": 21, "right_hip": 22, "right_knee": 23, "right_ankle": 24},
        **{"right_foot_index": 25, "head_center": 26, "nose": 27, "left_eye": 28, "left_ear": 29},
        **{"right_eye": 30, "right_ear": 31, "left_heel": 32, "right_heel": 33},
    },
    # ZED SDK BODY_38: left before right throughout, hands last.
    "zed38": {
        **{"pelvis": 0, "spine_1": 1, "spine_2": 2, "spine_3": 3, "neck": 4, "nose": 5},
        **{"left_eye": 6, "right_eye": 7, "left_ear": 8, "right_ear": 9, "left_clavicle": 10},
        **{"right_clavicle": 11, "left_shoulder": 12, "right_shoulder": 13, "left_elbow": 14},
        **{"right_elbow": 15, "left_wrist": 16, "right_wrist": 17, "left_hip": 18},
        **{"right_hip": 19, "left_knee": 20, "right_knee": 21, "left_ankle": 22},
        **{"right_ankle": 23, "left_foot_index": 24, "right_foot_index": 25},
        **{"left_small_toe": 26, "right_small_toe": 27, "left_heel": 28, "right_heel": 29},
        **{"left_thumb_tip": 30, "right_thumb_tip": 31, "left_index": 32, "right_index": 33},
        **{"left_middle_tip": 34, "right_middle_tip": 35, "left_pinky": 36, "right_pinky": 37},
    },
}
DOCUMENTED["joints17"] = DOCUMENTED["h36m17"]
NAMES = sorted(DOCUMENTED)


def test_every_skeleton_has_a_table():
    assert set(skeletons.SKELETONS) == set(DOCUMENTED)


@pytest.mark.parametrize("name", NAMES)
def test_order_is_the_documented_one(name):
    skeleton = skeletons.get(name)
    assert {joint: skeleton.index(joint) for joint in DOCUMENTED[name]} == DOCUMENTED[name]
    assert len(skeleton) == len(DOCUMENTED[name])


@pytest.mark.parametrize("name", NAMES)
def test_mirror_exchanges_left_and_right_only(name):
    skeleton = skeletons.get(name)
    mirrored = [skeleton.joints[j] for j in skeleton.mirror]
    for joint, other in zip(skeleton.joints, mirrored, strict=True):
        expected = joint.replace("left", "?").replace("right", "left").replace("?", "right")
        assert other == expected
    assert [skeleton.mirror[j] for j in skeleton.mirror] == list(range(len(skeleton)))


@pytest.mark.parametrize("name", NAMES)
def test_bones_stay_on_one_side_and_reach_every_limb(name):
    skeleton = skeletons.get(name)
    drawn = {tuple(skeleton.joints[j] for j in bone) for bone in skeleton.bones}
    assert len(drawn) == len(skeleton.bones)
    for side in ("left", "right"):
        assert (f"{side}_elbow", f"{side}_wrist") in drawn
        assert (f"{side}_knee", f"{side}_ankle") in drawn
    ends = {end.partition("_")[2] for a, b in drawn for end in (a, b) if "_" in end}
    for a, b in drawn:
        sides = {joint.partition("_")[0] for joint in (a, b)} & {"left", "right"}
        across = a.partition("_")[2] == b.partition("_")[2]
        assert len(sides) < 2 or across, (a, b)
    assert {"shoulder", "hip"} <= ends


def numbered(name: str) -> np.ndarray:
    """(J, 2) points that carry their joint's place in the alphabet of all joint names."""
    every = sorted({joint for table in DOCUMENTED.values() for joint in table})
    return np.array(
        [[every.index(joint), -every.index(joint)] for joint in DOCUMENTED[name]], float
    )


@pytest.mark.parametrize("target", NAMES)
@pytest.mark.parametrize("source", NAMES)
def test_conversion_moves_each_joint_by_name(source, target):
    order = np.argsort(list(DOCUMENTED[source].values()))
    found = skeletons.convert(numbered(source)[order], source, target)
    expected = dict(zip(DOCUMENTED[target], numbered(target), strict=True))
    for joint, index in DOCUMENTED[target].items():
        if joint in DOCUMENTED[source]:
            np.testing.assert_array_equal(found[index], expected[joint])


@pytest.mark.parametrize("name", [n for n in NAMES if n != "body13"])
def test_round_trip_through_a_richer_skeleton(name):
    points = np.random.default_rng(0).normal(size=(4, 13, 2))
    there = skeletons.convert(points, "body13", name)
    np.testing.assert_array_equal(skeletons.convert(there, name, "body13"), points)


def test_hri_exchanges_eyes_and_ears_of_openpose():
    openpose = np.arange(18.0)[:, None] * [1, 1]
    hri = skeletons.convert(openpose, "openpose18", "hri18")
    assert hri[:, 0].tolist() == [*range(14), 15, 14, 17, 16]
    np.testing.assert_array_equal(skeletons.convert(hri, "hri18", "openpose18"), openpose)


def test_derived_joints_are_means():
    coco = np.random.default_rng(0).normal(size=(17, 3))
    found = skeletons.convert(coco, "coco17", "joints17")
    joints = skeletons.JOINTS17
    np.testing.assert_allclose(found[joints.index("pelvis")], coco[[11, 12]].mean(0))
    np.testing.assert_allclose(found[joints.index("neck")], coco[[5, 6]].mean(0))
    np.testing.assert_allclose(found[joints.index("spine")], coco[[5, 6, 11, 12]].mean(0))
    assert np.isnan(found[joints.index("head")]).all()


def test_a_joint_the_source_has_is_not_derived():
    halpe = np.zeros((26, 2))
    halpe[18] = 7
    found = skeletons.convert(halpe, "halpe26", "openpose18")
    assert (found[1] == 7).all()


@pytest.mark.parametrize("name", ["zed34", "zed38"])
def test_zed_has_no_top_of_the_head_and_no_middle_of_the_torso(name):
    zed = np.random.default_rng(0).normal(size=(len(skeletons.get(name)), 3))
    found = skeletons.convert(zed, name, "joints17")
    torso = [
        DOCUMENTED[name][f"{side}_{part}"]
        for side in ("left", "right")
        for part in ("hip", "shoulder")
    ]
    assert np.isnan(found[skeletons.JOINTS17.index("head")]).all()
    np.testing.assert_allclose(found[skeletons.JOINTS17.index("spine")], zed[torso].mean(0))


def test_a_missing_source_makes_the_derived_joint_missing():
    coco = np.ones((17, 2))
    coco[11] = np.nan
    visibility = np.linspace(0.2, 1, 17)
    visibility[11] = 0
    points = skeletons.convert(coco, "coco17", "joints17")
    seen = skeletons.convert_visibility(visibility, "coco17", "joints17")
    assert np.isnan(points[[0, 7]]).all()  # pelvis and spine need the hip
    assert seen[[0, 7]].tolist() == [0, 0]
    assert (points[8] == 1).all()
    assert seen[8] == visibility[5]  # the neck: the lower of the two shoulders
    assert seen[10] == 0  # coco17 has no head


@pytest.mark.parametrize(("given", "kept"), [(float, np.float64), ("f4", np.float32), (int, float)])
def test_type_is_kept(given, kept):
    assert skeletons.convert(np.ones((13, 2), given), "body13", "coco17").dtype == kept


@pytest.mark.parametrize("lead", [(), (0,), (3,), (2, 5)])
def test_leading_axes_are_kept(lead):
    assert skeletons.convert(np.ones((*lead, 17, 2)), "coco17", "body13").shape == (*lead, 13, 2)
    seen = skeletons.convert_visibility(np.ones((*lead, 17)), "coco17", "body13")
    assert seen.shape == (*lead, 13)


def test_unknown_skeleton():
    with pytest.raises(VipeError, match="unknown skeleton 'octopus8'; known: body13, joints17"):
        skeletons.get("octopus8")


def test_unknown_joint():
    with pytest.raises(VipeError, match="skeleton body13 has no joint 'tail'"):
        skeletons.BODY13.index("tail")


@pytest.mark.parametrize("shape", [(12, 2), (2,), (17,)])
def test_points_of_a_wrong_shape(shape):
    with pytest.raises(VipeError, match="skeleton body13 has 13 joints but the array has shape"):
        skeletons.convert(np.ones(shape), "body13", "coco17")


@pytest.mark.parametrize("shape", [(12,), ()])
def test_visibility_of_a_wrong_shape(shape):
    with pytest.raises(VipeError, match="skeleton body13 has 13 joints but the array has shape"):
        skeletons.convert_visibility(np.ones(shape), "body13", "coco17")
