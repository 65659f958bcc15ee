"""Rotations as vectors, against SciPy's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from vipe_core.geometry import cross_matrix, rotation_matrix, rotation_vector
from vipe_core.geometry.rotation import quaternion


def test_there_and_back_as_scipy_does():
    turns = Rotation.random(200, np.random.default_rng(0))
    vectors = turns.as_rotvec()
    np.testing.assert_allclose(rotation_matrix(vectors), turns.as_matrix(), atol=1e-12)
    np.testing.assert_allclose(rotation_vector(turns.as_matrix()), vectors, atol=1e-12)
    several = turns.as_matrix().reshape(4, 50, 3, 3)
    np.testing.assert_allclose(rotation_vector(several).reshape(-1, 3), vectors, atol=1e-12)


@pytest.mark.parametrize("angle", [0, 1e-9, 1e-4, np.pi - 1e-7])
def test_small_and_half_turns(angle):
    vector = angle * np.array([[0.6, 0, 0.8], [0, -1, 0]])
    np.testing.assert_allclose(rotation_vector(rotation_matrix(vector)), vector, atol=1e-12)


def test_half_a_turn_has_two_names():
    vector = np.pi * np.array([0.6, 0, 0.8])
    found = rotation_vector(rotation_matrix(vector))
    np.testing.assert_allclose(rotation_matrix(found), rotation_matrix(vector), atol=1e-12)


def test_quaternions_as_scipy_has_them():
    turns = Rotation.random(200, np.random.default_rng(0))
    found, wanted = quaternion(turns.as_matrix().reshape(4, 50, 3, 3)), turns.as_quat()
    np.testing.assert_allclose(np.linalg.norm(found, axis=-1), 1, atol=1e-15)
    same = np.sign((found.reshape(-1, 4) * wanted).sum(axis=1, keepdims=True))  # q and -q
    np.testing.assert_allclose(same * found.reshape(-1, 4), wanted, atol=1e-12)


@pytest.mark.parametrize("axis", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0.6, 0, 0.8), (0.6, -0.8, 0)])
@pytest.mark.parametrize("angle", [0, 1e-9, np.pi / 2, np.pi - 1e-7, np.pi, np.pi + 1e-7])
def test_quaternions_of_special_turns(axis, angle):
    turn = Rotation.from_rotvec(angle * np.array(axis)).as_matrix()
    found = Rotation.from_quat(quaternion(turn)).as_matrix()
    np.testing.assert_allclose(found, turn, atol=1e-14)


def test_no_rotation_has_no_quaternion():
    turns = np.stack([np.eye(3), np.full((3, 3), np.nan)])
    found = quaternion(turns)
    np.testing.assert_array_equal(np.abs(found[0]), [0, 0, 0, 1])
    assert np.isnan(found[1]).all()
    assert quaternion(np.empty((0, 3, 3))).shape == (0, 4)


def test_cross_product():
    a, b = np.random.default_rng(0).normal(size=(2, 7, 3))
    found = (cross_matrix(a) @ b[..., None])[..., 0]
    np.testing.assert_allclose(found, np.cross(a, b), atol=1e-12)
