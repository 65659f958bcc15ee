"""Reading the pickles in which some data sets come, without running what is in them.

A pickle is a program: it may call anything that it can import. This reader imports what
numpy arrays are made of and nothing else; any other name ends it.
"""

from __future__ import annotations

import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy_format

from vipe_core.errors import VipeError


def _dtype(kind: Any, align: Any = False, copy: Any = True) -> np.dtype:
    """Old pickles say 0 and 1 where numpy wants False and True."""
    return np.dtype(kind, align=bool(align), copy=bool(copy))


def _encode(text: str, encoding: str) -> bytes:
    """How Python 3 writes bytes into an old protocol."""
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"encoding {encoding}")
    return text.encode("latin1")


# Real objects, taken from numpy itself so that its private module names may change.
_RECONSTRUCT = np.empty(0).__reduce__()[0]
_SCALAR = np.float64(0).__reduce__()[0]
_FROM_BUFFER = np.zeros(1).__reduce_ex__(5)[0]  # type: ignore[index]
_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): _dtype,
    ("collections", "OrderedDict"): OrderedDict,
    ("_codecs", "encode"): _encode,
    **{
        (module, kind.__name__): kind
        for module in ("builtins", "__builtin__")
        for kind in (set, frozenset)
    },
    **{
        (f"numpy.{core}.{module}", name): value
        for core in ("core", "_core")
        for module, name, value in (
            ("multiarray", "_reconstruct", _RECONSTRUCT),
            ("multiarray", "scalar", _SCALAR),
            ("numeric", "_frombuffer", _FROM_BUFFER),
        )
    },
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise _ForbiddenError(f"{module}.{name}") from None

    def persistent_load(self, pid: Any) -> Any:
        raise _ForbiddenError(f"persistent id {pid}")


class _ForbiddenError(Exception):
    pass


def load(path: str | Path, what: str) -> Any:
    """The content of a pickle file: numpy arrays in lists, dicts and the like.

    Args:
        path: a file of any pickle protocol, also by Python 2.
        what: what the file should be, to begin an error with.

    Raises:
        VipeError: missing, damaged, or it asks for anything but numpy arrays and plain
            containers; the line names that.
    """
    try:
        with open(path, "rb") as file:
            return _load(file, f"{what} {path}")
    except OSError as error:
        raise VipeError(f"{what} {path}: {error.strerror or error}") from None


def load_npz_object(path: str | Path, member: str, what: str) -> Any:
    """The one object that ``np.savez(path, member=object)`` stored, read like :func:`load`.

    Raises:
        VipeError: missing, damaged, or not only numpy arrays and plain containers.
    """
    line = f"{what} {path}"
    try:
        with zipfile.ZipFile(path) as archive:
            if f"{member}.npy" not in archive.namelist():
                raise VipeError(f"{line}: no {member} in it")
            with archive.open(f"{member}.npy") as file:
                return _load_npy_object(file, f"{line}: {member}")
    except OSError as error:
        raise VipeError(f"{line}: {error.strerror or error}") from None
    except zipfile.BadZipFile as error:
        raise VipeError(f"{line}: not an .npz ({error})") from None


def _load_npy_object(file: IO[bytes], line: str) -> Any:
    try:
        version = npy_format.read_magic(file)
        read = {(1, 0): npy_format.read_array_header_1_0, (2, 0): npy_format.read_array_header_2_0}
        shape, _, dtype = read[version](file)
    except (KeyError, ValueError) as error:
        raise VipeError(f"{line}: no array ({error})") from None
    if dtype != np.dtype(object) or shape != ():
        raise VipeError(f"{line}: type {dtype} of shape {shape}, a stored dict needed")
    # What numpy pickles is the array of one object.
    return _load(file, line)[()]


def _load(file: IO[bytes], line: str) -> Any:
    try:
        return _Unpickler(file, encoding="latin1").load()
    except _ForbiddenError as error:
        raise VipeError(f"{line}: asks for {error}, which a data file has no need of") from None
    except Exception as error:  # a damaged pickle can raise anything
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise VipeError(f"{line}: damaged ({reason})") from None
