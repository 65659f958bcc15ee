"""What is wrong with the files of a data set is said in one line that names the file."""

from __future__ import annotations

import json
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.training import data_sets, mocap_files
from vipe_core.errors import VipeError
from vipe_training.datasets import unpickle
from vipe_training.datasets.sets import SETS, open_set


def read_all(name: str, folder: Path, **options) -> None:
    reader = open_set(name, folder, **options)
    assert isinstance(reader.cameras, tuple)
    reader.files()
    for part in reader.sequences():
        for _ in part.read():
            pass


def says(match: str, name: str, folder: Path, **options) -> None:
    with pytest.raises(VipeError, match=match) as caught:
        read_all(name, folder, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", SETS)
def test_a_missing_set_says_where_to_get_it(name, tmp_path):
    says(r"docs/data\.md", name, tmp_path)
    says(r"docs/data\.md", name, tmp_path / "nowhere")


def test_unknown_set_and_option_of_another_set(tmp_path):
    with pytest.raises(VipeError, match="unknown data set 'ntu'; known: h36m"):
        open_set("ntu", tmp_path)
    with pytest.raises(VipeError, match="--body-model is for amass, not for h36m"):
        open_set("h36m", tmp_path, body_model=tmp_path)


# -- pickles ----------------------------------------------------------------------------------


class Evil:
    def __reduce__(self):
        return os.system, ("echo harm > harm.txt",)


class Stranger:
    pass


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_and_containers_survive_any_protocol(protocol, tmp_path):
    content = {
        "a": [np.arange(6.0).reshape(2, 3), np.asfortranarray(np.ones((2, 3), np.float32))],
        "objects": np.array([np.arange(2), {"x": (1, 2.5, None, True, b"bytes", {3})}], object),
        "scalar": np.float64(2.5),
        "text": np.array(["one", "two"]),
    }
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(content, protocol))
    found = unpickle.load(tmp_path / "x.pkl", "file")
    np.testing.assert_array_equal(found["a"][0], content["a"][0])
    np.testing.assert_array_equal(found["a"][1], content["a"][1])
    np.testing.assert_array_equal(found["text"], content["text"])
    assert found["objects"][1] == content["objects"][1]
    assert found["scalar"] == 2.5


