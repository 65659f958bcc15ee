"""Recordings into a gallery, one moment after the other."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vipe_core import drawing, recordings
from vipe_core.errors import VipeError
from vipe_core.gallery.appender import Appender
from vipe_core.gallery.ledger import Ledger, State, claimed, version_of
from vipe_core.gallery.rows import Rows
from vipe_core.gallery.table import Gallery
from vipe_core.recordings import Moment, Source

if TYPE_CHECKING:
    from vipe_core.runtime import Model

_TOLERANCE_S = 1e-3  # stamps of 30 images a second are not quite 0.1 s apart three by three


@dataclass(frozen=True)
class Settings:
    """What is made of a recording.

    Attributes:
        label: of every row; None: what the recording says.
        every_s: seconds between two moments that are kept; 0: all.
        thumbnails: whether to keep a picture of each pose.
        detector: YAML file of the one that finds people in images; None: BlazePose.
        topic: of bags, when several would do.
    """

    label: str | None = None
    every_s: float = 0.0
    thumbnails: bool = True
    detector: str | None = None
    topic: str | None = None


@dataclass
class Summary:
    """What came of it.

    Attributes:
        indexed, skipped: recordings; skipped ones were whole already.
        rows: poses added.
        nobody: poses left out because their embedding is not finite.
        failed: one line for each recording that could not be read to its end.
    """

    indexed: int = 0
    skipped: int = 0
    rows: int = 0
    nobody: int = 0
    failed: list[str] = field(default_factory=list)


class Watch:
    """Is told what happens; does nothing. Override what is of interest."""

    def begin(self, path: Path, count: int | None) -> None:
        """A recording of so many moments is begun."""

    def step(self) -> None:
        """One more moment has been read."""

    def say(self, line: str) -> None:
        """Something was left out, or a recording failed."""


def index(
    gallery: Gallery,
    paths: Sequence[str | Path],
    model: Model,
    settings: Settings | None = None,
    watch: Watch | None = None,
    flush_s: float = 1.0,
) -> Summary:
    """Add every pose of some recordings.

    What the gallery holds whole already is skipped; a recording that was cut off is continued
    behind its last row; one whose file or settings have changed is indexed anew. A recording
    that cannot be read is reported and passed over; what was read of it stays. One who indexes
    into the same folder already is waited for.

    Args:
        gallery: of this model.
        paths: files and folders, see :func:`vipe_core.recordings.find`.
        model: makes the embeddings.
        settings: what is made of each.
        watch: is told of progress.
        flush_s: seconds between two appends.

    Raises:
        VipeError: the gallery is of another model or cannot be written.
    """
    gallery.check_model(model.fingerprint)
    settings, watch, summary = settings or Settings(), watch or Watch(), Summary()
    with claimed(gallery, watch.say) as ledger:
        job = _Job(gallery, ledger, model, settings, watch, flush_s, summary)
        for path in found(paths, watch, summary):
            try:
                job.run(path)
            except Unreadable as error:
                summary.failed.append(str(error))
                watch.say(str(error))
    return summary


def source_name(path: str | Path) -> str:
    """What a recording is called in a gallery: its absolute path."""
    return os.path.abspath(Path(path).expanduser())


class Unreadable(VipeError):
    """A recording failed, not the gallery."""


def found(paths: Sequence[str | Path], watch: Watch, summary: Summary) -> list[Path]:
    """The recordings below all paths, each once; a path without one is a failure."""
    known: dict[str, Path] = {}
    for path in paths:
        try:
            inside = recordings.find([path], watch.say)
        except VipeError as error:
            summary.failed.append(str(error))
            watch.say(str(error))
            continue
        known |= {source_name(one): one for one in inside}
    return list(known.values())


@dataclass(frozen=True)
class _Job:
    gallery: Gallery
    ledger: Ledger
    model: Model
    settings: Settings
    watch: Watch
    flush_s: float
    summary: Summary

    def run(self, path: Path) -> None:
        """Add one recording, unless it is there."""
        name = source_name(path)
        try:
            version = version_of(path, self.settings)
        except OSError as error:
            raise Unreadable(f"recording {path}: {error.strerror}") from None
        state = self.ledger.state(name, version)
        if state is State.WHOLE:
            self.summary.skipped += 1
            return
        with opened(path, self.model, self.settings) as source:
            after = self._resume(name, version, state)
            self._append(source, name, after)
        self.ledger.enter(name, version, whole=True)
        self.summary.indexed += 1

    def _resume(self, name: str, version: str, state: State) -> float | None:
        """The stamp behind which to continue; rows of another version are removed."""
        if state is State.PART:
            return self.gallery.newest(name)
        if state is State.OTHER:
            self.gallery.remove(name)
        self.ledger.enter(name, version, whole=False)
        return None

    def _append(self, source: Source, name: str, after: float | None) -> None:
        self.watch.begin(source.path, source.count)
        appender = Appender(self.gallery, self.flush_s)
        try:
            with appender:
                for rows in rows_of(source, name, self.settings, after, self.watch):
                    appender.add(rows)
        finally:
            self.summary.nobody += appender.left_out
            self.summary.rows += appender.added
        for line in source.notes:
            self.watch.say(line)


def rows_of(
    source: Source,
    name: str,
    settings: Settings,
    after: float | None = None,
    watch: Watch | None = None,
) -> Iterator[Rows]:
    """The poses of one recording, moment by moment.

    Args:
        source: see :func:`opened`.
        name: of the recording, in the gallery.
        settings: what is made of it.
        after: only moments with a later stamp; the others are read too, since people are
            followed through all of them.
        watch: is told of each moment.

    Raises:
        Unreadable: it turns out to be damaged.
    """
    label = settings.label or source.label or ""
    for moment in _kept(source, settings.every_s, watch or Watch()):
        if after is None or moment.stamp_s > after:
            yield _rows(moment, name, label, settings.thumbnails)


def _kept(source: Source, every_s: float, watch: Watch) -> Iterator[Moment]:
    """The moments to keep, the same ones at every reading."""
    due = -np.inf
    moments = source.moments()
    while True:
        try:
            moment = next(moments, None)
        except VipeError as error:
            raise Unreadable(str(error)) from None
        if moment is None:
            return
        watch.step()
        if moment.stamp_s >= due - _TOLERANCE_S:
            due = moment.stamp_s + every_s
            yield moment


def _rows(moment: Moment, name: str, label: str, thumbnails: bool) -> Rows:
    mean, variance = moment.estimates.embedding()
    stamps = np.full(len(mean), moment.stamp_s)
    pictures = _thumbnails(moment) if thumbnails else None
    return Rows(mean, variance, name, stamps, moment.bodies, label, pictures)


def _thumbnails(moment: Moment) -> list[bytes] | None:
    people = moment.people
    if people is None:
        return None
    return [
        drawing.thumbnail(moment.image, points, visibility, people.skeleton)
        for points, visibility in zip(people.points, people.visibility, strict=True)
    ]


def opened(path: Path, model: Model, settings: Settings) -> Source:
    """A recording, with what :func:`rows_of` needs of it; raises Unreadable."""
    try:
        return recordings.open_source(
            path, model, settings.detector, images=settings.thumbnails, topic=settings.topic
        )
    except VipeError as error:
        raise Unreadable(str(error)) from None
