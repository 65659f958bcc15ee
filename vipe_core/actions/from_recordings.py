"""Examples out of recordings: keypoint files, videos, bags, episodes, and folders of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from vipe_core import recordings
from vipe_core.actions import examples_file
from vipe_core.actions.examples import Example, Examples
from vipe_core.actions.teaching import Lesson
from vipe_core.errors import VipeError

if TYPE_CHECKING:
    from vipe_core.runtime import Model

_NAMED_INSIDE = ("keypoints", "embeddings")  # kinds of recordings that have a place for a label


def from_source(
    source: recordings.Source,
    label: str | None = None,
    who: str = "",
    start_s: float | None = None,
    end_s: float | None = None,
    progress: Callable[[int], object] | None = None,
) -> Example:
    """An example from an open recording, or from a part of it.

    Args:
        source: see :func:`vipe_core.recordings.open_source`.
        label: None: as :func:`label_of` says.
        who: see :class:`Lesson`.
        start_s, end_s: seconds from its first image; None: its beginning, its end.
        progress: called with the number of moments just read.

    Raises:
        VipeError: as :meth:`Lesson.example`; no label; no image in it.
    """
    lesson = None
    label = label_of(source) if label is None else label
    for moment in source.moments():
        if lesson is None:
            lesson = _lesson(source, moment.stamp_s, label, who, start_s, end_s)
        lesson.add(moment.stamp_s, moment.bodies, moment.estimates, moment.people)
        if progress:
            progress(1)
        if lesson.finished:
            break
    if lesson is None:
        raise VipeError(f"{source.path}: holds no image")
    return lesson.example()


def label_of(source: recordings.Source) -> str:
    """The label of a recording: its own, or, where its kind has no place for one (a video, a
    bag), the name of its file up to a trailing number: "wave" for ``wave_2.mp4``.

    Raises:
        VipeError: a keypoint or embedding file without label, a name that is only a number.
    """
    if own := (source.label or "").strip():
        return own
    if source.kind in _NAMED_INSIDE:
        raise VipeError(f"{source.path}: label: missing, an example needs one (--label)")
    path = Path(source.path)
    stem = path.name if path.is_dir() else path.stem
    label = re.sub(r"[\s_.(-]*\d+\)?$", "", stem).strip()
    if not label:
        raise VipeError(f"{source.path}: its name says no label: give one (--label)")
    return label


def from_folder(
    folder: Path, model: Model, notify: Callable[[str], object] | None = None
) -> Examples:
    """See :meth:`vipe_core.actions.Examples.from_folder`."""
    if not folder.is_dir():
        raise VipeError(f"examples folder {folder} does not exist")
    out = Examples.empty_of(model)
    clips = [path for path in sorted(folder.rglob("*.npz")) if not path.name.startswith(".")]
    for path in clips:
        if examples_file.is_one(path):
            raise VipeError(f"{path} is an examples file: name it in place of its folder")
    for path in recordings.find([folder, *clips]):
        with recordings.open_source(path, model) as source:
            out = out.added(from_source(source), another=True)
            if notify:
                for line in source.notes:
                    notify(line)
    return out


def _lesson(
    source: recordings.Source,
    first_s: float,
    label: str,
    who: str,
    start_s: float | None,
    end_s: float | None,
) -> Lesson:
    """A lesson over a part of a recording that begins at stamp ``first_s``."""
    start, end = (None if at is None else first_s + at for at in (start_s, end_s))
    try:
        part = f"{source.path}{_part(start_s, end_s)}"
        return Lesson(label, who, start, end, source=part, origin_s=first_s)
    except VipeError as error:
        raise VipeError(f"{source.path}: {error}") from None


def _part(start_s: float | None, end_s: float | None) -> str:
    if start_s is None and end_s is None:
        return ""
    return f" from {start_s or 0:g} s" + ("" if end_s is None else f" to {end_s:g} s")
