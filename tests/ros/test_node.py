"""What every node does: live parameters, QoS overrides, simulated time, namespaces, topics."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from vipe_msgs.msg import Bodies2D, Bodies3D

from tests.ros.harness import Peer, Process, body, check_topics, header, people, standing
from vipe_ros import node as node_module
from vipe_ros.parameters import InputParameters

NODE = "/vipe_node"


class Lifter:
    """A vipe_node that is asked for 3D poses."""

    def __init__(self, peer: Peer, namespace: str = "") -> None:
        self.peer, self._index = peer, 0
        self.bodies = peer.listen(Bodies3D, f"{namespace}/bodies_3d")
        self.publish = peer.talk(Bodies2D, f"{namespace}/bodies_2d")

        def answered() -> bool:  # matched here is not yet matched there
            self.publish(people(0, body(standing())))
            return bool(self.bodies)

        peer.until(answered, "first answer")

    def ask(self) -> Bodies3D:
        """The answer to a new message."""
        self._index += 1
        message = people(self._index, body(standing()))
        self.publish(message)

        def answer() -> Bodies3D | None:
            stamp = message.header.stamp
            return next((m for m in self.bodies if m.header.stamp == stamp), None)

        return self.peer.until(answer, "answer")


@pytest.fixture(scope="module")
def process(peer: Peer, model_path: Path) -> Process:
    return peer.start(
        "vipe_node",
        model=str(model_path),
        placement="depth",
        humans=True,
        input_depth=100,
        **{
            "qos_overrides./bodies_2d.subscription.reliability": "reliable",
            "qos_overrides./embeddings.publisher.depth": 7,
        },
    )


@pytest.fixture(scope="module")
def lifter(peer: Peer, process: Process) -> Lifter:
    return Lifter(peer)


def test_live_parameter_counts_from_the_next_image(peer: Peer, lifter: Lifter) -> None:
    for height in (1.5, 2.0):
        assert peer.set(NODE, "height", height).successful
        assert lifter.ask().bodies[0].height == height


def test_other_parameter_waits_and_says_so(peer: Peer, lifter: Lifter, process: Process) -> None:
    assert peer.set(NODE, "max_gap", 3.0).successful
    peer.until(lambda: process.said("max_gap: read when the node is configured next"), "word")


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("tracking", "sometimes", "tracking is 'sometimes'; known: auto, always, never"),
        ("height", 17.0, "height"),
        ("height", "tall", "Wrong parameter type"),
    ],
)
def test_wrong_value_is_refused_with_a_reason(
    peer: Peer, lifter: Lifter, name: str, value: Any, reason: str
) -> None:
    assert peer.set(NODE, "height", 1.75).successful
    result = peer.set(NODE, name, value)
    assert not result.successful
    assert reason in result.reason
    assert lifter.ask().bodies[0].height == 1.75


def test_qos_overrides(peer: Peer, lifter: Lifter) -> None:
    (reader,) = peer.node.get_subscriptions_info_by_topic("/bodies_2d")
    assert reader.qos_profile.reliability == ReliabilityPolicy.RELIABLE
    (writer,) = peer.node.get_publishers_info_by_topic("/embeddings")
    assert writer.qos_profile.depth in (7, 0)  # 0: the middleware does not tell


def test_topics_are_those_of_the_table(peer: Peer, lifter: Lifter) -> None:
    lifter.ask()
    check_topics(peer, "vipe_node")


def test_no_torch_in_a_node(process: Process, lifter: Lifter) -> None:
    assert "torch" not in Path(f"/proc/{process.process.pid}/maps").read_text()


def test_two_instances_in_two_namespaces(fresh_peer: Peer, model_path: Path) -> None:
    for side, height in (("left", 1.5), ("right", 2.0)):
        fresh_peer.start("vipe_node", "-r", f"__ns:=/{side}", model=str(model_path), height=height)
    lifters = {side: Lifter(fresh_peer, f"/{side}") for side in ("left", "right")}
    for side, height in (("left", 1.5), ("right", 2.0), ("left", 1.5)):
        assert lifters[side].ask().bodies[0].height == height
    # None has heard of the other's images.
    heights = {side: {m.bodies[0].height for m in each.bodies} for side, each in lifters.items()}
    assert heights == {"left": {1.5}, "right": {2.0}}
    wanted = {("vipe_node", "/left"), ("vipe_node", "/right")}
    names = fresh_peer.node.get_node_names_and_namespaces
    fresh_peer.until(lambda: wanted <= set(names()), "both nodes in the graph")


def test_simulated_time(fresh_peer: Peer, model_path: Path) -> None:
    """Ages are of the simulated clock: the stamps of the tests are of 1970."""
    process = fresh_peer.start("vipe_node", model=str(model_path), use_sim_time=True)
    tell = fresh_peer.talk(Clock, "/clock")
    lifter = Lifter(fresh_peer)

    def young(status: Any) -> bool:
        tell(Clock(clock=header(1000).stamp))
        lifter.ask()
        age = status.values.get("latency input median (ms)", "1e9")
        return abs(float(age)) < 60e3

    fresh_peer.status(NODE, young)
    assert process.process.poll() is None


def test_where_rclpy_tells_nothing_of_a_message(peer: Peer, monkeypatch: Any) -> None:
    """As in Humble: callbacks take the message alone, and losses cannot be counted."""
    monkeypatch.setattr(node_module, "TELLS_INFO", False)
    node = node_module.BaseNode("plain", context=peer.node.context)
    node.settings = InputParameters()
    heard: list[Any] = []
    subscription = node.add_input(Bodies2D, "plain_input", heard.append)
    with pytest.raises(TypeError):
        inspect.signature(subscription.callback).bind("message", "info")
    executor = SingleThreadedExecutor(context=peer.node.context)
    executor.add_node(node)
    try:
        publish = peer.talk(Bodies2D, "plain_input")

        def received() -> bool:
            publish(people(1, body(standing())))
            executor.spin_once(timeout_sec=0.05)
            return bool(heard)

        peer.until(received, "message")
        assert node.report.counts["received"] == len(heard)
        assert node.report.counts["dropped"] == 0
    finally:
        executor.shutdown()
        node.destroy_node()
