"""vipe_node with a camera: where people stand, on every topic that says so."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hri_msgs.msg import IdsList, Skeleton2D
from lifecycle_msgs.msg import Transition
from rcl_interfaces.srv import ListParameters
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo, Image, JointState
from tf2_msgs.msg import TFMessage
from vipe_msgs.msg import Bodies2D, Bodies3D, Skeleton

from tests.ros.harness import Peer, Process, body, header, people, standing
from vipe_core import model_file, skeletons
from vipe_core.joint_angles import NAMES

NODE = "/vipe_node"
SIZE, FOCAL = (640, 480), 600.0
HEIGHT = 1.8
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def camera_info(index: int) -> CameraInfo:
    info = CameraInfo(header=header(index), width=SIZE[0], height=SIZE[1])
    info.distortion_model, info.d = "plumb_bob", [0.0] * 5
    info.k = [FOCAL, 0.0, SIZE[0] / 2, 0.0, FOCAL, SIZE[1] / 2, 0.0, 0.0, 1.0]
    return info


def depth_image(index: int, metres: float, scale: float = 1.0) -> Image:
    """A wall, in millimetres."""
    width, height = int(SIZE[0] * scale), int(SIZE[1] * scale)
    message = Image(header=header(index), width=width, height=height, encoding="16UC1")
    message.step = 2 * width
    pixels = np.full((height, width), round(1000 * metres), np.uint16)
    message.data = array("B", pixels.tobytes())
    return message


def at(x: int = 220) -> np.ndarray:
    """Somebody in the middle of the image, or elsewhere."""
    return standing(x) + np.float32([0, 80])


class Camera:
    """Publishes what a camera and its detector do, and keeps what is said of it."""

    def __init__(self, peer: Peer) -> None:
        self.peer, self.index = peer, 0
        self.bodies = peer.listen(Bodies3D, "bodies_3d")
        self.tf = peer.listen(TFMessage, "/tf", QoSProfile(depth=1000))
        self.publish = peer.talk(Bodies2D, "bodies_2d")
        self.info = peer.talk(CameraInfo, "camera_info")
        self.depth = peer.talk(Image, "depth")
        self.see()

    def see(self) -> None:
        """Tell of the camera until people are placed."""
        while True:
            self.info(camera_info(self.index))
            if self.ask(body(at())).bodies[0].placement:
                return

    def ask(self, *given: Any, depth_m: float | None = None, skeleton: str = "body13") -> Bodies3D:
        self.index += 1
        if depth_m is not None:
            self.depth(depth_image(self.index, depth_m))
        message = people(self.index, *given, skeleton=skeleton)
        self.publish(message)
        return self.peer.until(lambda: self.answer(message.header.stamp), "answer")

    def answer(self, stamp: Any) -> Bodies3D | None:
        return next((m for m in self.bodies if m.header.stamp == stamp), None)

    def frames(self, stamp: Any) -> dict[str, Any]:
        """Transforms of one image by child frame."""
        found = [t for m in self.tf for t in m.transforms if t.header.stamp == stamp]
        return {transform.child_frame_id: transform for transform in found}


@pytest.fixture(scope="module")
def process(peer: Peer) -> Process:
    return peer.start(
        "vipe_node",
        model=str(model_file.default_path()),
        height=HEIGHT,
        placement="depth",
        humans=True,
        input_reliability="reliable",
        input_depth=100,
    )


@pytest.fixture(scope="module")
def camera(peer: Peer, process: Process) -> Camera:
    return Camera(peer)


def distance(person: Any) -> float:
    place = person.pose.pose.position
    return float(np.linalg.norm([place.x, place.y, place.z]))


def test_placed_by_height(camera: Camera) -> None:
    """230 pixels from nose to ankles at 600 pixels focal length: somewhat over four metres."""
    (person,) = camera.ask(body(at())).bodies
    assert person.placement == "height"
    place = person.pose.pose.position
    assert 3.5 < place.z < 5.0
    assert abs(place.x) < 0.3
    assert abs(place.y) < 0.5
    covariance = np.reshape(person.pose.covariance, (6, 6))
    np.testing.assert_allclose(covariance, covariance.T, atol=1e-9)
    assert (np.linalg.eigvalsh(covariance) > 0).all()
    # Along the ray the stature is what is not known.
    assert covariance[2, 2] > 4 * max(covariance[0, 0], covariance[1, 1])
    assert person.height == pytest.approx(HEIGHT)
    assert person.height_std > 0.05


def test_left_in_the_image_is_left_of_the_camera(camera: Camera) -> None:
    (left,) = camera.ask(body(at(20), "a")).bodies
    (right,) = camera.ask(body(at(420), "b")).bodies
    assert left.pose.pose.position.x < -0.5 < 0.5 < right.pose.pose.position.x


def test_transforms(camera: Camera) -> None:
    message = camera.ask(body(at(), "anna"))
    stamp = message.header.stamp
    camera.peer.until(lambda: "body_anna" in camera.frames(stamp), "transform")
    frames = camera.frames(stamp)
    assert set(frames) == {"body_anna"}
    body_frame = frames["body_anna"]
    assert body_frame.header.frame_id == message.header.frame_id
    pose = message.bodies[0].pose.pose
    place, turn = body_frame.transform.translation, body_frame.transform.rotation
    assert (place.x, place.y, place.z) == (pose.position.x, pose.position.y, pose.position.z)
    assert turn == pose.orientation


def test_joints_as_transforms_on_demand(camera: Camera, peer: Peer) -> None:
    assert peer.set(NODE, "joints_tf", True).successful
    message = camera.ask(body(at(), "anna"))
    stamp = message.header.stamp
    joints = skeletons.get("joints17").joints
    peer.until(lambda: len(camera.frames(stamp)) == len(joints), "transforms")
    frames = camera.frames(stamp)
    assert set(frames) == {"body_anna", *(f"{j}_anna" for j in joints if j != "pelvis")}
    wrist = frames["left_wrist_anna"]
    assert wrist.header.frame_id == "body_anna"
    place = wrist.transform.translation
    joint = np.reshape(message.bodies[0].joints, (17, 3))[joints.index("left_wrist")]
    np.testing.assert_allclose([place.x, place.y, place.z], joint)
    assert peer.set(NODE, "publish_tf", False).successful  # joints would hang from nothing
    stamp = camera.ask(body(at(), "anna")).header.stamp
    assert peer.set(NODE, "joints_tf", False).successful
    assert peer.set(NODE, "publish_tf", True).successful
    after = camera.ask(body(at(), "anna")).header.stamp
    peer.until(lambda: camera.frames(after), "transform")
    assert not camera.frames(stamp)


def test_depth_gives_the_scale(camera: Camera) -> None:
    """The same picture of somebody shorter and nearer."""
    for _ in range(30):
        (person,) = camera.ask(body(at(), "depth"), depth_m=3.0).bodies
    assert person.placement == "depth"
    assert person.pose.pose.position.z == pytest.approx(3.1, abs=0.15)
    assert person.height < 1.6
    # What was learned of the person stays when the depth does not come.
    (person,) = camera.ask(body(at(), "depth")).bodies
    assert person.pose.pose.position.z == pytest.approx(3.1, abs=0.25)


def test_rep_155(camera: Camera, peer: Peer) -> None:
    ids = peer.listen(IdsList, "/humans/bodies/tracked")
    message = camera.ask(body(at(), "7"))
    assert message.bodies[0].track_id == "id_7"  # a digit cannot begin a topic name
    points = peer.listen(Skeleton2D, "/humans/bodies/id_7/skeleton2d")
    angles = peer.listen(JointState, "/humans/bodies/id_7/joint_states")

    def told() -> bool:
        camera.ask(body(at(), "7"))
        return bool(ids and points and angles)

    peer.until(told, "topics of REP-155")
    assert list(ids[-1].ids) == ["id_7"]
    nose = points[-1].skeleton[0]
    assert (nose.x, nose.y) == pytest.approx((320 / 640, 130 / 480))
    assert {name.removesuffix("_id_7") for name in angles[-1].name} <= set(NAMES)
    assert np.isfinite(angles[-1].position).all()
    # Who is no longer in view has no topics.
    camera.ask()
    peer.until(lambda: not peer.node.count_publishers("/humans/bodies/id_7/skeleton2d"), "end")
    peer.until(lambda: not ids[-1].ids, "empty list")


def test_people_who_come_and_go_leave_nothing_behind(camera: Camera, peer: Peer) -> None:
    def parameters() -> int:
        answer = peer.call(ListParameters, f"{NODE}/list_parameters", ListParameters.Request())
        return len(answer.result.names)

    before = parameters()
    for number in range(20):
        camera.ask(body(at(), f"guest{number}"))
    camera.ask()
    assert parameters() == before

    def left() -> list[str]:
        names = peer.node.get_publisher_names_and_types_by_node("vipe_node", "/")
        return [name for name, _ in names if "/humans/bodies/guest" in name]

    peer.until(lambda: not left(), "end of the guests' topics")


def test_nobody_is_tracked_by_a_node_that_pauses(camera: Camera, peer: Peer) -> None:
    ids = peer.listen(IdsList, "/humans/bodies/tracked")

    def told() -> bool:
        camera.ask(body(at(), "here"))
        return bool(ids)

    peer.until(told, "ids")
    assert peer.change_state(NODE, Transition.TRANSITION_DEACTIVATE)
    peer.until(lambda: not ids[-1].ids, "empty list")
    assert peer.change_state(NODE, Transition.TRANSITION_ACTIVATE)
    camera.see()


@pytest.mark.parametrize("case", ["depth that is a colour image", "lens of another image"])
def test_what_cannot_be_used_costs_the_placement_only(
    camera: Camera, peer: Peer, case: str
) -> None:
    errors = "errors: unknown encoding" if "depth" in case else "errors: cannot place"
    before = peer.last_count(NODE, errors)
    if "depth" in case:
        image = depth_image(camera.index + 1, 3.0)
        image.encoding, image.step = "rgb8", 3 * image.width
        image.data = array("B", bytes(3 * image.width * image.height))
        camera.depth(image)
    else:
        info = camera_info(0)
        info.width = 200
        camera.info(info)
        peer.status(NODE, lambda s: s.values["camera"].startswith("200 x"))

    def asked(status: Any) -> bool:
        message = people(camera.index + 1, body(at(), "x"))
        message.image_width, message.image_height = SIZE
        camera.index += 1
        camera.publish(message)
        peer.until(lambda: camera.answer(message.header.stamp), "answer")
        return status.count(errors) > before

    peer.status(NODE, asked)
    camera.see()


def test_a_late_image_is_left_out_and_names_nobody_anew(camera: Camera, peer: Peer) -> None:
    first = camera.ask(body(at(), "")).bodies[0].track_id
    before = peer.last_count(NODE, "errors: late image")
    camera.publish(people(camera.index - 3, body(at(), "")))
    assert camera.ask(body(at(), "")).bodies[0].track_id == first
    peer.status(NODE, lambda s: s.count("errors: late image") == before + 1)


def test_images_without_a_stamp(camera: Camera, peer: Peer) -> None:
    """They are followed by the time of their arrival, and have no place on /tf."""
    camera.bodies.clear()
    camera.tf.clear()
    for _ in range(3):
        message = people(0, body(at(), ""))
        message.header.stamp.sec = message.header.stamp.nanosec = 0
        camera.publish(message)
    peer.until(lambda: len(camera.bodies) == 3, "answers")
    assert len({m.bodies[0].track_id for m in camera.bodies}) == 1
    assert {m.header.stamp.sec for m in camera.bodies} == {0}
    stamp = camera.ask(body(at(), "later")).header.stamp
    peer.until(lambda: camera.frames(stamp), "transform")
    assert all(t.header.stamp.sec for m in camera.tf for t in m.transforms)


def test_skeleton_is_described_to_who_comes_late(camera: Camera, peer: Peer) -> None:
    described = peer.listen(Skeleton, "bodies_3d/skeleton", LATCHED)
    peer.until(lambda: described, "description")
    assert tuple(described[0].joints) == skeletons.get("joints17").joints


def test_tracked_bodies_on_demand(camera: Camera, peer: Peer) -> None:
    """Ids for who has none, kept from image to image, in the skeleton of the source."""
    tracked = peer.listen(Bodies2D, "bodies_2d/tracked")
    coco = np.full((17, 2), np.nan, np.float32)
    where = [skeletons.get("coco17").index(joint) for joint in skeletons.get("body13").joints]
    coco[where] = at()

    def told() -> bool:
        camera.ask(body(coco, ""), skeleton="coco17")
        return len(tracked) >= 3

    peer.until(told, "tracked people")
    assert {message.skeleton for message in tracked} == {"coco17"}
    (first,), (last,) = tracked[-2].bodies, tracked[-1].bodies
    assert first.track_id == last.track_id != ""
    np.testing.assert_array_equal(np.reshape(last.points, (17, 2)), coco)


def test_sides_that_were_swapped_are_put_right(camera: Camera, peer: Peer) -> None:
    tracked = peer.listen(Bodies2D, "bodies_2d/tracked")
    right, mirror = at(), list(skeletons.get("body13").mirror)

    def told() -> bool:
        camera.ask(body(right, "swap"))
        return len(tracked) >= 10

    peer.until(told, "tracked people")
    before = peer.last_count(NODE, "swaps repaired")
    (person,) = camera.ask(body(right[mirror], "swap")).bodies
    assert person.swapped
    peer.until(lambda: tracked[-1].bodies[0].swapped, "a swap that is told")
    np.testing.assert_array_equal(np.reshape(tracked[-1].bodies[0].points, (13, 2)), right)
    (person,) = camera.ask(body(right, "swap")).bodies
    assert not person.swapped
    peer.status(NODE, lambda s: s.count("swaps repaired") == before + 1)


def test_a_second_out_of_sight_is_the_same_person(camera: Camera) -> None:
    """Two people without ids; the one on the left is hidden for 25 images at 30 a second."""
    for _ in range(5):
        both = camera.ask(body(at(40), ""), body(at(420), "")).bodies
    names = [person.track_id for person in both]
    assert len(set(names)) == 2
    for _ in range(25):
        (alone,) = camera.ask(body(at(420), "")).bodies
        assert alone.track_id == names[1]
    back = camera.ask(body(at(420), ""), body(at(40), "")).bodies
    assert [person.track_id for person in back] == names[::-1]


def test_smoothing_tells_its_delay(camera: Camera, peer: Peer) -> None:
    assert peer.set(NODE, "smoothing", 1.0).successful
    before = np.array(camera.ask(body(at(), "s")).bodies[0].joints)
    raised = at()
    raised[5] = raised[1] - (-10, 60)  # left wrist above the shoulder
    after = np.array(camera.ask(body(raised, "s")).bodies[0].joints)
    assert peer.set(NODE, "smoothing", 0.0).successful
    plain = np.array(camera.ask(body(raised, "s")).bodies[0].joints)
    assert 0 < np.abs(after - before).max() < np.abs(plain - before).max()

    def late(status: Any) -> bool:
        return float(status.values.get("smoothing delay (ms)", 0)) > 0

    assert peer.set(NODE, "smoothing", 1.0).successful
    for _ in range(3):
        camera.ask(body(at(), "s"))
    peer.status(NODE, late)
    assert peer.set(NODE, "smoothing", 0.0).successful


def test_camera_that_is_not_calibrated(fresh_peer: Peer, model_path: Any) -> None:
    fresh_peer.start("vipe_node", model=str(model_path))
    publish: Callable[[Any], None] = fresh_peer.talk(CameraInfo, "camera_info")

    def told(status: Any) -> bool:
        publish(CameraInfo(width=640, height=480))
        return "not calibrated" in status.values.get("camera", "")

    fresh_peer.status(NODE, told)


@pytest.mark.parametrize(
    ("change", "words"),
    [({"distortion_model": "fancy", "d": [0.1] * 5}, "fancy"), ({"d": [0.1] * 3}, "3")],
)
def test_camera_that_cannot_be_used(
    camera: Camera, peer: Peer, change: dict[str, Any], words: str
) -> None:
    info = camera_info(0)
    for name, value in change.items():
        setattr(info, name, value)
    camera.info(info)
    peer.status(NODE, lambda s: words in s.values.get("camera", ""))
    camera.ask(body(at()))  # goes on, nobody placed
    assert camera.bodies[-1].bodies[0].placement == ""
    camera.info(camera_info(1))
    peer.status(NODE, lambda s: "focal" in s.values.get("camera", ""))
