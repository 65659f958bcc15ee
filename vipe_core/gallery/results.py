"""What ``vipe search`` writes: arrays, or text to read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vipe_core import files
from vipe_core.errors import VipeError
from vipe_core.gallery.rows import Found

# What stands in a place without an answer.
_ABSENT = {
    "indices": -1,
    "probability": np.nan,
    "source": "",
    "stamp_s": np.nan,
    "body": "",
    "label": "",
}


def write(path: Path, found: Sequence[Sequence[Found]], model: str, k: int) -> None:
    """The answers to Q poses, k places each.

    ``.json``: ``model`` and ``queries``, a list of answers each. Else an ``.npz``: indices,
    probability, source, stamp_s, body and label, (Q, k) each; a place without an answer has
    -1, NaN and "".

    Raises:
        VipeError: it cannot be written.
    """
    if path.suffix.lower() == ".json":
        _write_json(path, model, [[_entry(one) for one in answers] for answers in found])
        return
    places = [[_arrays(one) for one in answers] for answers in found]
    columns = {name: _column(places, name, k) for name in _ABSENT}
    files.write_npz(path, **columns, model=model)


def write_rows(path: Path, indices: np.ndarray, probability: np.ndarray, model: str) -> None:
    """The same of a search in a file: indices and probability (Q, k)."""
    if path.suffix.lower() != ".json":
        files.write_npz(path, indices=indices, probability=probability, model=model)
        return
    pairs = zip(indices.tolist(), probability.tolist(), strict=True)
    queries = [
        [{"row": row, "probability": p} for row, p in zip(*pair, strict=True) if row >= 0]
        for pair in pairs
    ]
    _write_json(path, model, queries)


def write_thumbnails(folder: Path, found: Sequence[Sequence[Found]]) -> None:
    """The pictures of the answers, as QUERY-PLACE.jpg, both counted from 0 as in the arrays.

    Raises:
        VipeError: they cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise VipeError(f"cannot write {folder}: not a folder")
    for query, answers in enumerate(found):
        for place, one in enumerate(answers):
            if one.thumbnail:
                files.write_atomically(folder / f"{query:04d}-{place:03d}.jpg", one.thumbnail)


def _entry(one: Found) -> dict[str, Any]:
    return {
        "source": one.source,
        "stamp_s": one.stamp_s,
        "body": one.body,
        "label": one.label,
        "probability": round(one.probability, 6),
        "row": one.row,
    }


def _arrays(one: Found) -> dict[str, Any]:
    return _entry(one) | {"indices": one.row, "probability": one.probability}


def _column(places: list[list[dict[str, Any]]], name: str, k: int) -> np.ndarray:
    rows = [[one[name] for one in row] + [_ABSENT[name]] * (k - len(row)) for row in places]
    return np.array(rows).reshape(len(places), k)


def _write_json(path: Path, model: str, queries: list[Any]) -> None:
    text = json.dumps({"model": model, "queries": queries}, indent=1, ensure_ascii=False)
    files.write_atomically(path, (text + "\n").encode())
