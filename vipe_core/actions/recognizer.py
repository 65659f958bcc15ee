"""Actions recognised by example, in a stream of embeddings, with no training.

The cost of a frame of the stream against a frame of an example is their distance
(:func:`vipe_core.embedding.pairwise_excess_distance`), the person as it is and its mirror image
each for a whole match. Pr-VIPE (IJCV 2021, section on action recognition) takes -log of the
match probability instead; where that is saturated, on both sides of its slope, it cannot
tell a good match from a fair one, and false alarms follow. Matches are found by
subsequence dynamic time warping as they end (:class:`vipe_core.alignment.StreamAligner`),
and what counts as a match is learned from the examples themselves
(:func:`vipe_core.actions.limits.learn_limits`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from vipe_core.actions.comparison import Comparison
from vipe_core.actions.examples import Examples
from vipe_core.actions.limits import Mutual, learn_limits
from vipe_core.alignment import StreamAligner
from vipe_core.errors import VipeError

UNKNOWN = "unknown"
_MOST_TRACKS = 100
# Log odds per share of the limit, between two labels and between a label and "unknown", which
# counts as a match at the limit. Fitted by likelihood to matches in streams of four draws of
# Bandai's validation styles, 3 to 10 movements taught 1, 3 or 5 times.
_SLOPE = 7.0
_BEYOND = 1.001
_WORST = 5.0  # the cost of what does not match at all, as a share of the limit
_BEGUN = 0.2  # an example is under way when it has gained this share of what a perfect match gains
_ECHO_S = 0.2  # how long the best match is said again while worse ones overlap it


@dataclass(frozen=True)
class Action:
    """What a person is doing, as far as it is known at one moment.

    Attributes:
        label: the action, or "unknown".
        probability: of that label, 0..1: how often such a match is right.
        start, end: seconds, when the action began and ended; None when unknown.
        labels: all labels and "unknown", most probable first.
        probabilities: theirs, summing to 1.
        under_way: the action that seems to have begun and not yet ended, "" when there is none.
        progress: how far that has come, 0 to 1 of its example; 0 when there is none.
    """

    label: str
    probability: float
    start: float | None
    end: float | None
    labels: tuple[str, ...]
    probabilities: tuple[float, ...]
    under_way: str = ""
    progress: float = 0.0


@dataclass
class _State:
    """Of one person: where the alignment stands, the last frame, and what was last said."""

    aligner: StreamAligner
    stamp: float
    embedding: np.ndarray  # (2, 2, D): itself and mirrored; mean and variance
    ticks: int = 0
    origin: float = 0.0
    action: Action | None = None
    matched: Action | None = None


class Recognizer:
    """Recognises actions that were taught in the embeddings of any number of people.

    Time and memory per frame depend on the examples alone. Examples and stream
    are brought to one rate, so a camera need not have the frame rate of the examples; an
    action is found at half to twice the speed it was shown at.

    Args:
        examples: the actions.
        threshold: highest mean cost per frame of a match, 1 for the distance at which a
            match has even odds; learned from the examples, for each of them, when None.
        mirror: also recognise the mirror image, but for examples whose mirror image was
            taught under another label (a left and a right hand raised, say).
        rate_hz: steps per second at which sequences are compared.
        max_gap_s: a person unseen for longer starts anew.
        known: what another recogniser learned; see :meth:`with_examples`.
    """

    def __init__(
        self,
        examples: Examples,
        threshold: float | None = None,
        mirror: bool = True,
        rate_hz: float = 15.0,
        max_gap_s: float = 0.5,
        known: Mutual | None = None,
    ) -> None:
        given = {"rate_hz": rate_hz, "max_gap_s": max_gap_s, "threshold": threshold}
        for name, value in given.items():
            if value is not None and not (math.isfinite(value) and value > 0):
                raise VipeError(f"{name} is {value}, a positive number needed")
        self.examples, self.rate_hz, self.max_gap_s = examples, rate_hz, max_gap_s
        self._threshold, self._mirror = threshold, mirror
        self._labels = (*examples.labels, UNKNOWN)
        self._label_of = np.array([examples.labels.index(e.label) for e in examples.examples])
        self._states: dict[str, _State] = {}
        self._mutual: Mutual | None = None
        if not examples.examples:
            return
        self._comparison = Comparison([e.track for e in examples.examples], rate_hz)
        # Half the rate is four times as fast and gives nearly the same limits.
        self._mutual = Mutual(examples.examples, rate_hz / 2, known)
        own = self._comparison.typical_own()
        self._limits = learn_limits(examples, self._mutual, own, threshold, mirror)
        self._never = ~np.tile(self._limits.mirror, 2)
        self._never[: len(examples.examples)] = False

    def with_examples(self, examples: Examples) -> Recognizer:
        """A recogniser of other examples that is otherwise set as this one; people start anew.

        What was learned about examples that are the same objects as before is kept, so that
        one more is taught in a moment.
        """
        threshold, mirror = self._threshold, self._mirror
        return Recognizer(examples, threshold, mirror, self.rate_hz, self.max_gap_s, self._mutual)

    @property
    def thresholds(self) -> np.ndarray:
        """(E,) highest mean cost per frame at which an example matches."""
        return self._limits.most.copy() if self.examples.examples else np.zeros(0)

    def drop(self, track_id: str) -> None:
        """Forget a person; one that is not known is fine."""
        self._states.pop(track_id, None)

    def update(
        self,
        track_id: str,
        stamp_s: float,
        mean: np.ndarray,
        variance: np.ndarray,
        mirror_mean: np.ndarray | None = None,
        mirror_variance: np.ndarray | None = None,
    ) -> Action:
        """Take the next frame of one person.

        Args:
            track_id: which person.
            stamp_s: time of the frame in seconds. Going back in time starts anew.
            mean, variance: (D,) embedding. A frame with a value that is not finite counts
                as not seen.
            mirror_mean, mirror_variance: (D,) of the mirrored person, if the model has it.

        Returns:
            The action that has just ended, from the frame on which its match is good
            enough for as long as it is; in between, and when nothing fits, "unknown".

        Raises:
            VipeError: an embedding that is not of the examples' size.
        """
        if not self.examples.examples:
            return self._unknown()
        own = (mean, variance)
        twin = (
            own
            if mirror_mean is None or mirror_variance is None
            else (mirror_mean, mirror_variance)
        )
        embedding, stamp_s = self._comparison.checked(own, twin), float(stamp_s)
        state = self._states.pop(track_id, None)
        if not (np.isfinite(embedding).all() and math.isfinite(stamp_s)):
            if state is not None:
                self._states[track_id] = state
            return self._unknown()
        if state is None or not 0 <= stamp_s - state.stamp <= self.max_gap_s:
            state = _State(self._comparison.aligner(), stamp_s, embedding, origin=stamp_s)
        self._states[track_id] = state  # last in the dictionary: the most recently seen
        while len(self._states) > _MOST_TRACKS:
            self._states.pop(next(iter(self._states)))
        self._advance(state, stamp_s, embedding)
        label, progress = self._under_way(state)
        return replace(state.action or self._unknown(), under_way=label, progress=progress)

    def _under_way(self, state: _State) -> tuple[str, float]:
        """The label and progress of the example whose beginning fits best.

        A beginning is as good as what it stays below the limit, summed over its frames.
        """
        gain = self._comparison.gain(state.aligner.totals, self._limits.most)  # (2 E, L)
        row, column = np.unravel_index(int(gain.argmax()), gain.shape)
        if gain[row, column] < _BEGUN:
            return "", 0.0
        example = int(row) % len(self._label_of)
        progress = (int(column) + 1) / self._comparison.lengths[example]
        return self._labels[self._label_of[example]], progress

    def _advance(self, state: _State, stamp_s: float, embedding: np.ndarray) -> None:
        """Feed the alignment at its own even steps up to now, and remember this frame."""
        span = stamp_s - state.stamp
        while (tick := state.origin + state.ticks / self.rate_hz) <= stamp_s + 1e-9:
            share = min(max((tick - state.stamp) / span, 0), 1) if span > 0 else 1.0
            between = state.embedding * (1 - share) + embedding * share
            cost = self._comparison.cost(between) / self._limits.unit
            cost[self._never] = np.inf
            found, start = state.aligner.update(cost, tick)
            self._judge(state, *self._comparison.best(found, start), tick)
            state.ticks += 1
        state.stamp, state.embedding = stamp_s, embedding

    def _judge(self, state: _State, found: np.ndarray, start: np.ndarray, now: float) -> None:
        """From mean costs (E,) and starts (E,) of matches that end now to an action."""
        cost = np.minimum(found / self._limits.usual, _WORST)
        # What is not below its own limit is less probable than "unknown".
        cost = np.where(found > self._limits.most, np.maximum(cost, _BEYOND), cost)
        of_label = np.full(len(self._labels) - 1, _WORST)
        np.minimum.at(of_label, self._label_of, cost)
        example = int(cost.argmin())
        state.action = self._action(of_label, float(start[example]), now)
        if state.action.label == UNKNOWN:
            return
        state.action = self._settled(state.matched, state.action, self._limits.still[example])
        state.matched = state.action if state.action.start is not None else state.matched

    def _settled(self, before: Action | None, action: Action, still: bool) -> Action:
        """The match to report, given the one reported before, when matches overlap.

        The best moment of a match is its end. What overlaps it and is worse is its echo:
        for a moment the better one is said again, then nothing.
        """
        if before is None or before.end is None or action.start is None or action.end is None:
            return action
        if _is_later(before, action):
            return action
        if still and action.label == before.label:
            return replace(action, start=before.start)  # a pose held for longer
        if action.probability > before.probability:
            return action
        return before if action.end - before.end <= _ECHO_S else self._unknown()

    def _action(self, cost: np.ndarray, start: float, end: float) -> Action:
        """From the cost of each label (L,) as a share of the limit."""
        weight = np.exp(_SLOPE * (1 - np.append(cost, 1.0)))
        weight /= weight.sum()
        order = np.argsort(-weight, kind="stable")
        labels = tuple(self._labels[i] for i in order)
        probabilities = tuple(float(p) for p in weight[order])
        if labels[0] == UNKNOWN:
            return Action(UNKNOWN, probabilities[0], None, None, labels, probabilities)
        return Action(labels[0], probabilities[0], start, end, labels, probabilities)

    def _unknown(self) -> Action:
        return self._action(np.full(len(self._labels) - 1, _WORST), 0, 0)


def segments(actions: Iterable[Action]) -> list[Action]:
    """The actions of one person without repetition: each match once, at its best."""
    found: list[Action] = []
    for action in actions:
        if action.start is None:
            continue
        if not (found and _is_same_match(found[-1], action)):
            found.append(action)
        elif action.probability >= found[-1].probability or action.start == found[-1].start:
            found[-1] = action
    return found


def _is_same_match(before: Action, after: Action) -> bool:
    """Whether a match is another view of the one before, not the next in the stream."""
    return before.label == after.label and not _is_later(before, after)


def _is_later(before: Action, after: Action) -> bool:
    """Whether a match begins after the middle of the one before, and most of it after its end."""
    if before.start is None or before.end is None or after.start is None or after.end is None:
        return True
    middle = (before.start + before.end) / 2
    return after.start >= middle and after.start + after.end >= 2 * before.end
