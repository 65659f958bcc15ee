"""Motion files."""

from __future__ import annotations

import numpy as np
import pytest

from tests.bodies import write_motion_file
from vipe_core.errors import VipeError
from vipe_training.datasets import data_root, load_motion


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


def test_missing_folder_and_file(monkeypatch, data, tmp_path):
    with pytest.raises(VipeError, match=r"no motion file .*none\.npz"):
        load_motion(["none.npz"])
    monkeypatch.setenv("VIPE_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(VipeError, match="set VIPE_DATA"):
        data_root()


@pytest.mark.parametrize("break_it", ["text", "truncated", "field", "shape", "no frame"])
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
        elif break_it == "shape":
            fields["pose"] = fields["pose"][:, :5]
        else:
            fields["frame_ok"][:] = False
        np.savez(path, **fields)
    with pytest.raises(VipeError, match=r"m\.npz") as caught:
        load_motion(["m.npz"], root=tmp_path)
    assert "\n" not in str(caught.value)
