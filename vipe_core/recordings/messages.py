"""Messages in bags as arrays.

Their types are built from the definitions in the bag. One without definitions (sqlite3 bags
before Iron) is read with ROS's own types as rosbags knows them, and with those of vipe_msgs
where that package is installed.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vipe_core import skeletons
from vipe_core.bodies import Bodies2D, Estimates
from vipe_core.errors import VipeError

EMBEDDINGS, BODIES = "vipe_msgs/msg/Embeddings", "vipe_msgs/msg/Bodies2D"
IMAGE, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
READABLE = (EMBEDDINGS, BODIES, IMAGE, COMPRESSED)
_EMBEDDING = ("mean", "variance", "mirror_mean", "mirror_variance")


class Header(NamedTuple):
    """What begins every message read here.

    Attributes:
        stamp_ns: nanoseconds, 0 when not set.
        frame_id: of the camera.
    """

    stamp_ns: int
    frame_id: str


def header(data: bytes) -> Header:
    """The header of a message whose first field it is, from its CDR.

    Raises:
        VipeError: too short to hold one.
    """
    try:
        order = "<" if data[1] & 1 else ">"  # the low bit of the encapsulation kind
        sec, nanosec, size = struct.unpack_from(f"{order}iII", data, 4)
    except (IndexError, struct.error):
        raise VipeError("message without a header") from None
    frame_id = bytes(data[16 : 16 + max(size - 1, 0)]).decode("utf-8", "replace")
    return Header(sec * 10**9 + nanosec, frame_id)


class Types:
    """Deserialises messages of the types in :data:`READABLE`.

    Args:
        connections: of the bag; see :class:`vipe_core.recordings.bag_files.BagFiles`.

    Raises:
        VipeError: a definition in the bag is damaged.
    """

    def __init__(self, connections: Iterable[Any]) -> None:
        from rosbags.typesys import Stores, get_typestore

        self._store = get_typestore(Stores.EMPTY)
        known: dict[str, Any] = {}
        for connection in connections:
            if connection.msgtype in READABLE and connection.msgtype not in known:
                known |= _definitions(connection)
        self._store.register(known)

    def defines(self, kind: str) -> bool:
        """Whether messages of a type can be read."""
        return kind in self._store.fielddefs

    def message(self, data: bytes, kind: str) -> Any:
        """The message.

        Raises:
            VipeError: it is damaged.
        """
        try:
            return self._store.deserialize_cdr(data, kind)
        except Exception as error:  # of numpy, struct, rosbags
            raise VipeError(f"{kind}: damaged message ({type(error).__name__})") from None


def _definitions(connection: Any) -> dict[str, Any]:
    """A type and what it is made of, as the bag says; else as they are known here.

    Raises:
        VipeError: what the bag says cannot be understood.
    """
    from rosbags.interfaces import MessageDefinitionFormat
    from rosbags.typesys import Stores, TypesysError, get_types_from_msg, get_typestore

    kind, definition = connection.msgtype, connection.msgdef
    if definition.format != MessageDefinitionFormat.MSG:
        return _installed() | get_typestore(Stores.LATEST).fielddefs
    try:
        return get_types_from_msg(definition.data, kind)
    except TypesysError as error:
        reason = str(error).splitlines()[0]
        raise VipeError(f"{kind}: the bag's definition is damaged ({reason})") from None


def _installed() -> dict[str, Any]:
    """The messages of vipe_msgs, from where ROS has installed them; else none."""
    from rosbags.typesys import get_types_from_msg

    types: dict[str, Any] = {}
    for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep):
        for path in sorted(Path(prefix or ".", "share/vipe_msgs/msg").glob("*.msg")):
            types |= get_types_from_msg(path.read_text(), f"vipe_msgs/msg/{path.stem}")
    return types


def people(message: Any) -> Bodies2D:
    """The people in a vipe_msgs/Bodies2D.

    Raises:
        VipeError: unknown skeleton, or arrays that do not fit it.
    """
    joints, bodies = len(skeletons.get(message.skeleton)), message.bodies
    for body in bodies:
        if len(body.points) != 2 * joints or len(body.visibility) != joints:
            raise VipeError(f"bodies_2d: arrays do not fit the skeleton {message.skeleton}")
    size = (int(message.image_width), int(message.image_height))
    return Bodies2D.from_arrays(
        np.reshape([body.points for body in bodies], (len(bodies), joints, 2)),
        np.reshape([body.visibility for body in bodies], (len(bodies), joints)),
        message.skeleton,
        [body.track_id for body in bodies],
        np.array([body.score for body in bodies], np.float32),
        size if all(size) else None,
    )


def embeddings(message: Any, size: int) -> tuple[tuple[str, ...], Estimates]:
    """Track ids and estimates of the people in a vipe_msgs/Embeddings.

    Raises:
        VipeError: an array that has not ``size`` values, or a value that is not finite.
    """
    bodies = message.bodies
    mirrored = all(len(body.mirror_mean) for body in bodies)
    values = {
        name: np.array([getattr(body, name) for body in bodies], np.float32).reshape(-1, size)
        for name in (_EMBEDDING if mirrored else _EMBEDDING[:2])
        if all(len(getattr(body, name)) == size for body in bodies)
    }
    if len(values) < (4 if mirrored else 2):
        raise VipeError(f"embeddings: an array has not {size} values")
    if not all(np.isfinite(rows).all() for rows in values.values()):
        raise VipeError("embeddings: a value is not finite")
    return tuple(body.track_id for body in bodies), Estimates(**values)
