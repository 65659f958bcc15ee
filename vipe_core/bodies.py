"""The frozen data types that pass between stages.

A stage takes one of these and returns one of these; messages and files are converted
to and from them at the edges. P is the number of people, J the number of joints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from vipe_core import skeletons
from vipe_core.errors import VipeError


@dataclass(frozen=True)
class Bodies2D:
    """The people found in one image.

    Attributes:
        points: (P, J, 2) float32 pixels, x right, y down; NaN where a joint is missing.
        visibility: (P, J) float32 in 0..1; 0 where a joint is missing.
        skeleton: name of the skeleton that orders the joints.
        track_ids: P strings, "" for a person without a track.
        scores: (P,) float32, detector confidence in 0..1.
        image_size: (width, height) in pixels, or None when unknown.
    """

    points: np.ndarray
    visibility: np.ndarray
    skeleton: str
    track_ids: tuple[str, ...]
    scores: np.ndarray
    image_size: tuple[int, int] | None = None

    def __len__(self) -> int:
        return len(self.points)

    @classmethod
    def from_arrays(
        cls,
        points: np.ndarray,
        visibility: np.ndarray | None = None,
        skeleton: str = "body13",
        track_ids: Sequence[str] | None = None,
        scores: np.ndarray | None = None,
        image_size: tuple[int, int] | None = None,
    ) -> Bodies2D:
        """Check and complete raw arrays.

        Missing visibility means 1. A joint with a non-finite coordinate becomes NaN with
        visibility 0; visibility is clipped to 0..1.

        Raises:
            VipeError: shapes that do not fit each other or the skeleton.
        """
        joints = len(skeletons.get(skeleton))
        points = np.array(points, np.float32)
        if points.size == 0:
            points = points.reshape(0, joints, 2)
        if points.ndim != 3 or points.shape[1:] != (joints, 2):
            raise VipeError(f"points have shape {points.shape}, {skeleton} needs (P, {joints}, 2)")
        count = len(points)
        visibility = np.ones((count, joints)) if visibility is None else np.asarray(visibility)
        scores = np.ones(count) if scores is None else np.asarray(scores)
        track_ids = ("",) * count if track_ids is None else tuple(track_ids)
        if visibility.size == 0 and count == 0:
            visibility = visibility.reshape(0, joints)
        if visibility.shape != (count, joints):
            raise VipeError(
                f"visibility has shape {visibility.shape}, expected ({count}, {joints})"
            )
        if scores.shape != (count,) or len(track_ids) != count:
            raise VipeError(f"{len(scores)} scores and {len(track_ids)} ids for {count} people")
        present = np.isfinite(points).all(axis=-1)
        points[~present] = np.nan
        visibility = np.where(present, np.minimum(np.fmax(visibility, 0), 1), 0)
        return cls(
            points,
            visibility.astype(np.float32),
            skeleton,
            track_ids,
            scores.astype(np.float32),
            image_size,
        )

    def to_skeleton(self, skeleton: str) -> Bodies2D:
        """The same people on another skeleton, by joint name."""
        if skeleton == self.skeleton:
            return self
        return replace(
            self,
            points=skeletons.convert(self.points, self.skeleton, skeleton),
            visibility=skeletons.convert_visibility(self.visibility, self.skeleton, skeleton),
            skeleton=skeleton,
        )

    def select(self, keep: np.ndarray) -> Bodies2D:
        """The people where ``keep`` (P,) is true."""
        names = tuple(name for name, kept in zip(self.track_ids, keep, strict=True) if kept)
        return replace(
            self,
            points=self.points[keep],
            visibility=self.visibility[keep],
            scores=self.scores[keep],
            track_ids=names,
        )

    def with_track_ids(self, track_ids: Sequence[str]) -> Bodies2D:
        """The same people under these track ids."""
        return replace(self, track_ids=tuple(track_ids))


@dataclass(frozen=True)
class Estimates:
    """What a model says of N poses. A head that the model lacks is None.

    Attributes:
        mean, variance: (N, D) Gaussian embedding, diagonal covariance.
        mirror_mean, mirror_variance: (N, D) the embedding of the mirrored person.
        joints: (N, 17, 3) joints17 in the body frame (REP-103 axes, origin mid-hip), in
            statures: multiply by the person's height in metres.
        std: (N, 17) standard deviation per joint and axis, in statures.
    """

    mean: np.ndarray | None = None
    variance: np.ndarray | None = None
    mirror_mean: np.ndarray | None = None
    mirror_variance: np.ndarray | None = None
    joints: np.ndarray | None = None
    std: np.ndarray | None = None

    def embedding(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance (N, D); raises VipeError for a model without an embedding."""
        if self.mean is None or self.variance is None:
            raise VipeError("this model gives no embedding")
        return self.mean, self.variance

    def pose(self) -> tuple[np.ndarray, np.ndarray]:
        """Joints (N, 17, 3) and std (N, 17); raises VipeError for a model without a pose."""
        if self.joints is None or self.std is None:
            raise VipeError("this model gives no 3D pose")
        return self.joints, self.std
