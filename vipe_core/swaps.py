"""Whole-body left/right swaps of a detector, undone as the images come.

A detector may exchange all left and right joints of a person for some images, with high
visibility; a view-invariant embedding then sees another body. Whether a detection is right or
swapped is the hidden state of a Markov chain per track. :mod:`vipe_core.swap_evidence` has
what speaks of it.

Source: the forward algorithm of hidden Markov models (Rabiner 1989, section III.A).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import NamedTuple

import numpy as np

from vipe_core.bodies import Bodies2D, Estimates
from vipe_core.errors import VipeError
from vipe_core.skeletons import BODY13
from vipe_core.swap_evidence import (
    MIRROR,
    SwapFilter,
    exchange,
    follow,
    spread_evidence,
    time_evidence,
)

__all__ = ["Infer", "Repaired", "SwapFilter", "SwapRepair"]

Infer = Callable[[np.ndarray, np.ndarray], Estimates]

# So sure and no surer: what was believed for a minute must be undone in seconds.
_MOST_LOG_ODDS = 12.0
# States: the detector's labels are right, they are swapped.
_SIGNS, _STAYS = np.array([1.0, -1.0]), np.eye(2)


@dataclass(frozen=True)
class Repaired:
    """People whose swapped sides are exchanged back.

    Attributes:
        people: the same people in the same order.
        estimates: of the labels that they have now.
        swapped: (P,) bool, whose labels were exchanged.
    """

    people: Bodies2D
    estimates: Estimates
    swapped: np.ndarray


class _Track(NamedTuple):
    """What is remembered of a person: points (13, 2) in pixels under the labels that were
    believed right; whether those are the detector's exchanged, the log-odds of the
    detector's being right, and when the model was last asked."""

    stamp_s: float
    points: np.ndarray
    swapped: bool
    log_odds: float
    heard_s: float


class _Tracks(NamedTuple):
    """The same of P people, stamps as seconds since; a new one has its present points and
    infinite times."""

    gap_s: np.ndarray
    points: np.ndarray
    swapped: np.ndarray
    log_odds: np.ndarray
    unheard_s: np.ndarray


class SwapRepair:
    """Undoes whole-body left/right swaps, image by image, without delay.

    Time tells which images agree; which of two ways round is the right one, the model and
    that detectors are right most of the time. So a track that begins swapped is revised when
    its beginning was short or the model knows, and a swap that outlasts what was seen before
    it is in the end believed. A person without a track id is left alone: one image does not
    tell.

    Args:
        infer: the model: points (N, 13, 2) and visibility (N, 13) to N estimates. Called at
            most once per image, with the people in doubt, their sides exchanged. A model
            without a 3D pose is no witness: it is asked about people to be exchanged only.
        parameters: see :class:`vipe_core.swap_evidence.SwapFilter`.
    """

    def __init__(self, infer: Infer, parameters: SwapFilter | None = None) -> None:
        self._infer = infer
        self._filter = SwapFilter() if parameters is None else parameters
        self._tracks: dict[str, _Track] = {}
        self._stamp_s = -math.inf

    def update(self, people: Bodies2D, stamp_s: float, estimates: Estimates) -> Repaired:
        """The people of the next image with their sides put right.

        Args:
            people: body13 with track ids.
            stamp_s: time of the image in seconds. Going back in time forgets everybody.
            estimates: of these people, row by row.

        Raises:
            VipeError: another skeleton, or the stamp is not a number.
        """
        if people.skeleton != BODY13.name:
            raise VipeError(f"sides are repaired on {BODY13.name}, these are {people.skeleton}")
        if not math.isfinite(stamp_s):
            raise VipeError(f"stamp of a frame is {stamp_s}, seconds needed")
        self._forget(stamp_s)
        named = np.array([bool(name) for name in people.track_ids], bool)
        if not named.any():
            return Repaired(people, estimates, named)
        before = self._recall(people, stamp_s)
        change = time_evidence(
            before.points, people.points, people.visibility, before.gap_s, self._filter
        )
        chain = _chain(before, change, self._filter)
        log_odds = _log_odds(chain)
        asked, exchanged = self._ask(people, estimates, named, log_odds, before.unheard_s)
        heard_s = stamp_s - before.unheard_s
        if len(asked) and self._hears(estimates):
            share = np.minimum(1, before.unheard_s[asked] / self._filter.spread_every_s)
            said = spread_evidence(_rows(estimates, asked), exchanged, self._filter)
            log_odds[asked] += share * said
            heard_s[asked] = stamp_s
        log_odds = np.minimum(np.maximum(log_odds, -_MOST_LOG_ODDS), _MOST_LOG_ODDS)
        self._remember(people, stamp_s, before, chain, log_odds, heard_s)
        swapped = named & (log_odds < -self._filter.margin)
        return _repaired(people, estimates, swapped, asked, exchanged)

    def _forget(self, stamp_s: float) -> None:
        if stamp_s < self._stamp_s:
            self._tracks.clear()
        oldest = stamp_s - self._filter.forget_s
        self._tracks = {name: t for name, t in self._tracks.items() if t.stamp_s >= oldest}
        self._stamp_s = stamp_s

    def _recall(self, people: Bodies2D, stamp_s: float) -> _Tracks:
        found = [
            self._tracks.get(name) or _Track(-math.inf, points, False, 0.0, -math.inf)
            for name, points in zip(people.track_ids, people.points, strict=True)
        ]
        stamps, points, swapped, log_odds, heard = map(np.array, zip(*found, strict=True))
        return _Tracks(stamp_s - stamps, points, swapped, log_odds, stamp_s - heard)

    def _hears(self, estimates: Estimates) -> bool:
        """Whether the model is a witness."""
        return estimates.std is not None and self._filter.spread_weight > 0

    def _ask(
        self,
        people: Bodies2D,
        estimates: Estimates,
        named: np.ndarray,
        log_odds: np.ndarray,
        unheard_s: np.ndarray,
    ) -> tuple[np.ndarray, Estimates]:
        """Rows (D,) of the people to ask about, and the estimates of their exchanged labels:
        those whose labels will be exchanged, and now and then those in doubt.
        """
        asked = log_odds < -self._filter.margin
        if self._hears(estimates):
            due = unheard_s > self._filter.ask_every_s - 1e-6
            asked |= due & (log_odds < self._filter.certain)
        rows = np.flatnonzero(named & asked)
        if not len(rows):
            return rows, estimates
        points, visibility = people.points[rows], people.visibility[rows]
        return rows, self._infer(points[:, MIRROR], visibility[:, MIRROR])

    def _remember(
        self,
        people: Bodies2D,
        stamp_s: float,
        before: _Tracks,
        chain: np.ndarray,
        log_odds: np.ndarray,
        heard_s: np.ndarray,
    ) -> None:
        """Keep each body under the labels that are now believed right."""
        swapped = log_odds < 0
        # The likeliest way here may say that the memory itself was the wrong way round.
        likelier = chain[:, 1] > chain[:, 0]  # (P, 2): to come here from swapped
        came_from = np.where(swapped, likelier[:, 1], likelier[:, 0])
        then = exchange(before.points, came_from != before.swapped)
        points = follow(then, exchange(people.points, swapped), before.gap_s, self._filter)
        for row, name in enumerate(people.track_ids):
            if name:
                belief = bool(swapped[row]), float(log_odds[row]), float(heard_s[row])
                self._tracks[name] = _Track(stamp_s, points[row], *belief)


