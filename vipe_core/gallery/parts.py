"""A recording in numbered parts, which are written once each and in order, however they come."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vipe_core.gallery import indexing
from vipe_core.gallery.appender import Appender, joined
from vipe_core.gallery.indexing import Settings, Summary, Watch
from vipe_core.gallery.ledger import Ledger, State
from vipe_core.gallery.rows import Rows
from vipe_core.gallery.table import Gallery

if TYPE_CHECKING:
    from vipe_core.runtime import Model

PART_ROWS = 1000  # with pictures some 3 MB


@dataclass(frozen=True)
class Task:
    """A recording to be read.

    Attributes:
        path: where, also as the workers see it.
        source: its name in the gallery.
        version: see :func:`vipe_core.gallery.ledger.version_of`.
        state: how much of it the gallery holds.
        after: the stamp behind which to continue; None: from the start.
    """

    path: str
    source: str
    version: str
    state: State
    after: float | None

    def to_json(self) -> str:
        """For the way to a worker."""
        return json.dumps(asdict(self) | {"state": self.state.value})

    @classmethod
    def from_json(cls, text: str) -> Task:
        """What :meth:`to_json` gave."""
        values = json.loads(text)
        return cls(**values | {"state": State(values["state"])})


@dataclass(frozen=True)
class Part:
    """Some moments of a recording, in the order of time.

    Attributes:
        source: name of the recording.
        number: counted from 0 within the recording.
        moments: how many were read for it.
        rows: their poses; None for none.
        last: whether the recording ends with it.
        error: why the recording could be read no further; "" when it could.
        notes: what was left out while reading, one line each.
    """

    source: str
    number: int
    moments: int
    rows: Rows | None
    last: bool = False
    error: str = ""
    notes: tuple[str, ...] = ()

    def to_bytes(self) -> bytes:
        """For the way from a worker: an ``.npz``, as everything that vipe keeps."""
        said = {name: getattr(self, name) for name in _SAID}
        arrays: dict[str, Any] = {} if self.rows is None else _arrays(self.rows)
        content = io.BytesIO()
        np.savez(content, said=np.array(json.dumps(said)), **arrays)
        return content.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> Part:
        """What :meth:`to_bytes` gave."""
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            said = json.loads(str(arrays["said"]))
            rows = _rows(said["source"], arrays) if "mean" in arrays else None
        return cls(**said | {"notes": tuple(said["notes"])}, rows=rows)


_SAID = ("source", "number", "moments", "last", "error", "notes")


def _arrays(rows: Rows) -> dict[str, Any]:
    """The rows of one source; pictures end to end, -1 bytes where there is none."""
    pictures = [picture or b"" for picture in rows.thumbnail or ()]
    sizes = [-1 if picture is None else len(picture) for picture in rows.thumbnail or ()]
    return {
        "mean": rows.mean,
        "variance": rows.variance,
        "stamp_s": rows.stamp_s,
        "body": np.array(rows.body, str),
        "label": np.array(rows.label, str),
        "pictures": np.frombuffer(b"".join(pictures), np.uint8),
        "sizes": np.array(sizes, np.int64),
    }


def _rows(source: str, arrays: Mapping[str, np.ndarray]) -> Rows:
    sizes, pictures = arrays["sizes"], arrays["pictures"].tobytes()
    ends = np.maximum(sizes, 0).cumsum().tolist()
    thumbnails = [
        None if size < 0 else pictures[end - size : end]
        for size, end in zip(sizes.tolist(), ends, strict=True)
    ]
    return Rows(
        arrays["mean"],
        arrays["variance"],
        source,
        arrays["stamp_s"],
        arrays["body"].tolist(),
        arrays["label"].tolist(),
        thumbnails,
    )


def read(task: Task, model: Model, settings: Settings) -> Iterator[Part]:
    """The parts of a recording, of whole moments each; the last one is marked."""
    number, counted = 0, _Counter()
    waiting: list[Rows] = []
    error, notes = "", ()
    try:
        with indexing.opened(Path(task.path), model, settings) as source:
            for rows in indexing.rows_of(source, task.source, settings, task.after, counted):
                waiting += [rows] if len(rows) else []
                if sum(map(len, waiting)) >= PART_ROWS:
                    yield Part(task.source, number, counted.taken(), joined(waiting))
                    number, waiting = number + 1, []
            notes = tuple(source.notes)
    except indexing.Unreadable as unreadable:
        error = str(unreadable)
    rows = joined(waiting) if waiting else None
    yield Part(task.source, number, counted.taken(), rows, True, error, notes)


class Writer:
    """Appends parts to a gallery, each once, those of a recording in their order.

    A context manager: leaving it, also by an exception, appends what is left.

    Args:
        gallery, ledger: where rows go, and where it is noted which recordings are whole.
        tasks: the recordings that parts will come of.
        watch: is told of progress.
        summary: is filled.

    Attributes:
        summary: what has come of it; up to date when left.
    """

    def __init__(
        self,
        gallery: Gallery,
        ledger: Ledger,
        tasks: Iterable[Task],
        watch: Watch,
        summary: Summary,
    ) -> None:
        self._gallery, self._ledger, self._watch = gallery, ledger, watch
        self.summary = summary
        self._tasks = {task.source: task for task in tasks}
        self._next = dict.fromkeys(self._tasks, 0)
        self._early: dict[tuple[str, int], Part] = {}
        self._appender = Appender(gallery)
        self._ended: list[Task] = []  # their last rows may be waiting

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self._appender.flush()
        self._written()

    def take(self, part: Part) -> None:
        """Append it, unless it was there before; one that comes too early waits."""
        if part.number < self._next[part.source]:
            return
        self._early[part.source, part.number] = part
        while (due := self._early.pop(self._due(part.source), None)) is not None:
            self._next[part.source] += 1
            self._write(self._tasks[due.source], due)

    def _due(self, source: str) -> tuple[str, int]:
        return source, self._next[source]

    def _write(self, task: Task, part: Part) -> None:
        if part.number == 0 and not (part.error and part.rows is None):
            self._begin(task)
        for _ in range(part.moments):
            self._watch.step()
        on_disk = part.rows is not None and self._appender.add(part.rows)
        if part.last:
            self._end(task, part)
        if on_disk:
            self._written()

    def _begin(self, task: Task) -> None:
        if task.state is State.OTHER:
            self._gallery.remove(task.source)
        if task.state is not State.PART:
            self._ledger.enter(task.source, task.version, whole=False)

    def _end(self, task: Task, part: Part) -> None:
        for line in part.notes:
            self._watch.say(line)
        if part.error:
            self.summary.failed.append(part.error)
            self._watch.say(part.error)
        else:
            self._ended.append(task)

    def _written(self) -> None:
        """All rows so far are on disk: recordings that have ended are whole."""
        for task in self._ended:
            self._ledger.enter(task.source, task.version, whole=True)
        self.summary.indexed += len(self._ended)
        self.summary.rows = self._appender.added
        self.summary.nobody = self._appender.left_out
        self._ended = []


class _Counter(Watch):
    """Counts moments."""

    def __init__(self) -> None:
        self._count = 0

    def step(self) -> None:
        self._count += 1

    def taken(self) -> int:
        """Moments since it was asked last."""
        count, self._count = self._count, 0
        return count
