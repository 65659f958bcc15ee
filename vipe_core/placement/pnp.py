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
_HUBER = 2.0  # standard deviations
_NEAREST = 0.1  # statures in front of the camera
_FLAT = 0.02  # statures: a body that spreads less than this across its length is a line
_WIDEST, _LARGEST = 50.0, 10.0  # of a ray (89 degrees) and of a joint in statures
_IDENTITY3, _IDENTITY6 = np.eye(3), np.eye(6)
_RIDGE = 1e-6 * _IDENTITY6  # against directions of which nothing is seen


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
    early = both.improve(both.start(rotation, translation), _EARLY_STEPS)
    first = early.cost[: len(joints)] <= early.cost[len(joints) :]
    pick = np.arange(len(joints)) + np.where(first, 0, len(joints))
    one = _Problem(joints, rays, gain)
    fit = one.improve(early.rows(pick), _STEPS)
    back = np.swapaxes(turn, -1, -2)
    return Pose(
        ok & solid & fit.converged,
        back @ fit.rotation,
        (back @ fit.translation[..., None])[..., 0],
        _rotated(_covariance(one.normal_equations(fit)[0], fit.cost, counts), back),
    )


@dataclass(frozen=True)
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
        """Some of the fits."""
        return _Fit(**{name: value[pick] for name, value in vars(self).items()})