def test_a_pickle_of_python_2_gives_the_same_arrays(tmp_path):
    content = data_sets.three_dpw_content()
    data_sets.python2_pickle(tmp_path / "x.pkl", content)
    assert b"numpy.core.multiarray" in (tmp_path / "x.pkl").read_bytes()
    found = unpickle.load(tmp_path / "x.pkl", "file")
    assert found.keys() == content.keys()
    assert found["genders"] == ["m", "f"]
    np.testing.assert_array_equal(found["poses2d"][1], content["poses2d"][1])


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("what", [Evil, Stranger])
def test_a_pickle_runs_nothing(what, protocol, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("x.pkl").write_bytes(pickle.dumps({"a": what()}, protocol))
    with pytest.raises(
        VipeError, match=r"file x\.pkl: asks for .*(system|Stranger|_reconstructor)"
    ):
        unpickle.load("x.pkl", "file")
    np.savez("x.npz", positions_3d=np.array({"a": what()}, object))
    with pytest.raises(VipeError, match=r"x\.npz: positions_3d: asks for"):
        unpickle.load_npz_object("x.npz", "positions_3d", "file")
    assert not Path("harm.txt").exists()


def test_dangerous_uses_of_what_is_allowed_are_refused(tmp_path):
    # _codecs.encode with another codec than the one that carries bytes
    (tmp_path / "x.pkl").write_bytes(b"c_codecs\nencode\n(Vabc\nVrot13\ntR.")
    with pytest.raises(VipeError, match="damaged"):
        unpickle.load(tmp_path / "x.pkl", "file")
    (tmp_path / "y.pkl").write_bytes(b"Pname\n.")
    with pytest.raises(VipeError, match="asks for persistent id"):
        unpickle.load(tmp_path / "y.pkl", "file")


def test_damaged_pickles(tmp_path):
    whole = pickle.dumps({"a": np.arange(100)})
    (tmp_path / "x.pkl").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(VipeError, match=r"x\.pkl: damaged"):
        unpickle.load(tmp_path / "x.pkl", "file")
    with pytest.raises(VipeError, match=r"none\.pkl: No such file"):
        unpickle.load(tmp_path / "none.pkl", "file")


# -- Human3.6M --------------------------------------------------------------------------------


def test_h36m_npz_faults(tmp_path):
    folder = data_sets.h36m_npz(tmp_path)
    says(r"no .*data_2d_h36m_hrnet\.npz", "h36m", folder, detections="hrnet")
    data_sets.h36m_npz(tmp_path, layout="mpii")
    says("layout 'mpii'; known: h36m, coco", "h36m", folder)
    motion = folder / "data_3d_h36m.npz"
    np.savez(motion, positions_3d={"S1": {"Walking": np.zeros((3, 17, 3))}})
    says(r"S1/Walking has shape \(3, 17, 3\)", "h36m", folder, detections="none")
    np.savez(motion, positions_3d={"X": {}})
    says("positions_3d has none of S1, S5", "h36m", folder)
    np.savez(motion, positions_3d=np.zeros(3))
    says("a stored dict needed", "h36m", folder)
    np.savez(motion, other=np.zeros(3))
    says("no positions_3d in it", "h36m", folder)
    motion.write_bytes(motion.read_bytes()[:100])
    says("not an .npz", "h36m", folder)


def test_h36m_npz_cut_inside_an_entry(tmp_path):
    folder = data_sets.h36m_npz(tmp_path)
    motion = folder / "data_3d_h36m.npz"
    with zipfile.ZipFile(motion) as archive:
        content = archive.read("positions_3d.npy")
    with zipfile.ZipFile(motion, "w") as archive:
        archive.writestr("positions_3d.npy", content[:-500])
    says("positions_3d: damaged", "h36m", folder)


def test_h36m_raw_faults(tmp_path):
    folder = data_sets.h36m_cdf(tmp_path / "cdf")
    says("these files have gt or none", "h36m", folder, detections="cpn")
    file = folder / "S9/MyPoseFeatures/D3_Positions/Walking 1.cdf"
    file.unlink()
    data_sets.cdf(file, np.zeros((3, 50)))
    says(r"Walking 1\.cdf: no readable Pose of 32 joints", "h36m", folder)
    file.write_bytes(b"no CDF")
    says(r"Walking 1\.cdf: no readable Pose", "h36m", folder)
    folder = data_sets.h36m_h5(tmp_path / "h5")
    file = folder / "h36m/S9/MyPoses/3D_positions/Walking_1.h5"
    file.write_bytes(file.read_bytes()[:700])
    says(r"Walking_1\.h5: no readable 3D_positions", "h36m", folder)


# -- the others with motion -------------------------------------------------------------------


def test_mpi_inf_3dhp_faults(tmp_path):
    from scipy.io import loadmat, savemat

    folder = data_sets.mpi_inf_3dhp(tmp_path)
    annotation = folder / "S1" / "Seq2" / "annot.mat"
    calibration = annotation.with_name("camera.calibration")
    text = calibration.read_text()
    calibration.write_text(text.replace("extrinsic", "extrinsic x", 1))
    says("camera 0 has no extrinsic of 16 numbers", "mpi-inf-3dhp", folder)
    calibration.write_text("Skeletool Camera Calibration File V1.0\n")
    says(r"camera\.calibration: no camera 0", "mpi-inf-3dhp", folder)
    calibration.unlink()
    says(r"no .*camera\.calibration; get the set", "mpi-inf-3dhp", folder)
    calibration.write_text(text)
    content = {k: v for k, v in loadmat(annotation).items() if not k.startswith("_")}
    for changes, match in (
        ({"annot3": np.zeros((4, 84))}, "annot3 is no cell array"),
        ({"cameras": np.array([[40]])}, r"cameras \['40'\] do not fit"),
        ({"annot3": cells(np.zeros((4, 51)))}, r"annot3 has shape \(4, 51\)"),
        ({"annot2": cells(np.zeros((3, 56)))}, r"annot2 has shape \(3, 56\)"),
    ):
        savemat(annotation, {**content, **changes})
        says(match, "mpi-inf-3dhp", folder)
    del content["annot2"]
    savemat(annotation, content)
    says(r"annot\.mat: no field annot2", "mpi-inf-3dhp", folder)
    annotation.write_bytes(annotation.read_bytes()[:1000])
    says(r"annot\.mat: no readable MATLAB file", "mpi-inf-3dhp", folder)


def cells(array: np.ndarray) -> np.ndarray:
    out = np.empty((14, 1), object)
    for i in range(14):
        out[i, 0] = array
    return out


@pytest.mark.parametrize(
    ("field", "value", "match"),
    [
        ("jointPositions", None, r"fencing_01\.pkl: no field jointPositions"),
        ("jointPositions", 3, "jointPositions is no list of actors"),
        ("jointPositions", [np.zeros((4, 60))], r"shape \(4, 60\) .*expected \(N, 72\)"),
        ("poses", [], "poses has no actor 0"),
        ("poses2d", [np.zeros((3, 3, 18))] * 2, r"poses2d has shape \(3, 3, 18\)"),
        ("campose_valid", ["x"], "campose_valid has shape"),
    ],
)
def test_3dpw_faults(field, value, match, tmp_path):
    content = data_sets.three_dpw_content()
    if value is None:
        del content[field]
    else:
        content[field] = value
    data_sets.python2_pickle(tmp_path / "train" / "fencing_01.pkl", content)
    says(match, "3dpw", tmp_path)


def test_aist_faults(tmp_path):
    folder = data_sets.aist(tmp_path)
    motion = folder / "keypoints3d" / f"{data_sets.AIST_NAME}.pkl"
    motion.write_bytes(pickle.dumps({"keypoints3d": np.zeros((4, 24, 3))}))
    says(r"keypoints3d has shape \(4, 24, 3\)", "aist", folder)
    motion.rename(motion.with_name("a_b_c_x_e.pkl"))
    says("does not say the dancer", "aist", folder)


@pytest.mark.parametrize(
    ("file", "text", "match"),
    [
        ("setting1.json", '[{"name": "c01"}]', r"setting1\.json: no camera setting"),
        ("setting1.json", "[]", "not the cameras c01 to c09"),
        ("setting1.json", None, r"setting1\.json: No such file"),
        ("mapping.txt", "other setting1\n", f"no setting for {data_sets.AIST_NAME}"),
        ("mapping.txt", "one two three\n", "each line needs a sequence and a setting"),
        ("mapping.txt", None, r"mapping\.txt: No such file"),
    ],
)
def test_aist_camera_faults(file, text, match, tmp_path):
    path = data_sets.aist(tmp_path) / "cameras" / file
    path.unlink()
    if text is not None:
        path.write_text(text)
    says(match, "aist", tmp_path)


def test_amass_faults(tmp_path):
    folder = mocap_files.amass_poses(tmp_path / "amass")
    says("needs SMPL's licensed body model: .*--body-model", "amass", folder)
    says("no .npz and no folder with neutral", "amass", folder, body_model=tmp_path)
    model = mocap_files.body_model(tmp_path / "female" / "model.npz")
    says("no male/model.npz", "amass", folder, body_model=tmp_path)
    np.savez(model, v_template=np.zeros((6890, 3)))
    says("body model .*: no J_regressor, shapedirs", "amass", folder, body_model=model)
    mocap_files.body_model(model, v_template=np.zeros((100, 3)))
    says("do not fit each other", "amass", folder, body_model=model)
    mocap_files.body_model(model, kintree_table=np.ones((2, 52), int) * 51)
    says("no tree with parents first", "amass", folder, body_model=model)
    mocap_files.body_model(model)
    file = folder / "CMU" / "01" / "01_01_poses.npz"
    rate = {"mocap_framerate": 60.0}
    np.savez(file, poses=np.zeros((3, 30)), betas=np.zeros(10), **rate)
    says("at least 22 joints needed", "amass", folder, body_model=model)
    np.savez(file, joints=np.zeros((3, 10, 3)), **rate)
    says(r"joints has shape \(3, 10, 3\), SMPL's joints needed", "amass", folder)
    np.savez(file, joints=np.zeros((3, 24, 3)))
    says("no mocap_framerate", "amass", folder)


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        (":units", ":unit", "no units"),
        ("direction", "direktion", "no direction"),
        ("dof rx ry rz", "dof rx ry wz", "unknown degree of freedom 'wz'"),
        ("length 0.45", "length 0", r"unit of length 0\.0"),
        ("upperback thorax", "upperback throat", "hierarchy names 'throat' below 'upperback'"),
        ("name rtibia", "name shin", "hierarchy names 'rtibia'"),
    ],
)
def test_asf_faults(old, new, match, tmp_path):
    folder = mocap_files.cmu(tmp_path)
    file = folder / "subjects" / "05" / "05.asf"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))
    says(rf"ASF .*05\.asf: {match}", "cmu", folder)


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("\nlfemur ", "\nlfemur 1 ", r"line \d+ 'lfemur' does not fit the skeleton"),
        ("\nlfemur ", "\ntail ", "'tail' does not fit"),
        ("\nltibia ", "\nltibia x", "line .*could not convert"),
        ("\n1\n", "\n", "'root' does not fit"),
    ],
)
def test_amc_faults(old, new, match, tmp_path):
    folder = mocap_files.cmu(tmp_path)
    file = folder / "subjects" / "05" / "05_01.amc"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new, 1))
    says(match, "cmu", folder)


