"""Record what the nodes publish, and keep it as an MCAP bag.

Messages are taken as the bytes that arrived, so recording costs little and the bag holds exactly
what was on the wire.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message

ROOT = Path(__file__).resolve().parents[1]
_DEPTH = 1000  # of the subscriptions: nothing is dropped while the recorder is busy


@dataclass(frozen=True)
class Arrival:
    """One message. Times in nanoseconds of the system clock.

    Attributes:
        stamp: of the message's header; 0 where the type has none.
        received: when the middleware took it from the wire.
        data: CDR bytes.
        message: the same, deserialised.
    """

    stamp: int
    received: int
    data: bytes
    message: Any


@dataclass
class Recording:
    """All arrivals by topic, in the order of arrival; and the types of the topics."""

    types: dict[str, type]
    arrivals: dict[str, list[Arrival]] = field(default_factory=dict)

    def stamps(self, topic: str) -> list[int]:
        """Stamps of one topic in order of arrival, nanoseconds."""
        return [arrival.stamp for arrival in self.arrivals.get(topic, [])]

    def count(self) -> int:
        """Messages of all topics."""
        return sum(len(arrivals) for arrivals in self.arrivals.values())


def topic_types() -> dict[str, type]:
    """The topics to record. /tf only where tf2_msgs is installed."""
    from diagnostic_msgs.msg import DiagnosticArray
    from sensor_msgs.msg import CameraInfo
    from vipe_msgs.msg import Actions, Bodies2D, Bodies3D, Embeddings
    from visualization_msgs.msg import MarkerArray

    types: dict[str, type] = {
        "camera_info": CameraInfo,
        "bodies_2d": Bodies2D,
        "embeddings": Embeddings,
        "bodies_3d": Bodies3D,
        "actions": Actions,
        "markers": MarkerArray,
        "/diagnostics": DiagnosticArray,
    }
    if find_spec("tf2_msgs"):
        from tf2_msgs.msg import TFMessage

        types["/tf"] = TFMessage
    return types


class Recorder(Node):
    """Subscribes to every topic and keeps all that arrives."""

    def __init__(self) -> None:
        super().__init__("recorder")
        self.recording = Recording(topic_types())
        qos = QoSProfile(depth=_DEPTH, reliability=ReliabilityPolicy.RELIABLE)
        for topic, kind in self.recording.types.items():
            self.recording.arrivals[topic] = []
            self.create_subscription(kind, topic, self._keeper(topic), qos, raw=True)

    def _keeper(self, topic: str) -> Any:
        kind, arrivals = self.recording.types[topic], self.recording.arrivals[topic]

        def keep(data: bytes, info: dict) -> None:
            message = deserialize_message(data, kind)
            # The middleware's own time: waiting in this process is no one's latency.
            received = info["received_timestamp"] or self.get_clock().now().nanoseconds
            arrivals.append(Arrival(stamp_of(message), received, data, message))

        # rclpy looks at the signature: with a second parameter it passes the message info.
        return keep


def stamp_of(message: Any) -> int:
    """The header's stamp in nanoseconds; that of the first part where only the parts have one."""
    parts = getattr(message, "markers", None) or getattr(message, "transforms", None) or [message]
    header = getattr(parts[0], "header", None)
    return header.stamp.sec * 10**9 + header.stamp.nanosec if header else 0


def write_bag(recording: Recording, folder: Path) -> None:
    """Write all arrivals as an MCAP bag (``rosbags``; ``ros2 bag play`` reads it)."""
    from rosbags.rosbag2 import StoragePlugin, Writer

    shutil.rmtree(folder, ignore_errors=True)
    store = typestore()
    everything = []
    with Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP) as bag:
        for topic, arrivals in recording.arrivals.items():
            kind = _type_name(recording.types[topic])
            absolute = topic if topic.startswith("/") else f"/{topic}"
            connection = bag.add_connection(absolute, kind, typestore=store)
            everything += [(arrival.received, connection, arrival.data) for arrival in arrivals]
        for received, connection, data in sorted(everything, key=lambda entry: entry[0]):
            bag.write(connection, received, data)


def _type_name(kind: type) -> str:
    """``vipe_msgs/msg/Actions`` for the class of that message."""
    return f"{kind.__module__.split('.')[0]}/msg/{kind.__name__}"


def typestore() -> Any:
    """A rosbags type store that knows the messages of vipe_msgs, from their .msg files."""
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore

    store = get_typestore(Stores.ROS2_KILTED)
    types: dict[str, Any] = {}
    for path in sorted((ROOT / "ros_ws/src/vipe_msgs/msg").glob("*.msg")):
        types |= get_types_from_msg(path.read_text(), f"vipe_msgs/msg/{path.stem}")
    store.register(types)
    return store
