"""Joint angles against forward kinematics of the model that REP-155 recommends."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from vipe_core import skeletons
from vipe_core.joint_angles import NAMES, joint_angles

SKELETON = skeletons.JOINTS17
SIGN = {"l": 1, "r": -1}
SIDE = {"l": "left", "r": "right"}
# Ranges of the model, less what makes an angle undecidable.
RANGES = {
    "y_shoulder": (-1.4, 1.1), "p_shoulder": (0.2, 2.8), "r_shoulder": (-1.6, 1.4),
    "elbow": (0.2, 2.4), "y_hip": (-0.1, 0.6), "p_hip": (-0.4, 1.2), "r_hip": (-0.4, 0.7),
    "knee": (-2.4, -0.2), "r_head": (-0.9, 0.9), "y_head": (-1.3, 1.3), "p_head": (-1.3, 1.3),
    "waist": (-0.2, 1.0),
}  # fmt: skip


def about(axis: tuple[float, float, float], angle: float) -> Rotation:
    return Rotation.from_rotvec(np.array(axis) * angle)


def posed(angles: dict[str, float]) -> np.ndarray:
    """(17, 3) joints of the tree of revolute joints, written out joint by joint."""
    at = {"pelvis": np.zeros(3)}
    waist = about((0, 1, 0), angles["waist"])
    at["spine"], at["neck"] = waist.apply([0, 0, 0.25]), waist.apply([0, 0, 0.5])
    head = waist * about((1, 0, 0), angles["r_head"]) * about((0, 0, 1), angles["y_head"])
    head = head * about((0, -1, 0), angles["p_head"])
    at["head"] = at["neck"] + head.apply([0, 0, 0.25])
    at["nose"] = at["neck"] + head.apply([0.12, 0, 0.15])
    for side, s in SIGN.items():
        name = SIDE[side]
        arm = about((0, 0, -s), angles[f"{side}_y_shoulder"])
        arm = arm * about((s, 0, 0), angles[f"{side}_p_shoulder"])
        arm = arm * about((0, 0, s), angles[f"{side}_r_shoulder"])
        fore = arm * about((0, -1, 0), angles[f"{side}_elbow"])
        at[f"{name}_shoulder"] = at["neck"] + [0, 0.2 * s, 0]
        at[f"{name}_elbow"] = at[f"{name}_shoulder"] + arm.apply([0, 0, -0.3])
        at[f"{name}_wrist"] = at[f"{name}_elbow"] + fore.apply([0, 0, -0.25])
        leg = about((0, 0, -1), angles[f"{side}_y_hip"])
        leg = leg * about((s, 0, 0), angles[f"{side}_p_hip"])
        leg = leg * about((0, -1, 0), angles[f"{side}_r_hip"])
        shin = leg * about((0, -1, 0), angles[f"{side}_knee"])
        at[f"{name}_hip"] = np.array([0, 0.1 * s, 0])
        at[f"{name}_knee"] = at[f"{name}_hip"] + leg.apply([0, 0, -0.45])
        at[f"{name}_ankle"] = at[f"{name}_knee"] + shin.apply([0, 0, -0.4])
    return np.array([at[joint] for joint in SKELETON.joints])


@pytest.mark.parametrize("seed", range(20))
def test_angles_of_a_posed_model_come_back(seed: int) -> None:
    rng = np.random.default_rng(seed)
    given = {}
    for name in NAMES:
        part = name if name in RANGES else name[2:]
        given[name] = rng.uniform(*RANGES[part])
        if part == "waist":  # shoulders hang from an upright trunk in the frame of the body
            given[name] = 0.0
    found = joint_angles(posed(given))
    np.testing.assert_allclose(found, [given[name] for name in NAMES], atol=1e-6)


def test_waist_is_the_lean_of_the_trunk() -> None:
    given = dict.fromkeys(NAMES, 0.0) | {"waist": 0.4, "y_head": 0.3, "p_head": -0.2}
    found = dict(zip(NAMES, joint_angles(posed(given)), strict=True))
    for name in ("waist", "r_head", "y_head", "p_head"):
        assert found[name] == pytest.approx(given[name], abs=1e-6)


def test_standing_straight_is_zero() -> None:
    found = joint_angles(posed(dict.fromkeys(NAMES, 0.0)))
    np.testing.assert_allclose(found, 0, atol=1e-6)


def test_arm_across_the_chest_pitches_to_the_other_side() -> None:
    given = dict.fromkeys(NAMES, 0.0) | {"l_p_shoulder": -0.3, "r_p_shoulder": -0.2}
    found = dict(zip(NAMES, joint_angles(posed(given)), strict=True))
    assert found["l_p_shoulder"] == pytest.approx(-0.3, abs=1e-6)
    assert found["r_p_shoulder"] == pytest.approx(-0.2, abs=1e-6)
    assert found["l_y_shoulder"] == found["r_y_shoulder"] == pytest.approx(0, abs=1e-6)


def test_batch_and_missing_joints() -> None:
    joints = np.stack([posed(dict.fromkeys(NAMES, 0.1))] * 2).astype(np.float32)
    joints[1, SKELETON.index("left_wrist")] = np.nan
    found = joint_angles(joints)
    assert found.shape == (2, 20)
    assert found.dtype == np.float32
    unknown = {NAMES[i] for i in np.flatnonzero(np.isnan(found[1]))}
    assert unknown == {"l_elbow", "l_r_shoulder"}
    np.testing.assert_array_equal(np.isnan(found[0]), False)
