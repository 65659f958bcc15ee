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
import re
import secrets
import socket
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vipe_core import runtime
from vipe_core.errors import VipeError
from vipe_core.gallery import indexing
from vipe_core.gallery.indexing import Settings, Summary, Watch
from vipe_core.gallery.ledger import Ledger, State, claimed, version_of
from vipe_core.gallery.parts import Part, Task, Writer, read
from vipe_core.gallery.table import Gallery

if TYPE_CHECKING:
    from vipe_core.runtime import Model

LOCAL = "local"
QUIET: dict[str, Any] = {
    "include_dashboard": False,
    "log_to_driver": False,
    "logging_level": "warning",
}
BLOCK_BYTES = 4 << 20  # Ray collects parts up to this size before it hands them on
STORE_BYTES = 512 << 20  # shared memory of a local cluster
# Nothing is reported to anybody; what goes wrong is an exception, not also a line.
_SILENT = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "fatal"}
_PATIENCE_S = 10.0
_MOST_BLOCKS = 10_000  # tasks that Ray plans at once; beyond, several recordings to a task


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
        with claimed(gallery, watch.say) as ledger:
            found = indexing.found(paths, watch, summary)
            tasks = list(_tasks(found, gallery, ledger, settings, summary))
            if tasks:
                watch.begin(Path(f"{len(tasks)} recordings"), None)
                with Writer(gallery, ledger, tasks, watch, summary) as writer:
                    for part in _parts(tasks, model, settings):
                        writer.take(part)
        gallery.optimize()
    return summary


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
        """A task in, parts out, a row of Ray's each: so none is cut in two."""
        for part in read(Task.from_json(row["task"]), self._model, self._settings):
            yield {"part": part.to_bytes()}


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

    logging.getLogger("ray.data").setLevel(logging.ERROR)  # each step is a line otherwise
    workers = max(1, int(ray.cluster_resources().get("CPU", 1)))
    items = [{"task": task.to_json()} for task in tasks]
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
            yield Part.from_bytes(row["part"])
    except RayError as error:
        raise VipeError(f"the Ray cluster gave up: {_reason(error)}") from error


@contextmanager
def _connected(address: str) -> Iterator[None]:
    """Connected to the cluster at an address, or to the one this process is connected to."""
    os.environ.update(local_environment() if address == LOCAL else _unless_set(_SILENT))
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
    return _unless_set(wanted | _SILENT)


def _unless_set(variables: dict[str, str]) -> dict[str, str]:
    return {name: os.environ.get(name, value) for name, value in variables.items()}


def _reason(error: Exception) -> str:
    """The last line of what Ray says, where the cause stands, without the traceback."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[-1][:300]
