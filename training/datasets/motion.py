"""Motion files: 3D poses of people in a y-up world, in metres.

The format is one ``.npz`` with ``pose`` (N, 17, 3) relative to the pelvis,
``frame_ok`` (N,), ``clip_start`` (C + 1,) and per clip ``subject`` and others;
joints in the order of the ``joints17`` skeleton.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vipe_core import skeletons
from vipe_core.errors import VipeError
from vipe_core.files import read_npz
from vipe_core.geometry import body_frame, stature


@dataclass(frozen=True)
class MotionSet:
    """Poses of one or more motion files, without the frames marked bad.

    Attributes:
        joints: (N, 17, 3) float32 metres, pelvis at the origin, y up.
        subject: (N,) strings.
        clip: (N,) int, running number of the clip; frames of a clip are consecutive.
    """

    joints: np.ndarray
    subject: np.ndarray
    clip: np.ndarray

    def __len__(self) -> int:
        return len(self.joints)

    def canonical(self) -> tuple[np.ndarray, np.ndarray]:
        """Joints (N, 17, 3) in the body frame, in statures, and the rotation (N, 3, 3)
        whose columns are the body axes in the world."""
        rotation, origin = body_frame(self.joints, "joints17")
        joints = (self.joints - origin[:, None]) @ rotation
        return joints / stature(joints)[:, None, None], rotation


def data_root() -> Path:
    """Folder of the data sets: $VIPE_DATA, or ``data`` here. Raises VipeError if absent."""
    root = Path(os.environ.get("VIPE_DATA", "data"))
    if not root.is_dir():
        raise VipeError(f"no data folder {root}: set VIPE_DATA to the folder that holds mocap/")
    return root


def load_motion(
    names: Sequence[str], root: Path | None = None, leave_out: Sequence[str] = ()
) -> MotionSet:
    """Read motion files.

    Args:
        names: paths relative to ``root``, such as ``mocap/cmu_mocap_train.npz``.
        root: data folder; None for :func:`data_root`.
        leave_out: subjects to leave out.

    Raises:
        VipeError: a missing or malformed file, or nothing left.
    """
    root = data_root() if root is None else root
    joints, subject, clip = [], [], []
    first_clip = 0
    for name in names:
        pose, people, clips = _read(root / name)
        keep = ~np.isin(people, list(leave_out))
        joints.append(pose[keep])
        subject.append(people[keep])
        clip.append(clips[keep] + first_clip)
        first_clip += int(clips.max()) + 1
    if not joints or not sum(map(len, joints)):
        raise VipeError(f"no usable frame in {', '.join(names) or 'an empty list of files'}")
    return MotionSet(np.concatenate(joints), np.concatenate(subject), np.concatenate(clip))


def _read(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    if not path.is_file():
        raise VipeError(f"no motion file {path}: docs/training.md says how to get it")
    data = read_npz(path, "motion file")
    if lacking := sorted({"pose", "clip_start", "subject", "frame_ok"} - set(data)):
        raise VipeError(f"motion file {path} has no {', '.join(lacking)}")
    pose = data["pose"].astype(np.float32)
    starts, subject, ok = data["clip_start"], data["subject"], data["frame_ok"]
    if pose.ndim != 3 or pose.shape[1:] != (len(skeletons.JOINTS17), 3) or len(pose) == 0:
        raise VipeError(f"{path}: pose has shape {pose.shape}, expected (N, 17, 3)")
    clip = np.searchsorted(starts, np.arange(len(pose)), side="right") - 1
    # One file's clip table ends a frame early; what lies behind it belongs to nobody.
    ok = ok & (clip < len(subject)) & np.isfinite(pose).all(axis=(1, 2))
    if not ok.any():
        raise VipeError(f"{path}: not one usable frame")
    clip = clip[ok]
    return pose[ok], subject[clip], clip