def _chain(before: _Tracks, change: np.ndarray, parameters: SwapFilter) -> np.ndarray:
    """Log joint probability (P, 2, 2) of the state before and the state now, up to a constant.

    State 0: the detector's labels are right, 1: they are swapped. ``change`` (P,) are the
    log-odds of the labels being those of the memory.
    """
    kept = np.exp(-parameters.change_per_s * before.gap_s)[:, None, None]
    step = parameters.usual + kept * (_STAYS - parameters.usual)
    belief = -np.logaddexp(0, -before.log_odds[:, None] * _SIGNS)
    # The memory's labels are the detector's labels of then, exchanged if believed swapped.
    same = np.where(before.swapped, -0.5, 0.5) * change
    said = same[:, None, None] * (_SIGNS[:, None] * _SIGNS)
    return belief[..., None] + np.log(np.maximum(step, 1e-12)) + said


def _log_odds(chain: np.ndarray) -> np.ndarray:
    """(P,) of the labels being right now."""
    now = np.logaddexp(chain[:, 0], chain[:, 1])
    return now[:, 0] - now[:, 1]


def _repaired(
    people: Bodies2D,
    estimates: Estimates,
    swapped: np.ndarray,
    asked: np.ndarray,
    exchanged: Estimates,
) -> Repaired:
    """Exchange the ``swapped`` (P,), who are all among the rows ``asked`` (D,)."""
    if not swapped.any():
        return Repaired(people, estimates, swapped)
    people = replace(
        people,
        points=exchange(people.points, swapped),
        visibility=exchange(people.visibility, swapped),
    )
    heads = {}
    for name, value in _heads(estimates):
        heads[name] = value.copy()
        heads[name][swapped] = getattr(exchanged, name)[swapped[asked]]
    return Repaired(people, Estimates(**heads), swapped)


def _rows(estimates: Estimates, rows: np.ndarray) -> Estimates:
    return Estimates(**{name: value[rows] for name, value in _heads(estimates)})


def _heads(estimates: Estimates) -> list[tuple[str, np.ndarray]]:
    """Name and array of each head that the model has."""
    heads = ((head.name, getattr(estimates, head.name)) for head in fields(Estimates))
    return [(name, value) for name, value in heads if value is not None]
