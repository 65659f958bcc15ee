"""How a gallery lies on disk: one LanceDB table.

Columns:
    mean, variance  fixed-size list of D float32
    key             fixed-size list of 2 D float32 that the vector index is made of, see
                    :mod:`vipe_core.gallery.keys`
    source          string
    stamp_s         float64, seconds in the source's own clock
    body, label     string, "" for none
    thumbnail       binary, JPEG, or null
The schema's metadata, key ``vipe``, is the JSON of :class:`vipe_core.gallery.rows.Origin` with
the version of this format.
"""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from typing import TYPE_CHECKING

import numpy as np

from vipe_core.errors import VipeError
from vipe_core.gallery.keys import keys
from vipe_core.gallery.rows import Origin, Rows

if TYPE_CHECKING:
    import pyarrow as pa

FORMAT = 1
_KEY = b"vipe"


def make(origin: Origin) -> pa.Schema:
    """The schema of an empty gallery."""
    import pyarrow as pa

    vector = pa.list_(pa.float32(), origin.size)
    return pa.schema(
        [
            pa.field("mean", vector, nullable=False),
            pa.field("variance", vector, nullable=False),
            pa.field("key", pa.list_(pa.float32(), 2 * origin.size), nullable=False),
            pa.field("source", pa.string(), nullable=False),
            pa.field("stamp_s", pa.float64(), nullable=False),
            pa.field("body", pa.string(), nullable=False),
            pa.field("label", pa.string(), nullable=False),
            pa.field("thumbnail", pa.binary()),
        ],
        metadata={_KEY: json.dumps(asdict(origin) | {"format": FORMAT}).encode()},
    )


def origin_of(schema: pa.Schema) -> Origin:
    """What :func:`make` wrote.

    Raises:
        VipeError: the table is no gallery, or of another format.
    """
    text = (schema.metadata or {}).get(_KEY)
    try:
        values = json.loads(text or b"")
        version = values["format"]
        origin = Origin(**{field.name: values[field.name] for field in fields(Origin)})
    except (ValueError, KeyError, TypeError):
        raise VipeError("the table is none that vipe made") from None
    if version != FORMAT:
        raise VipeError(f"format {version}, this software reads {FORMAT}; index anew, or update")
    if not schema.equals(make(origin)):
        raise VipeError("its columns are not those that vipe makes")
    return origin


def to_arrow(rows: Rows, schema: pa.Schema) -> pa.Table:
    """Rows as a table to append."""
    import pyarrow as pa

    columns = [
        _vectors(rows.mean),
        _vectors(rows.variance),
        _vectors(keys(rows.mean)),
        pa.array(rows.source, pa.string()),
        pa.array(rows.stamp_s),
        pa.array(rows.body, pa.string()),
        pa.array(rows.label, pa.string()),
        pa.array(rows.thumbnail, pa.binary()),
    ]
    return pa.table(columns, schema=schema)


def _vectors(values: np.ndarray) -> pa.Array:
    import pyarrow as pa

    return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])


def vectors(table: pa.Table, name: str) -> np.ndarray:
    """(N, D) float32 of a column of vectors."""
    column = table.column(name)
    values = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return values.reshape(len(table), column.type.list_size)
