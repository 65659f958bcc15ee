"""Smoothing of what moves, per track id: the One-Euro filter.

A low-pass filter whose cutoff rises with speed: a still person is steady, a moving one is hardly
late. Source: Casiez, Roussel and Vogel, "1 Euro Filter", CHI 2012.

Delay. One step is ``y += a (x - y)`` with ``a = 1 / (1 + tau / T)``, ``tau = 1 / (2 pi cutoff)``
and T the time since the last frame. Its transfer function ``a / (1 - (1 - a) / z)`` delays slow
motion by ``(1 - a) / a`` frames, and that times T is tau itself: whatever the frame rate, a
filter with a steady cutoff is ``1 / (2 pi cutoff)`` seconds late.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vipe_core.errors import VipeError
from vipe_core.geometry.rotation import rotation_matrix, rotation_vector

_FORGET_S = 0.5


@dataclass(frozen=True)
class _State:
    """Of one track: the last value as it came, smoothed, and its smoothed speed; seconds."""

    raw: np.ndarray
    smooth: np.ndarray
    speed: np.ndarray
    stamp_s: float


class _Tracks:
    """States by track id."""

    def __init__(self) -> None:
        self._states: dict[str, _State] = {}
        self._stamp_s = -math.inf

    def begin(self, stamp_s: float) -> None:
        """A frame: forgets who was not seen for 0.5 s, and everybody when time goes back."""
        if not math.isfinite(stamp_s):
            raise VipeError(f"stamp of a frame is {stamp_s}, seconds needed")
        if stamp_s < self._stamp_s:
            self._states.clear()
        self._stamp_s = stamp_s
        oldest = stamp_s - _FORGET_S
        self._states = {n: state for n, state in self._states.items() if state.stamp_s >= oldest}

    def before(
        self, ids: Sequence[str], values: np.ndarray, speeds: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Raw and smooth values, speeds, and seconds (P,) since then; NaN for who is new, so
        that these begin with the values themselves."""
        raw, smooth = np.full_like(values, np.nan), np.full_like(values, np.nan)
        speed, gap = np.full_like(speeds, np.nan), np.full(len(values), np.nan)
        for row, name in enumerate(ids):
            state = self._states.get(name)
            if state is not None and state.raw.shape == values.shape[1:]:
                raw[row], smooth[row], speed[row] = state.raw, state.smooth, state.speed
                gap[row] = self._stamp_s - state.stamp_s
        return raw, smooth, speed, gap

    def keep(
        self, ids: Sequence[str], raw: np.ndarray, smooth: np.ndarray, speed: np.ndarray
    ) -> None:
        """The states of this frame; "" is nobody."""
        for row, name in enumerate(ids):
            if name:
                self._states[name] = _State(raw[row], smooth[row], speed[row], self._stamp_s)


def _share(gap: np.ndarray, cutoff: np.ndarray | float) -> np.ndarray:
    """By how much a filter moves to a new value ``gap`` seconds after the last."""
    turn = 2 * math.pi * cutoff * gap
    return turn / (1 + turn)


def _median_delay(cutoff: np.ndarray) -> float:
    """Seconds; 0 where nothing is filtered (NaN)."""
    known = cutoff[np.isfinite(cutoff)]
    return float(np.median(1 / (2 * math.pi * known))) if known.size else 0.0


class OneEuro:
    """One-Euro filter of arrays per track id. Every entry is filtered by itself.

    Args:
        min_cutoff: cutoff in Hz at rest; lower is steadier and later.
        beta: Hz of cutoff more per unit of speed (per metre and second, of metres); higher is
            less late and less steady in motion. `vipe evaluate placement` measured what
            several settings cost and gain.
        derivative_cutoff: cutoff of the speed, Hz.

    Attributes:
        min_cutoff, beta, derivative_cutoff: may be changed at any time.
    """

    def __init__(
        self, min_cutoff: float = 1.0, beta: float = 4.0, derivative_cutoff: float = 1.0
    ) -> None:
        """
        Raises:
            VipeError: a cutoff that is not positive, or a negative beta.
        """
        _check(min_cutoff, beta, derivative_cutoff)
        self.min_cutoff, self.beta = min_cutoff, beta
        self.derivative_cutoff = derivative_cutoff
        self._tracks = _Tracks()
        self._cutoff = np.zeros(0)

    @property
    def delay_s(self) -> float:
        """How late slow motion is now, in seconds: median over the entries of the last frame of
        ``1 / (2 pi cutoff)``; those that have just begun do not count, they are not late."""
        return _median_delay(self._cutoff)

    def update(self, ids: Sequence[str], values: np.ndarray, stamp_s: float) -> np.ndarray:
        """Smooth the values of one frame.

        Args:
            ids: P track ids; who has none ("") is not smoothed. Unseen for more than 0.5 s,
                an id begins anew.
            values: (P, ...) in any unit. NaN stays NaN, and its entry begins anew.
            stamp_s: time of the image in seconds; frames may come at any rate. Going back in
                time begins anew with everybody.

        Returns:
            (P, ...) smoothed, float64.

        Raises:
            VipeError: another number of ids than values, or a stamp that is not a number.
        """
        values = _values(ids, values)
        self._tracks.begin(stamp_s)
        raw, smooth, speed, gap = self._tracks.before(ids, values, values)
        gap = gap.reshape(-1, *[1] * (values.ndim - 1))
        begins = np.isnan(smooth)
        now = (values - raw) / np.where(gap > 0, gap, np.inf)
        speed = np.where(begins, 0, speed + _share(gap, self.derivative_cutoff) * (now - speed))
        cutoff = self.min_cutoff + self.beta * np.abs(speed)
        self._cutoff = np.where(begins | np.isnan(values), np.nan, cutoff)
        smooth = np.where(begins, values, smooth + _share(gap, cutoff) * (values - smooth))
        self._tracks.keep(ids, values, smooth, speed)
        return smooth


