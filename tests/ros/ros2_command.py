"""``ros2 bag record`` and ``ros2 bag play`` where ros2cli and rosbag2 cannot be installed.

Takes exactly the options that our launch files use, as Humble to Kilted document them, and no
others. Bags are real MCAP bags (``rosbags``), messages go over the real middleware, and
:func:`install` puts the command into a folder for PATH.
"""

from __future__ import annotations

import argparse
import re
import signal
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import rclpy
from rclpy.clock import Clock, ClockType  # pyright: ignore[reportPrivateImportUsage]
from rclpy.duration import Duration
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from rclpy.time import Time
from rosbags.interfaces import (
    ConnectionExtRosbag2,
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import Reader, StoragePlugin, Writer, WriterError
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosgraph_msgs.msg import Clock as ClockMessage

ROOT = Path(__file__).resolve().parents[2]
POLL_S = 0.1  # rosbag2 looks for new topics as often
FOREVER = QosTime(2**31 - 1, 10**9 - 1)


def install(folder: Path) -> Path:
    """Write an executable ``ros2`` into a folder; the folder."""
    folder.mkdir(exist_ok=True)
    command = folder / "ros2"
    command.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\n"
        "from tests.ros.ros2_command import main\nsys.exit(main(sys.argv[1:]))\n"
    )
    command.chmod(0o755)
    return folder


def typestore() -> Any:
    """Knows ROS's own messages and those installed here."""
    store = get_typestore(Stores.ROS2_KILTED)
    types: dict[str, Any] = {}
    for path in sorted(Path(sys.prefix, "share").glob("*/msg/*.msg")):
        name = f"{path.parents[1].name}/msg/{path.stem}"
        if name not in store.fielddefs:
            types |= get_types_from_msg(path.read_text(), name)
    store.register(types)
    return store


def message_class(name: str) -> type:
    package, _, kind = name.split("/")
    return getattr(import_module(f"{package}.msg"), kind)


def saved_qos(latched: bool) -> Qos:
    """A reliable publisher's profile as bags keep it."""
    durability = QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE
    return Qos(
        QosHistory.KEEP_LAST, 10, QosReliability.RELIABLE, durability, FOREVER, FOREVER,
        QosLiveliness.AUTOMATIC, FOREVER, False,
    )  # fmt: skip


def profile(latched: bool, reliable: bool = True) -> QoSProfile:
    return QoSProfile(
        depth=1000,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )


class Recorder(Node):
    """Subscribes to every published topic that holds the expression, and writes what comes."""

    def __init__(self, bag: Writer, pattern: str, sim_time: bool) -> None:
        overrides = [Parameter("use_sim_time", value=sim_time)]
        super().__init__("rosbag2_recorder", parameter_overrides=overrides)
        self._bag, self._pattern, self._store = bag, re.compile(pattern), typestore()
        self._seen: set[str] = set()
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(POLL_S, self._look, clock=steady)

    def _look(self) -> None:
        for topic, kinds in self.get_topic_names_and_types():
            if topic not in self._seen and self._pattern.search(topic):
                offered = self.get_publishers_info_by_topic(topic)
                if offered:
                    self._seen.add(topic)
                    self._record(topic, kinds[0], [info.qos_profile for info in offered])

    def _record(self, topic: str, kind: str, offered: list[QoSProfile]) -> None:
        """Asks for no more than everybody offers, as rosbag2 does."""
        latched = all(p.durability == DurabilityPolicy.TRANSIENT_LOCAL for p in offered)
        reliable = all(p.reliability == ReliabilityPolicy.RELIABLE for p in offered)
        connection = self._bag.add_connection(
            topic, kind, typestore=self._store, offered_qos_profiles=[saved_qos(latched)]
        )

        def write(data: bytes) -> None:
            # Simulated time: nothing is written before there is one.
            if now := self.get_clock().now().nanoseconds:
                self._bag.write(connection, now, data)
                print(f"wrote {topic}.", flush=True)  # a test can wait for it

        qos = profile(latched, reliable)
        self.create_subscription(message_class(kind), topic, write, qos, raw=True)


