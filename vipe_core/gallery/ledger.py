"""Which recordings a gallery holds whole: a second LanceDB table beside the poses.

A recording is entered before its first row and closed after its last one, so that one that was
cut off is known, and what has changed since is indexed anew.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Any

from vipe_core import files
from vipe_core.gallery import connection
from vipe_core.gallery.rows import quoted
from vipe_core.gallery.table import Gallery

_TABLE = "recordings"


class State(Enum):
    """How much of a recording a gallery holds."""

    NONE = "none"
    PART = "part"
    WHOLE = "whole"
    OTHER = "other"  # of the file as it was, or under other settings


class Ledger:
    """The recordings of a gallery.

    Raises:
        VipeError: here and in each method, when the table cannot be read or written.
    """

    def __init__(self, gallery: Gallery) -> None:
        import pyarrow as pa

        columns = [("source", pa.string()), ("version", pa.string()), ("whole", pa.bool_())]
        self._address = gallery.address
        self._schema = pa.schema(columns)
        self._table = connection.create_table(gallery.address, self._schema, 0.0, _TABLE)

    def state(self, source: str, version: str) -> State:
        """What is held of a source, whose file and settings are of this version."""
        with connection.said_plainly(self._address):
            found = self._table.search().where(f"source = {quoted(source)}").limit(1).to_list()
        if not found:
            return State.NONE
        if found[0]["version"] != version:
            return State.OTHER
        return State.WHOLE if found[0]["whole"] else State.PART

    def enter(self, source: str, version: str, whole: bool) -> None:
        """Note that a source is begun, or whole."""
        import pyarrow as pa

        entry = pa.table([[source], [version], [whole]], schema=self._schema)
        with connection.said_plainly(self._address):
            merge: Any = self._table.merge_insert("source")
            merge.when_matched_update_all().when_not_matched_insert_all().execute(entry)


@contextmanager
def claimed(gallery: Gallery, say: Callable[[str], object]) -> Iterator[Ledger]:
    """The ledger of a gallery while nobody else indexes recordings into it: two who both find
    a recording missing would both add it. Rows of other sources may be added meanwhile.

    In a folder the second one waits, and says so first; the claim ends with its process. Object
    storage knows no claim that does: there it is for the caller to index from one place alone.

    Raises:
        VipeError: the place cannot be written.
    """
    if connection.is_remote(gallery.address):
        yield Ledger(gallery)
        return
    line = f"another `vipe index` is at work in {gallery.address}: waiting for it to end"
    with files.locked(Path(gallery.address) / _TABLE, lambda: say(line)):
        gallery.refresh()  # to continue behind what the one before has added
        yield Ledger(gallery)


def version_of(path: Path, settings: object) -> str:
    """Changes when a file does, or a file in a folder, or what is made of it."""
    parts = [repr(settings)]
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        status = os.stat(file)
        parts.append(f"{file.name} {status.st_size} {status.st_mtime_ns}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
