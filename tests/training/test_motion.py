"""Motion files."""

from __future__ import annotations

import numpy as np
import pytest

from tests.bodies import random_people, write_motion_file
from vipe_core.errors import VipeError
from vipe_core.geometry import stature
from vipe_training.datasets import canonical, data_root, load_motion


def test_bad_frames_are_dropped_and_clips_keep_their_subject(data):
    motion = load_motion(["mocap/cmu_mocap_train.npz", "mocap/cmu_mocap_native.npz"])
    assert len(motion) == 300 + 120 - 2
    assert set(motion.subject) == {"a", "b", "c", "d"}
    assert len(set(motion.clip)) == 4
    for clip in set(motion.clip):
        assert len(set(motion.subject[motion.clip == clip])) == 1


def test_subjects_can_be_left_out(data):
    motion = load_motion(["mocap/cmu_mocap_train.npz"], leave_out=["a"])
    assert set(motion.subject) == {"b"}
    with pytest.raises(VipeError, match="no usable frame"):
        load_motion(["mocap/cmu_mocap_val.npz"], leave_out=["e"])


def test_frames_count_within_their_clip_and_dropped_ones_are_missing(data):
    motion = load_motion(["mocap/cmu_mocap_train.npz"])
    assert set(motion.fps) == {30}
    assert motion.fps.dtype == np.float32
    for clip, frames in (
        (0, range(150)),
        (1, range(1, 150)),
    ):  # row 150, the 2nd clip's first, is bad
        np.testing.assert_array_equal(motion.frame[motion.clip == clip], frames)


def test_a_file_that_does_not_say_its_rate_has_none(tmp_path):
    with np.load(write_motion_file(tmp_path / "m.npz")) as file:
        fields = {name: file[name] for name in file.files if name != "fps"}
    np.savez(tmp_path / "m.npz", **fields)
    assert np.isnan(load_motion(["m.npz"], root=tmp_path).fps).all()


def test_one_pose_is_no_data_set(tmp_path):
    with np.load(write_motion_file(tmp_path / "m.npz")) as file:
        fields = dict(file)
    fields["frame_ok"][1:] = False
    np.savez(tmp_path / "m.npz", **fields)
    with pytest.raises(VipeError, match=r"one usable frame in m\.npz"):
        load_motion(["m.npz"], root=tmp_path)


def test_canonical_matches_the_naive_loop():
    joints = random_people(5).astype(np.float32)
    upright, rotation = canonical(joints)
    for pose, found, axes in zip(joints, upright, rotation, strict=True):
        y = pose[4] - pose[1]
        y /= np.linalg.norm(y)
        z = pose[8] - pose[0] - (pose[8] - pose[0]) @ y * y
        z /= np.linalg.norm(z)
        np.testing.assert_allclose(axes, np.stack([np.cross(y, z), y, z], axis=1), atol=1e-5)
        naive = (pose - (pose[1] + pose[4]) / 2) @ axes
        np.testing.assert_allclose(found, naive / stature(naive), atol=1e-5)


def test_missing_folder_and_file(monkeypatch, data, tmp_path):
    with pytest.raises(VipeError, match=r"no motion file .*none\.npz"):
        load_motion(["none.npz"])
    monkeypatch.setenv("VIPE_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(VipeError, match="set VIPE_DATA"):
        data_root()


@pytest.mark.parametrize("break_it", ["text", "truncated", "field", "shape", "no frame", "fps"])
def test_malformed_files_are_one_clear_line(tmp_path, break_it):
    path = write_motion_file(tmp_path / "m.npz")
    with np.load(path) as file:
        fields = dict(file)
    if break_it == "text":
        path.write_text("no zip")
    elif break_it == "truncated":
        path.write_bytes(path.read_bytes()[:500])
    else:
        if break_it == "field":
            del fields["pose"]
        elif break_it == "fps":
            fields["fps"][0] = 0
        elif break_it == "shape":
            fields["pose"] = fields["pose"][:, :5]
        else:
            fields["frame_ok"][:] = False
        np.savez(path, **fields)
    with pytest.raises(VipeError, match=r"m\.npz") as caught:
        load_motion(["m.npz"], root=tmp_path)
    assert "\n" not in str(caught.value)
