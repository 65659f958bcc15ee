"""What speaks for or against the sides that a detector gave a body.

All evidence is in log-odds, of P people at once, on body13.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from vipe_core.bodies import Estimates
from vipe_core.skeletons import BODY13

MIRROR = list(BODY13.mirror)
_SIDES = np.array([range(len(BODY13)), MIRROR])  # as they are, and exchanged
_STIFF = np.array([name.endswith(("nose", "shoulder", "hip")) for name in BODY13.joints])


@dataclass(frozen=True)
class SwapFilter:
    """Parameters of the filter. Sizes of a body are diagonals of the box around it.

    Attributes:
        enter_per_s, leave_per_s: how often a second a detector that is right begins to swap,
            and one that swaps is right again.
        noise: how far a joint of a body at rest jumps from image to image, in sizes.
        torso_speed, limb_speed: how fast a joint moves against the rest of its body, in sizes
            per second. The memory follows no faster, so that it does not go with a swap.
        time_weight: the joints are not independent: the share of their evidence that counts;
            0 leaves them out.
        spread_weight: log-odds for each nat of the summed log standard deviations; 0 leaves
            the model out.
        spread_every_s: images that are close together have the same spread: it is counted in
            full once in so many seconds.
        ask_every_s: so often the model is asked about a person in doubt, and at once about one
            to be exchanged.
        certain: log-odds from which the model is not asked.
        margin: log-odds against a detection from which it is exchanged. In doubt it stays.
        forget_s: a track out of sight for longer is forgotten.
    """

    enter_per_s: float = 0.2
    leave_per_s: float = 2.3
    noise: float = 0.02
    torso_speed: float = 1.2
    limb_speed: float = 2.0
    time_weight: float = 0.5
    spread_weight: float = 1.2
    spread_every_s: float = 2.0
    ask_every_s: float = 0.2
    certain: float = 6.0
    margin: float = 1.0
    forget_s: float = 1.5

    @cached_property
    def speed(self) -> np.ndarray:
        """(13,) of each joint, in sizes per second."""
        return np.where(_STIFF, self.torso_speed, self.limb_speed)

    @property
    def change_per_s(self) -> float:
        """How fast the detector's state is forgotten."""
        return self.enter_per_s + self.leave_per_s

    @cached_property
    def usual(self) -> np.ndarray:
        """(2,) shares of the time in which the detector is right, and in which it swaps."""
        return np.array([self.leave_per_s, self.enter_per_s]) / self.change_per_s


def time_evidence(
    before: np.ndarray,
    now: np.ndarray,
    visibility: np.ndarray,
    gap_s: np.ndarray,
    parameters: SwapFilter,
) -> np.ndarray:
    """Log-odds (P,) of the labels being those of before, against their exchange.

    Joints are compared after the whole body's shift is taken out, each by a Student t
    distribution with two degrees of freedom, as wide as noise and half of the fastest
    motion, and weighted by its visibility. Where left and right coincide this is 0.

    Args:
        before: (P, 13, 2) pixels under labels that were believed right.
        now: (P, 13, 2) pixels under the detector's labels.
        visibility: (P, 13) of ``now``, in 0..1.
        gap_s: (P,) seconds between the two.
        parameters: see :class:`SwapFilter`.
    """
    gap = now[:, None] - before[:, _SIDES]  # (P, 2, 13, 2)
    # A joint of which the memory has one side only would speak for that side alone.
    both = np.isfinite(gap.sum(axis=(1, 3)))
    weight = np.where(both, visibility, 0)
    gap = np.where(both[:, None, :, None], gap, 0)
    gap = gap - _shift(gap, weight[:, None])
    spread = parameters.noise**2 + (parameters.speed * gap_s[:, None] / 2) ** 2
    spread = spread * _size(before)[:, None] ** 2
    misfit = np.log1p((gap * gap).sum(axis=-1) / (2 * spread[:, None])) @ weight[..., None]
    return 2 * parameters.time_weight * (misfit[:, 1, 0] - misfit[:, 0, 0])


def spread_evidence(
    estimates: Estimates, exchanged: Estimates, parameters: SwapFilter
) -> np.ndarray:
    """Log-odds (N,) of the labels being right, against their exchange, from one image.

    Exchanged labels are those of a body seen from the other side, in a pose that people
    seldom take: the predicted standard deviations of its joints are wider.

    Args:
        estimates, exchanged: of N people's labels and of the exchanged ones.
        parameters: see :class:`SwapFilter`.
    """
    nats = np.log(exchanged.pose()[1] / estimates.pose()[1]).sum(axis=-1)
    return parameters.spread_weight * np.where(np.isfinite(nats), nats, 0)


def follow(
    before: np.ndarray, now: np.ndarray, gap_s: np.ndarray, parameters: SwapFilter
) -> np.ndarray:
    """Points (P, 13, 2) of before moved towards those of now, no faster than a body can.

    The body's shift is followed at once, the joints against it at ``parameters.speed`` at
    most: a turning body is followed, labels that jump are not. A joint that is not there now
    goes with the body; one that was not there before is taken as it is.
    """
    gap = now - before
    common = np.isfinite(gap.sum(axis=-1))
    gap = np.where(common[..., None], gap, 0)
    shift = _shift(gap, common)
    step = (gap - shift) * common[..., None]
    length = np.hypot(step[..., 0], step[..., 1])
    most = parameters.speed * (gap_s * _size(before))[:, None]
    share = np.minimum(1, most / np.maximum(length, 1e-9))
    return np.where(np.isnan(before), now, before + shift + share[..., None] * step)


def exchange(points: np.ndarray, swapped: np.ndarray) -> np.ndarray:
    """(P, 13, ...) with left and right exchanged where ``swapped`` (P,)."""
    if not swapped.any():
        return points
    where = swapped.reshape(-1, *[1] * (points.ndim - 1))
    return np.where(where, points[:, MIRROR], points)


def _shift(gap: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(..., 1, 2) weighted mean of differences (..., 13, 2); 0 where nothing has weight."""
    total = np.maximum(weight.sum(axis=-1), 1e-6)
    return weight[..., None, :] @ gap / total[..., None, None]


def _size(points: np.ndarray) -> np.ndarray:
    """(P,) diagonal in pixels, at least 1, of the box around joints (P, 13, 2) that are there."""
    box = np.fmax.reduce(points, axis=1) - np.fmin.reduce(points, axis=1)
    return np.fmax(np.hypot(box[:, 0], box[:, 1]), 1)