def record(given: argparse.Namespace) -> int:
    asked: list[int] = []  # to stop; only a note, so that no message is cut in two
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda kind, _: asked.append(kind))
    try:
        with Writer(given.output, version=9, storage_plugin=StoragePlugin.MCAP) as bag:
            node = Recorder(bag, given.regex, given.use_sim_time)
            print(f"recording to {given.output}", flush=True)
            executor = SingleThreadedExecutor()
            executor.add_node(node)
            while not asked:
                executor.spin_once(timeout_sec=POLL_S)
    except WriterError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


class Player(Node):
    """Publishes the messages of a bag at the times they were recorded at, and those times."""

    def __init__(self, given: argparse.Namespace) -> None:
        super().__init__("rosbag2_player")
        self._given = given
        self._time = self.create_publisher(ClockMessage, "/clock", 10)
        self._outputs: dict[int, Any] = {}

    def open(self, bag: Reader) -> list[Any]:
        chosen = [c for c in bag.connections if c.topic in self._given.topics]
        for connection in chosen:
            assert isinstance(connection.ext, ConnectionExtRosbag2)
            saved = connection.ext.offered_qos_profiles
            latched = bool(saved) and saved[0].durability == QosDurability.TRANSIENT_LOCAL
            self._outputs[connection.id] = self.create_publisher(
                message_class(connection.msgtype), connection.topic, profile(latched)
            )
        return chosen

    def play(self, bag: Reader, chosen: list[Any]) -> None:
        time.sleep(self._given.delay)
        began, start_ns = time.monotonic(), bag.start_time
        tick_ns = start_ns
        for connection, stamp_ns, data in bag.messages(chosen) if chosen else ():
            tick_ns = self._tick(tick_ns, stamp_ns, start_ns, began)
            self._wait(stamp_ns, start_ns, began)
            self._outputs[connection.id].publish(bytes(data))
        self._tick(tick_ns, bag.end_time, start_ns, began)

    def _tick(self, tick_ns: int, until_ns: int, start_ns: int, began: float) -> int:
        """Publish the time up to a moment; the first that is left."""
        while tick_ns <= until_ns:
            self._wait(tick_ns, start_ns, began)
            self._time.publish(ClockMessage(clock=Time(nanoseconds=tick_ns).to_msg()))
            tick_ns += int(self._given.rate * 1e9 / self._given.clock)
        return tick_ns

    def _wait(self, stamp_ns: int, start_ns: int, began: float) -> None:
        due = began + (stamp_ns - start_ns) / 1e9 / self._given.rate
        if (left := due - time.monotonic()) > 0:
            time.sleep(left)

    def flush(self) -> None:
        for publisher in (self._time, *self._outputs.values()):
            publisher.wait_for_all_acked(Duration(seconds=5))


def play(given: argparse.Namespace) -> int:
    node = Player(given)
    try:
        with Reader(given.bag) as bag:
            chosen = node.open(bag)
            node.play(bag, chosen)
            while given.loop:
                node.play(bag, chosen)
        node.flush()
    except KeyboardInterrupt:
        pass
    except FileNotFoundError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def positive(word: str) -> float:
    value = float(word)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{word} is not above 0")
    return value


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser("ros2", allow_abbrev=False)
    bag = result.add_subparsers(required=True).add_parser("bag", allow_abbrev=False)
    verbs = bag.add_subparsers(required=True)
    recording = verbs.add_parser("record", allow_abbrev=False)
    recording.add_argument("-s", "--storage", required=True, choices=["mcap"])
    recording.add_argument("-o", "--output", required=True)
    recording.add_argument("-e", "--regex", required=True)
    recording.add_argument("--use-sim-time", action="store_true")
    recording.set_defaults(run=record)
    playing = verbs.add_parser("play", allow_abbrev=False)
    playing.add_argument("bag", type=Path)
    playing.add_argument("--clock", type=positive, required=True)
    playing.add_argument("-r", "--rate", type=positive, default=1.0)
    playing.add_argument("-d", "--delay", type=positive, default=0.0)
    playing.add_argument("-l", "--loop", action="store_true")
    playing.add_argument("--topics", nargs="+", required=True)
    playing.add_argument("--disable-keyboard-controls", action="store_true")
    playing.set_defaults(run=play)
    return result


def main(words: list[str]) -> int:
    given = parser().parse_args(words)
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    try:
        return given.run(given)
    finally:
        rclpy.try_shutdown()