class _Problem:
    """Weighted reprojection errors of joints (N, J, 3) at rays (N, J, 2).

    ``gain`` (N, J) turns an error in the image into standard deviations.
    """

    def __init__(self, joints: np.ndarray, rays: np.ndarray, gain: np.ndarray) -> None:
        self.joints = np.ascontiguousarray(np.swapaxes(joints, -1, -2))  # (N, 3, J)
        self.rays = np.ascontiguousarray(np.swapaxes(rays, -1, -2))  # (N, 2, J)
        self.gain = gain[:, None]

    def start(self, rotation: np.ndarray, translation: np.ndarray) -> _Fit:
        """Fits that have these poses."""
        cost, seen = self._see(rotation, translation)
        damping = np.full(len(rotation), 1e-3)
        return _Fit(rotation, translation, seen, cost, damping, np.zeros(len(rotation), bool))

    def improve(self, fit: _Fit, steps: int) -> _Fit:
        """Levenberg-Marquardt of all fits at once, each with its own damping."""
        for _ in range(steps):
            information, slope = self.normal_equations(fit)
            information *= 1 + fit.damping[:, None, None] * _IDENTITY6
            information += _RIDGE
            step = -np.linalg.solve(information, slope)[..., 0]
            rotation, translation = (
                small_rotation(step[:, 3:]) @ fit.rotation,
                fit.translation + step[:, :3],
            )
            cost, seen = self._see(rotation, translation)
            # Who is done stays: nobody's answer depends on who else is in the image.
            better = (cost <= fit.cost) & ~fit.done
            fit = _Fit(
                np.where(better[:, None, None], rotation, fit.rotation),
                np.where(better[:, None], translation, fit.translation),
                np.where(better[:, None, None], seen, fit.seen),
                np.where(better, cost, fit.cost),
                fit.damping * np.where(better, 0.1, 10),
                fit.done | (np.abs(step).max(axis=1) < _SMALL),
            )
            if fit.done.all():
                break
        return fit

    def _see(self, rotation: np.ndarray, translation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Huber's cost (N,), twice, so that it is a chi-square; inf behind the camera. And
        (N, 9, J): the turned joint, its image, the error in standard deviations, the error's
        length and the inverse depth."""
        seen = np.empty((len(rotation), 9, self.joints.shape[-1]))
        seen[:, :3] = rotation @ self.joints
        depth = seen[:, 2] + translation[:, 2:]
        seen[:, 8] = 1 / np.maximum(depth, _NEAREST)
        seen[:, 3:5] = (seen[:, :2] + translation[:, :2, None]) * seen[:, 8:]
        error = seen[:, 5:7] = (seen[:, 3:5] - self.rays) * self.gain
        length = seen[:, 7] = np.sqrt((error * error).sum(axis=1))
        inner = np.minimum(length, _HUBER)
        cost = (inner * (2 * length - inner)).sum(axis=1)
        cost[depth.min(axis=1) <= _NEAREST] = np.inf
        return cost, seen

    def normal_equations(self, fit: _Fit) -> tuple[np.ndarray, np.ndarray]:
        """J'WJ (N, 6, 6) and J'W error (N, 6, 1), with Huber's weights, for a translation and
        a rotation vector from the left."""
        seen = fit.seen
        x, y, z, u, v = (seen[:, i] for i in range(5))
        half = np.sqrt(_HUBER / np.maximum(seen[:, 7], _HUBER))[:, None]  # of the weight
        jacobian = np.zeros((len(seen), 6, 2, seen.shape[-1]))
        jacobian[:, 0, 0] = jacobian[:, 1, 1] = 1
        jacobian[:, 2] = -seen[:, 3:5]
        jacobian[:, 3, 0], jacobian[:, 3, 1] = -u * y, -z - v * y
        jacobian[:, 4, 0], jacobian[:, 4, 1] = z + u * x, v * x
        jacobian[:, 5, 0], jacobian[:, 5, 1] = -y, x
        jacobian *= (seen[:, 8:] * self.gain * half)[:, None]
        flat = jacobian.reshape(len(seen), 6, -1)
        slope = flat @ (seen[:, 5:7] * half).reshape(len(seen), -1, 1)
        return flat @ np.swapaxes(flat, -1, -2), slope


def _start(
    joints: np.ndarray, rays: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Scaled orthography in closed form: rotations (2 N, 3, 3) and translations (2 N, 3), the first
    answers and then the second, the scale (N,), and whether (N,) the joints are more than a line.

    The image is linear in the two long axes of the body; how much the third one shows follows
    from the rows of a rotation being unit vectors, but for its sign.
    """
    middle, centre = _mean(joints, weight), _mean(rays, weight)
    shape, image = joints - middle[:, None], rays - centre[:, None]
    share = (weight / weight.sum(axis=1, keepdims=True))[..., None]
    spread, axes = np.linalg.eigh(np.swapaxes(shape * share, -1, -2) @ shape)
    axes[..., :1] = cross_matrix(axes[..., 1]) @ axes[..., 2:]  # right-handed
    solid = spread[:, 1] > _FLAT**2
    long = np.maximum(spread[:, 1:], 1e-12)
    linear = np.swapaxes(image * share, -1, -2) @ (shape @ axes[..., 1:]) / long[:, None]
    u, singular, _ = np.linalg.svd(linear)
    scale = np.maximum(singular[:, 0], 1e-6)
    third = np.sqrt(np.maximum(scale**2 - singular[:, 1] ** 2, 0))[:, None] * u[..., 1]
    rotation = np.empty((2, len(joints), 3, 3))
    rotation[0, :, :2, 0], rotation[1, :, :2, 0] = third, -third
    rotation[:, :, :2, 1:] = linear
    rotation[:, :, :2] /= scale[:, None, None]
    last = cross_matrix(rotation[:, :, 0]) @ rotation[:, :, 1, :, None]
    rotation[:, :, 2] = last[..., 0]
    rotation = rotation @ np.swapaxes(axes, -1, -2)
    place = np.concatenate([centre, np.ones((len(centre), 1))], axis=1) / scale[:, None]
    translation = place - (rotation @ middle[..., None])[..., 0]
    return rotation.reshape(-1, 3, 3), translation.reshape(-1, 3), scale, solid


def _small(values: np.ndarray, limit: float) -> np.ndarray:
    """(N, J) whether all coordinates of (N, J, D) are within the limit; NaN is not."""
    return np.max(np.abs(values), axis=-1) < limit


def _mean(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(N, D) weighted mean over the joints of (N, J, D)."""
    return (weight[:, None] @ values)[:, 0] / weight.sum(axis=1, keepdims=True)


def _towards(ray: np.ndarray) -> np.ndarray:
    """(N, 3, 3) from the camera to one whose z axis is the ray (x, y, 1); its x stays level."""
    x, y = ray[:, 0], ray[:, 1]
    zero, one = np.zeros_like(x), np.ones_like(x)
    rows = np.array([[one, zero, -x], [-x * y, 1 + x * x, -y], [x, y, one]])
    rows /= np.sqrt(np.square(rows).sum(axis=1, keepdims=True))
    return np.moveaxis(rows, -1, 0)


def _turned(rays: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """Rays (N, J, 2) in cameras that are turned by (N, 3, 3). One that comes to lie at a right
    angle to the new axis or beyond is moved far out, where it weighs as an outlier."""
    turned = rays @ np.swapaxes(turn[..., :2], -1, -2) + turn[:, None, :, 2]
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
    return both @ covariance @ np.swapaxes(both, -1, -2)