def test_amc_without_frames_or_skeleton(tmp_path):
    folder = mocap_files.cmu(tmp_path)
    place = folder / "subjects" / "05"
    (place / "05_01.amc").write_text(":DEGREES\n")
    says("no frame", "cmu", folder)
    text = (place / "05.asf").read_text().replace("lowerneck", "nape")
    (place / "05.asf").write_text(text)
    says("no bone lowerneck; CMU's skeleton is needed", "cmu", folder)
    (place / "05.asf").unlink()
    says(r"no .*05\.asf", "cmu", folder)


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("HIERARCHY", "HIERARCHIE", "'HIERARCHY' expected"),
        ("Zrotation", "Wrotation", "unknown channel 'Wrotation'"),
        ("OFFSET 0.0", "OFFSET zero", "a number expected, found 'zero'"),
        ("End Site", "End Side", "'Site' expected, found 'Side'"),
        ("JOINT LeftLeg", "BONE LeftLeg", "'BONE' in the hierarchy"),
        ("Frames:\t3", "Frames:\t4", r"numbers for 4 frames"),
        ("Frame Time:", "Frame Zeit:", "no 'Frames:' and 'Frame Time:'"),
        ("Frame Time:\t.0083333", "Frame Time:\t0", "3 frames of 0.0 s"),
        ("10.0 20.0", "10.0 x", "could not convert"),
        ("LeftForeArm", "Thing", "no joint known as left_elbow"),
        ("JOINT Head", "JOINT Hat", "the head has no end site"),
    ],
)
def test_bvh_faults(old, new, match, tmp_path):
    folder = mocap_files.bvh(tmp_path)
    file = folder / "05" / "05_01.bvh"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new, 1))
    says(rf"05_01\.bvh: .*{match}", "bvh", folder)


