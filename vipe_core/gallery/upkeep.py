"""Keeping a gallery quick while it grows."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

COLUMN = "key"
METRIC = "l2"
EVERY = 100  # appends between two tidyings
INDEXED_FROM = 20_000  # rows; fewer are looked at one by one in about 2 ms
_NAME = "key_"  # of an index; its partitions follow
_GROWN = 2  # times as many partitions are wanted: the index is made anew
# A reader refreshes every second; a slow one must still find the files of its version.
_KEPT = timedelta(minutes=10)


def run(table: Any) -> None:
    """Merge small files, forget old versions, make or extend the vector index.

    Another process that does the same at this moment wins; this one leaves it at that.
    """
    try:
        _index(table)
        table.optimize(cleanup_older_than=_KEPT)
    except RuntimeError as error:
        said = str(error).lower()
        if "conflict" not in said and "index not found" not in said:
            raise


def partitions(rows: int) -> int:
    """Of an index of so many rows: few and large ones. Measured with `make bench`."""
    return max(round(rows**0.5 / 4), 1)


def _index(table: Any) -> None:
    """One index with partitions enough; older ones are dropped when the new one is there."""
    rows = table.count_rows()
    present = {i.name: int(i.name.removeprefix(_NAME)) for i in table.list_indices()}
    wanted = partitions(rows)
    largest = max(present.values(), default=0)
    if rows >= INDEXED_FROM and wanted >= _GROWN * largest:
        from lancedb.index import IvfFlat

        config = IvfFlat(distance_type=METRIC, num_partitions=wanted)
        table.create_index(COLUMN, config=config, name=f"{_NAME}{wanted}")
        largest = wanted
    for name, count in present.items():
        if count < largest:
            table.drop_index(name)
