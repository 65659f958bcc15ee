"""Rows for the tests of the gallery, and galleries of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vipe_core.gallery import Gallery, Origin, Rows

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
