"""Rows that come one by one, appended once a second."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from vipe_core.gallery.rows import Rows
from vipe_core.gallery.table import Gallery

MOST_ROWS = 10_000  # waiting; with thumbnails some 30 MB


class Appender:
    """Collects rows and appends them to a gallery about once a second.

    A context manager: leaving it, also by an exception, appends what is left.

    Args:
        gallery: where the rows go.
        every_s: seconds between two appends.

    Attributes:
        added: rows on disk so far.
        left_out: rows without an embedding, so far.
    """

    def __init__(self, gallery: Gallery, every_s: float = 1.0) -> None:
        self.gallery = gallery
        self.every_s = every_s
        self.added = 0
        self.left_out = 0
        self._waiting: list[Rows] = []
        self._last = time.monotonic()

    def __enter__(self) -> Appender:
        return self

    def __exit__(self, *_: object) -> None:
        self.flush()

    def add(self, rows: Rows) -> bool:
        """Take rows; whether everything taken so far is on disk now."""
        if len(rows):
            self._waiting.append(rows)
        due = time.monotonic() - self._last >= self.every_s
        if due or sum(map(len, self._waiting)) >= MOST_ROWS:
            self.flush()
        return not self._waiting

    def flush(self) -> None:
        """Append what is waiting; on disk when this returns. Raises VipeError like
        :meth:`Gallery.add`; what was waiting is then not tried again."""
        if self._waiting:
            rows, self._waiting = joined(self._waiting), []  # never twice, also when it fails
            left_out = self.gallery.add(rows)
            self.left_out += left_out
            self.added += len(rows) - left_out
        self._last = time.monotonic()


def joined(parts: Sequence[Rows]) -> Rows:
    """All rows as one."""
    if len(parts) == 1:
        return parts[0]

    def one(name: str) -> np.ndarray:
        return np.concatenate([getattr(part, name) for part in parts])

    texts = {
        name: [value for part in parts for value in getattr(part, name)]
        for name in ("source", "body", "label", "thumbnail")
    }
    return Rows(one("mean"), one("variance"), stamp_s=one("stamp_s"), **texts)
