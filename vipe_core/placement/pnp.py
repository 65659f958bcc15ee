"""Perspective-n-point for many people at once: where a body of known shape is, from its image.

Each person is seen along the z axis of a camera of their own, turned towards them; there a scaled
orthographic fit has a closed form with two answers (a flat body may lean to or from the camera).
Both are refined under perspective by Levenberg-Marquardt with Huber's weights; the better stays.

Sources: Hartley and Zisserman (affine cameras; robust costs); Marquardt 1963; Huber 1964.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vipe_core.geometry.rotation import cross_matrix

MIN_JOINTS = 4
_EARLY_STEPS, _STEPS = 2, 12  # of both answers, and of the better one
# A step below this, in statures and radians, is the last: the next is a tenth or less (measured).
_SMALL = 5e-3
_LITTLE = 1e-3  # of the cost: a step that gains less is the last, too
_HUBER = 2.0  # standard deviations
_NEAREST = 0.1  # statures in front of the camera
_FLAT = 0.02  # statures: a body that spreads less than this across its length is a line
_WIDEST, _LARGEST = 50.0, 10.0  # of a ray (89 degrees) and of a joint in statures
_IDENTITY3, _IDENTITY6 = np.eye(3), np.eye(6)
_RIDGE = 1e-6 * _IDENTITY6  # against directions of which nothing is seen
# Derivatives of an image (u, v) = (X, Y) / Z, times Z: by X, Y, Z they are linear in (u, v, 1), and
# those of (X, Y, Z) by a translation and a rotation in (1, x, y, z), the turned joint. So the rows
# (6 parameters by u and v) are sums of the 12 products of the two.
_BY_PLACE = np.array([[[0, 0, 1], [0, 0, 0], [-1, 0, 0]], [[0, 0, 0], [0, 0, 1], [0, -1, 0.0]]])
_BY_POSE = np.zeros((3, 6, 4))
_BY_POSE[:, :3, 0], _BY_POSE[:, 3:, 1:] = _IDENTITY3, np.swapaxes(cross_matrix(_IDENTITY3), 0, 1)
_DERIVATIVES = np.einsum("cka,kpb->pcab", _BY_PLACE, _BY_POSE).reshape(12, 12)


@dataclass(frozen=True)
class Pose:
    """Where N bodies are, in the unit of their joints.

    Attributes:
        ok: (N,) bool; the rest of a row is without meaning where it is false.
        rotation: (N, 3, 3) body to camera.
        translation: (N, 3) body's origin in the camera.
        covariance: (N, 6, 6) of translation, then of a rotation vector in camera axes that
            turns ``rotation`` from the left.
    """

    ok: np.ndarray
    rotation: np.ndarray
    translation: np.ndarray
    covariance: np.ndarray

    def rows(self, pick: np.ndarray) -> Pose:
        """Some of the bodies."""
        return Pose(**{name: value[pick] for name, value in vars(self).items()})


def solve(joints: np.ndarray, rays: np.ndarray, sigma: np.ndarray) -> Pose:
    """Poses of N bodies.

    Args:
        joints: (N, J, 3) in the body frame.
        rays: (N, J, 2) normalised image coordinates (x right, y down).
        sigma: (N, J) standard deviation of a joint's place in the image, as a length at the
            body, in the unit of the joints; inf where a joint does not count. Coordinates of
            such joints may be anything, NaN too.

    Returns:
        see :class:`Pose`. A body with fewer than four joints that count, whose joints lie on a
        line, or for which no pose in front of the camera converges, is not ``ok``.
    """
    if not len(joints):
        none = np.zeros(0, bool)
        return Pose(none, np.empty((0, 3, 3)), np.empty((0, 3)), np.empty((0, 6, 6)))
    counts = np.isfinite(sigma) & _small(rays, _WIDEST) & _small(joints, _LARGEST)
    weight = np.where(counts, 1 / np.square(sigma), 0.0)
    joints = np.where(counts[..., None], joints, 0.0)
    rays = np.where(counts[..., None], rays, 0.0)
    ok = counts.sum(axis=1) >= MIN_JOINTS
    weight = np.where(ok[:, None], weight, 1.0)  # keeps what follows finite
    turn = _towards(_mean(rays, weight))
    rays = _turned(rays, turn)
    rotation, translation, scale, solid = _start(joints, rays, weight)
    gain = np.sqrt(weight) / scale[:, None]
    both = _Problem(*(np.concatenate([part, part]) for part in (joints, rays, gain)))
    early = both.start(rotation, translation)
    both.improve(early, _EARLY_STEPS)
    second = early.cost[: len(joints)] > early.cost[len(joints) :]
    one = _Problem(joints, rays, gain)
    fit = early.rows(np.arange(len(joints)) + len(joints) * second)
    one.improve(fit, _STEPS)
    back = turn.swapaxes(-1, -2)
    return Pose(
        ok & solid & fit.converged,
        back @ fit.rotation,
        (back @ fit.translation[..., None])[..., 0],
        _rotated(_covariance(one.normal_equations(fit)[0], fit.cost, counts), back),
    )


@dataclass
class _Fit:
    """State of N fits: the pose, what is seen of it (see ``_Problem._see``), its cost (N,), the
    damping (N,) of the next step, and whether (N,) a step was small."""

    rotation: np.ndarray
    translation: np.ndarray
    seen: np.ndarray
    cost: np.ndarray
    damping: np.ndarray
    done: np.ndarray

    @property
    def converged(self) -> np.ndarray:
        """(N,) bool."""
        return self.done & np.isfinite(self.cost)

    def rows(self, pick: np.ndarray) -> _Fit:
        """A copy of some of the fits."""
        return _Fit(**{name: value[pick] for name, value in vars(self).items()})


class _Problem:
    """Weighted reprojection errors of joints (N, J, 3) at rays (N, J, 2).

    ``gain`` (N, J) turns an error in the image into standard deviations.
    """

    def __init__(self, joints: np.ndarray, rays: np.ndarray, gain: np.ndarray) -> None:
        self.joints = np.ascontiguousarray(joints.swapaxes(-1, -2))  # (N, 3, J)
        self.rays = np.ascontiguousarray(rays.swapaxes(-1, -2))  # (N, 2, J)
        self.gain = gain

    def start(self, rotation: np.ndarray, translation: np.ndarray) -> _Fit:
        """Fits that have these poses."""
        cost, seen = self._see(rotation, translation)
        damping = np.full(len(rotation), 1e-3)
        return _Fit(rotation, translation, seen, cost, damping, np.zeros(len(rotation), bool))

    def improve(self, fit: _Fit, steps: int) -> None:
        """Levenberg-Marquardt of all fits at once, each with its own damping; in place."""
        for _ in range(steps):
            information, slope = self.normal_equations(fit)
            information *= 1 + fit.damping[:, None, None] * _IDENTITY6
            step = -np.linalg.solve(information + _RIDGE, slope)[..., 0]
            rotation = small_rotation(step[:, 3:]) @ fit.rotation
            translation = fit.translation + step[:, :3]
            cost, seen = self._see(rotation, translation)
            # Who is done stays: nobody's answer depends on who else is in the image.
            better = (cost <= fit.cost) & ~fit.done
            # Where noise is small, the last bits of a turn about the ray hardly show.
            fit.done |= better & (cost >= (1 - _LITTLE) * fit.cost) & (cost < np.inf)
            wide = better[:, None, None]
            np.copyto(fit.rotation, rotation, where=wide)
            np.copyto(fit.translation, translation, where=wide[..., 0])
            np.copyto(fit.seen, seen, where=wide)
            np.copyto(fit.cost, cost, where=better)
            fit.damping *= np.where(better, 0.1, 10)
            fit.done |= np.abs(step).max(axis=1) < _SMALL
            if fit.done.all():
                break

    def _see(self, rotation: np.ndarray, translation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Huber's cost (N,), twice, so that it is a chi-square; inf behind the camera. And
        (N, 10, J): the image (u, v), 1, the turned joint, the error in standard deviations, the
        error's length and the inverse depth."""
        seen = np.empty((len(rotation), 10, self.joints.shape[-1]))
        seen[:, 2] = 1
        seen[:, 3:6] = turned = rotation @ self.joints
        placed = turned + translation[..., None]
        inverse = seen[:, 9] = 1 / np.maximum(placed[:, 2], _NEAREST)
        image = seen[:, :2] = placed[:, :2] * inverse[:, None]
        error = seen[:, 6:8] = (image - self.rays) * self.gain[:, None]
        length = seen[:, 8] = np.hypot(error[:, 0], error[:, 1])
        inner = np.minimum(length, _HUBER)
        cost = (inner * (2 * length - inner)).sum(axis=1)
        cost[placed[:, 2].min(axis=1) <= _NEAREST] = np.inf
        return cost, seen

    def normal_equations(self, fit: _Fit) -> tuple[np.ndarray, np.ndarray]:
        """J'WJ (N, 6, 6) and J'W error (N, 6, 1), with Huber's weights, for a translation and
        a rotation vector from the left."""
        seen = fit.seen
        half = np.sqrt(_HUBER / np.maximum(seen[:, 8], _HUBER))  # of the weight
        solid = seen[:, 2:6] * (seen[:, 9] * self.gain * half)[:, None]
        products = seen[:, :3, None] * solid[:, None]  # (N, 3, 4, J)
        jacobian = _DERIVATIVES @ products.reshape(len(seen), 12, -1)
        flat = jacobian.reshape(len(seen), 6, -1)
        error = (seen[:, 6:8] * half[:, None]).reshape(len(seen), -1, 1)
        return flat @ flat.swapaxes(-1, -2), flat @ error


