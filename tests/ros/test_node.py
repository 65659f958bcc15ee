"""What every node does: live parameters, QoS overrides, simulated time, namespaces, topics."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.qos import ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from vipe_msgs.msg import Bodies2D, Bodies3D

from tests.ros.harness import BIN, Peer, Process, body, check_topics, header, people, standing
from vipe_core.errors import VipeError
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
    monkeypatch.setattr(node_module.BaseNode, "parameters_type", InputParameters)
    node = node_module.BaseNode("plain", context=peer.node.context)
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


def test_an_activation_that_fails_says_so_and_leaves_nothing_open(peer: Peer) -> None:
    class Fails(node_module.BaseNode):
        parameters_type = InputParameters
        broken = True

        def activate(self) -> None:
            self.add_input(Bodies2D, "half_open", print)
            if self.broken:
                raise VipeError("no")

    node = Fails("fails", context=peer.node.context)
    try:
        assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
        assert node.trigger_activate() == TransitionCallbackReturn.FAILURE
        assert node.report.failure == "cannot activate: no"
        assert not list(node.subscriptions)
        node.broken = False
        assert node.trigger_activate() == TransitionCallbackReturn.SUCCESS
        assert node.report.failure == ""
        assert len(list(node.subscriptions)) == 1
    finally:
        node.destroy_node()


def test_quality_of_service_is_that_of_the_last_configure(
    fresh_peer: Peer, model_path: Path
) -> None:
    fresh_peer.start("vipe_node", model=str(model_path))
    for wanted in (ReliabilityPolicy.BEST_EFFORT, ReliabilityPolicy.RELIABLE):

        def reliability() -> Any:
            found = fresh_peer.node.get_subscriptions_info_by_topic("/bodies_2d")
            return found[0].qos_profile.reliability if found else None

        fresh_peer.until(lambda wanted=wanted: reliability() == wanted, wanted.name)
        fresh_peer.set_text(NODE, "input_reliability", "reliable")
        for transition in (4, 2, 1, 3):  # deactivate, cleanup, configure, activate
            assert fresh_peer.change_state(NODE, transition)


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["--help"], 0, "cutoff of a still person in Hz"),
        (["--height", "1.8"], 2, "error: '--height': write --ros-args -p parameter:=value"),
    ],
)
def test_words_on_the_command_line(
    tmp_path: Path, words: list[str], status: int, said: str
) -> None:
    done = subprocess.run([BIN / "vipe_node", *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == status
    assert said in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_a_parameter_that_does_not_exist_is_missed(fresh_peer: Peer, model_path: Path) -> None:
    process = fresh_peer.start("vipe_node", model=str(model_path), heigth=1.8)
    fresh_peer.until(
        lambda: process.said("there is no parameter heigth; did you mean height?"), "warning"
    )


def test_waiting_for_a_node_that_will_never_be_active(fresh_peer: Peer, tmp_path: Path) -> None:
    fresh_peer.start("vipe_node", model=str(tmp_path / "none.onnx"))
    waiting = fresh_peer.spawn([sys.executable, "-m", "vipe_ros.wait_until_active", NODE])
    assert waiting.wait() == 1
    assert waiting.said("/vipe_node does not become active")
    fresh_peer.processes.remove(waiting)
