"""What speaks for or against the sides that a detector gave a body.

All evidence is in log-odds, of P people at once, on body13.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vipe_core.bodies import Estimates
from vipe_core.skeletons import BODY13

MIRROR = list(BODY13.mirror)
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
    certain: float = 6.0
    margin: float = 1.0
    forget_s: float = 1.5

    @property
    def speed(self) -> np.ndarray:
        """(13,) of each joint, in sizes per second."""
        return np.where(_STIFF, self.torso_speed, self.limb_speed)


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
    other = before[:, MIRROR]
    # A joint of which the memory has one side only would speak for that side alone.
    both = np.isfinite(before + other + now).all(axis=-1)
    weight = np.where(both, visibility, 0)
    spread = parameters.noise**2 + (parameters.speed * gap_s[:, None] / 2) ** 2
    spread = spread * _size(before)[:, None] ** 2
    against = _misfit(now - other, weight, spread) - _misfit(now - before, weight, spread)
    return parameters.time_weight * against


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
    common = np.asarray(np.isfinite(before + now).all(axis=-1))
    before = before + _shift(now - before, common)[:, None]
    step = now - before
    length = np.hypot(step[..., 0], step[..., 1])
    most = parameters.speed * gap_s[:, None] * _size(before)[:, None]
    share = np.minimum(1, most / np.maximum(length, 1e-9))[..., None]
    seen = np.asarray(np.isfinite(now).all(axis=-1))
    moved = np.where(share < 1, before + share * step, now)
    return np.where(common[..., None], moved, np.where(seen[..., None], now, before))


def exchange(points: np.ndarray, swapped: np.ndarray) -> np.ndarray:
    """(P, 13, ...) with left and right exchanged where ``swapped`` (P,)."""
    where = swapped.reshape(-1, *[1] * (points.ndim - 1))
    return np.where(where, points[:, MIRROR], points)


def _misfit(gap: np.ndarray, weight: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """(P,) negative log-likelihood of differences (P, 13, 2) less the body's shift."""
    gap = np.where(weight[..., None] > 0, gap - _shift(gap, weight)[:, None], 0)
    squared = (gap * gap).sum(axis=-1)
    return 2 * (weight * np.log1p(squared / (2 * spread))).sum(axis=-1)


def _shift(gap: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(P, 2) weighted mean of differences (P, 13, 2); 0 where nothing has weight."""
    weight = weight[..., None]
    total = np.maximum(weight.sum(axis=1), 1e-6)
    return np.where(weight > 0, weight * gap, 0).sum(axis=1) / total


def _size(points: np.ndarray) -> np.ndarray:
    """(P,) diagonal in pixels of the box around the joints (P, 13, 2) that are there."""
    low = np.where(np.isnan(points), np.inf, points).min(axis=1)
    high = np.where(np.isnan(points), -np.inf, points).max(axis=1)
    size = np.hypot(*(high - low).T)
    return np.where(np.isfinite(size), np.maximum(size, 1), 1)
