"""How tall each person is, learned while depth is seen and used when it is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

FORGET_S = 2.0  # out of sight for longer, a person is forgotten
# Errors of a lifted pose last as long as the pose: frames nearer in time than this say the same
# again and count by their share of it.
_STEADY_S = 1.0
_HUBER = 2.0  # standard deviations
_LEAST_STD = 0.01  # of the height: no longer look makes it surer


@dataclass(frozen=True)
class _Learned:
    """Weighted mean of what was measured and the sum of the weights (1 / variance)."""

    height: float
    information: float
    measured_s: float
    seen_s: float


class Heights:
    """Running estimates per track id."""

    def __init__(self) -> None:
        self._people: dict[str, _Learned] = {}
        self._stamp_s = -np.inf

    def forget(self, ids: Sequence[str], stamp_s: float) -> None:
        """Start a frame with these people: whoever was gone for more than 2 s is forgotten,
        and everybody when time goes back."""
        if stamp_s < self._stamp_s:
            self._people.clear()
        self._stamp_s = stamp_s
        kept = {
            name: known
            for name, known in self._people.items()
            if stamp_s - known.seen_s <= FORGET_S
        }
        for name in set(ids) & set(kept):
            known = kept[name]
            kept[name] = _Learned(known.height, known.information, known.measured_s, stamp_s)
        self._people = kept

    def get(
        self, ids: Sequence[str], height: float, height_std: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Heights (P,) and their standard deviations (P,) in metres: what was assumed of
        everybody, and what was learned of each, by inverse variance."""
        prior = 1 / max(height_std, 1e-6) ** 2
        known = [self._people.get(name) for name in ids]
        information = np.array([one.information if one else 0.0 for one in known])
        mean = np.array([one.height if one else 0.0 for one in known])
        total = information + prior
        found = (information * mean + prior * height) / total
        least = np.minimum(_LEAST_STD * found, height_std)
        return found, np.maximum(1 / np.sqrt(total), least)

    def learn(
        self,
        ids: Sequence[str],
        height: np.ndarray,
        std: np.ndarray,
        before: tuple[np.ndarray, np.ndarray],
    ) -> None:
        """Take in heights measured in this frame.

        Args:
            ids: of the P people measured; "" is nobody.
            height, std: (P,) metres.
            before: what :meth:`get` says of them; a height far from it counts less.
        """
        gap = np.abs(height - before[0]) / np.hypot(std, before[1])
        weights = np.minimum(1, _HUBER / np.maximum(gap, _HUBER)) / np.square(std)
        for name, value, weight in zip(ids, height.tolist(), weights.tolist(), strict=True):
            if name:
                self._people[name] = self._with(name, value, weight)

    def _with(self, name: str, value: float, weight: float) -> _Learned:
        known = self._people.get(name)
        now = self._stamp_s
        if known is None:
            return _Learned(value, weight, now, now)
        weight *= min((now - known.measured_s) / _STEADY_S, 1.0)
        total = known.information + weight
        mean = known.height + (value - known.height) * weight / total
        return _Learned(mean, total, now, now)
