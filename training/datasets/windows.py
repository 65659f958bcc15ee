"""Windows of frames in a motion set."""

from __future__ import annotations

import numpy as np

from vipe_core.errors import VipeError
from vipe_training.datasets.motion import MotionSet


def windows(motion: MotionSet, frames: int, step: float) -> np.ndarray:
    """Rows (W, T) of every window of a motion set, in time order.

    Args:
        motion: N poses; the frames that it leaves out of a clip stay gaps.
        frames: T, odd.
        step: seconds from frame to frame; rounded to the clip's own frames.

    Raises:
        VipeError: T is even, or no clip is long enough.
    """
    if frames % 2 == 0:
        raise VipeError(
            f"a window has a middle frame: {frames} frames will not do, take an odd number"
        )
    if frames == 1:
        return np.arange(len(motion))[:, None]
    if not np.isfinite(motion.fps).all():
        raise VipeError("windows of frames need the frame rate of every motion file (fps)")
    stride = np.maximum(1, np.rint(step * motion.fps)).astype(int)  # (N,)
    offset = stride[:, None] * (np.arange(frames) - frames // 2)  # (N, T)
    # Rows are sorted by clip and frame, so one sorted search finds a frame again. The
    # margin keeps a window that leaves its clip from landing in a neighbouring one.
    margin = int(offset.max())
    key = motion.clip.astype(np.int64) * (int(motion.frame.max()) + 1 + 2 * margin) + motion.frame
    wanted = key[:, None] + offset
    rows = np.searchsorted(key, wanted).clip(max=len(key) - 1)
    whole = (key[rows] == wanted).all(axis=1)
    if not whole.any():
        raise VipeError(f"no clip is long enough for {frames} frames {step} s apart")
    return rows[whole]
