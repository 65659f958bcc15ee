"""The shipped weights reach what the README promises, through the commands a user types.

Needs the CMU test split (VIPE_DATA); nothing here is trained on it.
"""

from __future__ import annotations

import os
from itertools import permutations

import numpy as np
import pytest

from vipe_core.cli import main
from vipe_core.geometry import mpjpe, stature, to_body_frame
from vipe_core.keypoint_file import KeypointFile, write

if not os.environ.get("VIPE_DATA"):
    pytest.skip("set VIPE_DATA to the folder that holds mocap/", allow_module_level=True)

from vipe_training.datasets import load_motion
from vipe_training.evaluate import protocol

POSES = 1000


@pytest.fixture(scope="module")
def poses() -> np.ndarray:
    """(N, 17, 3) metres, at least 0.02 NP-MPJPE apart."""
    joints = load_motion(["mocap/cmu_mocap_test.npz"]).joints
    return joints[protocol.select_poses(joints, POSES)]


@pytest.fixture(scope="module")
def files(poses, tmp_path_factory):
    """One keypoint file per noisy novel camera."""
    folder = tmp_path_factory.mktemp("views")
    points = protocol.render(poses, protocol.novel8(), noise=0.02)
    paths = []
    for camera, view in enumerate(points):
        paths.append(folder / f"camera{camera}.npz")
        write(paths[-1], KeypointFile(view, np.ones(view.shape[:2]), "body13"))
    return paths


def test_embed_and_search_find_the_pose_from_another_side(files, poses, tmp_path):
    coded = [tmp_path / path.name for path in files]
    for path, out in zip(files, coded, strict=True):
        assert main(["embed", str(path), str(out)]) == 0
    matches = protocol.match_matrix(poses)
    found = tmp_path / "found.npz"
    scores = []
    for query, index in permutations(coded, 2):
        assert main(["search", str(index), str(query), str(found), "-k", "1"]) == 0
        with np.load(found) as result:
            first = result["indices"][:, 0]
        scores.append(matches[np.arange(len(poses)), first].mean())
    assert len(scores) == 56
    assert 100 * np.mean(scores) >= 90


def test_lift_is_within_50_mm_in_the_body_frame(files, poses, tmp_path):
    truth = to_body_frame(poses, "joints17")
    height = float(stature(poses).mean())
    errors = {"true": [], "default": []}
    for path in files:
        for name, words in (("true", ["--height", f"{height:.3f}"]), ("default", [])):
            out = tmp_path / "lifted.npz"
            assert main(["lift", str(path), str(out), *words]) == 0
            with np.load(out) as result:
                errors[name].append(mpjpe(truth, result["joints"]).mean())
                assert result["std"].shape == (len(poses), 17)
    assert 1000 * np.mean(errors["true"]) <= 50
    assert 1000 * np.mean(errors["default"]) <= 50