class OneEuroRotation:
    """The same for rotations: steps along the shortest way on the sphere of rotations.

    The speed is the angular velocity in rad/s, as a vector in the outer frame; one cutoff per
    rotation. Arguments and attributes as in :class:`OneEuro`.
    """

    def __init__(
        self, min_cutoff: float = 1.0, beta: float = 1.0, derivative_cutoff: float = 1.0
    ) -> None:
        """
        Raises:
            VipeError: a cutoff that is not positive, or a negative beta.
        """
        _check(min_cutoff, beta, derivative_cutoff)
        self.min_cutoff, self.beta = min_cutoff, beta
        self.derivative_cutoff = derivative_cutoff
        self._tracks = _Tracks()
        self._cutoff = np.zeros(0)

    @property
    def delay_s(self) -> float:
        """As :attr:`OneEuro.delay_s`."""
        return _median_delay(self._cutoff)

    def update(self, ids: Sequence[str], rotations: np.ndarray, stamp_s: float) -> np.ndarray:
        """Smooth rotations (P, 3, 3); one with a NaN becomes NaN and begins anew. The rest as in
        :meth:`OneEuro.update`."""
        rotations = _values(ids, rotations)
        if rotations.shape[1:] != (3, 3):
            raise VipeError(f"rotations have shape {rotations.shape}, (P, 3, 3) needed")
        self._tracks.begin(stamp_s)
        raw, smooth, speed, gap = self._tracks.before(ids, rotations, rotations[:, 0])
        there = _known(rotations)
        rotations = np.where(there, rotations, np.nan)
        goes_on = there & _known(smooth)
        gap = np.where(goes_on[:, 0], gap[:, None], 0)
        now = _angles(raw, rotations) / np.where(gap > 0, gap, np.inf)
        speed = np.where(goes_on[:, 0], speed, 0)
        speed = speed + _share(gap, self.derivative_cutoff) * (now - speed)
        cutoff = self.min_cutoff + self.beta * np.linalg.norm(speed, axis=-1, keepdims=True)
        self._cutoff = np.where(goes_on[:, 0], cutoff, np.nan)
        step = _share(gap, cutoff) * _angles(smooth, rotations)
        smooth = np.where(goes_on, _turned(smooth, step), rotations)
        self._tracks.keep(ids, rotations, smooth, speed)
        return smooth


def _check(min_cutoff: float, beta: float, derivative_cutoff: float) -> None:
    if not (min_cutoff > 0 and derivative_cutoff > 0 and beta >= 0):
        raise VipeError(
            f"a filter needs positive cutoffs and a beta of 0 or more, not {min_cutoff:g}, "
            f"{derivative_cutoff:g} and {beta:g}"
        )


def _values(ids: Sequence[str], values: np.ndarray) -> np.ndarray:
    values = np.array(values, np.float64)
    if values.ndim == 0 or len(values) != len(ids):
        raise VipeError(f"{len(ids)} ids for values of shape {values.shape}")
    values[~np.isfinite(values)] = np.nan
    return values


def _known(values: np.ndarray) -> np.ndarray:
    """(P, 1, 1) which matrices (P, 3, 3) have no NaN."""
    return np.isfinite(values.sum(axis=(1, 2), keepdims=True))


def _angles(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """(P, 3) rotation vector in the outer frame that leads from start to end (P, 3, 3); 0 where
    one of them is not known."""
    turn = np.where(_known(start) & _known(end), end @ np.swapaxes(start, -1, -2), np.eye(3))
    return rotation_vector(turn)


def _turned(rotations: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Rotations (P, 3, 3) turned by rotation vectors (P, 3) of the outer frame."""
    return rotation_matrix(angles) @ rotations
