"""Rotations as vectors (the axis, as long as the angle in radians) and as quaternions."""

from __future__ import annotations

import numpy as np

# vector @ _CROSS is the matrix, row by row, that makes the cross product with the vector.
_CROSS = np.array(
    [[0, 0, 0, 0, 0, -1, 0, 1, 0], [0, 0, 1, 0, 0, 0, -1, 0, 0], [0, -1, 0, 1, 0, 0, 0, 0, 0.0]]
)
# matrix @ _PRODUCTS, both row by row, and 1 on the diagonal: 4 times the products of the elements
# x, y, z, w of the quaternion with each other.
_PRODUCTS = np.array(
    [
        [1, 0, 0, 0, 0, -1, 0, 0, 0, 0, -1, 0, 0, 0, 0, 1],
        [0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, -1, 0, 0, -1, 0],
        [0, 0, 1, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 1, 0, 0],
        [0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0],
        [-1, 0, 0, 0, 0, 1, 0, 0, 0, 0, -1, 0, 0, 0, 0, 1],
        [0, 0, 0, -1, 0, 0, 1, 0, 0, 1, 0, 0, -1, 0, 0, 0],
        [0, 0, 1, 0, 0, 0, 0, -1, 1, 0, 0, 0, 0, -1, 0, 0],
        [0, 0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 0],
        [-1, 0, 0, 0, 0, -1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1.0],
    ]
)
_IDENTITY4 = np.eye(4)


def cross_matrix(vector: np.ndarray) -> np.ndarray:
    """(..., 3, 3) that makes the cross product with ``vector`` (..., 3) of what follows it."""
    return (vector @ _CROSS).reshape(*vector.shape[:-1], 3, 3)


def rotation_matrix(vector: np.ndarray) -> np.ndarray:
    """(..., 3, 3) of rotation vectors (..., 3). Source: Rodrigues' formula."""
    angle = np.linalg.norm(vector, axis=-1)[..., None, None]
    cross = cross_matrix(vector)
    # sinc and not a quotient: it is exact at 0.
    first, second = np.sinc(angle / np.pi), np.sinc(angle / (2 * np.pi))
    return np.eye(3) + first * cross + 0.5 * second * second * (cross @ cross)


def rotation_vector(rotation: np.ndarray) -> np.ndarray:
    """(..., 3) of rotations (..., 3, 3); its length is at most pi, where either of two signs
    is right."""
    q = quaternion(rotation)
    sine = np.linalg.norm(q[..., :3], axis=-1, keepdims=True)
    angle = 2 * np.arctan2(sine, np.abs(q[..., 3:])) * np.where(q[..., 3:] < 0, -1, 1)
    return angle * q[..., :3] / np.where(sine > 0, sine, 1)


def quaternion(rotation: np.ndarray) -> np.ndarray:
    """(..., 4) unit quaternions x, y, z, w of rotations (..., 3, 3), with either of the two signs;
    NaN where there is NaN in a rotation.

    Source: the products of a quaternion's elements are linear in the matrix; the row of the
    largest one is the quaternion, but for its length (Shepperd 1978).
    """
    flat = rotation.reshape(*rotation.shape[:-2], 9)
    products = (flat @ _PRODUCTS).reshape(*rotation.shape[:-2], 4, 4) + _IDENTITY4
    best = np.diagonal(products, axis1=-2, axis2=-1).argmax(axis=-1)[..., None, None]
    q = np.take_along_axis(products, best, axis=-2)[..., 0, :]
    return q / np.linalg.norm(q, axis=-1, keepdims=True)
