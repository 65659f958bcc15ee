"""The checksum at the end of a model file.

The last 64 bytes of the file are the SHA-256, in hexadecimal, of everything before them. They
are the value of one more entry of ``metadata_props`` (key ``vipe_sha256``): a protocol buffer
may be extended by appending a field, so the file stays ONNX, and checking it needs no parser.
"""

from __future__ import annotations

import hashlib
from enum import Enum

KEY = "vipe_sha256"
_HEX = 64


def _entry() -> bytes:
    """Wire format of the entry, less its value: field 14 of ModelProto, a message of two
    strings, field 1 the key and field 2 the value."""
    pair = b"\x0a" + bytes([len(KEY)]) + KEY.encode() + b"\x12" + bytes([_HEX])
    return b"\x72" + bytes([len(pair) + _HEX]) + pair


_HEAD = _entry()
LENGTH = len(_HEAD) + _HEX  # bytes that a seal adds


class Seal(Enum):
    """What the end of a file says."""

    RIGHT = "the checksum fits"
    WRONG = "the checksum does not fit"
    NONE = "there is no checksum"


def sealed(data: bytes) -> bytes:
    """A serialised ONNX model with its checksum behind it; it must have none yet."""
    data += _HEAD
    return data + hashlib.sha256(data).hexdigest().encode()


def check(data: bytes) -> Seal:
    """Does the checksum of a file's content fit?"""
    body, value = data[:-_HEX], data[-_HEX:]
    if not body.endswith(_HEAD):
        return Seal.NONE
    fits = hashlib.sha256(body).hexdigest().encode() == value
    return Seal.RIGHT if fits else Seal.WRONG
