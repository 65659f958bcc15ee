"""Keypoint sources between processes: types told and found out, people who come and go."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hri_msgs.msg import IdsList, Skeleton2D
from lifecycle_msgs.msg import Transition
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import String
from vipe_msgs.msg import Bodies2D
from yolo_msgs.msg import DetectionArray

from tests.ros.adapter_messages import (
    BODY13,
    SIZE,
    hri_body,
    openpose_message,
    openpose_person,
    place,
    trt_person,
    vipe_message,
    yolo_message,
    yolo_person,
    zed_message,
    zed_person,
)  # fmt: skip
from tests.ros.harness import Peer, header
from vipe_core import skeletons

ECHO = Path(__file__).with_name("adapter_echo.py")
LOSSLESS = ["-p", "input_reliability:=reliable", "-p", "input_depth:=1000"]
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
CONTENT: dict[str, Callable[[int], Any]] = {
    "vipe_msgs/msg/Bodies2D": vipe_message,
    "yolo_msgs/msg/DetectionArray": lambda i: yolo_message(yolo_person(), index=i),
    "zed_msgs/msg/ObjectsStamped": lambda i: zed_message(zed_person(), index=i),
    "pose_msgs/msg/PersonDetection": lambda i: trt_person(),
    "ros_openpose/msg/Frame": lambda i: openpose_message(openpose_person(), index=i),
}
NAMESPACES = {name: name.split("/")[0] for name in CONTENT}
BODIES = "/humans/bodies"


@pytest.fixture(scope="module")
def echoes(peer: Peer) -> Peer:
    """One process: a node per type, and two that find the type out. All know the image's size."""
    kinds = [f"{space}={name}" for name, space in NAMESPACES.items()]
    given = [*kinds, "hri=hri_msgs/msg/IdsList", "auto=auto", "odd=auto", "shared=auto"]
    given.append("other=vipe_msgs/msg/Bodies2D")
    remap = ["-r", f"/hri/bodies_2d:={BODIES}/tracked"]
    remap += ["-r", "/other/bodies_2d:=/shared/bodies_2d"]
    peer.spawn([sys.executable, str(ECHO), *given, "--ros-args", *LOSSLESS, *remap])
    nodes = [f"/{entry.partition('=')[0]}/echo" for entry in given]
    for node in nodes:
        peer.until(lambda node=node: peer.state(node) == "active", f"active {node}")
        publish = peer.talk(CameraInfo, node.replace("echo", "camera_info"))
        publish(CameraInfo(width=SIZE[0], height=SIZE[1]))
    knowing = (partial(peer.last_count, node, "camera_info") for node in nodes)
    for known in knowing:
        peer.until(known, "camera_info")
    return peer


class Talker:
    """A publisher that can be taken away again."""

    def __init__(self, peer: Peer, kind: type, topic: str) -> None:
        self._peer = peer
        self.publisher = peer.node.create_publisher(kind, topic, QoSProfile(depth=1000))

    def say(self, message: Any) -> None:
        self._peer.until(self.publisher.get_subscription_count, self.publisher.topic_name)
        self.publisher.publish(message)

    def close(self) -> None:
        self._peer.node.destroy_publisher(self.publisher)


def assert_left_wrist(message: Bodies2D) -> None:
    """The one person in a message has every joint at its place."""
    (found,) = message.bodies
    points = np.reshape(found.points, (-1, 2))
    for joint in BODY13:
        index = skeletons.get(message.skeleton).index(joint)
        np.testing.assert_allclose(points[index], place(joint), rtol=1e-5)
    assert (message.image_width, message.image_height) == SIZE


@pytest.mark.parametrize("name", CONTENT)
def test_node_reads_a_type_that_it_was_told(echoes, name):
    space = NAMESPACES[name]
    heard = echoes.listen(Bodies2D, f"/{space}/out")
    message = CONTENT[name](12)
    talker = Talker(echoes, type(message), f"/{space}/bodies_2d")
    talker.say(message)
    echoes.until(lambda: heard, f"people of {name}")
    assert_left_wrist(heard[0])
    if hasattr(message, "header"):
        assert heard[0].header == message.header
    else:
        assert heard[0].header.stamp.sec > 1_600_000_000
    talker.close()


def test_node_follows_the_type_that_is_published(echoes):
    """Whoever appears, and whoever takes over."""
    topic = "/auto/bodies_2d"
    heard = echoes.listen(Bodies2D, "/auto/out")
    for index, name in enumerate([*CONTENT, "vipe_msgs/msg/Bodies2D"]):
        message = CONTENT[name](index)
        talker = Talker(echoes, type(message), topic)
        talker.say(message)
        echoes.until(lambda index=index: len(heard) > index, f"people of {name}")
        assert_left_wrist(heard[index])
        talker.close()


@pytest.fixture
def second(echoes: Peer, tmp_path: Path) -> Iterator[Peer]:
    """A process has a topic as one type only; this stands for another one."""
    peer = Peer(echoes.domain, tmp_path)
    yield peer
    peer.close()


def test_node_says_that_a_topic_has_several_types(echoes, second):
    heard = echoes.listen(Bodies2D, "/odd/out")
    ours = Talker(echoes, Bodies2D, "/odd/bodies_2d")
    ours.say(vipe_message(1))
    echoes.until(lambda: heard, "people")
    Talker(second, DetectionArray, "/odd/bodies_2d")
    line = (
        "several keypoints types: /odd/bodies_2d is published as vipe_msgs/msg/Bodies2D and "
        "yolo_msgs/msg/DetectionArray, vipe_msgs/msg/Bodies2D is read; stop the others or set "
        "keypoints_type"
    )
    echoes.until(lambda: echoes.processes[-1].said(line), "a line")
    ours.say(vipe_message(2))
    echoes.until(lambda: len(heard) == 2, "people all the same")
    ours.close()


