"""Whether actions are found in a stream, and whether what nobody taught is told from the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vipe_core.errors import VipeError


@dataclass(frozen=True)
class Span:
    """An action in a stream.

    Attributes:
        label: what is done.
        start, end: seconds.
    """

    label: str
    start: float
    end: float


@dataclass(frozen=True)
class Detections:
    """What became of the true actions of a stream and of the matches found in it.

    Attributes:
        found: (T,) bool, true actions that a match of their label has its middle in.
        right: (M,) bool, matches whose middle lies in a true action of their label.
        first: (T,) index of the first such match of each true action, -1 for none.
    """

    found: np.ndarray
    right: np.ndarray
    first: np.ndarray


def detections(truth: Sequence[Span], matches: Sequence[Span]) -> Detections:
    """Hold matches, in the order of time, against the true actions of the same stream.

    An action that is matched several times, as one that repeats itself, is found once, and
    every one of those matches is right.
    """
    middle = np.array([(match.start + match.end) / 2 for match in matches])
    named = np.array([match.label for match in matches])
    inside = np.array(
        [(named == t.label) & (t.start <= middle) & (middle <= t.end) for t in truth], bool
    ).reshape(len(truth), len(matches))
    found = inside.any(axis=1)
    first = np.where(found, inside.argmax(axis=1) if len(matches) else 0, -1)
    return Detections(np.asarray(found), np.asarray(inside.any(axis=0)), first)


def area_under_curve(known: np.ndarray, unknown: np.ndarray) -> float:
    """Probability that a known one scores higher than an unknown one, equal ones half: the area
    under the receiver operating characteristic.

    Args:
        known, unknown: scores (K,) and (U,), higher for what seems known.

    Raises:
        VipeError: none of either.
    """
    known, unknown = np.asarray(known, float), np.asarray(unknown, float)
    if not known.size or not unknown.size:
        raise VipeError("known and unknown ones are needed to tell them apart")
    ordered = np.sort(unknown)
    below = np.searchsorted(ordered, known, "left")
    not_above = np.searchsorted(ordered, known, "right")
    return float((below + not_above).mean() / 2 / len(unknown))
