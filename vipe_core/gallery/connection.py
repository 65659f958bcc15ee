"""The table behind an address, and LanceDB's errors as lines for a person."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from vipe_core.errors import VipeError

if TYPE_CHECKING:
    import pyarrow as pa

TABLE = "poses"
# Rows keep their numbers when files are merged.
_STABLE_ROWS = {"new_table_enable_stable_row_ids": "true"}


def is_remote(address: str | os.PathLike[str]) -> bool:
    """Whether the address is a URI (s3://, gs://, az://, ...) and not a folder."""
    return re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*://", str(address)) is not None


def exists(address: str | os.PathLike[str]) -> bool:
    """Whether a gallery, whole or damaged, is at the address."""
    if is_remote(address):
        with said_plainly(address):
            return _opens(address)
    # A process that was killed while it made the table may have left folders without a version.
    return any(_versions(address).glob("*.manifest"))


def _opens(address: str | os.PathLike[str]) -> bool:
    try:
        _connect(address, None).open_table(TABLE)
    except ValueError as error:
        if "not found" in str(error):
            return False
        raise
    return True


def open_table(address: str | os.PathLike[str], refresh_s: float) -> Any:
    """The LanceDB table.

    Raises:
        VipeError: there is none, it is damaged, or LanceDB is not installed.
    """
    _import_lancedb()
    if not is_remote(address):
        _check_folder(Path(address))
    if not exists(address):
        raise VipeError(
            f"no index of poses at {address}: make it with `vipe index {address} FILES...`"
        )
    with said_plainly(address):
        return _connect(address, refresh_s).open_table(TABLE)


def create_table(
    address: str | os.PathLike[str], schema: pa.Schema, refresh_s: float, name: str = TABLE
) -> Any:
    """A new, empty LanceDB table, or the one of that name that is there.

    Raises:
        VipeError: it cannot be written there, or LanceDB is not installed.
    """
    if not is_remote(address) and Path(address).exists() and not Path(address).is_dir():
        raise VipeError(f"cannot write {address}: it is a file; an index is a folder")
    with said_plainly(address):
        database = _connect(address, refresh_s)
        return database.create_table(name, schema=schema, exist_ok=True)


@contextmanager
def said_plainly(address: str | os.PathLike[str]) -> Iterator[None]:
    """LanceDB's errors, which have no common type, as one line that names the address."""
    try:
        yield
    except VipeError:
        raise
    except (OSError, RuntimeError, ValueError) as error:
        raise VipeError(f"index {address}: {_reason(error)}") from error


def _import_lancedb() -> ModuleType:
    # It warns of every tidying that another process was quicker with.
    os.environ.setdefault("LANCEDB_LOG", "error")
    try:
        import lancedb
    except ModuleNotFoundError:
        raise VipeError("an index of poses needs LanceDB: pip install -e '.[search]'") from None
    return lancedb


def _connect(address: str | os.PathLike[str], refresh_s: float | None) -> Any:
    interval = None if refresh_s is None else timedelta(seconds=refresh_s)
    return _import_lancedb().connect(
        str(address), read_consistency_interval=interval, storage_options=_STABLE_ROWS
    )


def _versions(address: str | os.PathLike[str]) -> Path:
    return Path(address) / f"{TABLE}.lance" / "_versions"


def _check_folder(path: Path) -> None:
    """LanceDB would make the folder, and say of a file that it exists."""
    if path.exists() and not path.is_dir():
        raise VipeError(f"{path} is a file, not the folder of an index (see vipe index --help)")


def _reason(error: Exception) -> str:
    """Its first line, without where in LanceDB's source it was raised."""
    text = " ".join(str(error).split()) or type(error).__name__
    text = re.sub(r",? /[^ ]*/(src|library)/[^ ]*\.rs:\d+:\d+", "", text)
    if "LanceError(IO)" in text:
        text = f"damaged or out of reach ({text})"
    return text[:300]
