"""Bulk indexing on Ray Data: many workers read and embed, this process alone writes.

One worker reads a recording from its first moment to its last, since people are followed
through it, and hands it on in numbered parts. When a worker dies, Ray reads its recording again
elsewhere; parts that have come before are known by their numbers and dropped. What is written
is written in the order of time, as by one process: so whatever ends this process, the next run
continues behind the last row.
"""

from __future__ import annotations

import logging
import os
import pickle
import re
import secrets
import socket
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vipe_core import runtime
from vipe_core.errors import VipeError
from vipe_core.gallery import indexing
from vipe_core.gallery.appender import Appender, joined
from vipe_core.gallery.indexing import Settings, Summary, Watch
from vipe_core.gallery.ledger import Ledger, State, version_of
from vipe_core.gallery.rows import Rows
from vipe_core.gallery.table import Gallery

if TYPE_CHECKING:
    from vipe_core.runtime import Model

LOCAL = "local"
QUIET: dict[str, Any] = {
    "include_dashboard": False,
    "log_to_driver": False,
    "logging_level": "warning",
}
PART_ROWS = 1000  # with pictures some 3 MB
BLOCK_BYTES = 4 << 20  # Ray collects parts up to this size before it hands them on
STORE_BYTES = 512 << 20  # shared memory of a local cluster
_SILENT = {"RAY_USAGE_STATS_ENABLED": "0"}  # nothing is reported to anybody
_PATIENCE_S = 10.0
_MOST_BLOCKS = 10_000  # tasks that Ray plans at once; beyond, several recordings to a task


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


def index(
    address: str | os.PathLike[str],
    paths: Sequence[str | Path],
    model: Model,
    settings: Settings | None = None,
    ray_address: str = LOCAL,
    watch: Watch | None = None,
) -> Summary:
    """:func:`vipe_core.gallery.indexing.index`, embedded by the workers of a Ray cluster.

    The recordings and the model file must lie at the same paths for all workers. They need vipe
    and what reads the recordings; the gallery is this process's alone.

    Args:
        address: of the gallery.
        paths: files and folders.
        model: makes the embeddings.
        settings: what is made of each recording.
        ray_address: of a running cluster, as ``ray.init`` takes it; ``local`` starts one on
            this machine, with a worker for every core, that listens on localhost alone.
        watch: is told of progress, of all recordings as if they were one.

    Raises:
        VipeError: the gallery is of another model or cannot be written, Ray is not installed,
            the cluster cannot be reached or gives up.
    """
    settings, watch, summary = settings or Settings(), watch or Watch(), Summary()
    # Connected first: Ray starts processes by forking, which LanceDB's threads might not survive.
    with _connected(ray_address):
        gallery = Gallery.create(address, model)
        ledger = Ledger(gallery)
        found = indexing.found(paths, watch, summary)
        tasks = list(_tasks(found, gallery, ledger, settings, summary))
        if tasks:
            watch.begin(Path(f"{len(tasks)} recordings"), None)
            with Writer(gallery, ledger, tasks, watch, summary) as writer:
                for part in _parts(tasks, model, settings):
                    writer.take(part)
        gallery.optimize()
    return summary


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


class _Embedder:
    """What a worker holds: the model, loaded once.

    Args:
        path: of the model file, as the worker sees it.
        fingerprint: that it must have.
        settings: what is made of a recording.

    Raises:
        VipeError: there is no such file, or another one.
    """

    def __init__(self, path: str, fingerprint: str, settings: Settings) -> None:
        self._model = runtime.load(path)
        if self._model.fingerprint != fingerprint:
            raise VipeError(
                f"model {path} of a worker is another one ({self._model.fingerprint}) than here "
                f"({fingerprint}): give all machines the same file"
            )
        self._settings = settings

    def __call__(self, row: dict[str, Any]) -> Iterator[dict[str, bytes]]:
        """A pickled task in, pickled parts out, a row of Ray's each: so none is cut in two."""
        for part in read(pickle.loads(row["task"]), self._model, self._settings):
            yield {"part": pickle.dumps(part)}


def _tasks(
    paths: Iterable[Path], gallery: Gallery, ledger: Ledger, settings: Settings, summary: Summary
) -> Iterator[Task]:
    """The recordings that the gallery does not hold whole."""
    for path in paths:
        source, version = indexing.source_name(path), version_of(path, settings)
        state = ledger.state(source, version)
        if state is State.WHOLE:
            summary.skipped += 1
            continue
        after = gallery.newest(source) if state is State.PART else None
        yield Task(source, source, version, state, after)


def _parts(tasks: Sequence[Task], model: Model, settings: Settings) -> Iterator[Part]:
    """The parts of all recordings as workers hand them on; some may come twice.

    Ray starts a dead worker anew and repeats what it was at, as often as it takes.
    """
    import ray
    from ray.data import ActorPoolStrategy
    from ray.exceptions import RayError

    workers = max(1, int(ray.cluster_resources().get("CPU", 1)))
    items = [{"task": pickle.dumps(task)} for task in tasks]
    dataset = ray.data.from_items(items, override_num_blocks=min(len(items), _MOST_BLOCKS))
    context = dataset.context
    context.enable_progress_bars = context.print_on_execution_start = False
    context.target_max_block_size = BLOCK_BYTES
    # One task at a time each: a recording shall not wait for a long one before it.
    pool = ActorPoolStrategy(size=min(workers, len(tasks)), max_tasks_in_flight_per_actor=1)
    parts = dataset.flat_map(
        _Embedder,
        fn_constructor_args=[os.path.abspath(model.path), model.fingerprint, settings],
        compute=pool,
        num_cpus=1,
    )
    try:
        for row in parts.iter_rows():
            yield pickle.loads(row["part"])
    except RayError as error:
        raise VipeError(f"the Ray cluster gave up: {_reason(error)}") from error


@contextmanager
def _connected(address: str) -> Iterator[None]:
    """Connected to the cluster at an address, or to the one this process is connected to."""
    os.environ.update(local_environment() if address == LOCAL else _SILENT)
    try:
        import ray
    except ModuleNotFoundError:
        raise VipeError("a Ray cluster needs Ray: pip install -e '.[cluster]'") from None
    if ray.is_initialized():
        yield
        return
    _check_answers(address)
    own = {"object_store_memory": STORE_BYTES} if address == LOCAL else {}
    try:
        ray.init(address, **own, **QUIET)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise VipeError(f"no Ray cluster at {address}: {_reason(error)}") from error
    logging.getLogger("ray.data").setLevel(logging.ERROR)  # each step is a line otherwise
    try:
        yield
    finally:
        ray.shutdown()


def _check_answers(address: str) -> None:
    """Raises VipeError where nobody listens: Ray would try for minutes, and then say a lot."""
    there = re.fullmatch(r"(?:ray://)?\[?([^/]+?)\]?:(\d+)", address)
    if there is None:
        return
    try:
        socket.create_connection((there[1], int(there[2])), _PATIENCE_S).close()
    except (OSError, OverflowError) as error:
        raise VipeError(f"no Ray cluster at {address}: {error}") from None


def local_environment() -> dict[str, str]:
    """Variables that Ray reads when it is imported, for a cluster of this machine: it listens on
    localhost alone, to whoever knows a secret. What is set already stays."""
    wanted = {
        # Named after the systems where it is off by itself; off, Ray keeps to 127.0.0.1.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
    }
    return {name: os.environ.get(name, value) for name, value in (wanted | _SILENT).items()}


def _reason(error: Exception) -> str:
    """The last line of what Ray says, where the cause stands, without the traceback."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[-1][:300]
