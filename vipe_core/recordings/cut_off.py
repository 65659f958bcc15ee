"""An MCAP file without an end: a recorder that was killed, a disk that was full.

Everything up to the last whole record is read, also from a last chunk that is not whole when it
is not compressed. A chunk whose checksum is wrong is left out.

Source: the MCAP specification, version 0 (mcap.dev/spec): records of opcode, length, content.
"""

from __future__ import annotations

import struct
import sys
from collections import Counter
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple
from zlib import crc32

from vipe_core.errors import VipeError

MAGIC = b"\x89MCAP0\r\n"
_SCHEMA, _CHANNEL, _MESSAGE, _CHUNK = 0x03, 0x04, 0x05, 0x06
_INVALID, _DATA_END = 0x00, 0x0F  # a hole in the file is zeros
_WANTED = {_SCHEMA, _CHANNEL, _MESSAGE, _CHUNK}
_HEADER = struct.Struct("<BQ")  # opcode, bytes that follow
_MESSAGE_HEAD = struct.Struct("<HIQQ")  # channel, sequence, log time, publish time
_CHUNK_HEAD = struct.Struct("<QQQI")  # first and last time, size uncompressed, checksum
_LARGEST = 1 << 30  # bytes of a record that is read; a length beyond it is damage


class _Channel(NamedTuple):
    id: int
    schema: int
    topic: str
    encoding: str


class CutOffMcap:
    """A reader with what is used of rosbags' own: ``connections`` and ``messages``.

    Attributes:
        path: the file.
        connections: one per topic and type.
        note: what was found and what was lost, one line.

    Raises:
        VipeError: not a single message is whole, what describes them is damaged, or what
            decompresses them is not installed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lost = self._damaged = 0
        try:
            self.connections, last_ns, first_ns = self._scan()
        except struct.error as error:
            raise VipeError(f"bag {path}: damaged ({error})") from None
        count = sum(connection.msgcount for connection in self.connections)
        if not count:
            raise VipeError(f"bag {path}: cut off before its first message was written")
        lost = [f"the last {self._lost} bytes"] if self._lost else []
        lost += [f"{self._damaged} chunks before"] if self._damaged else []
        span_s = (last_ns - first_ns) * 1e-9
        self.note = f"bag {path}: cut off; {count} messages of {span_s:.1f} s are whole"
        self.note += f", {' and '.join(lost)} are not" if lost else ""

    def __enter__(self) -> CutOffMcap:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing stays open."""

    def messages(self, connections: list[Any]) -> Iterator[tuple[Any, int, bytes]]:
        """Connection, log time in nanoseconds and CDR of their messages, as in the file."""
        wanted = {connection.id: connection for connection in connections}
        for opcode, content in self._records():
            if opcode == _MESSAGE:
                channel, _, stamp_ns, _ = _MESSAGE_HEAD.unpack_from(content)
                if channel in wanted:
                    yield wanted[channel], stamp_ns, content[_MESSAGE_HEAD.size :]

    def _scan(self) -> tuple[list[Any], int, int]:
        """Connections with what they hold, last and first log time."""
        schemas: dict[int, tuple[str, str, str]] = {}
        channels: dict[int, _Channel] = {}
        counts: Counter[int] = Counter()
        last_ns, first_ns = 0, 2**63
        for opcode, content in self._records():
            if opcode == _MESSAGE:
                channel, _, stamp_ns, _ = _MESSAGE_HEAD.unpack_from(content)
                counts[channel] += 1
                last_ns, first_ns = max(last_ns, stamp_ns), min(first_ns, stamp_ns)
            elif opcode == _SCHEMA:
                file = BytesIO(content)
                number = _number(file, "<H")
                schemas[number] = (_text(file), _text(file), _text(file))
            elif opcode == _CHANNEL:
                file = BytesIO(content)
                number, schema = _number(file, "<H"), _number(file, "<H")
                channels[number] = _Channel(number, schema, _text(file), _text(file))
        made = [
            _connection(channel, schemas[channel.schema], counts[channel.id])
            for channel in channels.values()
            if channel.encoding == "cdr" and channel.schema in schemas
        ]
        return made, last_ns, first_ns

    def _records(self) -> Iterator[tuple[int, bytes]]:
        """All whole records, those in chunks among them."""
        length, self._damaged = self.path.stat().st_size, 0
        with self.path.open("rb") as file:
            file.seek(len(MAGIC))
            end = len(MAGIC)
            for opcode, content, whole in _walk(file, length):
                if opcode == _CHUNK:
                    yield from self._chunk(content, whole)
                elif whole and opcode in _WANTED:
                    yield opcode, content
                if whole:
                    end = file.tell()
            self._lost = length - end

    def _chunk(self, content: bytes, whole: bool) -> Iterator[tuple[int, bytes]]:
        """Records of a chunk; of one that is cut off what lies before the cut."""
        if len(content) < _CHUNK_HEAD.size + 12:
            return
        checksum = _CHUNK_HEAD.unpack_from(content)[-1]
        file = BytesIO(content)
        file.seek(_CHUNK_HEAD.size)
        compression = _text(file)
        file.seek(8, 1)  # the size, which is that of the rest
        records = file.read()
        if compression and not whole:
            return
        try:
            plain = _plain(records, compression, self.path)
        except VipeError:
            raise
        except Exception:  # zstd, lz4: each has its own kind
            plain = b""
        if whole and (not plain or (checksum and crc32(plain) != checksum)):
            self._damaged += 1
            return
        for opcode, inner, inside in _walk(BytesIO(plain), len(plain)):
            if inside and opcode in _WANTED:
                yield opcode, inner


def _walk(file: BinaryIO, length: int) -> Iterator[tuple[int, bytes, bool]]:
    """Opcode, content, and whether all of it is there, up to the end of the data."""
    while len(head := file.read(_HEADER.size)) == _HEADER.size:
        opcode, size = _HEADER.unpack(head)
        left = length - file.tell()
        if opcode in (_INVALID, _DATA_END):
            return
        if opcode in _WANTED and size <= _LARGEST:
            yield opcode, file.read(min(size, left)), size <= left
        elif size <= left:
            file.seek(size, 1)
            yield opcode, b"", True
        else:
            return


def _plain(data: bytes, compression: str, path: Path) -> bytes:
    """A chunk's records as they were before compression."""
    if not compression:
        return data
    try:
        if compression == "lz4":
            from lz4.frame import decompress  # type: ignore[import-untyped]
        elif sys.version_info >= (3, 14):
            from compression.zstd import decompress
        else:
            from backports.zstd import decompress
    except ImportError:
        raise VipeError(
            f"bag {path}: {compression} is not installed: pip install rosbags"
        ) from None
    return decompress(data)


def _connection(channel: _Channel, schema: tuple[str, str, str], count: int) -> Any:
    """As rosbags has it."""
    from rosbags.interfaces import (
        Connection,
        ConnectionExtRosbag2,
        MessageDefinition,
        MessageDefinitionFormat,
    )

    name, encoding, text = schema
    form = MessageDefinitionFormat.MSG if encoding == "ros2msg" else MessageDefinitionFormat.IDL
    extra = ConnectionExtRosbag2(channel.encoding, [])
    definition = MessageDefinition(form, text)
    return Connection(channel.id, channel.topic, name, definition, "", count, extra, None)


def _number(file: BinaryIO, form: str) -> int:
    return struct.unpack(form, file.read(struct.calcsize(form)))[0]


def _text(file: BinaryIO) -> str:
    return file.read(_number(file, "<I")).decode("utf-8", "replace")
