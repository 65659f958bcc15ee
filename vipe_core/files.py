"""Writing files so that no reader ever meets half of one.

One rule everywhere: missing folders are made, a file appears whole or not at all.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from vipe_core.errors import VipeError


@contextmanager
def atomic(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; it takes the place of ``path`` on success.

    When the block raises, ``path`` is as it was and the temporary file is gone.

    Raises:
        VipeError: the place cannot be written: no permission, no room, a folder.
    """
    path = Path(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    _check_replaceable(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield part
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise VipeError(f"cannot write {path}: {error.strerror or error}") from error


def write_atomically(path: str | os.PathLike[str], data: bytes) -> Path:
    """Bytes to ``path``; returns it. Raises VipeError like :func:`atomic`."""
    with atomic(path) as part:
        part.write_bytes(data)
    return Path(path)


def write_npz(path: str | os.PathLike[str], **arrays: object) -> Path:
    """Arrays and scalars to ``path`` under exactly that name; None is left out.

    Raises:
        VipeError: like :func:`atomic`.
    """
    kept: dict[str, Any] = {
        name: np.asarray(value) for name, value in arrays.items() if value is not None
    }
    with atomic(path) as part, part.open("wb") as file:
        np.savez_compressed(file, **kept)
    return Path(path)


@contextmanager
def locked(
    path: str | os.PathLike[str], waits: Callable[[], object] | None = None
) -> Iterator[None]:
    """Be the only one, of all processes and threads, in a block like this for ``path``.

    The lock lies on an empty file beside it, which stays; it ends with the process that holds it.

    Args:
        path: what is guarded; it need not exist.
        waits: called once when somebody else holds it, before waiting for them.

    Raises:
        VipeError: the file beside it cannot be made or locked.
    """
    import fcntl  # not on every system, and few need it

    path = Path(path)
    with ExitStack() as stack:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = stack.enter_context(open(path.with_name(f".{path.name}.lock"), "w"))
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if waits:
                    waits()
                fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError as error:
            raise VipeError(f"cannot write {path}: {error.strerror or error}") from None
        yield


def check_writable(path: str | os.PathLike[str], *inputs: str | os.PathLike[str]) -> None:
    """Say now, before an hour of work, that ``path`` cannot be written.

    Args:
        path: the output.
        inputs: files that it must not overwrite.

    Raises:
        VipeError: ``path`` is a folder, a device or an input, or its folder is not one or
            is read-only.
    """
    path = Path(path)
    _check_replaceable(path)
    if any(path.resolve() == Path(given).resolve() for given in inputs):
        raise VipeError(f"cannot write {path}: it is the input; name another file")
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if not folder.is_dir():
        raise VipeError(f"cannot write {path}: {folder} is not a folder")
    if not os.access(folder, os.W_OK):
        raise VipeError(f"cannot write {path}: Permission denied in {folder}")


def _check_replaceable(path: Path) -> None:
    """A folder, device or pipe must not make room for a file."""
    if path.is_dir():
        raise VipeError(f"cannot write {path}: Is a directory")
    if path.exists() and not path.is_file():
        raise VipeError(f"cannot write {path}: it is not a regular file")


def check_regular(path: str | os.PathLike[str], what: str) -> None:
    """Raises VipeError for a pipe or a device: reading it might never end."""
    path = Path(path)
    if path.exists() and not path.is_file() and not path.is_dir():
        raise VipeError(f"{what} {path}: not a regular file")


def read_npz(path: str | os.PathLike[str], what: str) -> dict[str, np.ndarray]:
    """Every array of an ``.npz``, nothing unpickled.

    Args:
        path: the file.
        what: what the file should be, to begin an error with.

    Raises:
        VipeError: missing, not an ``.npz``, or damaged; the line names file and array.
    """
    check_regular(path, what)
    name = ""
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {}
            for name in archive.files:
                arrays[name] = archive[name]
            return arrays
    except OSError as error:
        raise VipeError(f"{what} {path}: {error.strerror or error}") from None
    except Exception as error:  # zlib, zipfile, numpy's header parser: each has its own kind
        reason = f"{name}: unreadable ({_first_line(error)})" if name else "not an .npz"
        raise VipeError(f"{what} {path}: {reason}") from None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
