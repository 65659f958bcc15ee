"""Where engines lie: a plan, and a JSON file beside it that says what it is.

A plan fits one model, one version of one library, one GPU and one set of options, and all of that
is in its name. The JSON file is written after the plan and holds its checksum: a plan
without it, or that is not what it says, does not exist.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from vipe_core import files
from vipe_core.errors import VipeError

FORMAT = 1
MAX_JSON = 1_000_000
# Names of files of ours: what they are of, and the number of a process that was writing one.
_OWN = re.compile(r"\.?(?P<key>[0-9a-f]{12}-[0-9a-f]{20}|builds-[0-9a-f]{20})\.[a-z0-9.]+")


@dataclass(frozen=True)
class Target:
    """What a plan was built for.

    Attributes:
        model: SHA-256 of the model file.
        backend: "tensorrt" or "tensorrt-rtx".
        version: of that library.
        gpu, capability, cuda: see :class:`vipe_core.runtime.trt.host.Device`; empty for a
            plan that was compiled ahead of time.
        targets: compute capabilities of such a plan.
        precision, batch, dla, workspace: see
            :class:`vipe_core.runtime.trt.options.Options`.
    """

    model: str
    backend: str
    version: str
    gpu: str
    capability: str
    cuda: str
    targets: tuple[str, ...]
    precision: str
    batch: tuple[int, ...]
    dla: int | None
    workspace: int

    @property
    def key(self) -> str:
        """Name of its files, less the suffix."""
        text = json.dumps(asdict(self), sort_keys=True)
        return f"{self.model[:12]}-{hashlib.sha256(text.encode()).hexdigest()[:20]}"


@dataclass(frozen=True)
class Entry:
    """An engine in the cache.

    Attributes:
        target: what it was built for.
        name: of the model and its version, to show.
        bytes, sha256: of the plan.
        built: when, ISO 8601, UTC.
        seconds: that the build took.
        error: largest difference from the model's check vectors; None where it could not be
            run, because it was compiled for another machine.
    """

    target: Target
    name: str
    bytes: int
    sha256: str
    built: str
    seconds: float
    error: float | None

    def __str__(self) -> str:
        """One line for people."""
        target = self.target
        batch = ",".join(map(str, target.batch))
        place = target.gpu or f"compute capability {', '.join(target.targets)}"
        dla = "" if target.dla is None else f", DLA core {target.dla}"
        checked = "not run yet" if self.error is None else f"off by {self.error:.1e} from the model"
        return (
            f"{self.name} ({target.model[:12]}) {target.precision}, batch {batch}, "
            f"{target.backend} {target.version}, {place}{dla}: {self.bytes / 1e6:.1f} MB, "
            f"built {self.built} in {self.seconds:.1f} s, {checked}"
        )


_NUMBER, _NONE = (int, float), type(None)
_TYPES: dict[str, Any] = {
    **dict.fromkeys(("model", "backend", "version", "gpu", "capability", "cuda"), str),
    **dict.fromkeys(("precision", "name", "sha256", "built"), str),
    **dict.fromkeys(("bytes", "workspace"), int),
    **dict.fromkeys(("targets", "batch"), tuple),
    "target": Target,
    "dla": (int, _NONE),
    "seconds": _NUMBER,
    "error": (*_NUMBER, _NONE),
}


class Damaged(VipeError):
    """A plan that is not what was written."""


class EngineCache:
    """A folder of engines. Several processes may use it at once."""

    def __init__(self, folder: Path | None = None) -> None:
        """
        Args:
            folder: None takes ``$VIPE_ENGINES``, else ``~/.cache/vipe/engines``. It need not
                exist yet.
        """
        named = os.environ.get("VIPE_ENGINES") or "~/.cache/vipe/engines"
        try:
            self.folder = (folder or Path(named)).expanduser()
        except RuntimeError as error:  # nobody has that name
            raise VipeError(f"VIPE_ENGINES names {named}: {error}") from None

    def entries(self) -> list[Entry]:
        """What is whole, the latest first; what cannot be read is passed over."""
        found = [self._entry(path) for path, _ in self._own_files() if path.suffix == ".json"]
        return sorted((e for e in found if e), key=lambda e: e.built, reverse=True)

    def entry(self, target: Target) -> Entry | None:
        """The engine that was built for ``target``."""
        entry = self._entry(self._path(target, ".json"))
        return entry if entry is not None and entry.target == target else None

    def plan(self, entry: Entry) -> bytes:
        """Content of the plan; raises Damaged when it is not what was written."""
        path = self._path(entry.target, ".plan")
        try:
            data = path.read_bytes()
        except OSError as error:
            raise Damaged(f"engine {path} cannot be read: {error.strerror}") from None
        if len(data) != entry.bytes or hashlib.sha256(data).hexdigest() != entry.sha256:
            raise Damaged(f"engine {path} is damaged: its checksum does not fit")
        return data

    @contextmanager
    def building(
        self, target: Target, waiting: Callable[[], object] = lambda: None
    ) -> Iterator[Path]:
        """Be the only one that builds for ``target``; yields a path to write the plan to.

        Leftovers of a build that was killed are gone when the block begins. The lock is the
        kernel's: it ends with the process, however that ends.

        Args:
            waiting: called when another process is building it and this one has to wait.

        Raises:
            VipeError: the folder cannot be written, or the disk is full.
        """
        part = self._path(target, ".part")
        with self._writing():
            self.folder.mkdir(0o700, parents=True, exist_ok=True)  # plans are machine code
            lock = self._path(target, ".lock").open("a")
        with lock:
            with self._writing():
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    waiting()
                    fcntl.flock(lock, fcntl.LOCK_EX)
                part.unlink(missing_ok=True)
            try:
                yield part
            finally:
                with suppress(OSError):
                    part.unlink(missing_ok=True)

    def install(self, entry: Entry, part: Path) -> None:
        """Give the plan at ``part`` its name; VipeError as :meth:`building`."""
        with self._writing():
            self._path(entry.target, ".json").unlink(missing_ok=True)
            part.replace(self._path(entry.target, ".plan"))
            text = json.dumps({"format": FORMAT, **asdict(entry)}, indent=1)
            files.write_atomically(self._path(entry.target, ".json"), f"{text}\n".encode())

    def remove(self, entry: Entry) -> None:
        """Forget an engine, unless another process put a new one in its place; one that cannot
        be removed is left."""
        with suppress(VipeError), self.building(entry.target):
            if self.entry(entry.target) not in (None, entry):
                return
            for suffix in (".json", ".plan", ".kernels"):
                with suppress(OSError):
                    self._path(entry.target, suffix).unlink(missing_ok=True)

    def clean(self, model: str | None = None) -> tuple[int, int]:
        """Remove engines and what killed builds left, of one model (SHA-256) or of all.

        What another process is building now is left alone, and so are locks: a process that
        waits for one would wait for a file that is gone.

        Returns:
            how many files, and how many bytes.

        Raises:
            VipeError: a file cannot be removed.
        """
        count = size = 0
        start = model[:12] if model else ""
        for path, key in self._own_files():
            if not key.startswith(start) or self._is_building(key):
                continue
            with self._writing():
                size += path.stat().st_size
                path.unlink()
            count += 1
        return count, size

    def timing(self, backend: str, version: str, gpu: str) -> Path:
        """File of the timing cache that builds on one GPU share."""
        text = hashlib.sha256(f"{backend} {version} {gpu}".encode()).hexdigest()[:20]
        return self.folder / f"builds-{text}.timing"

    def kernels(self, target: Target) -> Path:
        """File of what RTX compiled when it first ran the engine on a GPU."""
        return self._path(target, ".kernels")

    def _path(self, target: Target, suffix: str) -> Path:
        return self.folder / f"{target.key}{suffix}"

    def _own_files(self) -> list[tuple[Path, str]]:
        """Files of ours but locks, sorted, and the key of each; none where there is no folder."""
        try:
            paths = sorted(path for path in self.folder.iterdir() if path.is_file())
        except OSError:
            return []
        found = [(path, _OWN.fullmatch(path.name)) for path in paths]
        return [(path, own["key"]) for path, own in found if own and path.suffix != ".lock"]

    def _entry(self, path: Path) -> Entry | None:
        """The entry in a JSON file; None when it or its plan is not what it should be."""
        try:
            if path.stat().st_size > MAX_JSON:
                return None
            values = json.loads(path.read_text(encoding="utf-8"))
            entry = _parsed(values)
            size = path.with_suffix(".plan").stat().st_size
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None
        return entry if entry.target.key == path.stem and entry.bytes == size else None

    def _is_building(self, key: str) -> bool:
        """Does a process hold the lock of that key?"""
        try:
            with (self.folder / f"{key}.lock").open("r+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise VipeError(
                f"the engine cache {self.folder} cannot be written: {error.strerror or error}; "
                "name another folder in VIPE_ENGINES"
            ) from None


def _parsed(values: Any) -> Entry:
    """Raises one of several built-in errors for what is no entry of this format."""
    if values.pop("format") != FORMAT:
        raise ValueError("another format")
    target = values.pop("target")
    lists = {name: tuple(target[name]) for name in ("targets", "batch")}
    target = Target(**{**target, **lists})
    entry = Entry(target=target, **values)
    for part in (target, entry):
        for field in fields(part):
            if not isinstance(getattr(part, field.name), _TYPES[field.name]):
                raise ValueError(f"{field.name} is of another kind")
    return entry
