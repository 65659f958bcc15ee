"""The messages in the files of a rosbag2, also of one that was cut off.

``rosbags`` reads what is whole. An MCAP file without its end, as a recorder leaves it that was
killed, is read by :mod:`vipe_core.recordings.cut_off`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from vipe_core.errors import VipeError
from vipe_core.recordings import kinds
from vipe_core.recordings.cut_off import MAGIC, CutOffMcap

Raw = tuple[str, int, bytes]  # topic, nanoseconds at which it was recorded, CDR


class BagFiles:
    """A bag, opened.

    Args:
        path: the folder, or one storage file.
        resources: closes what is opened here.

    Attributes:
        connections: of rosbags: topic, msgtype, msgdef, msgcount; one topic may have several.
        notes: what could not be read, one line each; more may come while reading.

    Raises:
        VipeError: rosbags is not installed; nothing in the bag can be read.
    """

    def __init__(self, path: Path, resources: ExitStack) -> None:
        self._path, self._resources = path, resources
        self._rosbag2 = _import_rosbags(path)
        self.notes: list[str] = []
        self._readers: list[Any] = self._open()
        self.connections = [c for reader in self._readers for c in reader.connections]
        if not any(connection.msgcount for connection in self.connections):
            raise VipeError(f"bag {path} holds no message{self._because()}")

    def messages(self, topics: set[str]) -> Iterator[Raw]:
        """Messages on some topics as they were recorded, file after file.

        A damaged file ends early, with a note.
        """
        for reader in self._readers:
            chosen = [c for c in reader.connections if c.topic in topics and c.msgcount]
            if chosen:
                yield from self._from(reader, chosen)

    def first(self, topic: str) -> bytes | None:
        """The first message on a topic."""
        return next((data for _, _, data in self.messages({topic})), None)

    def types(self) -> dict[str, str]:
        """The type of every topic."""
        return {connection.topic: connection.msgtype for connection in self.connections}

    def count(self, topic: str) -> int:
        """Messages on a topic."""
        return sum(c.msgcount for c in self.connections if c.topic == topic)

    def _from(self, reader: Any, chosen: list[Any]) -> Iterator[Raw]:
        messages = reader.messages(chosen)
        while True:
            try:
                connection, stamp_ns, data = next(messages)
            except StopIteration:
                return
            except Exception as error:  # of rosbags, sqlite, zstd, lz4: no common kind
                self._note(f"bag {reader.path}: damaged, read up to there ({_line(error)})")
                return
            yield connection.topic, stamp_ns, data

    def _open(self) -> list[Any]:
        """A reader of the whole bag; of each of its files where that does not open."""
        try:
            return [self._enter(self._rosbag2.Reader(self._path))]
        except Exception as error:
            return self._open_each(error)

    def _open_each(self, error: Exception) -> list[Any]:
        if not self._path.is_dir():
            return [self._cut_off(self._path, error)]
        paths = kinds.storage_files(self._path)
        if not paths:
            raise VipeError(f"bag {self._path}: {_line(error)}") from None
        whole = (self._path / kinds.METADATA).is_file()
        reason = _line(error) if whole else f"no {kinds.METADATA}, the recorder was killed"
        self._note(f"bag {self._path}: {reason}; its files are read one by one")
        return [reader for path in paths if (reader := self._open_file(path))]

    def _open_file(self, path: Path) -> Any:
        """A reader of one file of several; None, and a note, when nothing can be read."""
        try:
            return self._enter(self._rosbag2.Reader(path))
        except Exception as error:
            try:
                return self._cut_off(path, error)
            except VipeError as lost:
                self._note(str(lost))
                return None

    def _cut_off(self, path: Path, error: Exception) -> CutOffMcap:
        """A reader of a file that rosbags refuses."""
        if not _is_mcap(path):
            raise VipeError(f"bag {path}: {_line(error)}") from None
        reader = self._enter(CutOffMcap(path))
        self._note(reader.note)
        return reader

    def _enter(self, reader: Any) -> Any:
        return self._resources.enter_context(reader)

    def _note(self, line: str) -> None:
        if line not in self.notes:
            self.notes.append(line)

    def _because(self) -> str:
        return f" ({'; '.join(self.notes)})" if self.notes else ""


def _import_rosbags(path: Path) -> Any:
    try:
        from rosbags import rosbag2
    except ImportError:
        raise VipeError(f"bag {path}: reading bags needs rosbags: pip install rosbags") from None
    return rosbag2


def _is_mcap(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