def test_bvh_cut_in_the_hierarchy(tmp_path):
    folder = mocap_files.bvh(tmp_path)
    file = folder / "05" / "05_01.bvh"
    file.write_text(file.read_text()[:900])
    says(r"05_01\.bvh: .*(expected|ends in the middle|its end)", "bvh", folder)


# -- 2D sets ----------------------------------------------------------------------------------


def test_penn_action_faults(tmp_path):
    from scipy.io import savemat

    folder = data_sets.penn_action(tmp_path)
    file = folder / "labels" / "0001.mat"
    content = data_sets.penn_action_content()
    savemat(file, {**content, "x": np.zeros((3, 13))})
    says(r"0001\.mat: x has shape \(3, 13\) of .*, expected \(4, 13\)", "penn-action", folder)
    savemat(file, {**content, "action": 3})
    says("action is no text", "penn-action", folder)
    savemat(file, {k: v for k, v in content.items() if k != "train"})
    says("no field train", "penn-action", folder)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("[1, 2]", "no readable JSON .'{' expected"),
        ('{"images": []}', "no list of annotations"),
        ('{"annotations": 3}', "no list of annotations"),
        ('{"annotations": [{"keypoints": [1, 2]}]}', "annotation 0 has no 17 keypoints"),
        ('{"annotations": ["x"]}', "annotation 0 has no 17 keypoints"),
        ('{"annotations": [{"keypoints": [1', ".*it ends in the middle"),
        ('{"images": nonsense}', ".*or is damaged"),
    ],
)
def test_coco_faults(text, match, tmp_path):
    (tmp_path / "person_keypoints_x.json").write_text(text)
    says(rf"person_keypoints_x\.json: {match}", "coco", tmp_path)


def test_json_is_read_in_small_pieces(tmp_path, monkeypatch):
    from vipe_training.datasets import json_stream

    content = {"info": {"a": [1, "]"]}, "n": 12345, "skip": [[1], {}], "list": [1, "two", {"3": 4}]}
    file = tmp_path / "x.json"
    for indent in (None, 2):
        file.write_text(json.dumps(content, indent=indent))
        for chunk in (1, 2, 7, 1000):
            monkeypatch.setattr(json_stream, "_CHUNK", chunk)
            assert list(json_stream.elements(file, "list", "file")) == content["list"]


def test_a_damaged_keypoint_file_is_named(tmp_path):
    folder = data_sets.keypoint_folder(tmp_path)
    (folder / "b.npz").write_text("no zip")
    says(r"keypoint file .*b\.npz: not an \.npz", "keypoints", folder)
