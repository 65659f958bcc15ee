"""Which recordings lie under some paths."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from vipe_core.errors import VipeError
from vipe_core.recordings import kinds


def find(paths: Iterable[str | Path], notify: Callable[[str], object] | None = None) -> list[Path]:
    """All recordings among files and below folders, sorted, each once.

    Links are followed, each folder once. In a folder, what is no recording is passed over, and
    so is an ``.npz`` that is neither a keypoint nor an embedding file.

    Args:
        paths: files and folders.
        notify: called with one line about the ``.npz`` that were passed over.

    Raises:
        VipeError: a path that does not exist, a file named that is of no known kind, or a
            folder without a recording.
    """
    found: set[Path] = set()
    foreign: list[Path] = []
    for given in paths:
        path = Path(given).expanduser()
        if not path.exists():
            raise VipeError(f"recording {path} does not exist")
        if not path.is_dir():
            found.add(_named(path))
            continue
        inside = set(_below(path, foreign, set()))
        if not inside:
            raise VipeError(f"folder {path} holds no recording; known: {kinds.KNOWN}")
        found |= inside
    if foreign and notify:
        notify(f"{_names(foreign)}: neither keypoint nor embedding file, passed over")
    return sorted(found)


def _named(path: Path) -> Path:
    if not kinds.is_known(path):
        raise VipeError(
            f"recording {path}: unknown ending {kinds.suffix(path)!r}; known: {kinds.KNOWN}"
        )
    return path


def _below(folder: Path, foreign: list[Path], visited: set[tuple[int, int]]) -> Iterator[Path]:
    """Recordings in a folder; ``visited`` holds device and inode of folders seen."""
    status = folder.stat()
    if (status.st_dev, status.st_ino) in visited:
        return
    visited.add((status.st_dev, status.st_ino))
    if not os.access(folder, os.R_OK | os.X_OK):
        raise VipeError(f"folder {folder} cannot be read: Permission denied")
    if kinds.is_bag(folder):
        yield folder
        return
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _below(entry, foreign, visited)
        elif entry.is_file() and kinds.is_known(entry):
            if kinds.suffix(entry) == kinds.CLIP and not _is_clip(entry):
                foreign.append(entry)
            else:
                yield entry


def _is_clip(path: Path) -> bool:
    return not kinds.clip_fields(path).isdisjoint(("points", "mean"))


def _names(paths: list[Path]) -> str:
    more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
    return ", ".join(str(path) for path in paths[:3]) + more
