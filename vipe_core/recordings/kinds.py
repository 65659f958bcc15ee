"""What a path is a recording of, by its name and what little must be looked at."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

_VIDEOS = "mp4 m4v mov avi mkv webm mpg mpeg ts mts m2ts wmv flv ogv 3gp gif"
_IMAGES = "jpg jpeg png bmp webp tif tiff ppm pgm"
VIDEOS = frozenset(f".{ending}" for ending in _VIDEOS.split())
IMAGES = frozenset(f".{ending}" for ending in _IMAGES.split())
STORAGES = frozenset((".mcap", ".db3"))
CLIP = ".npz"
METADATA = "metadata.yaml"
KNOWN = "keypoint or embedding files (.npz), videos, images, bags (folder, .mcap or .db3)"


def suffix(path: Path) -> str:
    """The ending of the name, in small letters."""
    return path.suffix.lower()


def is_known(path: Path) -> bool:
    """Whether a file's ending is that of a recording."""
    return suffix(path) in {CLIP, *VIDEOS, *IMAGES, *STORAGES}


def is_bag(folder: Path) -> bool:
    """Whether a folder is a rosbag2: it says so, or its files are named as rosbag2 names them
    (a recorder that was killed wrote no metadata)."""
    if (folder / METADATA).is_file():
        return any("rosbag2" in line for line in _head(folder / METADATA))
    return bool(storage_files(folder))


def holds_messages(path: Path) -> bool:
    """Whether a path is a bag: its folder, or one of its files."""
    return is_bag(path) if path.is_dir() else suffix(path) in STORAGES


def storage_files(folder: Path) -> list[Path]:
    """The files of a bag, in the order in which they were written: all there are beside its
    metadata; without, those named after the folder."""
    name = ".*?" if (folder / METADATA).is_file() else re.escape(folder.name)
    form = re.compile(name + r"(?:_(\d+))?\.(?:mcap|db3)")
    found = [(match, path) for path in folder.iterdir() if (match := form.fullmatch(path.name))]
    return [path for _, path in sorted(found, key=lambda entry: int(entry[0][1] or 0))]


def clip_fields(path: Path) -> set[str]:
    """Names of the arrays in an ``.npz``; none when it is not one."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {name.removesuffix(".npy") for name in archive.namelist()}
    except (OSError, zipfile.BadZipFile):
        return set()


def is_examples_file(path: Path) -> bool:
    """Whether an ``.npz`` is what `vipe teach` keeps, which is made of recordings and is none."""
    return {"kind", "labels", "starts", "means"} <= clip_fields(path)


def _head(path: Path) -> list[str]:
    with path.open(encoding="utf-8", errors="replace") as file:
        return [file.readline() for _ in range(20)]
