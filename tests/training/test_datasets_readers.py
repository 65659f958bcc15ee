"""Readers: every set, written in its owners' format, gives the person that was written."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tests.training import data_sets, mocap_files
from tests.training.data_sets import FRAMES, body13, expected, pixels, yaw
from vipe_core.geometry import body_frame
from vipe_core.skeletons import BODY13, JOINTS17
from vipe_training.datasets.recording import Recording
from vipe_training.datasets.sets import SETS, open_set

LIMBS = [j for j, n in enumerate(JOINTS17.joints) if n.startswith(("left_", "right_"))]
NECK, NOSE, HEAD, SPINE = JOINTS17.indices("neck", "nose", "head", "spine")


def recordings(name, folder, **options) -> list[Recording]:
    return [r for part in open_set(name, folder, **options).sequences() for r in part.read()]


# set, writer, joints that the set records itself, subject of the first recording, fps
MOTION = {
    "h36m": ("h36m", data_sets.h36m_npz, [*LIMBS, NECK, NOSE, HEAD, SPINE], "S1", 50),
    "h36m cdf": ("h36m", data_sets.h36m_cdf, [*LIMBS, NECK, NOSE, HEAD, SPINE], "S9", 50),
    "h36m h5": ("h36m", data_sets.h36m_h5, [*LIMBS, NECK, NOSE, HEAD, SPINE], "S9", 50),
    "3dhp": ("mpi-inf-3dhp", data_sets.mpi_inf_3dhp, [*LIMBS, NECK, NOSE, HEAD, SPINE], "S1", 50),
    "3dpw": ("3dpw", data_sets.three_dpw, [*LIMBS, NECK, SPINE], "outdoors_fencing_01/0", 30),
    "aist": ("aist", data_sets.aist, [*LIMBS, NOSE], "d04", 60),
    "amass": ("amass", mocap_files.amass_joints, [*LIMBS, NECK, SPINE], "CMU/01", 120),
    "cmu": ("cmu", mocap_files.cmu, [*LIMBS, NECK, HEAD, SPINE], "cmu005", 120),
    "bvh": ("bvh", mocap_files.bvh, [*LIMBS, NECK, HEAD, SPINE], "05", 1 / 0.0083333),
}


@pytest.mark.parametrize("case", MOTION)
def test_the_person_that_was_written_is_read(case, tmp_path):
    name, write, joints, subject, fps = MOTION[case]
    found = recordings(name, write(tmp_path))[0]
    assert found.subject == subject
    assert found.fps == pytest.approx(fps)
    assert found.joints is not None
    rows = found.frames()[found.frames() < (1 if name in ("cmu", "bvh") else FRAMES)]
    wanted = expected()[rows]
    np.testing.assert_allclose(found.joints[: len(rows), joints], wanted[:, joints], atol=2e-4)


@pytest.mark.parametrize("case", MOTION)
def test_chirality_a_person_whose_left_is_x_faces_z(case, tmp_path):
    name, write, *_ = MOTION[case]
    found = recordings(name, write(tmp_path))[0]
    joints = found.joints
    assert joints is not None
    rotation, origin = body_frame(joints[0], "joints17")
    np.testing.assert_allclose(rotation.T, [[0, 0, 1], [1, 0, 0], [0, 1, 0]], atol=0.02)
    np.testing.assert_allclose(origin, 0, atol=1e-6)
    # The nose is before the head, the head top above it: also where a reader makes them.
    assert 0.02 < joints[0, NOSE, 2] - joints[0, NECK, 2] < 0.2
    assert joints[0, HEAD, 1] > joints[0, NOSE, 1] > joints[0, NECK, 1]
    assert np.linalg.norm(joints[0, HEAD] - standing_head()) < 0.1
    assert np.isfinite(joints).all()
    # The second frame has turned from z towards x, so the nose has moved to +x.
    second = joints[list(found.frames()).index(2 if name == "3dpw" else 1)]
    assert second[NOSE, 0] > joints[0, NOSE, 0] + 0.02


def standing_head() -> np.ndarray:
    return expected()[0, HEAD]


def test_world_axes_turn_without_mirroring():
    from vipe_training.datasets.skeleton_maps import z_up_to_y_up

    matrix = z_up_to_y_up(np.eye(3)).T
    assert np.linalg.det(matrix) == pytest.approx(1)
    np.testing.assert_array_equal(matrix @ [0, 0, 1], [0, 1, 0])


@pytest.mark.parametrize("write", [data_sets.h36m_npz, data_sets.h36m_cdf])
def test_human36m_has_four_cameras_cut_to_the_motion(write, tmp_path):
    reader = open_set("h36m", write(tmp_path))
    assert reader.cameras == ("54138969", "55011271", "58860488", "60457274")
    found = next(r for part in reader.sequences() for r in part.read())
    assert found.points is not None
    assert found.label == "Walking"
    for camera in range(4):
        np.testing.assert_array_equal(found.points[:, camera], body13(pixels(camera)))
    assert found.visibility is not None
    assert (found.visibility == 1).all()


def test_human36m_detections_can_be_chosen_and_left_out(tmp_path):
    folder = data_sets.h36m_npz(tmp_path)
    data_sets.h36m_npz(tmp_path, layout="coco", gt="gt")
    assert open_set("h36m", folder, detections="none").cameras == ()
    points = recordings("h36m", folder / "data_3d_h36m.npz", detections="gt")[0].points
    nose, shoulder = BODY13.indices("nose", "left_shoulder")
    assert points is not None
    # The same rows, read as COCO's 17: the first is the nose, the sixth the left shoulder.
    np.testing.assert_array_equal(points[:, 1, nose], pixels(1)[:, 0])
    np.testing.assert_array_equal(points[:, 1, shoulder], pixels(1)[:, 5])


def test_the_damaged_motion_of_human36m_is_left_out(tmp_path):
    subjects = {r.subject for r in recordings("h36m", data_sets.h36m_cdf(tmp_path))}
    assert subjects == {"S9"}


def test_mpi_inf_3dhp_points_and_rates(tmp_path):
    data_sets.mpi_inf_3dhp(tmp_path, "S2", "Seq1")
    found = recordings("mpi-inf-3dhp", tmp_path)[0]
    assert found.fps == 25
    assert found.points is not None
    for camera in (0, 13):
        np.testing.assert_array_equal(found.points[:, camera], body13(pixels(camera)))


def test_3dpw_has_two_people_and_drops_frames_without_a_camera(tmp_path):
    first, second = recordings("3dpw", data_sets.three_dpw(tmp_path))
    assert list(first.frames()) == [0, 2, 3]
    assert list(second.frames()) == list(range(FRAMES))
    assert second.points is not None
    assert second.visibility is not None
    wrist = BODY13.index("left_wrist")
    assert np.isnan(second.points[0, 0, wrist]).all()
    assert second.visibility[0, 0, wrist] == 0
    others = [j for j in range(13) if j != wrist]
    np.testing.assert_array_equal(second.points[0, 0, others], body13(pixels())[0, others])
    assert second.visibility[0, 0, others] == pytest.approx(0.9)


def test_aist_cameras_are_put_in_the_order_of_their_names(tmp_path):
    reader = open_set("aist", data_sets.aist(tmp_path))
    assert reader.cameras == tuple(f"c{n:02d}" for n in range(1, 10))
    (found,) = [r for part in reader.sequences() for r in part.read()]
    assert found.label == "gBR"
    assert found.points is not None
    # The setting lists c09 first, so the views of the file are in reverse order.
    for camera in (0, 8):
        np.testing.assert_array_equal(found.points[:, camera], body13(pixels(8 - camera)))
    knee = BODY13.index("left_knee")
    assert np.isnan(found.points[1, 6, knee]).all()
    assert found.visibility is not None
    assert found.visibility[1, 6, knee] == 0
    assert found.visibility[0, 0, knee] == pytest.approx(0.8)


@pytest.mark.parametrize("folder", [False, True])
def test_amass_joints_follow_from_the_body_model(folder, tmp_path):
    bend = 0.7
    file = tmp_path / "smplh" / "male" / "model.npz" if folder else tmp_path / "model.npz"
    mocap_files.body_model(file)
    amass = mocap_files.amass_poses(tmp_path / "amass", bend)
    found = recordings("amass", amass, body_model=tmp_path / "smplh" if folder else file)[0].joints
    assert found is not None
    rest = 1.1 * expected()[0]  # the first shape number is 0.1
    elbow, wrist = JOINTS17.indices("left_elbow", "left_wrist")
    c, s = np.cos(bend), np.sin(bend)
    forearm = np.array([[1, 0, 0], [0, c, -s], [0, s, c]]) @ (rest[wrist] - rest[elbow])
    rest[wrist] = rest[elbow] + forearm
    for t in range(FRAMES):
        naive = rest @ yaw(data_sets.TURN * t).T
        joints = [*LIMBS, NECK, SPINE]
        np.testing.assert_allclose(found[t, joints], naive[joints], atol=1e-5)
    # Nose and head top are points of the surface, fixed to the skull.
    with np.load(file) as model:
        nose, top, skull = (1.1 * model["v_template"][i] for i in (332, 411, 15))
    middle = 1.1 * data_sets.motion()[0, 0]
    np.testing.assert_allclose(found[0, [NOSE, HEAD]], [nose - middle, top - middle], atol=1e-5)
    assert skull[1] < top[1]


def rotation(axis: str, degrees: float) -> np.ndarray:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return {
        "x": np.array([[1, 0, 0], [0, c, -s], [0, s, c]]),
        "y": np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]),
        "z": np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]),
    }[axis]


def naive_asf(frame: dict[str, list[float]]) -> dict[str, np.ndarray]:
    """Ends of the bones, one bone after the other."""
    turn = frame["root"][3:]
    world = {"root": rotation("z", turn[2]) @ rotation("y", turn[1]) @ rotation("x", turn[0])}
    ends = {"root": np.zeros(3)}
    for name, (parent, _, dof, axis) in mocap_files.BONES.items():
        own = rotation("z", axis[2]) @ rotation("y", axis[1]) @ rotation("x", axis[0])
        local = np.eye(3)
        for which, degrees in zip(dof.split(), frame.get(name, []), strict=True):
            local = rotation(which[1], degrees) @ local
        world[name] = world[parent] @ own @ local @ np.linalg.inv(own)
        bone = mocap_files.end(name) - mocap_files.end(parent)
        ends[name] = ends[parent] + world[name] @ bone
    return ends


def test_asf_and_amc_match_the_naive_chain(tmp_path):
    found = recordings("cmu", mocap_files.cmu(tmp_path))[0].joints
    assert found is not None
    for t, frame in enumerate(mocap_files.amc_angles()):
        ends = naive_asf(frame)
        middle = (ends["lhipjoint"] + ends["rhipjoint"]) / 2
        for bone, (_, place, *_) in mocap_files.BONES.items():
            if isinstance(place, str):
                want = ends[bone] - middle
                np.testing.assert_allclose(found[t, JOINTS17.index(place)], want, atol=1e-5)


def test_bvh_matches_the_naive_chain(tmp_path):
    found = recordings("bvh", mocap_files.bvh(tmp_path))[0].joints
    assert found is not None
    names = list(mocap_files.TREE)
    for t, frame in enumerate(mocap_files.bvh_angles()):
        world: dict[str, np.ndarray] = {}
        at: dict[str, np.ndarray] = {}
        for name, (z, y, x) in zip(names, frame, strict=True):
            local = rotation("z", z) @ rotation("y", y) @ rotation("x", x)
            parent = mocap_files.TREE[name][0]
            if parent:
                offset = mocap_files.place(name) - mocap_files.place(parent)
                at[name] = at[parent] + world[parent] @ offset
                world[name] = world[parent] @ local
            else:
                at[name], world[name] = np.zeros(3), local
        middle = (at["LeftUpLeg"] + at["RightUpLeg"]) / 2
        for bone, joint in (("LeftFoot", "left_ankle"), ("RightHand", "right_wrist")):
            want = at[bone] - middle
            np.testing.assert_allclose(found[t, JOINTS17.index(joint)], want, atol=1e-5)


def test_the_faults_of_the_conversion_of_cmu_are_put_right(tmp_path):
    lost = ("Neck", "LeftShoulder", "RightShoulder")
    whole = recordings("bvh", mocap_files.bvh(tmp_path / "whole"))[0].joints
    found = recordings("bvh", mocap_files.bvh(tmp_path / "cmu", lost))[0].joints
    assert whole is not None
    assert found is not None
    assert np.isnan(found[0, LIMBS]).all()  # the first frame is a T-pose in whole degrees
    np.testing.assert_allclose(found[1:, [*LIMBS, NECK]], whole[1:, [*LIMBS, NECK]], atol=1e-5)
    # The end of the head bone, the head top otherwise, lies inside the head.
    bone = np.array([0.0, 0.12, 0.0])
    turned = rotation("y", 90.0)
    head_start = whole[1, HEAD] - turned @ bone
    np.testing.assert_allclose(found[1, HEAD], head_start + 1.81 * turned @ bone, atol=1e-5)
    nose = head_start + turned @ [0.0, 0.6 * 0.12, 1.17 * 0.12]
    np.testing.assert_allclose(found[1, NOSE], nose, atol=1e-5)


@pytest.mark.parametrize(
    "change",
    [
        {"LeftUpLeg": "mixamorig:LeftUpLeg", "Spine1": "mixamorig:Spine1"},
        {"LeftUpLeg": "UpperLeg_L", "LeftLeg": "LowerLeg_L", "LeftFoot": "Foot_L"},
        {"LeftForeArm": "LowerArm_L", "LeftArm": "UpperArm_L", "LeftHand": "Hand_L"},
        {"LeftForeArm": "lForeArm", "LeftArm": "lShldr", "LeftHand": "lHand", "LeftLeg": "lShin"},
        {"Neck1": "Throat", "Spine1": "Chest"},
    ],
)
def test_bvh_joints_go_by_many_names(change, tmp_path):
    file = mocap_files.bvh(tmp_path) / "05" / "05_01.bvh"
    wanted = recordings("bvh", tmp_path)[0].joints
    text = file.read_text()
    for old, new in change.items():
        text = re.sub(rf"(ROOT|JOINT) {old}\n", rf"\1 {new}\n", text)
    assert text != file.read_text()
    file.write_text(text)
    found = recordings("bvh", tmp_path)[0].joints
    assert found is not None
    np.testing.assert_array_equal(found[:, LIMBS], wanted[:, LIMBS])


def test_units_of_motion_capture_can_be_given(tmp_path):
    folder = mocap_files.bvh(tmp_path)
    default, doubled = (
        recordings("bvh", folder, **options)[0].joints
        for options in ({}, {"scale": 2 * mocap_files.INCH})
    )
    assert default is not None
    np.testing.assert_allclose(doubled, 2 * default, atol=1e-6)


def test_penn_action(tmp_path):
    (found,) = recordings("penn-action", data_sets.penn_action(tmp_path))
    assert (found.subject, found.label) == ("test/0001", "tennis_serve")
    assert found.points is not None
    assert found.visibility is not None
    want = body13(pixels())
    assert np.isnan(found.points[1, 0, 4]).all()  # outside the picture
    np.testing.assert_array_equal(found.points[1, 0, 5], want[1, 5])  # hidden, but there
    assert list(found.visibility[1, 0]) == [1, 1, 1, 1, 0, 0, *[1] * 7]
    np.testing.assert_array_equal(found.points[2, 0], want[2])


def test_coco_people(tmp_path):
    (found,) = recordings("coco", data_sets.coco(tmp_path))
    assert found.stills
    assert found.points is not None
    assert found.visibility is not None
    assert len(found) == 2  # the crowd and the person without a label are left out
    np.testing.assert_array_equal(found.points[0, 0, 0], [1, 2])
    wrist = BODY13.index("left_wrist")
    assert np.isfinite(found.points[1, 0, wrist]).all()  # labelled but hidden
    assert np.isnan(found.points[1, 0, 0]).all()  # not labelled
    assert found.visibility[1, 0, [0, wrist]].tolist() == [0, 0]
    assert found.visibility[0].min() == 1


def test_keypoint_files(tmp_path):
    first, second = recordings("keypoints", data_sets.keypoint_folder(tmp_path))
    assert (first.subject, second.subject) == ("kitchen/a/0", "kitchen/a/1")
    assert (first.fps, first.label) == (25.0, "wave")
    assert first.points is not None
    knee = BODY13.index("left_knee")
    np.testing.assert_array_equal(first.points[0, 0], body13(pixels())[0])
    assert np.isnan(first.points[1, 0, knee]).all()


def test_slower_keeps_every_kth_frame_and_counts_anew():
    joints = np.arange(10.0)[:, None, None] * np.ones((17, 3))
    recording = Recording("a", 120.0, joints, frame=np.array([0, 1, 2, 4, 6, 7, 8, 9, 12, 15]))
    slow = recording.slower(50)
    assert slow.fps == 40
    assert list(slow.frames()) == [0, 2, 3, 4, 5]
    assert slow.joints is not None
    assert slow.joints[:, 0, 0].tolist() == [0, 4, 7, 8, 9]
    assert recording.slower(120) is recording


def test_reading_is_lazy(tmp_path):
    """Sequences are known before any is read: a damaged one hurts only when its turn comes."""
    folder = data_sets.penn_action(tmp_path)
    (folder / "labels" / "0002.mat").write_bytes(b"damaged")
    names = [part.name for part in open_set("penn-action", folder).sequences()]
    assert names == ["0001", "0002"]


def test_every_set_has_a_title_and_reads_its_files(tmp_path):
    writers = {entry[0]: entry[1] for entry in MOTION.values()}
    writers |= {"penn-action": data_sets.penn_action, "coco": data_sets.coco}
    writers["keypoints"] = data_sets.keypoint_folder
    assert set(writers) == set(SETS)
    for name, write in writers.items():
        (tmp_path / name).mkdir()
        reader = open_set(name, write(tmp_path / name))
        assert reader.files()
        assert all(path.is_file() for path in reader.files())
