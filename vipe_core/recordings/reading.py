"""A whole recording, person by person."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vipe_core import skeletons
from vipe_core.errors import VipeError
from vipe_core.recordings.opening import open_source
from vipe_core.recordings.recording import Moment, Person, Recording
from vipe_core.recordings.source import Source
from vipe_core.track import Track

if TYPE_CHECKING:
    from vipe_core.detectors import Detector
    from vipe_core.pipeline import Options
    from vipe_core.runtime import Model

_EMBEDDING = ("mean", "variance", "mirror_mean", "mirror_variance")


def read(
    path: str | Path,
    model: Model,
    detector: Detector | str | Path | None = None,
    start_s: float | None = None,
    end_s: float | None = None,
    progress: Callable[[int], object] | None = None,
    topic: str | None = None,
    options: Options | None = None,
) -> Recording:
    """Everybody who is seen in a recording.

    Args:
        path, model, detector, topic, options: see :func:`vipe_core.recordings.open_source`.
        start_s, end_s: only this part, both ends in it; seconds since the first moment.
        progress: called with the number of moments just read.

    Raises:
        VipeError: as of ``open_source``; nothing lies in the part, or nobody is seen in it.
    """
    with open_source(path, model, detector, options=options, topic=topic) as source:
        window = _window(source, start_s, end_s, progress)
        histories, stamps = _gather(window)
        if not histories:
            what = "nobody is seen" if stamps else "no moment"
            notes = "".join(f"; {note}" for note in source.notes)
            raise VipeError(f"{source.kind} {path}: {what}{_part(start_s, end_s)}{notes}")
        people = [_person(name, moments) for name, moments in histories.items()]
        people.sort(key=lambda person: -len(person.track))  # stable: else as they came
        return Recording(
            source=str(path),
            people=tuple(people),
            stamps=np.array(stamps),
            image_size=source.image_size,
            label=source.label,
            fingerprint=model.fingerprint,
            sigmoid_a=model.metadata.sigmoid_a,
            sigmoid_b=model.metadata.sigmoid_b,
        )


_Seen = list[tuple[Moment, int]]  # the moments in which a person is, and their row there


def _window(
    source: Source,
    start_s: float | None,
    end_s: float | None,
    progress: Callable[[int], object] | None,
) -> Iterator[Moment]:
    """The moments between two times; those before are read too, since people are followed."""
    first = None
    for moment in source.moments():
        first = moment.stamp_s if first is None else first
        since_s = moment.stamp_s - first
        if end_s is not None and since_s > end_s:
            return
        if progress:
            progress(1)
        if start_s is None or since_s >= start_s:
            yield moment


def _gather(moments: Iterator[Moment]) -> tuple[dict[str, _Seen], list[float]]:
    """Who was where in which moments, and the stamps of all."""
    histories: dict[str, _Seen] = {}
    stamps = []
    for moment in moments:
        stamps.append(moment.stamp_s)
        for row, name in enumerate(moment.bodies):
            histories.setdefault(name, []).append((moment, row))
    return histories, stamps


def _person(name: str, seen: _Seen) -> Person:
    stamp = np.array([moment.stamp_s for moment, _ in seen])
    track = Track(stamp, *(_estimates(seen, head) for head in _EMBEDDING))  # type: ignore[arg-type]
    joints, std = _estimates(seen, "joints"), _estimates(seen, "std")
    points, visibility, skeleton = _keypoints(seen)
    return Person(name, track, points, visibility, skeleton, joints, std)


def _estimates(seen: _Seen, head: str) -> np.ndarray | None:
    """(T, ...) of one head; None when a moment lacks it."""
    rows = [(getattr(moment.estimates, head), row) for moment, row in seen]
    if any(values is None for values, _ in rows):
        return None
    return np.stack([values[row] for values, row in rows])


def _keypoints(seen: _Seen) -> tuple[np.ndarray | None, np.ndarray | None, str]:
    """Points, visibility and skeleton; a moment without is NaN, None when all are."""
    names = {moment.people.skeleton for moment, _ in seen if moment.people is not None}
    if not names:
        return None, None, ""
    skeleton = names.pop()
    joints = len(skeletons.get(skeleton))
    points = np.full((len(seen), joints, 2), np.nan, np.float32)
    visibility = np.zeros((len(seen), joints), np.float32)
    for frame, (moment, row) in enumerate(seen):
        if moment.people is not None:
            points[frame] = moment.people.to_skeleton(skeleton).points[row]
            visibility[frame] = moment.people.to_skeleton(skeleton).visibility[row]
    return points, visibility, skeleton


def _part(start_s: float | None, end_s: float | None) -> str:
    if start_s is None and end_s is None:
        return ""
    until = "its end" if end_s is None else f"{end_s:g} s"
    return f" from {start_s or 0:g} s to {until}"
