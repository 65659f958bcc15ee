"""Skeletons by name, and conversion between them by joint name.

A skeleton is an ordered tuple of joint names. Left and right are the person's own.
Two skeletons never share an index convention, so nothing here maps by index range:
hri_msgs, for one, lists eyes and ears the other way round from OpenPose.

Sources of the orders: COCO keypoint task; MediaPipe Pose (BlazePose GHUM topology);
OpenPose output documentation (18 and 25 points); Halpe-FullBody; Human3.6M 17-joint
subset as used by lifting papers; ROS4HRI hri_msgs/Skeleton2D; Pr-VIPE's 13 keypoints;
ZED SDK body tracking (BODY_34 and BODY_38; its BODY_18 is openpose18).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np

from vipe_core.errors import VipeError

_LIMB_BONES = (
    ("left_shoulder", "right_shoulder"),
    ("left_shoulder", "left_elbow"),
    ("left_elbow", "left_wrist"),
    ("right_shoulder", "right_elbow"),
    ("right_elbow", "right_wrist"),
    ("left_hip", "right_hip"),
    ("left_hip", "left_knee"),
    ("left_knee", "left_ankle"),
    ("right_hip", "right_knee"),
    ("right_knee", "right_ankle"),
)
_TORSO_BONES = (("left_shoulder", "left_hip"), ("right_shoulder", "right_hip"))
_SPINE_BONES = (
    ("pelvis", "spine"),
    ("spine", "neck"),
    ("neck", "nose"),
    ("nose", "head"),
    ("neck", "left_shoulder"),
    ("neck", "right_shoulder"),
    ("pelvis", "left_hip"),
    ("pelvis", "right_hip"),
)
_ZED34_ARM = ("clavicle", "shoulder", "elbow", "wrist", "hand", "handtip", "thumb")


@dataclass(frozen=True)
class Skeleton:
    """An ordered set of named joints.

    Attributes:
        name: key in :data:`SKELETONS`.
        joints: joint names in storage order.
        extra_bones: bones beside the limbs, for drawing.
    """

    name: str
    joints: tuple[str, ...]
    extra_bones: tuple[tuple[str, str], ...] = _TORSO_BONES

    def __len__(self) -> int:
        return len(self.joints)

    @cached_property
    def _index(self) -> dict[str, int]:
        return {joint: i for i, joint in enumerate(self.joints)}

    def __contains__(self, joint: str) -> bool:
        return joint in self._index

    def index(self, joint: str) -> int:
        """Position of ``joint``; raises VipeError when the skeleton lacks it."""
        try:
            return self._index[joint]
        except KeyError:
            raise VipeError(f"skeleton {self.name} has no joint {joint!r}") from None

    def indices(self, *joints: str) -> list[int]:
        """Positions of several joints."""
        return [self.index(joint) for joint in joints]

    @cached_property
    def bones(self) -> tuple[tuple[int, int], ...]:
        """Index pairs to draw: every known bone whose two ends exist here."""
        return tuple(
            (self._index[a], self._index[b])
            for a, b in (*_LIMB_BONES, *self.extra_bones)
            if a in self._index and b in self._index
        )

    @cached_property
    def mirror(self) -> tuple[int, ...]:
        """For each joint the index of its left/right counterpart (itself if central)."""
        return tuple(self._index[mirror_name(joint)] for joint in self.joints)


def mirror_name(joint: str) -> str:
    """``left_knee`` for ``right_knee`` and back; other names unchanged."""
    for side, other in (("left_", "right_"), ("right_", "left_")):
        if joint.startswith(side):
            return other + joint[len(side) :]
    return joint


def _pairs(*parts: str) -> tuple[str, ...]:
    return tuple(f"{side}_{part}" for part in parts for side in ("left", "right"))


BODY13 = Skeleton("body13", ("nose", *_pairs("shoulder", "elbow", "wrist", "hip", "knee", "ankle")))
JOINTS17 = Skeleton(
    "joints17",
    (
        "pelvis",
        *("right_hip", "right_knee", "right_ankle"),
        *("left_hip", "left_knee", "left_ankle"),
        *("spine", "neck", "nose", "head"),
        *("left_shoulder", "left_elbow", "left_wrist"),
        *("right_shoulder", "right_elbow", "right_wrist"),
    ),
    _SPINE_BONES,
)
H36M17 = Skeleton("h36m17", JOINTS17.joints, _SPINE_BONES)
COCO17 = Skeleton(
    "coco17",
    ("nose", *_pairs("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")),
)
BLAZEPOSE33 = Skeleton(
    "blazepose33",
    (
        "nose",
        *("left_eye_inner", "left_eye", "left_eye_outer"),
        *("right_eye_inner", "right_eye", "right_eye_outer"),
        *_pairs("ear", "mouth", "shoulder", "elbow", "wrist", "pinky", "index", "thumb"),
        *_pairs("hip", "knee", "ankle", "heel", "foot_index"),
    ),
)
OPENPOSE18 = Skeleton(
    "openpose18",
    (
        *("nose", "neck"),
        *("right_shoulder", "right_elbow", "right_wrist"),
        *("left_shoulder", "left_elbow", "left_wrist"),
        *("right_hip", "right_knee", "right_ankle"),
        *("left_hip", "left_knee", "left_ankle"),
        *("right_eye", "left_eye", "right_ear", "left_ear"),
    ),
)
BODY25 = Skeleton(
    "body25",
    (
        *OPENPOSE18.joints[:8],
        "pelvis",
        *OPENPOSE18.joints[8:],
        *("left_foot_index", "left_small_toe", "left_heel"),
        *("right_foot_index", "right_small_toe", "right_heel"),
    ),
)
HALPE26 = Skeleton(
    "halpe26",
    (*COCO17.joints, "head", "neck", "pelvis", *_pairs("foot_index", "small_toe", "heel")),
)
HRI18 = Skeleton(
    "hri18",
    (*OPENPOSE18.joints[:14], "left_eye", "right_eye", "left_ear", "right_ear"),
)
# Of ZED's spine no joint is the middle of the torso, and its head is not the top of the head:
# they keep names of their own, so that conversion derives `spine` and leaves `head` missing.
ZED34 = Skeleton(
    "zed34",
    (
        *("pelvis", "naval_spine", "chest_spine", "neck"),
        *(f"left_{part}" for part in _ZED34_ARM),
        *(f"right_{part}" for part in _ZED34_ARM),
        *("left_hip", "left_knee", "left_ankle", "left_foot_index"),
        *("right_hip", "right_knee", "right_ankle", "right_foot_index"),
        *("head_center", "nose", "left_eye", "left_ear", "right_eye", "right_ear"),
        *_pairs("heel"),
    ),
)
ZED38 = Skeleton(
    "zed38",
    (
        *("pelvis", "spine_1", "spine_2", "spine_3", "neck", "nose"),
        *_pairs("eye", "ear", "clavicle", "shoulder", "elbow", "wrist", "hip", "knee", "ankle"),
        *_pairs("foot_index", "small_toe", "heel", "thumb_tip", "index", "middle_tip", "pinky"),
    ),
)

SKELETONS: dict[str, Skeleton] = {
    skeleton.name: skeleton
    for skeleton in (
        *(BODY13, JOINTS17, COCO17, BLAZEPOSE33, OPENPOSE18),
        *(BODY25, HALPE26, H36M17, HRI18, ZED34, ZED38),
    )
}

# A joint that the source lacks may be the mean of joints that it has.
_DERIVED = {
    "pelvis": ("left_hip", "right_hip"),
    "neck": ("left_shoulder", "right_shoulder"),
    "spine": ("left_hip", "right_hip", "left_shoulder", "right_shoulder"),
}


def get(skeleton: str | Skeleton) -> Skeleton:
    """The skeleton of that name; raises VipeError naming the known ones."""
    if isinstance(skeleton, Skeleton):
        return skeleton
    try:
        return SKELETONS[skeleton]
    except KeyError:
        known = ", ".join(SKELETONS)
        raise VipeError(f"unknown skeleton {skeleton!r}; known: {known}") from None


@dataclass(frozen=True)
class _Plan:
    """How the joints of one skeleton become those of another.

    Attributes:
        taken: (J_target,) the source index that each joint is; 0 for the others.
        derived: target index and source indices of the joints that are means.
        missing: target indices of the joints that cannot be made.
    """

    taken: np.ndarray
    derived: list[tuple[int, list[int]]]
    missing: list[int]


@cache
def _plan(source: Skeleton, target: Skeleton) -> _Plan:
    derived, missing = [], []
    for j, joint in enumerate(target.joints):
        parts = _DERIVED.get(joint, ())
        if joint in source:
            continue
        if parts and all(part in source for part in parts):
            derived.append((j, source.indices(*parts)))
        else:
            missing.append(j)
    taken = [source.index(joint) if joint in source else 0 for joint in target.joints]
    return _Plan(np.array(taken), derived, missing)


def convert(points: np.ndarray, source: str | Skeleton, target: str | Skeleton) -> np.ndarray:
    """Re-order points from one skeleton to another, by joint name.

    Args:
        points: (..., J_source, D), any unit and frame.
        source: skeleton of ``points``.
        target: skeleton wanted.

    Returns:
        (..., J_target, D), same dtype. Pelvis, neck and spine are derived as means of
        hips and shoulders where the source lacks them; other missing joints are NaN.

    Raises:
        VipeError: unknown skeleton, or J_source does not match.
    """
    source, target = get(source), get(target)
    points = np.asarray(points)
    points = points.astype(np.result_type(points.dtype, np.float32), copy=False)
    _check_joints(points.shape, -2, source)
    plan = _plan(source, target)
    out = points.take(plan.taken, axis=-2)
    for j, indices in plan.derived:
        out[..., j, :] = points[..., indices, :].mean(axis=-2)
    if plan.missing:
        out[..., plan.missing, :] = np.nan
    return out


def convert_visibility(
    visibility: np.ndarray, source: str | Skeleton, target: str | Skeleton
) -> np.ndarray:
    """Visibility (..., J_source) in 0..1 for another skeleton; a derived joint takes the
    lowest of its sources, a missing one 0. Raises VipeError like :func:`convert`."""
    source, target = get(source), get(target)
    visibility = np.asarray(visibility)
    _check_joints(visibility.shape, -1, source)
    plan = _plan(source, target)
    out = visibility.take(plan.taken, axis=-1)
    for j, indices in plan.derived:
        out[..., j] = visibility[..., indices].min(axis=-1)
    if plan.missing:
        out[..., plan.missing] = 0
    return out


def _check_joints(shape: tuple[int, ...], axis: int, skeleton: Skeleton) -> None:
    if len(shape) < -axis or shape[axis] != len(skeleton):
        raise VipeError(
            f"skeleton {skeleton.name} has {len(skeleton)} joints but the array has shape {shape}"
        )
