"""What counts as a match of an example, learned from the examples themselves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vipe_core.actions.comparison import Comparison
from vipe_core.actions.examples import Example, Examples

_LEAST = 0.1  # of the square of even odds: the unit of very unsure examples
_USUAL = 0.85  # the limit of a match where the examples do not tell
_WIDTH = 1.05  # the limit by what examples of one label usually cost each other
_MOST = 1.05  # how far that may raise the limit, of the usual one
_STILL = 0.1  # an example is a held pose when standing still costs no more than this
_STRICTNESS = 0.95  # of what standing still costs an example that moves
_MIRRORED = 0.8  # another label is the mirror image where that costs so much less


@dataclass(frozen=True)
class Limits:
    """Per example (E,): the most a match may cost, whether its mirror image may match, and
    whether it is a held pose. ``usual`` is the limit where an example has no reason for a lower
    one, ``unit`` the distance that costs 1."""

    most: np.ndarray
    mirror: np.ndarray
    still: np.ndarray
    usual: float
    unit: float


class Mutual:
    """Lowest costs between examples, (E, 2, E): row q inside which column e was looked for, as it
    is and mirrored. What another one knows of the same examples is not computed again.

    Args:
        examples: E of them.
        rate_hz: steps per second.
        known: from before some examples were taught or forgotten.
    """

    def __init__(
        self, examples: Sequence[Example], rate_hz: float, known: Mutual | None = None
    ) -> None:
        self.examples = tuple(examples)
        count = len(self.examples)
        self.lowest, self.still = np.empty((count, 2, count)), np.empty(count)
        places = {id(example): row for row, example in enumerate(known.examples)} if known else {}
        old = [row for row, example in enumerate(self.examples) if id(example) in places]
        new = [row for row in range(count) if row not in set(old)]
        if known is not None:
            before = [places[id(self.examples[row])] for row in old]
            self.lowest[np.ix_(old, (0, 1), old)] = known.lowest[np.ix_(before, (0, 1), before)]
            self.still[old] = known.still[before]
        tracks = [example.track for example in self.examples]
        if new:
            added = Comparison([tracks[row] for row in new], rate_hz)
            self.still[new] = added.still()
            every = [track.resampled(rate_hz) for track in tracks]
            self.lowest[:, :, new] = added.lowest(every)
        if new and old:
            rest = Comparison([tracks[row] for row in old], rate_hz)
            asked = [every[row] for row in new]
            self.lowest[np.ix_(new, (0, 1), old)] = rest.lowest(asked)


def learn_limits(
    examples: Examples, mutual: Mutual, own: float, threshold: float | None, mirror: bool
) -> Limits:
    """What must match and what must not, as far as the examples tell.

    A match may cost a fixed share of the distance of even odds, or a little more where examples
    of one label cost each other more than that. It must cost less than a person does who
    stands still in one of the example's poses, unless the example itself hardly moves.

    Args:
        own: median squared distance of a frame of the examples to itself.
        threshold: takes the place of all limits.
        mirror: whether mirror images may match at all.
    """
    unit = _unit(examples, own)
    labels = np.array([example.label for example in examples.examples])
    lowest, still = mutual.lowest / unit, mutual.still / unit
    same = (labels[:, None] == labels[None]) & ~np.eye(len(labels), dtype=bool)
    other = labels[:, None] != labels[None]
    usual = _usual(lowest[:, 0], same)
    reversed_ = other & (lowest[:, 1] < usual) & (lowest[:, 1] < _MIRRORED * lowest[:, 0])
    moves = still > _STILL
    most = np.minimum(usual, np.where(moves, _STRICTNESS * still, np.inf))
    if threshold is not None:
        usual = float(threshold)
        most = np.full(len(labels), usual)
    return Limits(most, np.full(len(labels), mirror) & ~reversed_.any(axis=0), ~moves, usual, unit)


def _usual(lowest: np.ndarray, same: np.ndarray) -> float:
    """One limit for all: examples differ less in what a match costs them than one would think.

    Examples that cost each other little do not lower it: two takes from one side are closer to
    each other than to the same action from another side.
    """
    among = np.where(same, lowest, np.inf).min(axis=0)
    among = among[np.isfinite(among)]
    if not len(among):
        return _USUAL
    return float(np.clip(_WIDTH * np.median(among), _USUAL, _MOST * _USUAL))


def _unit(examples: Examples, own: float) -> float:
    """The distance at which a match has even odds, less what the examples are away from
    themselves."""
    even = max(examples.sigmoid_b, 1.0) / examples.sigmoid_a
    return math.sqrt(max(even * even - own, _LEAST * even * even))
