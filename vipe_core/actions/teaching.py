"""Teaching: what one person does for a while becomes an example."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from vipe_core import skeletons
from vipe_core.actions.checks import LONGEST_S, check_label, check_track
from vipe_core.actions.examples import Example, Keypoints
from vipe_core.bodies import Bodies2D, Estimates
from vipe_core.errors import VipeError
from vipe_core.track import Track

_EPSILON = 1e-6  # seconds


@dataclass(frozen=True)
class _Frame:
    """One person in one frame: the four heads (D,) of the embedding, keypoints where known."""

    stamp: float
    heads: tuple[np.ndarray | None, ...]
    points: np.ndarray | None
    visibility: np.ndarray | None


class Lesson:
    """Collects the frames of one person, live or from a recording, and makes an example.

    The example lasts from when the person is first seen to when they are last seen. Where a
    beginning or an end was asked for, the person must be there from the one to the other:
    nothing that was to be learned is left out without a word.

    Args:
        label: name of the action; spaces around it do not count.
        who: name of the person; "" for the only one in view.
        start_s: stamp at which the action begins; None: with the first frame.
        end_s: stamp at which it ends, included; None: with the last frame.
        seconds: instead of an end, how long to look; then the start is asked for too.
        source: where the frames come from, for messages.
        origin_s: stamp from which messages count seconds; None: the first frame.
        max_gap_s: out of view for longer, in the middle, is lost.

    Raises:
        VipeError: a label that cannot be taught, an end that is not after the start.
    """

    def __init__(
        self,
        label: str,
        who: str = "",
        start_s: float | None = None,
        end_s: float | None = None,
        seconds: float | None = None,
        source: str = "",
        origin_s: float | None = None,
        max_gap_s: float = 0.5,
    ) -> None:
        label = label.strip()
        check_label(label)
        if seconds is not None and not (math.isfinite(seconds) and seconds > 0):
            raise VipeError(f"cannot look for {seconds:g} s: a positive number is needed")
        if start_s is not None and end_s is not None and not end_s > start_s:
            raise VipeError("the end is not after the start")
        self.label, self.source, self.max_gap_s = label, source, max_gap_s
        self._who, self._start, self._end, self._seconds = who, start_s, end_s, seconds
        self._origin = origin_s
        # At an end that was asked for the person must be in view.
        self._start_asked = start_s is not None or seconds is not None
        self._end_asked = end_s is not None or seconds is not None
        self._stamps: list[float] = []
        self._seen: dict[str, list[_Frame]] = {}
        self._skeleton = ""
        self._nameless = self._ended = self._went_back = False

    @property
    def finished(self) -> bool:
        """Whether a frame beyond the end has come, or more than one action can last."""
        return self._ended or self._too_long

    def add(
        self,
        stamp_s: float,
        bodies: Sequence[str],
        estimates: Estimates,
        people: Bodies2D | None = None,
    ) -> None:
        """Take the next frame; before the start and after the end it is left alone.

        Args:
            stamp_s: of the frame, in seconds.
            bodies: names of the P people in view.
            estimates: of the P people, with embeddings.
            people: their keypoints, where known: they are kept with the example.

        Raises:
            VipeError: estimates without embeddings.
        """
        stamp_s = float(stamp_s)
        if self.finished or not self._in_span(stamp_s):
            return
        self._stamps.append(stamp_s)
        for row, body in enumerate(bodies):
            if not body:
                self._nameless = True
            elif self._who and body != self._who:
                self._seen.setdefault(body, [])  # only to be named where it helps
            elif all(np.isfinite(values[row]).all() for values in estimates.embedding()):
                self._keep(body, _frame(stamp_s, estimates, people, row), people)

    def example(self) -> Example:
        """What was learned.

        Raises:
            VipeError: nobody in view, several people and no name, the person lost for a while,
                shorter than 0.3 s or longer than two minutes.
        """
        try:
            name = self._name()
            frames = self._seen[name]
            self._check_whole(name, [frame.stamp for frame in frames])
            track = _track(frames)
            check_track(track, track.mean.shape[-1])
        except VipeError as error:
            where = f"{self.source}: " if self.source else ""
            raise VipeError(f"{where}{error}") from None
        return Example(self.label, track, self.source, self._keypoints(frames))

    @property
    def _too_long(self) -> bool:
        return bool(self._stamps) and self._stamps[-1] - self._stamps[0] > LONGEST_S

    def _in_span(self, stamp_s: float) -> bool:
        """Whether a frame counts; notes where the span begins, and that it has ended."""
        if not math.isfinite(stamp_s):
            return False
        self._origin = stamp_s if self._origin is None else self._origin
        self._start = stamp_s if self._start is None else self._start
        if self._end is None and self._seconds is not None:
            self._end = self._start + self._seconds
        self._ended = self._end is not None and stamp_s > self._end + _EPSILON
        if self._ended or stamp_s < self._start - _EPSILON:
            return False
        last = self._stamps[-1] if self._stamps else -math.inf
        self._went_back |= stamp_s < last
        return stamp_s > last

    def _keep(self, body: str, frame: _Frame, people: Bodies2D | None) -> None:
        frames = self._seen.setdefault(body, [])
        if frames and frames[-1].stamp == frame.stamp:
            return  # twice in one frame
        if people is not None:
            self._skeleton = self._skeleton or people.skeleton
            if people.skeleton != self._skeleton:
                frame = replace(frame, points=None, visibility=None)
        frames.append(frame)

    def _name(self) -> str:
        """Whose example it is."""
        names = list(self._seen)
        if self._went_back:
            raise VipeError("time went back while looking: begin again")
        if not self._stamps:
            raise VipeError("no image came in the time asked for")
        if self._who and not self._seen.get(self._who):
            others = f"in view: {', '.join(names)}" if names else "nobody was"
            raise VipeError(f"{self._who!r} was not in view; {others}")
        if self._who:
            return self._who
        if not names and self._nameless:
            raise VipeError("the people in view have no ids, so nobody can be followed")
        if not names:
            raise VipeError(f"nobody in view from {self._span(self._stamps[0], self._stamps[-1])}")
        if len(names) > 1:
            each = ", ".join(f"{name} {_seconds(self._seen[name]):.1f} s" for name in names)
            raise VipeError(f"{len(names)} people in view, say who (track_id, --person): {each}")
        return names[0]

    def _check_whole(self, name: str, stamps: list[float]) -> None:
        """Raises VipeError where only a part of what was asked for could be seen."""
        if self._too_long:
            raise VipeError(f"more than {LONGEST_S:.0f} s, which no action lasts: choose a part")
        before = [self._start] if self._start_asked and self._start is not None else []
        after = [self._end] if self._end_asked and self._end is not None else []
        there = [*before, *stamps, *after]
        gap, at = max(((b - a, i) for i, (a, b) in enumerate(pairwise(there))), default=(0.0, 0))
        if gap <= self.max_gap_s + _EPSILON:
            return
        lost, found = there[at], there[at + 1]
        span = self._span(lost, found)
        without = set(self._stamps) - set(stamps)
        if any(lost - _EPSILON < stamp < found + _EPSILON for stamp in without):
            raise VipeError(f"person {name} was out of view from {span}: show it again")
        raise VipeError(f"no image from {span}; one every {self.max_gap_s:g} s is needed")

    def _span(self, first: float, last: float) -> str:
        origin = self._origin or 0.0
        return f"{first - origin:.2f} to {last - origin:.2f} s"

    def _keypoints(self, frames: list[_Frame]) -> Keypoints | None:
        """Those that came, nothing where none did; None without any."""
        if all(frame.points is None for frame in frames):
            return None
        joints = len(skeletons.get(self._skeleton))
        points = np.full((len(frames), joints, 2), np.nan, np.float32)
        visibility = np.zeros((len(frames), joints), np.float32)
        for row, frame in enumerate(frames):
            if frame.points is not None and frame.visibility is not None:
                points[row], visibility[row] = frame.points, frame.visibility
        return Keypoints(points, visibility, self._skeleton)


def _frame(stamp_s: float, estimates: Estimates, people: Bodies2D | None, row: int) -> _Frame:
    heads = (estimates.mean, estimates.variance)
    heads += (estimates.mirror_mean, estimates.mirror_variance)
    own = tuple(None if head is None else np.array(head[row]) for head in heads)
    if people is None:
        return _Frame(stamp_s, own, None, None)
    return _Frame(stamp_s, own, people.points[row].copy(), people.visibility[row].copy())


def _track(frames: list[_Frame]) -> Track:
    """The frames' embeddings; without mirrored ones where a frame has none."""
    mean, variance, *twin = zip(*(frame.heads for frame in frames), strict=True)
    mirrored = (None if any(v is None for v in head) else np.stack(head) for head in twin)
    stamp = np.array([frame.stamp for frame in frames])
    return Track(stamp, np.stack(mean), np.stack(variance), *mirrored)


def _seconds(frames: list[_Frame]) -> float:
    return frames[-1].stamp - frames[0].stamp
