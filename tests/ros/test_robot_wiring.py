"""vipe_node as a robot wires it: another project's keypoints, and the lens beside the image."""

from __future__ import annotations

from array import array
from pathlib import Path
from typing import Any

import numpy as np
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo
from vipe_msgs.msg import Bodies3D, Embeddings
from yolo_msgs.msg import Detection, DetectionArray, KeyPoint2D, KeyPoint2DArray, Point2D

from tests.ros.harness import Peer, header, standing
from vipe_core import model_file, runtime, skeletons

NODE = "/vipe_node"
SENSOR = QoSProfile(
    depth=5, reliability=ReliabilityPolicy.BEST_EFFORT, durability=DurabilityPolicy.VOLATILE
)


def detections(index: int, points: np.ndarray) -> DetectionArray:
    """What yolo_ros says of somebody (13, 2): COCO's number of a joint + 1, scores."""
    coco = skeletons.get("coco17")
    found = [
        KeyPoint2D(id=coco.index(joint) + 1, point=Point2D(x=float(x), y=float(y)), score=0.9)
        for joint, (x, y) in zip(skeletons.get("body13").joints, points, strict=True)
    ]
    person = Detection(
        class_name="person", score=0.8, id="7", keypoints=KeyPoint2DArray(data=found)
    )
    return DetectionArray(header=header(index, "camera_optical"), detections=[person])


def test_keypoints_of_yolo_and_the_lens_beside_the_image(fresh_peer: Peer) -> None:
    peer = fresh_peer
    model = model_file.default_path()
    peer.start(
        "vipe_node",
        *("-r", "bodies_2d:=/yolo/detections", "-r", "image:=/cam/image_raw"),
        model=str(model),
    )
    embeddings = peer.listen(Embeddings, "embeddings")
    bodies = peer.listen(Bodies3D, "bodies_3d")
    say = peer.talk(DetectionArray, "/yolo/detections", readers=0)
    see = peer.talk(CameraInfo, "/cam/camera_info")
    points = standing(220) + np.float32([0, 80])
    index = 0

    def placed() -> bool:
        nonlocal index
        index += 1
        info = CameraInfo(header=header(index, "camera_optical"), width=640, height=480)
        info.k = [600.0, 0.0, 320.0, 0.0, 600.0, 240.0, 0.0, 0.0, 1.0]
        see(info)
        say(detections(index, points))
        return bool(bodies and bodies[-1].bodies and bodies[-1].bodies[0].placement)

    peer.until(placed, "somebody placed")
    person = bodies[-1].bodies[0]
    assert bodies[-1].header.frame_id == "camera_optical"
    assert (person.track_id, person.placement) == ("7", "height")
    assert 3 < person.pose.pose.position.z < 6
    expected = runtime.load(model)(points[None], np.full((1, 13), 0.9, np.float32))
    assert expected.mean is not None
    found = np.array(embeddings[-1].bodies[0].mean)
    np.testing.assert_allclose(found, expected.mean[0], atol=1e-3)
    values = peer.status(NODE).values
    assert values["camera"].startswith("640 x 480")


def test_keypoints_of_a_type_that_nobody_knows(fresh_peer: Peer, model_path: Path) -> None:
    kind = "yolo_msgs/msg/DetectionArrayy"
    process = fresh_peer.start("vipe_node", model=str(model_path), keypoints_type=kind)
    status = fresh_peer.status(NODE, lambda s: s.level == b"\x02")
    assert "no adapter for 'yolo_msgs/msg/DetectionArrayy'; known: vipe_msgs" in status.message
    assert process.said("cannot configure") == 1


def test_a_message_that_contradicts_itself(fresh_peer: Peer, model_path: Path) -> None:
    """It is counted, and the next one is answered."""
    peer = fresh_peer
    peer.start("vipe_node", model=str(model_path), keypoints_type="yolo_msgs/msg/DetectionArray")
    bodies = peer.listen(Bodies3D, "bodies_3d")
    say = peer.talk(DetectionArray, "bodies_2d")
    wrong = detections(1, standing())
    wrong.detections[0].keypoints.data[0].id = 99
    good = detections(2, standing())

    def counted(status: Any) -> bool:
        say(wrong)
        say(good)
        return status.count("errors: unknown keypoint id") > 0 and bool(bodies)

    peer.status(NODE, counted)
    assert array("f", bodies[-1].bodies[0].joints)
