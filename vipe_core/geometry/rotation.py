"""Rotations as vectors: the axis, as long as the angle in radians."""

from __future__ import annotations

import numpy as np

# vector @ _CROSS is the matrix, row by row, that makes the cross product with the vector.
_CROSS = np.array(
    [[0, 0, 0, 0, 0, -1, 0, 1, 0], [0, 0, 1, 0, 0, 0, -1, 0, 0], [0, -1, 0, 1, 0, 0, 0, 0, 0.0]]
)


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
    is right.

    Source: the products of a quaternion's elements are linear in the matrix; the row of the
    largest one is the quaternion, but for its length (Shepperd 1978).
    """
    r = rotation
    xx, yy, zz = r[..., 0, 0], r[..., 1, 1], r[..., 2, 2]
    products = np.empty((*r.shape[:-2], 4, 4))
    products[..., 0, 0] = 1 + xx + yy + zz
    products[..., 1, 1] = 1 + xx - yy - zz
    products[..., 2, 2] = 1 - xx + yy - zz
    products[..., 3, 3] = 1 - xx - yy + zz
    products[..., 0, 1] = products[..., 1, 0] = r[..., 2, 1] - r[..., 1, 2]
    products[..., 0, 2] = products[..., 2, 0] = r[..., 0, 2] - r[..., 2, 0]
    products[..., 0, 3] = products[..., 3, 0] = r[..., 1, 0] - r[..., 0, 1]
    products[..., 1, 2] = products[..., 2, 1] = r[..., 0, 1] + r[..., 1, 0]
    products[..., 1, 3] = products[..., 3, 1] = r[..., 0, 2] + r[..., 2, 0]
    products[..., 2, 3] = products[..., 3, 2] = r[..., 1, 2] + r[..., 2, 1]
    best = np.diagonal(products, axis1=-2, axis2=-1).argmax(axis=-1)[..., None, None]
    q = np.take_along_axis(products, best, axis=-2)[..., 0, :]
    sine = np.linalg.norm(q[..., 1:], axis=-1, keepdims=True)
    angle = 2 * np.arctan2(sine, np.abs(q[..., :1])) * np.where(q[..., :1] < 0, -1, 1)
    return angle * q[..., 1:] / np.where(sine > 0, sine, 1)
