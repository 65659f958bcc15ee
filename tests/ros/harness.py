"""Real nodes as processes, and a peer that talks to them over Fast DDS.

Nothing here waits for a time to pass: every wait is for a condition that messages, matched
counts or exited processes bring about, and fails with the nodes' output when it does not come.
"""

from __future__ import annotations

import fcntl
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
import yaml
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import SetParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile
from std_msgs.msg import Header
from vipe_msgs.msg import Bodies2D, Body2D

from vipe_ros import services, topics

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
LIMIT_S = 40.0  # for any one condition, on a busy machine
DOMAINS = range(1, 101)  # above, DDS ports run into those that Linux hands out
RELIABLE = QoSProfile(depth=1000)


@contextmanager
def free_domain() -> Iterator[int]:
    """A ROS domain that no other test of this machine is using."""
    for domain in DOMAINS:
        with open(Path(tempfile.gettempdir(), f"vipe-test-domain-{domain}.lock"), "w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue
            yield domain
            return
    raise RuntimeError("all ROS domains are in use")


class Process:
    """A node started from its installed executable, its output in a file."""

    def __init__(self, command: list[str], environment: dict[str, str], log: Path) -> None:
        self.log = log
        with log.open("w") as output:
            self.process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        return self.log.read_text()

    def said(self, text: str) -> int:
        """How many lines of the output hold ``text``."""
        return sum(text in line for line in self.output.splitlines())

    def wait(self) -> int:
        """The exit status, when it ends by itself."""
        return self.process.wait(LIMIT_S)

    def stop(self, kind: signal.Signals = signal.SIGINT) -> int:
        """The exit status after a signal; a process that ignores it is killed."""
        if self.process.poll() is None:
            self.process.send_signal(kind)
        try:
            return self.process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            raise


class Peer:
    """A ROS node of the test process, in a domain of its own."""

    def __init__(self, domain: int, folder: Path) -> None:
        self.domain, self.folder = domain, folder
        self.processes: list[Process] = []
        self._context = rclpy.Context()
        rclpy.init(context=self._context, domain_id=domain)
        self.node = rclpy.create_node("test_peer", context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._status: dict[str, list[Any]] = {}
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._keep_status, RELIABLE)

    def close(self) -> None:
        """Stop every process; each must end with status 0."""
        try:
            ended = {process.log.name: process.stop() for process in self.processes}
        finally:
            self._executor.shutdown()
            self.node.destroy_node()
            self._context.try_shutdown()
        assert not any(ended.values()), ended

    # Processes.

    def start(self, executable: str, *arguments: str, **parameters: Any) -> Process:
        """Start a node with ROS parameters."""
        file = self.folder / f"{len(self.processes)}.yaml"
        file.write_text(yaml.safe_dump({"/**": {"ros__parameters": parameters}}))
        given = ["--params-file", str(file)] if parameters else []
        return self.spawn([str(BIN / executable), "--ros-args", *given, *arguments])

    def spawn(self, command: list[str]) -> Process:
        """Start any command in this domain."""
        log = self.folder / f"{len(self.processes)}_{Path(command[0]).name}.log"
        self.processes.append(Process(command, os.environ | self.environment, log))
        return self.processes[-1]

    @property
    def environment(self) -> dict[str, str]:
        """A domain, and a home of its own: what nodes are taught stays out of the user's."""
        return {"ROS_DOMAIN_ID": str(self.domain), "ROS_HOME": str(self.folder / "ros_home")}

    # Messages.

    def listen(self, kind: type, topic: str, qos: QoSProfile = RELIABLE) -> list[Any]:
        """A list that grows with what comes on the topic."""
        messages: list[Any] = []
        self.node.create_subscription(kind, topic, messages.append, qos)
        return messages

    def talk(self, kind: type, topic: str, readers: int = 1) -> Callable[[Any], None]:
        """``publish`` of a publisher that ``readers`` subscribers are matched with."""
        publisher = self.node.create_publisher(kind, topic, RELIABLE)
        self.until(lambda: publisher.get_subscription_count() >= readers, f"readers of {topic}")
        return publisher.publish

    def until(self, condition: Callable[[], Any], what: str) -> Any:
        """Serve callbacks until the condition holds; what it gave."""
        deadline = time.monotonic() + LIMIT_S
        while not (result := condition()):
            if time.monotonic() > deadline:
                logs = "\n".join(f"--- {p.log.name}\n{p.output}" for p in self.processes)
                raise AssertionError(f"no {what} within {LIMIT_S:.0f} s\n{logs}")
            self.spin()
        return result

    def spin(self) -> None:
        """Serve one callback, if one comes soon."""
        self._executor.spin_once(timeout_sec=0.1)

    # Services and diagnostics.

    def call(self, kind: type, name: str, request: Any) -> Any:
        client = self.node.create_client(kind, name)
        self.until(client.service_is_ready, f"service {name}")
        future = client.call_async(request)
        self.until(future.done, f"answer of {name}")
        self.node.destroy_client(client)
        return future.result()

    def change_state(self, node: str, transition: int) -> bool:
        """Whether the transition succeeded."""
        request = ChangeState.Request(transition=Transition(id=transition))
        return self.call(ChangeState, f"{node}/change_state", request).success

    def state(self, node: str) -> str:
        return self.call(GetState, f"{node}/get_state", GetState.Request()).current_state.label

    def set(self, node: str, name: str, value: object) -> Any:
        """Ask to set a parameter; the result: successful, and the reason when not."""
        given = rclpy.Parameter(name, value=value).to_parameter_msg()
        request = SetParameters.Request(parameters=[given])
        (result,) = self.call(SetParameters, f"{node}/set_parameters", request).results
        return result

    def set_text(self, node: str, name: str, value: object) -> None:
        """Set a string parameter."""
        result = self.set(node, name, str(value))
        assert result.successful, result

    def _keep_status(self, message: DiagnosticArray) -> None:
        for status in message.status:
            self._status.setdefault(status.name, []).append(status)

    def last_count(self, node: str, key: str) -> int:
        """A count of the last status that came; 0 before the first."""
        return Status(self._status[node][-1]).count(key) if node in self._status else 0

    def status(self, node: str, condition: Callable[[Status], Any] = bool) -> Status:
        """The first status of a node from now on that meets the condition."""
        seen = len(self._status.get(node, ()))

        def fresh() -> Status | None:
            received = map(Status, self._status.get(node, ())[seen:])
            return next((status for status in received if condition(status)), None)

        return self.until(fresh, f"such status of {node}")


class Status:
    """A DiagnosticStatus with its values by key."""

    def __init__(self, status: Any) -> None:
        self.level, self.message = status.level, status.message
        self.values = {entry.key: entry.value for entry in status.values}

    def count(self, key: str) -> int:
        return int(self.values.get(key, 0))


def header(index: int, frame: str = "camera") -> Header:
    """A header whose stamp says which message it is: 1000 s and ``index`` thirtieths."""
    result = Header(frame_id=frame)
    whole, nanoseconds = divmod(index * 10**9 // 30, 10**9)
    result.stamp.sec, result.stamp.nanosec = 1000 + whole, nanoseconds
    return result


def standing(shift: float = 0.0) -> np.ndarray:
    """(13, 2) pixels of a person standing upright, seen from the front, skeleton body13."""
    xs = [100, 120, 80, 125, 75, 128, 72, 112, 88, 112, 88, 112, 88]
    ys = [50, 80, 80, 120, 120, 155, 155, 160, 160, 220, 220, 280, 280]
    return np.stack([np.array(xs, np.float32) + shift, np.array(ys, np.float32)], axis=1)


def body(points: np.ndarray, track_id: str = "1", visibility: Any = None) -> Body2D:
    """A message of one person."""
    present = np.isfinite(points).all(axis=-1).astype(np.float32)
    seen = present if visibility is None else np.asarray(visibility, np.float32)
    return Body2D(
        track_id=track_id,
        score=1.0,
        points=array("f", np.asarray(points, np.float32).tobytes()),
        visibility=array("f", seen.tobytes()),
    )


def people(index: int, *bodies: Body2D, skeleton: str = "body13") -> Bodies2D:
    """A message of several people."""
    return Bodies2D(header=header(index), skeleton=skeleton, bodies=list(bodies))


def check_topics(peer: Peer, node: str, but: tuple[str, ...] = ()) -> None:
    """What a running node has open is what the table of topics says, types included.

    ``but`` names those of the table that the node's parameters leave out.
    """
    ways = {
        topics.IN: peer.node.get_subscriber_names_and_types_by_node,
        topics.OUT: peer.node.get_publisher_names_and_types_by_node,
    }
    for way, look in ways.items():
        table = {
            f"/{topic.name.lstrip('/')}": topic.kind
            for topic in topics.TOPICS
            if topic.way == way and topic.node in (node, "all nodes") and "<id>" not in topic.name
        }
        found = {
            name: kind
            for name, (kind,) in look(node, "/")
            if name not in ("/rosout", "/parameter_events", "/clock")
            and not name.endswith("/transition_event")
            and not re.match("/humans/bodies/[^/]+/", name)
        }
        assert found == {name: kind for name, kind in table.items() if name not in but}, way


def check_services(peer: Peer, node: str) -> None:
    """The services that a running node has of its own are those of the table, types included."""
    table = {
        s.name.replace("~", f"/{node}", 1) if s.name[0] == "~" else f"/{s.name}": s.kind
        for s in services.SERVICES
        if s.node == node
    }
    found = {
        name: kind
        for name, (kind,) in peer.node.get_service_names_and_types_by_node(node, "/")
        if kind.startswith("vipe_msgs/")
    }
    assert found == table
