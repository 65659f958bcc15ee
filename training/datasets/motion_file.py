"""The motion file: recorded poses in one ``.npz``, read whole.

pose        (N, 17, 3) metres, joints17, relative to the pelvis, y up
frame_ok    (N,) bool, false where a joint jumps
clip_start  (C + 1,) first row of each clip
subject     (C,) who it is
fps         (C,) frames per second, optional
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vipe_core import skeletons
from vipe_core.errors import VipeError
from vipe_core.files import read_npz


def read(path: Path) -> tuple[np.ndarray, ...]:
    """Joints, subject, clip, fps and frame of the usable rows, as in MotionSet.

    Raises:
        VipeError: missing or malformed, or without a usable frame.
    """
    data = read_npz(path, "motion file")
    if lacking := sorted({"pose", "clip_start", "subject", "frame_ok"} - set(data)):
        raise VipeError(f"motion file {path} has no {', '.join(lacking)}")
    pose = data["pose"].astype(np.float32)
    starts, subject, ok = data["clip_start"], data["subject"], data["frame_ok"]
    if pose.ndim != 3 or pose.shape[1:] != (len(skeletons.JOINTS17), 3) or len(pose) == 0:
        raise VipeError(f"{path}: pose has shape {pose.shape}, expected (N, 17, 3)")
    fps = _clip_fps(path, data.get("fps"), len(subject))
    clip = np.searchsorted(starts, np.arange(len(pose)), side="right") - 1
    # One file's clip table ends a frame early; what lies behind it belongs to nobody.
    ok = ok & (clip < len(subject)) & np.isfinite(pose).all(axis=(1, 2))
    if not ok.any():
        raise VipeError(f"{path}: not one usable frame")
    clip = clip[ok]
    return pose[ok], subject[clip], clip, fps[clip], np.flatnonzero(ok) - starts[clip]


def _clip_fps(path: Path, fps: np.ndarray | None, clips: int) -> np.ndarray:
    """(C,) float32 frames per second; NaN for a file that does not say."""
    if fps is None:
        return np.full(clips, np.nan, np.float32)
    if fps.shape != (clips,) or fps.dtype.kind not in "fiu" or not (fps > 0).all():
        raise VipeError(f"{path}: fps needs one positive number for each of {clips} clips")
    return fps.astype(np.float32)
