"""Which joints differ between two performances, and when."""

from __future__ import annotations

import numpy as np

from vipe_core.skeletons import JOINTS17

_MIRRORED = np.array([1.0, -1.0, 1.0])  # y is the person's left


def mirror_joints(joints: np.ndarray) -> np.ndarray:
    """Joints (..., 17, 3) in the body frame of the mirrored person."""
    return joints[..., list(JOINTS17.mirror), :] * _MIRRORED


def mirror_std(std: np.ndarray) -> np.ndarray:
    """Standard deviations (..., 17) of the mirrored person's joints."""
    return std[..., list(JOINTS17.mirror)]


def joint_differences(
    joints_a: np.ndarray, std_a: np.ndarray, joints_b: np.ndarray, std_b: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """How far apart the joints of two poses are.

    Args:
        joints_a, joints_b: (..., 17, 3) in the body frame, any unit.
        std_a, std_b: (..., 17) standard deviation per joint and axis, in the same unit.

    Returns:
        difference: (..., 17) distance, in that unit.
        deviation: (..., 17) the same by its standard deviation, as the root mean square over
            the three axes: about 1 when nothing but the uncertainty differs (the Mahalanobis
            distance by the root of three).
    """
    gap = np.linalg.norm(np.asarray(joints_a, np.float64) - joints_b, axis=-1)
    variance = np.square(np.asarray(std_a, np.float64)) + np.square(std_b)
    return gap, gap / np.sqrt(3 * np.maximum(variance, 1e-12))
