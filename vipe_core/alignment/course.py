"""The most believable course of one performance along another, seen from its end."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from vipe_core.alignment.pace import FINE, Pace

_ODDS = np.float32(1e-3)  # at most so much does one tick speak against a place


@dataclass(frozen=True)
class Course:
    """Where a performance of M ticks is on a reference.

    Attributes:
        tick: (M,) of the reference, a real number, never falling.
        speed: (M,) ticks of the reference per tick.
    """

    tick: np.ndarray
    speed: np.ndarray


def log_evidence(pace: Pace, energy: np.ndarray, whole: bool) -> float:
    """How well any course explains what was seen: log probability, up to a constant.

    Arguments as of :func:`find_course`.
    """
    belief, total = _first(pace, whole), 0.0
    for number, row in enumerate(energy):
        belief = _seen(pace.advance(belief) if number else belief, row)
        weight = float(belief.sum())
        total += math.log(weight) - float(row.min())
        belief /= np.float32(weight)
    return total + math.log(float((_seen_last(pace, whole) * belief).sum()))


def find_course(pace: Pace, energy: np.ndarray, whole: bool) -> Course:
    """Place and speed at every tick, given all ticks.

    Forward-backward over the chain (Rabiner 1989, "A tutorial on hidden Markov models"); the
    place is the median of its distribution, so it lies between frames where the truth
    does. Beliefs are kept at every root-of-M-th tick and made again in between.

    Args:
        pace: the chain of places and speeds.
        energy: (M, P) float32, minus the log likelihood of what is seen at each tick, at every
            place of the reference; any constant may be added to a row.
        whole: the performance begins and ends with the reference; otherwise anywhere in it.
    """
    count = len(energy)
    block = max(1, math.isqrt(count))
    starts = list(range(0, count, block))
    kept, belief = [], _first(pace, whole)
    for start in starts:
        kept.append(belief)
        *_, last = _beliefs(pace, belief, energy[start : start + block])
        belief = pace.advance(last)
    tick, speed = np.empty(count), np.empty(count)
    message = _seen_last(pace, whole)
    for start, belief in zip(reversed(starts), reversed(kept), strict=True):
        part = energy[start : start + block]
        beliefs = list(_beliefs(pace, belief, part))
        for offset in reversed(range(len(part))):
            both = beliefs[offset] * message
            tick[start + offset], speed[start + offset] = _read(pace, both)
            message = pace.retreat(_seen(message, part[offset]))
            message /= message.sum()
    return Course(np.maximum.accumulate(tick), speed)


def walk(at: np.ndarray, frames: int, whole: bool) -> np.ndarray:
    """The path of frames along a course.

    Args:
        at: (Tb,) where in the first performance each frame of the second is, in frames, a real
            number, never falling.
        frames: Ta of the first.
        whole: all frames of the first are on it; else only those from at[0] to at[-1].

    Returns:
        (L, 2) int: every frame of the second with the nearest of the first, and every frame of
        the first with the nearest of the second.
    """
    columns = np.arange(len(at))
    nearest = np.rint(at).astype(int).clip(0, frames - 1)
    between = np.arange(frames) if whole else np.arange(nearest[0], nearest[-1] + 1)
    # Where the course stands still any of its frames will do; the ramp picks one.
    rising = at + 1e-9 * columns
    opposite = np.rint(np.interp(between, rising, columns)).astype(int)
    pairs = np.stack([[*nearest, *between], [*columns, *opposite]], axis=1)
    return np.unique(pairs, axis=0)


def _beliefs(pace: Pace, belief: np.ndarray, energy: np.ndarray) -> Iterator[np.ndarray]:
    """The belief (S, P) at each tick of a block, given what was seen until then."""
    for number, row in enumerate(energy):
        belief = _seen(pace.advance(belief) if number else belief, row)
        belief /= belief.sum()
        yield belief


def _seen(belief: np.ndarray, energy: np.ndarray) -> np.ndarray:
    return belief * (np.exp(energy.min() - energy) + _ODDS)


def _first(pace: Pace, whole: bool) -> np.ndarray:
    belief = np.zeros(pace.shape, np.float32)
    belief[:, 0 if whole else slice(None)] = 1
    return belief / belief.sum()


def _seen_last(pace: Pace, whole: bool) -> np.ndarray:
    message = np.zeros(pace.shape, np.float32)
    message[:, -FINE if whole and pace.places > FINE else 0 :] = 1
    return message


def _read(pace: Pace, both: np.ndarray) -> tuple[float, float]:
    """Median place in ticks and mean speed of an unnormalised distribution (S, P)."""
    both = both.astype(np.float64)
    places = both.sum(axis=0)
    total = places.sum()
    share = (np.cumsum(places) - places / 2) / total
    place = float(np.interp(0.5, share, np.arange(pace.places)))
    return place / FINE, float(pace.speeds @ both.sum(axis=1) / total)
