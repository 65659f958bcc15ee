"""The examples file: everything that was taught, in one ``.npz`` that survives a crash.

The fields are those of :mod:`vipe_core.actions.examples_fields`. The comment of the archive
ends in the SHA-256 of all bytes before it, so a file that is cut or changed anywhere is known
as such before anything in it is believed. What was in the file before its last change lies
beside it (``.before``), and takes its place then. A write is a rename over the file, so no
crash leaves it missing: where it is, somebody removed it, and nothing comes back on its own.
Nothing in it is ever unpickled.
"""

from __future__ import annotations

import glob
import hashlib
import io
import math
import os
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from vipe_core import files
from vipe_core.actions.examples import Examples
from vipe_core.actions.examples_fields import FORMAT, KIND, from_fields, to_fields
from vipe_core.errors import VipeError

MOST_BYTES = 256 * 2**20
_MARK = b"vipe sha256 "
_HEX = 64  # digits of a SHA-256

Warn = Callable[[str], object]


class _Damaged(VipeError):
    """Not what was once written."""


def exists(path: str | os.PathLike[str]) -> bool:
    """Whether there is a file for :func:`read`; its former state alone is none."""
    return Path(path).exists()


def is_one(path: str | os.PathLike[str]) -> bool:
    """Whether a file seems to be an examples file, by its last bytes."""
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - _HEX - len(_MARK), 0))
        return file.read(len(_MARK)) == _MARK


def read(path: str | os.PathLike[str], fingerprint: str = "", warn: Warn | None = None) -> Examples:
    """Read the examples; where the file is damaged, its state before the last change.

    Args:
        path: the file.
        fingerprint: of the model that they are for; "" when any will do.
        warn: called with one line when the former state is taken; None: a Python warning.

    Raises:
        VipeError: no file (the line says where its former state is, if it is anywhere), neither
            the file nor its former state can be used, or another model made the embeddings; the
            line says which command embeds them again.
    """
    path = Path(path)
    data = _last_good(path, warn or _warn)
    try:
        examples = _unpacked(data)
        examples.check_model(fingerprint, path)
    except VipeError as error:
        raise VipeError(f"examples file {path}: {error}") from None
    return examples


def write(path: str | os.PathLike[str], examples: Examples) -> Path:
    """Write the examples, whole or not at all, and keep what was in the file beside it.

    Where others may change the file at the same time, use :func:`update`.

    Raises:
        VipeError: the place cannot be written, or there are too many examples for one file.
    """
    path, data = Path(path), _packed(examples)
    if len(data) > MOST_BYTES:
        raise VipeError(f"examples file {path}: {len(data):,} bytes, at most {MOST_BYTES:,}")
    try:
        kept = _intact(path)
    except (OSError, VipeError):
        kept = None  # nothing good to keep: the former state stays
    if kept is not None:
        _write_durably(_before(path), kept)
    _write_durably(path, data)
    return path


def update(
    path: str | os.PathLike[str],
    change: Callable[[Examples], Examples],
    start: Examples | None = None,
    warn: Warn | None = None,
) -> Examples:
    """Read, change and write while no other process does so: nobody's change is lost.

    Args:
        path: the file.
        change: makes the new examples out of those in the file; what it raises leaves the
            file as it is.
        start: what to begin with where there is no file, and whose model is needed; None:
            there must be one, of any model.
        warn: see :func:`read`; called too where a file that was removed begins anew. What it
            held is beside it until the next change.

    Returns:
        What is in the file now.

    Raises:
        VipeError: as :func:`read` and :func:`write`.
    """
    path = Path(path)
    files.check_writable(path)
    with files.locked(path):
        _clear(path)
        anew = start is not None and not exists(path)
        if start is not None and anew:
            examples = start
        else:
            examples = read(path, "" if start is None else start.fingerprint, warn)
        changed = change(examples)
        write(path, changed)
        if anew and _before(path).exists():
            (warn or _warn)(
                f"examples file {path}: was removed, begun anew; what it once held is in "
                f"{_before(path)} until the next change"
            )
    return changed


def _before(path: Path) -> Path:
    return path.with_name(f"{path.name}.before")


def _warn(line: str) -> None:
    warnings.warn(line, RuntimeWarning, stacklevel=3)


