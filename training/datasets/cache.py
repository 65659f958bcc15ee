"""The cache: one folder per prepared data set, read as memory maps.

``index.json`` says what it is; every field is a plain ``.npy`` with one row per frame:

    joints      (N, 17, 3) float32 metres, joints17, pelvis at the origin, y up
    canonical   (N, 17, 3) float32 statures, body frame; rotation (N, 3, 3) body axes in the world
    points      (N, C, 13, 2) float32 pixels, body13, NaN where missing; C cameras
    visibility  (N, C, 13) float32 in 0..1
    subject, label  (N,) int32 into the lists in index.json
    clip, frame (N,) int32; fps (N,) float32, NaN where unknown

A set of kind "keypoints" has no joints, canonical and rotation; one of kind "motion" has points
and visibility only where real cameras saw it. Nothing in a cache is ever unpickled.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vipe_core.errors import VipeError

FORMAT, VERSION, INDEX = "vipe data cache", 1, "index.json"
_MOTION = {"joints": (17, 3), "canonical": (17, 3), "rotation": (3, 3)}
_ALWAYS = {"subject": np.int32, "label": np.int32, "clip": np.int32, "frame": np.int32}
_KEYS = {
    **{"kind": str, "rows": int, "clips": int, "seconds": (int, float), "subjects": list},
    **{"labels": list, "cameras": list, "skeleton": str, "source": dict, "fields": dict},
}


def field_types(kind: str, cameras: int) -> dict[str, tuple[Any, tuple[int, ...]]]:
    """Type and shape of a row of each field that a cache of that kind has."""
    fields: dict[str, tuple[Any, tuple[int, ...]]] = {}
    if kind == "motion":
        fields |= {name: (np.float32, shape) for name, shape in _MOTION.items()}
    if cameras:
        fields["points"] = (np.float32, (cameras, 13, 2))
        fields["visibility"] = (np.float32, (cameras, 13))
    return (
        fields | {name: (dtype, ()) for name, dtype in _ALWAYS.items()} | {"fps": (np.float32, ())}
    )


@dataclass(frozen=True)
class Cache:
    """An opened cache.

    Attributes:
        path: its folder.
        index: the content of ``index.json``.
        arrays: memory maps of the fields; nothing that is done to them reaches the files.
    """

    path: Path
    index: dict[str, Any]
    arrays: dict[str, np.ndarray]

    def __len__(self) -> int:
        return self.index["rows"]

    def texts(self, name: str) -> np.ndarray:
        """(N,) strings of the field "subject" or "label"."""
        return np.array(self.index[f"{name}s"], dtype=np.str_)[self.arrays[name]]

    def clip_names(self) -> tuple[str, ...]:
        """The name of the sequence that each clip is from, such as "S1/Walking 1"; () for a
        cache that was made before they were kept."""
        ends = self.index.get("sequences")
        if not isinstance(ends, dict):
            return ()
        clips = np.diff([0, *ends.values()])
        return tuple(np.repeat(np.array(list(ends), np.str_), clips).tolist())

    def verify(self) -> None:
        """Read every byte; raises VipeError when a field is not what was written."""
        for name, entry in self.index["fields"].items():
            file = self.path / f"{name}.npy"
            if sha256(file) != entry["sha256"]:
                raise VipeError(f"cache {self.path}: {file.name} is damaged; prepare the set again")


def open_cache(path: Path) -> Cache:
    """Open a cache; its arrays stay on the disk.

    Raises:
        VipeError: missing, something else, of another version, cut short, or inconsistent.
    """
    index = _read_index(path)
    arrays = {}
    types = field_types(index["kind"], len(index["cameras"]))
    for name, (dtype, shape) in types.items():
        arrays[name] = _map(path, index, name, np.dtype(dtype), (index["rows"], *shape))
    for name in ("subject", "label"):
        if not _within(arrays[name], len(index[f"{name}s"])):
            raise VipeError(f"cache {path}: {name}.npy points outside the list of {name}s")
    return Cache(path, index, arrays)


def _read_index(path: Path) -> dict[str, Any]:
    file = path / INDEX
    if not file.is_file():
        raise VipeError(f"{path} is no data cache: no {INDEX} in it (vipe data prepare makes one)")
    try:
        index = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise VipeError(f"cache {path}: {INDEX} is unreadable ({error})") from None
    if not isinstance(index, dict) or index.get("format") != FORMAT:
        raise VipeError(f"{path} is no data cache: {INDEX} is of something else")
    if index.get("version") != VERSION:
        raise VipeError(
            f"cache {path}: version {index.get('version')}, this VIPE reads {VERSION}; "
            "prepare the set again"
        )
    for key, kind in _KEYS.items():
        if not isinstance(index.get(key), kind):
            raise VipeError(f"cache {path}: {INDEX} has no proper {key!r}")
    if index["kind"] not in ("motion", "keypoints") or index["rows"] < 1:
        raise VipeError(f"cache {path}: {index['rows']} rows of kind {index['kind']!r}")
    return index


def _map(
    path: Path, index: dict[str, Any], name: str, dtype: np.dtype, shape: tuple[int, ...]
) -> np.ndarray:
    file = path / f"{name}.npy"
    entry = index["fields"].get(name)
    if not isinstance(entry, dict) or not file.is_file():
        raise VipeError(f"cache {path}: no {file.name}; prepare the set again")
    if file.stat().st_size != entry.get("bytes"):
        raise VipeError(
            f"cache {path}: {file.name} has {file.stat().st_size} bytes instead of "
            f"{entry.get('bytes')}; prepare the set again"
        )
    try:
        # Copy on write: like "r" it never touches the file, and torch takes it without a warning.
        array = np.load(file, mmap_mode="c", allow_pickle=False)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise VipeError(f"cache {path}: {file.name} is unreadable ({reason})") from None
    if array.dtype != dtype or array.shape != shape:
        raise VipeError(
            f"cache {path}: {file.name} holds {array.dtype} {array.shape}, expected {dtype} {shape}"
        )
    return array


def _within(numbers: np.ndarray, count: int) -> bool:
    return bool(numbers.min() >= 0 and numbers.max() < count)


def sha256(file: Path) -> str:
    """Of a file's content, read in blocks."""
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