def _start(
    joints: np.ndarray, rays: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Scaled orthography in closed form: rotations (2 N, 3, 3) and translations (2 N, 3), the first
    answers and then the second, the scale (N,), and whether (N,) the joints are more than a line.

    The image is linear in the two long axes of the body; how much the third one shows follows
    from the rows of a rotation being unit vectors, but for its sign.
    """
    share = weight / weight.sum(axis=1, keepdims=True)
    middle, centre = share[:, None] @ joints, share[:, None] @ rays  # (N, 1, 3) and (N, 1, 2)
    shape, image = joints - middle, rays - centre
    weighted = (shape * share[..., None]).swapaxes(-1, -2)
    spread, axes = np.linalg.eigh(weighted @ shape)
    axes[..., :1] = cross_matrix(axes[..., 1]) @ axes[..., 2:]  # right-handed
    solid = spread[:, 1] > _FLAT**2
    long = np.maximum(spread[:, 1:], 1e-12)
    linear = (weighted @ image).swapaxes(-1, -2) @ axes[..., 1:] / long[:, None]
    u, singular, _ = np.linalg.svd(linear)
    scale = np.maximum(singular[:, 0], 1e-6)
    third = np.sqrt(np.maximum(scale**2 - singular[:, 1] ** 2, 0))[:, None] * u[..., 1]
    rotation = np.empty((2, len(joints), 3, 3))
    rotation[0, :, :2, 0], rotation[1, :, :2, 0] = third, -third
    rotation[:, :, :2, 1:] = linear
    rotation[:, :, :2] /= scale[:, None, None]
    last = cross_matrix(rotation[:, :, 0]) @ rotation[:, :, 1, :, None]
    rotation[:, :, 2] = last[..., 0]
    rotation = rotation @ axes.swapaxes(-1, -2)
    translation = -(rotation @ middle.swapaxes(-1, -2))[..., 0]
    translation[..., :2] += centre[:, 0] / scale[:, None]
    translation[..., 2] += 1 / scale
    return rotation.reshape(-1, 3, 3), translation.reshape(-1, 3), scale, solid


def _small(values: np.ndarray, limit: float) -> np.ndarray:
    """(N, J) whether all coordinates of (N, J, D) are within the limit; NaN is not."""
    return np.abs(values).max(axis=-1) < limit


def _mean(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(N, D) weighted mean over the joints of (N, J, D)."""
    return (weight[:, None] @ values)[:, 0] / weight.sum(axis=1, keepdims=True)


def _towards(ray: np.ndarray) -> np.ndarray:
    """(N, 3, 3) from the camera to one whose z axis is the ray (x, y, 1); its x stays level."""
    turn = np.zeros((len(ray), 3, 3))
    turn[:, 0, 0] = turn[:, 2, 2] = 1
    turn[:, 0, 2], turn[:, 2, :2] = -ray[:, 0], ray
    turn[:, ::2] /= np.sqrt(np.square(turn[:, ::2]).sum(axis=2, keepdims=True))
    turn[:, 1] = (cross_matrix(turn[:, 2]) @ turn[:, 0, :, None])[..., 0]
    return turn


def _turned(rays: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """Rays (N, J, 2) in cameras that are turned by (N, 3, 3). One that comes to lie at a right
    angle to the new axis or beyond is moved far out, where it weighs as an outlier."""
    turned = rays @ turn[..., :2].swapaxes(-1, -2) + turn[:, None, :, 2]
    return turned[..., :2] / np.maximum(turned[..., 2:], 1e-3)


def small_rotation(vector: np.ndarray) -> np.ndarray:
    """(N, 3, 3) rotation by about the vector (N, 3): Cayley's form, exact to second order and
    always a rotation."""
    half = vector / 2
    cross = cross_matrix(half)
    factor = 2 / (1 + (half * half).sum(axis=1))
    return _IDENTITY3 + factor[:, None, None] * (cross + cross @ cross)


def _covariance(information: np.ndarray, cost: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Inverse of the information (N, 6, 6), larger where the errors are larger than expected."""
    freedom = np.maximum(2 * counts.sum(axis=1) - 6, 1)
    worse = np.maximum(1, np.where(np.isfinite(cost), cost, 1) / freedom)
    return np.linalg.inv(information + _RIDGE) * worse[:, None, None]


def _rotated(covariance: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """Covariance (N, 6, 6) of two vectors in axes turned by (N, 3, 3)."""
    both = np.zeros_like(covariance)
    both[:, :3, :3] = both[:, 3:, 3:] = turn
    return both @ covariance @ both.swapaxes(-1, -2)