def _clear(path: Path) -> None:
    """Remove what writers left who were killed; nobody else writes now."""
    for name in (path.name, _before(path).name):
        for part in path.parent.glob(f".{glob.escape(name)}.*.part"):
            part.unlink(missing_ok=True)


def _write_durably(path: Path, data: bytes) -> None:
    """On the disk before the old file goes: a robot may lose power."""
    with files.atomic(path) as part, part.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _last_good(path: Path, warn: Warn) -> bytes:
    """The bytes of the file, or, where it is damaged, of its former state."""
    before = _before(path)
    try:
        return _intact(path)
    except FileNotFoundError:
        kept = f"; what it once held is in {before}" if before.exists() else ""
        raise VipeError(
            f"examples file {path} does not exist; make it: vipe teach {path} FILES{kept}"
        ) from None
    except _Damaged as error:
        reason = str(error)
    except OSError as error:
        raise VipeError(f"examples file {path}: {error.strerror or error}") from None
    try:
        data = _intact(before)
    except FileNotFoundError:
        raise VipeError(f"examples file {path}: {reason}, and there is no {before.name}") from None
    except _Damaged as error:
        raise VipeError(
            f"examples file {path}: {reason}, and so is {before.name}: {error}"
        ) from None
    except OSError as error:
        raise VipeError(f"examples file {before}: {error.strerror or error}") from None
    warn(f"examples file {path}: {reason}; taking what it held before its last change ({before})")
    return data


def _intact(path: Path) -> bytes:
    """The bytes of a file whose checksum is right.

    Raises:
        _Damaged: it is not right, or there is none.
        VipeError: a pipe, or too large.
        OSError: it cannot be read.
    """
    files.check_regular(path, "examples file")
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise VipeError(f"examples file {path}: {size:,} bytes, at most {MOST_BYTES:,} are read")
    data = path.read_bytes()
    if data[-_HEX - len(_MARK) : -_HEX] != _MARK:
        raise _Damaged("no examples file, or cut off")
    if _checksum(data[:-_HEX]) != data[-_HEX:]:
        raise _Damaged("damaged (its checksum is wrong)")
    return data


def _checksum(data: bytes) -> bytes:
    return hashlib.sha256(data).hexdigest().encode()


def _packed(examples: Examples) -> bytes:
    """The bytes of a file."""
    buffer = io.BytesIO()
    np.savez(buffer, **to_fields(examples))
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.comment = _MARK + b"0" * _HEX
    data = buffer.getvalue()[:-_HEX]
    return data + _checksum(data)


def _unpacked(data: bytes) -> Examples:
    """The examples in the bytes of a file; VipeError when they do not fit together."""
    fields = _fields(data)
    if str(fields.get("kind")) != KIND:
        raise VipeError("no examples file")
    if str(fields.get("format")) != str(FORMAT):
        raise VipeError(f"format {fields.get('format')}, this vipe reads {FORMAT}: update it")
    try:
        return from_fields(fields)
    except KeyError as error:
        raise VipeError(f"{error.args[0]}: missing") from None


def _fields(data: bytes) -> dict[str, np.ndarray]:
    """Every array of the archive, by name."""
    fields, name = {}, "archive"
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for info in archive.infolist():
                name = info.filename.removesuffix(".npy")
                fields[name] = _array(archive, info)
    except Exception as error:  # zipfile, numpy's header parser: each has its own kind
        said = f"{name}: unreadable ({str(error) or type(error).__name__})"
        raise VipeError(" ".join(said.split())) from None
    return fields


def _array(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    """One array, no larger than the bytes that are there, whatever its header says."""
    if info.compress_type != zipfile.ZIP_STORED or info.file_size > MOST_BYTES:
        raise VipeError("packed in a way that examples files are not")
    content = io.BytesIO(archive.read(info))
    np.lib.format.read_magic(content)
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(content)
    values = content.read()
    if dtype.hasobject or fortran or math.prod(shape) * dtype.itemsize != len(values):
        raise VipeError(f"{len(values)} bytes are no {dtype} of shape {shape}")
    if dtype.kind == "U" and (np.frombuffer(values, "u4") > sys.maxunicode).any():
        raise VipeError("no text")
    return np.frombuffer(values, dtype).reshape(shape)
