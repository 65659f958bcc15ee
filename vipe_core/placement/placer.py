"""Bodies in the camera frame, in metres."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from vipe_core import skeletons
from vipe_core.bodies import Bodies2D, Estimates
from vipe_core.errors import VipeError
from vipe_core.geometry.lens import Lens
from vipe_core.placement import depth as depth_image
from vipe_core.placement import pnp
from vipe_core.placement.height import Heights

_BODY13 = skeletons.JOINTS17.indices(*skeletons.BODY13.joints)
_VISIBLE = 0.5  # as in the model's graph
_SMALLEST_PX = (
    15.0  # a body whose joints are nearer to each other is a detector's mistake, or too far
)
# Statures. Errors of BlazePose in real video: a joint by itself; the whole body to the side.
_POINT_STD, _BODY_STD = 0.012, 0.018
# What all joints of a lifted pose have in common, which no fit can see: its size (a share) and
# the direction of its axes (radians). Measured with the suite `placement`.
_SIZE_STD, _AXES_STD = 0.02, 0.15
_IDENTITY3 = np.eye(3)


@dataclass(frozen=True)
class Placements:
    """P people in the camera's optical frame (REP-103: x right, y down, z forward).

    Attributes:
        placed: (P,) bool; translation, rotation and covariance are NaN where it is false.
        rotation: (P, 3, 3) body frame to camera: its columns are the body's axes.
        translation: (P, 3) metres, the body's origin, which is the middle of the hips.
        covariance: (P, 6, 6) as in geometry_msgs/PoseWithCovariance: x, y, z in metres, then
            rotations in radians about the camera's fixed axes x, y, z, applied after
            ``rotation``: ``exp(angles) @ rotation``.
        height: (P,) metres by which the person's joints and stds are to be multiplied.
        height_std: (P,) metres.
        source: "depth" where this frame's depth image was used, "height" where the distance
            follows from the height alone, "" where a person is not placed.
    """

    placed: np.ndarray
    rotation: np.ndarray
    translation: np.ndarray
    covariance: np.ndarray
    height: np.ndarray
    height_std: np.ndarray
    source: tuple[str, ...]

    @classmethod
    def nowhere(cls, count: int, height: float, height_std: float) -> Placements:
        """So many people who are not placed, of this height in metres."""
        return cls(
            placed=np.zeros(count, bool),
            rotation=np.full((count, 3, 3), np.nan),
            translation=np.full((count, 3), np.nan),
            covariance=np.full((count, 6, 6), np.nan),
            height=np.full(count, height),
            height_std=np.full(count, height_std),
            source=("",) * count,
        )

    def __len__(self) -> int:
        return len(self.placed)


class Placer:
    """Finds where each body is: the pose at which the lifted joints, at the person's height,
    have the image that was seen.

    Without depth the distance is as uncertain as the height. With depth it is measured, the
    height is learned per track id, and what was learned is used when depth is missing. A
    person gone for more than 2 s, or time that goes back, is forgotten.

    Attributes:
        height: assumed stature of people in metres; may be changed at any time.
        height_std: how much people differ from it, metres; may be changed at any time.
    """

    def __init__(self, height: float = 1.7, height_std: float = 0.08) -> None:
        """
        Raises:
            VipeError: a height that is not positive, or a negative standard deviation.
        """
        if not (height > 0 and height_std >= 0 and math.isfinite(height + height_std)):
            raise VipeError(f"height {height} m with a standard deviation of {height_std} m")
        self.height = height
        self.height_std = height_std
        self._heights = Heights()

    def place(
        self,
        people: Bodies2D,
        estimates: Estimates,
        lens: Lens,
        stamp_s: float,
        depth: np.ndarray | None = None,
    ) -> Placements:
        """Place the people of one image.

        Args:
            people: P people, with track ids if heights are to be learned.
            estimates: of the same people, with a pose.
            lens: of the camera; scaled where the image has another size.
            stamp_s: time of the image in seconds.
            depth: (H, W) registered to the image, metres (32FC1) or uint16 millimetres
                (16UC1); 0 and NaN are missing (REP-118). It may be larger or smaller than
                the image by one factor: coordinates are scaled.

        Returns:
            see :class:`Placements`. Somebody with fewer than four usable joints, or whose
            joints fit nowhere in front of the camera, is not placed.

        Raises:
            VipeError: the model gives no pose, another number of estimates than people, a
                stamp that is not a number, a lens or depth image that is not of this image, or a
                depth image of another type.
        """
        if not math.isfinite(stamp_s):
            raise VipeError(f"stamp of a frame is {stamp_s}, seconds needed")
        joints, std = estimates.pose()
        if len(joints) != len(people):
            raise VipeError(f"{len(joints)} estimates for {len(people)} people")
        lens = lens.for_size(people.image_size)
        self._heights.forget(people.track_ids, stamp_s)
        people = people.to_skeleton("body13")
        height, height_std = self._heights.get(people.track_ids, self.height, self.height_std)
        shape = joints[:, _BODY13].astype(np.float64)
        sigma = _sigma(people, shape, std[:, _BODY13])
        rays = lens.undistort(people.points)
        sigma[~np.isfinite(rays).all(axis=-1)] = np.inf
        sigma[_extent(people.points, sigma) < _SMALLEST_PX] = np.inf
        found = pnp.solve(shape, rays, sigma)
        pose = _in_metres(found, height, height_std)
        by_depth = np.zeros(len(people), bool)
        if depth is not None and len(people):
            pose, by_depth = self._with_depth(
                depth_image.checked(depth), people, lens, np.isfinite(sigma), shape, found, pose
            )
            height, height_std = self._heights.get(people.track_ids, self.height, self.height_std)
        return _placements(pose, by_depth, height, height_std)

    def _with_depth(
        self,
        depth: np.ndarray,
        people: Bodies2D,
        lens: Lens,
        seen: np.ndarray,
        shape: np.ndarray,
        found: pnp.Pose,
        pose: pnp.Pose,
    ) -> tuple[pnp.Pose, np.ndarray]:
        """The pose with the depth image taken into account, and of whom (P,) it says something.

        ``found`` is in statures and knows nothing of heights, ``pose`` is in metres.
        """
        rows = np.flatnonzero(pose.ok)
        ids = [people.track_ids[row] for row in rows]
        before = self._heights.get(ids, self.height, self.height_std)
        found, sure = found.rows(rows), pose.rows(rows)
        measured = depth_image.measure(
            depth,
            people.image_size or lens.size,
            people.points[rows],
            seen[rows],
            shape[rows],
            sure,
            before[0],
            lens.focal,
        )
        self._learn(ids, found, measured, before)
        fused = _fused(sure, measured)
        out = pnp.Pose(**{name: value.copy() for name, value in vars(pose).items()})
        out.rotation[rows], out.translation[rows] = fused.rotation, fused.translation
        out.covariance[rows] = fused.covariance
        by_depth = np.zeros(len(people), bool)
        by_depth[rows] = measured.there
        return out, by_depth

    def _learn(
        self,
        ids: list[str],
        found: pnp.Pose,
        measured: depth_image.Measured,
        before: tuple[np.ndarray, np.ndarray],
    ) -> None:
        """A depth in metres over a depth in statures is a height."""
        there = np.flatnonzero(measured.there)
        z, depth = found.translation[there, 2], measured.depth[there]
        relative = _common(found).covariance[there, 2, 2] / z**2
        height = depth / z
        std = height * np.sqrt((measured.std[there] / depth) ** 2 + relative)
        names = [ids[row] for row in there]
        self._heights.learn(names, height, std, (before[0][there], before[1][there]))


def _extent(points: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """(P,) pixels, diagonal of the box around the joints that count; NaN without any."""
    counted = np.where(np.isfinite(sigma)[..., None], points, np.nan)
    box = np.fmax.reduce(counted, axis=1) - np.fmin.reduce(counted, axis=1)
    return np.hypot(box[:, 0], box[:, 1])


def _sigma(people: Bodies2D, shape: np.ndarray, std: np.ndarray) -> np.ndarray:
    """(P, 13) standard deviation of each joint's place in the image, statures; inf for one that
    does not count."""
    visibility = people.visibility.astype(np.float64)
    sigma = np.sqrt(_POINT_STD**2 / np.maximum(visibility, 0.1) + np.square(std, dtype=np.float64))
    counts = (visibility >= _VISIBLE) & np.isfinite(shape).all(axis=-1) & np.isfinite(sigma)
    return np.where(counts, sigma, np.inf)


def _common(pose: pnp.Pose) -> pnp.Pose:
    """With the errors that all joints have in common; statures."""
    place = pose.translation
    along = place[:, :, None] * place[:, None]  # (P, 3, 3)
    square = np.maximum((place * place).sum(axis=1), 1e-9)[:, None, None]
    covariance = pose.covariance.copy()
    along_the_ray = (_SIZE_STD**2 - _BODY_STD**2 / square) * along
    covariance[:, :3, :3] += _BODY_STD**2 * _IDENTITY3 + along_the_ray
    covariance[:, 3:, 3:] += _AXES_STD**2 * _IDENTITY3
    return pnp.Pose(pose.ok, pose.rotation, place, covariance)


def _in_metres(pose: pnp.Pose, height: np.ndarray, height_std: np.ndarray) -> pnp.Pose:
    """Statures to metres: an uncertain height moves a body along its ray."""
    covariance, metres = _common(pose).covariance, height[:, None, None]
    covariance[:, :3] *= metres
    covariance[:, :, :3] *= metres
    moved = pose.translation * height_std[:, None]
    covariance[:, :3, :3] += moved[:, :, None] * moved[:, None]
    return pnp.Pose(pose.ok, pose.rotation, pose.translation * height[:, None], covariance)


def _fused(pose: pnp.Pose, measured: depth_image.Measured) -> pnp.Pose:
    """A measured depth and a pose, by inverse covariance (the update of a Kalman filter)."""
    there = measured.there
    column = pose.covariance[:, :, 2]  # (P, 6)
    total = column[:, 2] + np.where(there, measured.std, 1.0) ** 2
    gain = np.where(there[:, None], column / np.where(total > 0, total, 1.0)[:, None], 0.0)
    gap = np.where(there, measured.depth - pose.translation[:, 2], 0.0)
    step = gain * gap[:, None]
    return pnp.Pose(
        pose.ok,
        pnp.small_rotation(step[:, 3:]) @ pose.rotation,
        pose.translation + step[:, :3],
        pose.covariance - gain[:, :, None] * column[:, None],
    )


def _placements(
    pose: pnp.Pose, by_depth: np.ndarray, height: np.ndarray, height_std: np.ndarray
) -> Placements:
    placed = pose.ok & np.isfinite(pose.covariance).all(axis=(1, 2))
    placed &= np.isfinite(pose.translation).all(axis=1) & (pose.translation[:, 2] > 0)
    source = tuple(
        ("depth" if deep else "height") if there else ""
        for there, deep in zip(placed, by_depth, strict=True)
    )
    return Placements(
        placed,
        np.where(placed[:, None, None], pose.rotation, np.nan),
        np.where(placed[:, None], pose.translation, np.nan),
        np.where(placed[:, None, None], pose.covariance, np.nan),
        height,
        height_std,
        source,
    )
