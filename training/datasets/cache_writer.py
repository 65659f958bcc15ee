"""Writing a cache: block by block, to be continued after an interruption, seen only when whole.

Until it is whole the cache is a hidden folder beside its place. A journal there has one line per
finished sequence with the number of rows; what lies behind the last line's rows is cut off when
the work goes on.
"""

from __future__ import annotations

import fcntl
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy_format

from vipe_core.errors import VipeError
from vipe_training.datasets import cache
from vipe_training.datasets.journal import Journal
from vipe_training.datasets.motion import canonical
from vipe_training.datasets.recording import Kind, Recording

_JOURNAL = "journal.jsonl"


class CacheWriter:
    """One cache in the making; see :func:`writing`.

    Attributes:
        state: rows, clips, seconds, subjects, labels and finished sequences so far.
    """

    def __init__(self, part: Path, kind: Kind, cameras: tuple[str, ...]) -> None:
        self._part, self._kind, self._cameras = part, kind, cameras
        self._types = cache.field_types(kind, len(cameras))
        self._journal = Journal(part / _JOURNAL)
        self.state = self._journal.progress
        self._files: dict[str, IO[bytes]] = {}
        try:
            for name in self._types:
                self._files[name] = self._open(name)
        except VipeError:
            self.close()
            raise

    def append(self, recording: Recording) -> None:
        """Rows of one recording; they count once their sequence is finished."""
        rows, state = len(recording), self.state
        if rows == 0:
            return
        clip = np.arange(rows) if recording.stills else np.zeros(rows, int)
        values = {
            "subject": np.full(
                rows, state.subjects.setdefault(recording.subject, len(state.subjects))
            ),
            "label": np.full(rows, state.labels.setdefault(recording.label, len(state.labels))),
            "clip": clip + state.clips,
            "frame": np.zeros(rows, int) if recording.stills else recording.frames(),
            "fps": np.full(rows, recording.fps),
            **self._points(recording),
        }
        if self._kind == "motion" and recording.joints is not None:
            joints = np.asarray(recording.joints, np.float32)
            values |= dict(zip(("canonical", "rotation"), canonical(joints), strict=True))
            values["joints"] = joints
        for name, (dtype, shape) in self._types.items():
            block = np.ascontiguousarray(values[name], dtype)
            if block.shape != (rows, *shape):
                raise ValueError(f"{name}: {block.shape} for {rows} rows of {shape}")
            self._files[name].write(block.tobytes())
        state.rows += rows
        state.clips += rows if recording.stills else 1
        if np.isfinite(recording.fps):
            state.seconds += rows / recording.fps

    def finish_sequence(self, name: str) -> None:
        """Note that all recordings of a sequence are written."""
        for file in self._files.values():
            file.flush()
        self._journal.note(name)

    def finish(self, about: dict[str, Any]) -> None:
        """Write the headers and the index; ``about`` adds to the index."""
        self.close()
        fields = {}
        for name, (dtype, shape) in self._types.items():
            file = self._part / f"{name}.npy"
            with file.open("r+b") as stream:
                stream.write(_header(dtype, (self.state.rows, *shape)))
            entry = {"dtype": np.dtype(dtype).str, "shape": [self.state.rows, *shape]}
            fields[name] = {**entry, "bytes": file.stat().st_size, "sha256": cache.sha256(file)}
        index = {
            **{"format": cache.FORMAT, "version": cache.VERSION, "kind": self._kind, **about},
            **{"rows": self.state.rows, "clips": self.state.clips, "seconds": self.state.seconds},
            **{"subjects": list(self.state.subjects), "labels": list(self.state.labels)},
            # How many clips there are when each sequence ends: whose clip is whose.
            "sequences": self.state.sequences,
            "skeleton": "joints17" if self._kind == "motion" else "body13",
            **{"cameras": list(self._cameras), "fields": fields},
        }
        (self._part / cache.INDEX).write_text(json.dumps(index, indent=1) + "\n")
        (self._part / _JOURNAL).unlink()

    def close(self) -> None:
        """Close the files; what is in them stays."""
        for file in (*self._files.values(), self._journal):
            file.close()

    def _points(self, recording: Recording) -> dict[str, np.ndarray]:
        if not self._cameras:
            return {}
        if recording.points is None or recording.visibility is None:
            points = np.full((len(recording), len(self._cameras), 13, 2), np.nan, np.float32)
            return {"points": points, "visibility": np.zeros(points.shape[:-1], np.float32)}
        present = np.asarray(np.isfinite(recording.points).all(axis=-1))
        points = np.where(present[..., None], recording.points, np.nan)
        visible = np.where(present, np.clip(np.nan_to_num(recording.visibility), 0, 1), 0)
        return {"points": points, "visibility": visible}

    def _open(self, name: str) -> IO[bytes]:
        """The field's file, cut to the rows of the journal."""
        dtype, shape = self._types[name]
        head = _header(dtype, (0, *shape))
        size = len(head) + self.state.rows * np.dtype(dtype).itemsize * int(np.prod(shape))
        path = self._part / f"{name}.npy"
        if self.state.rows == 0:
            path.write_bytes(head)
        elif path.stat().st_size < size:
            raise VipeError(f"{path} lost data; remove its folder and start again")
        file = path.open("ab")
        file.truncate(size)
        return file


@contextmanager
def writing(
    out: Path, kind: Kind, cameras: tuple[str, ...], identity: dict[str, Any]
) -> Iterator[CacheWriter]:
    """A writer for the cache ``out``, which appears there when the block ends well.

    Where an earlier try with the same ``identity`` (source and settings) was interrupted, the
    writer goes on behind it.

    Raises:
        VipeError: ``out`` exists, somebody else is writing it, or the place cannot be written.
    """
    part = out.with_name(f".{out.name}.part")
    if out.exists():
        raise VipeError(f"{out} exists already: remove it or name another place")
    try:
        part.mkdir(parents=True, exist_ok=True)
        with _locked(part):
            _begin(part, identity)
            writer = CacheWriter(part, kind, cameras)
            try:
                yield writer
            finally:
                writer.close()
            (part / "identity.json").unlink()
            (part / "lock").unlink()
            part.rename(out)
    except OSError as error:
        raise VipeError(f"cannot write {out}: {error.strerror or error}") from error


def _begin(part: Path, identity: dict[str, Any]) -> None:
    """Forget an earlier try with another source or other settings."""
    file = part / "identity.json"
    text = json.dumps(identity, sort_keys=True)
    if not file.is_file() or file.read_text() != text:
        for left in part.iterdir():
            if left.name != "lock":
                left.unlink()
        file.write_text(text)


@contextmanager
def _locked(part: Path) -> Iterator[None]:
    with (part / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise VipeError(f"{part}: another vipe data prepare is writing it") from None
        yield


def _header(dtype: Any, shape: tuple[int, ...]) -> bytes:
    """The beginning of an .npy file; numpy makes it equally long for any number of rows."""
    stream = io.BytesIO()
    description = npy_format.dtype_to_descr(np.dtype(dtype))
    npy_format.write_array_header_1_0(
        stream, {"descr": description, "fortran_order": False, "shape": shape}
    )
    return stream.getvalue()
