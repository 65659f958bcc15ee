"""Windows of frames for models that look at several frames at once."""

from __future__ import annotations

import numpy as np

from vipe_core.errors import VipeError


def window_index(stamps: np.ndarray, frames: int, step: float) -> np.ndarray:
    """Which frames make the window around each frame of a clip.

    For every frame the nearest ones to its own time plus -k .. k steps; beyond an end of
    the clip its last frame repeats.

    Args:
        stamps: (N,) seconds, rising.
        frames: T, odd; the middle one is the frame itself.
        step: seconds between the frames of a window.

    Returns:
        (N, T) int.

    Raises:
        VipeError: an even number of frames, or a step that is not positive.

    Source: Pr-VIPE, temporal variant (7 frames, about half a second).
    """
    if frames < 1 or frames % 2 == 0:
        raise VipeError(f"a window has an odd number of frames, not {frames}")
    if not step > 0:
        raise VipeError(f"the frames of a window are more than 0 s apart, not {step}")
    stamps = np.asarray(stamps, np.float64)
    if len(stamps) == 0:
        return np.empty((0, frames), np.int64)
    offset = (np.arange(frames) - frames // 2) * step
    wanted = stamps[:, None] + offset  # (N, T)
    after = np.searchsorted(stamps, wanted).clip(1, max(1, len(stamps) - 1))
    before = after - 1
    after = np.minimum(after, len(stamps) - 1)
    # Equally near: the earlier one. A tiny bias keeps that so under rounding.
    nearer = wanted - stamps[before] <= stamps[after] - wanted + 1e-9 * step
    index = np.where(nearer, before, after)
    index[:, frames // 2] = np.arange(len(stamps))
    return index