def test_node_says_that_it_does_not_know_a_type(echoes):
    nonsense = Talker(echoes, String, "/odd/bodies_2d")
    line = "unknown keypoints type: no adapter for 'std_msgs/msg/String'; known: vipe_msgs/msg/"
    echoes.until(lambda: echoes.processes[-1].said(line), "a line")
    nonsense.close()
    heard = echoes.listen(Bodies2D, "/odd/out")
    ours = Talker(echoes, Bodies2D, "/odd/bodies_2d")
    ours.say(vipe_message(3))
    echoes.until(lambda: heard, "people after that")
    ours.close()


def test_node_says_that_its_process_has_the_topic_as_another_type(echoes):
    theirs = Talker(echoes, DetectionArray, "/shared/bodies_2d")
    line = "keypoints type in use: /shared/bodies_2d is now yolo_msgs/msg/DetectionArray, but anot"
    echoes.until(lambda: echoes.processes[-1].said(line), "a line")
    theirs.close()
    heard = echoes.listen(Bodies2D, "/shared/out")
    ours = Talker(echoes, Bodies2D, "/shared/bodies_2d")
    ours.say(vipe_message(4))
    echoes.until(lambda: heard, "people after that")
    ours.close()


def test_node_does_not_listen_while_inactive(echoes):
    topic = "/auto/bodies_2d"
    talker = Talker(echoes, Bodies2D, topic)
    heard = echoes.listen(Bodies2D, "/auto/out")
    talker.say(vipe_message(3))
    echoes.until(lambda: heard, "people")
    assert echoes.change_state("/auto/echo", Transition.TRANSITION_DEACTIVATE)
    echoes.until(lambda: not talker.publisher.get_subscription_count(), "no reader")
    talker.close()
    other = Talker(echoes, DetectionArray, topic)
    echoes.status("/auto/echo")
    echoes.status("/auto/echo")  # a second: long enough to have looked several times
    assert not other.publisher.get_subscription_count()
    assert echoes.change_state("/auto/echo", Transition.TRANSITION_ACTIVATE)
    other.say(yolo_message(yolo_person(), index=4))
    echoes.until(lambda: len(heard) == 2, "people again")
    assert_left_wrist(heard[1])
    other.close()


def test_bodies_of_hri_come_and_go(echoes):
    heard = echoes.listen(Bodies2D, "/hri/out")
    ids = Talker(echoes, IdsList, f"{BODIES}/tracked")
    one, two = (Talker(echoes, Skeleton2D, f"{BODIES}/{name}/skeleton2d") for name in ("p1", "p2"))
    ids.say(IdsList(header=header(0), ids=["p1", "2p", "p2"]))
    one.say(hri_body(0))
    two.say(hri_body(0, shift=40.0))
    echoes.until(lambda: heard, "an image of two")
    assert [found.track_id for found in heard[0].bodies] == ["p1", "p2"]
    assert heard[0].header == header(0)
    assert echoes.processes[-1].said("invalid body id: body id '2p' cannot be part of a topic")
    ids.say(IdsList(header=header(1), ids=["p1"]))
    echoes.until(lambda: not two.publisher.get_subscription_count(), "no reader of p2")
    one.say(hri_body(1))
    echoes.until(lambda: len(heard) == 2, "an image of one")
    assert_left_wrist(heard[1])
    ids.say(IdsList(header=header(2), ids=[]))
    echoes.until(lambda: len(heard) == 3, "an empty image")
    assert not heard[2].bodies
    echoes.until(lambda: not one.publisher.get_subscription_count(), "no reader of p1")
    ids.say(IdsList(header=header(3), ids=[f"b{i}" for i in range(101)]))
    line = "too many bodies: 101 ids at once; up to 100 are followed"
    echoes.until(lambda: echoes.processes[-1].said(line), "a line on too many")


def test_publisher_that_was_there_before(fresh_peer):
    """Without camera_info: the type is found out, and the first of the errors is said."""
    ids = fresh_peer.node.create_publisher(IdsList, f"{BODIES}/tracked", LATCHED)
    bodies = fresh_peer.node.create_publisher(Skeleton2D, f"{BODIES}/p1/skeleton2d", LATCHED)
    remap = ["-r", f"bodies_2d:={BODIES}/tracked"]
    process = fresh_peer.spawn(
        [sys.executable, str(ECHO), "/=auto", "--ros-args", *LOSSLESS, *remap]
    )
    fresh_peer.until(ids.get_subscription_count, "reader of the ids")
    ids.publish(IdsList(header=header(0), ids=["p1"]))
    fresh_peer.until(bodies.get_subscription_count, "reader of the body")
    bodies.publish(hri_body(0))
    line = "no camera_info: hri_msgs gives shares of the image"
    fresh_peer.until(lambda: process.said(line), "a line on the camera")


def test_node_refuses_a_type_that_it_does_not_know(fresh_peer):
    process = fresh_peer.spawn([sys.executable, str(ECHO), "/=std_msgs/msg/String"])
    line = "cannot configure: no adapter for 'std_msgs/msg/String'; known: vipe_msgs/msg/Bodies2D"
    fresh_peer.until(lambda: process.said(line), "the refusal")
