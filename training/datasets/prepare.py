"""From a data set as its owners give it out to a cache."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from vipe_core.errors import VipeError
from vipe_core.geometry import stature
from vipe_core.skeletons import JOINTS17
from vipe_training.datasets.cache import Cache, open_cache
from vipe_training.datasets.cache_writer import writing
from vipe_training.datasets.recording import Reader, Recording

# A person shorter than this many metres is a fault of the recording.
_SHORTEST = 0.3
_SAMPLE = 10_000


def prepare(
    name: str,
    reader: Reader,
    out: Path,
    max_fps: float | None = None,
    options: dict[str, Any] | None = None,
    progress: Callable[..., Any] | None = None,
) -> Cache:
    """Write the cache ``out``; an interrupted try with the same source goes on.

    Args:
        name: of the set, for the index.
        reader: gives the recordings.
        out: folder to make.
        max_fps: leave out frames of faster recordings; None for all frames.
        options: settings of the reader, for the index.
        progress: makes a bar from a total and a unit, as ``vipe_core.cli.common.progress``.

    Raises:
        VipeError: missing or malformed files, nothing usable, or ``out`` cannot be written.
    """
    settings = {"set": name, "max_fps": max_fps, **(options or {})}
    source = _source(reader.files())
    sequences = list(reader.sequences())
    with writing(out, reader.kind, reader.cameras, {**settings, **source}) as writer:
        left = [part for part in sequences if part.name not in writer.state.sequences]
        for part in _with_bar(left, progress, done=len(sequences) - len(left)):
            for recording in part.read():
                recording = recording.slower(max_fps) if max_fps else recording
                writer.append(_usable(recording))
            writer.finish_sequence(part.name)
        if not writer.state.rows:
            raise VipeError(f"{name}: not one usable frame in {len(sequences)} sequences")
        writer.finish({"source": {**settings, **source}})
    return open_cache(out)


def _usable(recording: Recording) -> Recording:
    """Without the frames that show nobody."""
    if recording.joints is not None:
        finite = np.isfinite(recording.joints).all(axis=(1, 2))
        tall = stature(np.nan_to_num(recording.joints)) > _SHORTEST
        return recording.select(finite & tall)
    if recording.points is not None:
        return recording.select(np.asarray(np.isfinite(recording.points).any(axis=(1, 2, 3))))
    return recording


def _source(files: Iterable[Path]) -> dict[str, Any]:
    """How to know the source again: number, size and names of its files."""
    files = sorted(set(files))
    digest, size = hashlib.sha256(), 0
    for path in files:
        length = path.stat().st_size
        digest.update(f"{'/'.join(path.parts[-3:])} {length}\n".encode())
        size += length
    return {"files": len(files), "bytes": size, "fingerprint": digest.hexdigest()}


def _with_bar(parts: list, progress: Callable[..., Any] | None, done: int):
    if progress is None:
        yield from parts
        return
    with progress(done + len(parts), "sequence") as bar:
        bar.update(done)
        for part in parts:
            yield part
            bar.update(1)


def mean_uprightness(cache: Cache) -> float:
    """Mean cosine between trunk and vertical over a sample of a motion cache.

    Most people of any set are upright, so that a set whose axes are not what its owners say
    gives itself away.
    """
    rows = np.linspace(0, len(cache) - 1, min(_SAMPLE, len(cache))).astype(int)
    trunk = cache.arrays["joints"][rows, JOINTS17.index("neck")]
    return float((trunk[:, 1] / np.maximum(np.linalg.norm(trunk, axis=1), 1e-6)).mean())
