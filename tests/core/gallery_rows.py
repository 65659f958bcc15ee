"""Rows for the tests of the gallery, and galleries of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vipe_core.gallery import Gallery, Origin, Rows
from vipe_core.gallery.indexing import Watch

ORIGIN = Origin("test 1", "0123456789ab", 1.5, 0.75, 16)


def rows(count: int, seed: int = 0, source: str = "a.mp4", **more: object) -> Rows:
    rng = np.random.default_rng(seed)
    mean = rng.normal(size=(count, 16))
    variance = rng.uniform(0.01, 0.3, (count, 16))
    return Rows(mean, variance, source, np.arange(count) / 10, **more)


def filled(folder: Path, *parts: Rows) -> Gallery:
    gallery = Gallery.create(folder / "gallery", ORIGIN)
    for part in parts:
        gallery.add(part)
    return gallery


class Stop(Exception):
    """Ends an indexing half-way."""


class StopAfter(Watch):
    """Breaks off, as a kill would, at a moment."""

    def __init__(self, moments: int) -> None:
        self.left = moments

    def step(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Stop
