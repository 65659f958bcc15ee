"""Forward kinematics of a skeleton of rigid bones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.spatial.transform import Rotation


def forward(
    parents: Sequence[int], offsets: np.ndarray, rotations: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Positions and orientations of joints in the world.

    Args:
        parents: index of each joint's parent, -1 for the root; parents come first.
        offsets: (J, 3) or (T, J, 3) from the parent, in the parent's axes; the root's is
            its place in the world.
        rotations: (T, J, 3, 3) of each joint against its parent.

    Returns:
        positions (T, J, 3), unit of the offsets, and orientations (T, J, 3, 3).
    """
    offsets = np.broadcast_to(offsets, rotations.shape[:-1])
    positions = np.empty_like(offsets, dtype=np.float64)
    world = np.empty_like(rotations, dtype=np.float64)
    for j, parent in enumerate(parents):
        if parent < 0:
            positions[:, j], world[:, j] = offsets[:, j], rotations[:, j]
        else:
            turned = np.einsum("tij,tj->ti", world[:, parent], offsets[:, j])
            positions[:, j] = positions[:, parent] + turned
            world[:, j] = world[:, parent] @ rotations[:, j]
    return positions, world


def euler(order: str, angles: np.ndarray) -> np.ndarray:
    """(T, 3, 3) of angles (T, A) in radians; order as in scipy ("XYZ" or "xyz")."""
    if not order:
        return np.broadcast_to(np.eye(3), (len(angles), 3, 3))
    return Rotation.from_euler(order, angles).as_matrix()


def rotation_vectors(vectors: np.ndarray) -> np.ndarray:
    """(..., 3, 3) of rotation vectors (..., 3) in radians."""
    flat = Rotation.from_rotvec(vectors.reshape(-1, 3)).as_matrix()
    return flat.reshape(*vectors.shape, 3)
