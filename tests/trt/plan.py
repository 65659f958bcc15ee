"""A plan is a magic word, the size and checksum of the rest, a JSON header, and the ONNX file."""

from __future__ import annotations

import json
import struct
import zlib
from typing import Any

import onnx

MAGIC = b"STANDIN1"


def pack(header: dict[str, Any], model: onnx.ModelProto) -> bytes:
    head = json.dumps(header).encode()
    rest = struct.pack("<I", len(head)) + head + model.SerializeToString()
    return MAGIC + struct.pack("<QI", len(rest), zlib.crc32(rest)) + rest


def unpack(data: bytes) -> tuple[dict[str, Any], bytes]:
    """Header and ONNX file; ValueError if it is no plan or a damaged one."""
    if not data.startswith(MAGIC) or len(data) < len(MAGIC) + 16:
        raise ValueError("Magic tag does not match")
    size, checksum = struct.unpack_from("<QI", data, len(MAGIC))
    rest = data[len(MAGIC) + 12 :]
    if len(rest) != size or zlib.crc32(rest) != checksum:
        raise ValueError("the archive is truncated or damaged")
    (length,) = struct.unpack_from("<I", rest)
    return json.loads(rest[4 : 4 + length]), rest[4 + length :]
