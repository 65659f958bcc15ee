"""How unsteady a motion is, and how late a smoothed one."""

from __future__ import annotations

import numpy as np

_STEP_S, _MOST_S = 0.0025, 0.6


def acceleration(motion: np.ndarray, fps: float) -> float:
    """Root mean square length in m/s^2 of the second difference of motion (F, ..., 3), metres:
    noise that changes from frame to frame shows here more than anywhere."""
    second = np.diff(motion, n=2, axis=0) * fps * fps
    return float(np.sqrt(np.square(second).sum(axis=-1).mean()))


def lag(late: np.ndarray, motion: np.ndarray, fps: float) -> float:
    """Seconds by which ``late`` (F, ...) follows ``motion`` (F, ...): the shift from -0.1 to 0.6 s
    after which the two differ least. Each coordinate counts about its own mean, so that a
    constant error is no lag."""
    stamps = np.arange(len(motion)) / fps
    flat = (motion - motion.mean(axis=0)).reshape(len(motion), -1)
    other = (late - late.mean(axis=0)).reshape(len(late), -1)
    shifts = np.arange(-0.1, _MOST_S, _STEP_S)
    inner = (stamps >= _MOST_S) & (stamps <= stamps[-1] - 0.1)
    costs = [np.square(other[inner] - _moved(flat, stamps, s)[inner]).mean() for s in shifts]
    return float(shifts[int(np.argmin(costs))])


def _moved(motion: np.ndarray, stamps: np.ndarray, shift: float) -> np.ndarray:
    """Motion (F, K) as it was ``shift`` seconds before."""
    at = np.clip((stamps - shift) * (len(stamps) - 1) / stamps[-1], 0, len(stamps) - 1)
    low = np.minimum(at.astype(int), len(stamps) - 2)
    share = (at - low)[:, None]
    return (1 - share) * motion[low] + share * motion[low + 1]
