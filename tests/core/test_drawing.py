"""Skeletons in images, thumbnails, lifted poses: what is where in the pixels."""

from __future__ import annotations

import sys

import cv2
import numpy as np
import pytest

from tests.bodies import standing
from vipe_core import drawing, skeletons
from vipe_core.drawing import DEFAULT, Palette, draw_joints_3d, draw_skeleton, panel, thumbnail
from vipe_core.errors import VipeError
from vipe_core.geometry import to_body_frame

SIZE = (320, 240)
PLAIN = Palette(border=None)
BONES = skeletons.get("body13").bones


def person(scale: float = 100.0, middle: tuple[float, float] = (160, 120)) -> np.ndarray:
    """(13, 2) pixels of somebody who stands and looks at us."""
    joints = skeletons.convert(standing(), "joints17", "body13")
    return (joints[:, :2] - (0, 0.95)) * (scale, -scale) + middle


def canvas(value: int = 0) -> np.ndarray:
    return np.full((SIZE[1], SIZE[0], 3), value, np.uint8)


def near(image: np.ndarray, point: np.ndarray, colour: tuple[int, int, int]) -> bool:
    """Whether a pixel of about that colour lies within one pixel of a point."""
    x, y = np.rint(point).astype(int)
    part = image[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2].reshape(-1, 3).astype(int)
    return bool((np.abs(part - colour).max(axis=1) < 40).any())


def middle_of(points: np.ndarray, bone: tuple[int, int]) -> np.ndarray:
    return points[list(bone)].mean(axis=0)


def test_every_bone_is_there_in_the_colour_of_its_side() -> None:
    image, points = canvas(), person()
    draw_skeleton(image, points, np.ones(13), "body13", PLAIN)
    names = skeletons.get("body13").joints
    for a, b in BONES:
        sides = {names[a].split("_")[0], names[b].split("_")[0]}
        colour = getattr(DEFAULT, sides.pop()) if len(sides) == 1 else DEFAULT.middle
        assert near(image, middle_of(points, (a, b)), colour), (names[a], names[b])


def test_what_is_missing_is_left_out() -> None:
    whole, points, visibility = canvas(), person(), np.ones(13)
    wrist = skeletons.get("body13").index("left_wrist")
    ankle = skeletons.get("body13").index("right_ankle")
    draw_skeleton(whole, points, None, "body13", PLAIN)
    points[wrist], visibility[ankle] = np.nan, 0
    image = canvas()
    draw_skeleton(image, points, visibility, "body13", PLAIN)
    for bone in BONES:
        shown = not {wrist, ankle} & set(bone)
        x, y = np.rint(middle_of(person(), bone)).astype(int)
        assert whole[y, x].any()
        assert image[y, x].any() == shown


def test_what_is_uncertain_is_fainter() -> None:
    points, visibility = person(), np.ones(13)
    elbow = skeletons.get("body13").index("left_elbow")
    visibility[elbow] = drawing.UNCERTAIN - 0.1
    sure, unsure = canvas(), canvas()
    draw_skeleton(sure, points, None, "body13", PLAIN)
    draw_skeleton(unsure, points, visibility, "body13", PLAIN)
    for bone in BONES:
        x, y = np.rint(middle_of(points, bone)).astype(int)
        ratio = unsure[y, x].sum() / sure[y, x].sum()
        assert ratio == pytest.approx(0.35, abs=0.1) if elbow in bone else ratio == 1


def test_several_people_at_once() -> None:
    both, one_by_one = canvas(), canvas()
    people = np.stack([person(60, (80, 120)), person(90, (220, 120))])
    draw_skeleton(both, people, None, "body13")
    for points in people:
        draw_skeleton(one_by_one, points, None, "body13")
    np.testing.assert_array_equal(both, one_by_one)


@pytest.mark.parametrize("far", [1e5, -1e5, 3e9, -3e9, 1e30, np.inf, np.nan])
def test_absurd_coordinates_do_no_harm(far: float) -> None:
    points = person()
    points[3] = far
    points[7, 1] = far
    image = canvas()
    draw_skeleton(image, points, None, "body13")
    draw_skeleton(image, np.full((13, 2), far), None, "body13")
    assert image.any()
    assert thumbnail(image, points, None, "body13")
    assert thumbnail(None, np.full((13, 2), far), None, "body13")


def test_a_joint_far_outside_the_image_pulls_its_bone_there() -> None:
    image, points = canvas(), person()
    wrist, elbow = skeletons.get("body13").indices("right_wrist", "right_elbow")
    points[wrist] = points[elbow] - (2000, 0)
    draw_skeleton(image, points, None, "body13", PLAIN)
    assert near(image, np.array([3, points[elbow][1]]), DEFAULT.right)


@pytest.mark.parametrize("name", sorted(skeletons.SKELETONS))
def test_every_skeleton_can_be_drawn(name: str) -> None:
    image = canvas()
    points = np.random.default_rng(0).uniform(20, 200, (len(skeletons.get(name)), 2))
    draw_skeleton(image, points, None, name)
    assert image.any()


@pytest.mark.parametrize(
    ("points", "visibility", "skeleton"),
    [
        (np.zeros((12, 2)), None, "body13"),
        (np.zeros((13, 3)), None, "body13"),
        (np.zeros((13, 2)), np.ones(12), "body13"),
        (np.zeros((13, 2)), None, "octopus"),
    ],
)
def test_shapes_that_do_not_fit(points: np.ndarray, visibility, skeleton: str) -> None:
    with pytest.raises(VipeError, match=r"body13 needs|octopus"):
        draw_skeleton(canvas(), points, visibility, skeleton)


def decoded(data: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


def test_a_thumbnail_is_the_part_around_the_person() -> None:
    """A scene whose pixels say where they are."""
    image = canvas()
    image[..., 0] = np.linspace(0, 255, SIZE[0])
    image[..., 1] = np.linspace(0, 255, SIZE[1])[:, None]
    points = person(60, (200, 100))
    picture = decoded(thumbnail(image, points, np.ones(13), "body13", 96))
    assert picture.shape == (96, 96, 3)
    low, high = points.min(0), points.max(0)
    side = (high - low).max() * 1.3
    corner = (low + high) / 2 - side / 2
    for x, y in ((4, 4), (90, 5), (5, 90), (90, 90)):
        at = corner + (np.array([x, y]) + 0.5) * side / 96
        expected = image[int(at[1]), int(at[0])].astype(int)
        assert np.abs(picture[y, x].astype(int) - expected).max() < 14
    elbow = skeletons.get("body13").index("left_elbow")
    x, y = np.rint((points[elbow] + 0.5 - corner) * 96 / side - 0.5).astype(int)
    blue, _, red = picture[y, x].astype(int)
    assert red > blue + 60  # the scene has no red


@pytest.mark.parametrize("middle", [(0, 120), (320, 240), (160, -20), (1000, 1000)])
def test_a_person_partly_or_wholly_outside(middle: tuple[float, float]) -> None:
    image = canvas(30)
    picture = decoded(thumbnail(image, person(80, middle), None, "body13"))
    assert picture.shape == (96, 96, 3)
    paper, scene = (np.abs(picture.astype(int) - v).max(-1) < 12 for v in (244, 30))
    assert paper.any()
    assert scene.any() == (middle != (1000, 1000))


def test_without_an_image_there_is_paper() -> None:
    picture = decoded(thumbnail(None, person(), np.ones(13), "body13"))
    assert (picture[0] > 220).all()
    assert (picture[40:60, 30:66].min(-1) < 120).any()


def test_nobody_visible_shows_the_whole_image() -> None:
    picture = decoded(thumbnail(canvas(30), person(), np.zeros(13), "body13"))
    assert (np.abs(picture[48].astype(int) - 30) < 12).mean() > 0.7


def test_thumbnails_are_a_few_kilobytes() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)
    scene = cv2.GaussianBlur(noise, (0, 0), 4)
    assert len(thumbnail(scene, person(200, (320, 240)), None, "body13")) < 5000
    assert len(thumbnail(None, person(), None, "body13")) < 2500


def body() -> np.ndarray:
    """(17, 3) metres in the body frame."""
    return to_body_frame(standing(), "joints17")


def test_from_the_front_the_left_hand_is_on_the_right() -> None:
    """The person raises the left hand; their left is the viewer's right."""
    joints = body()
    image = panel(joints, (240, 240), azimuth=0, span=2.4)
    flat, _ = drawing.look(joints, 0)
    points = flat * (100, -100) + 119.5
    wrist = skeletons.get("joints17").index("left_wrist")
    assert points[wrist, 0] > 120
    assert points[wrist, 1] < 60
    assert near(image, points[wrist], DEFAULT.left)


def test_from_the_right_the_right_side_covers_the_left() -> None:
    joints = body()
    _, depth = drawing.look(joints, 90)
    left, right = skeletons.get("joints17").indices("left_hip", "right_hip")
    assert depth[right] < depth[left]
    forward, _ = drawing.look(np.array([1.0, 0, 0]), 90, elevation=0)
    np.testing.assert_allclose(forward, [1, 0], atol=1e-12)


def test_missing_joints_and_spread_of_a_lifted_pose() -> None:
    joints = body()
    joints[3] = np.nan
    plain, spread = panel(joints), panel(joints, std=np.full(17, 0.1))
    assert (plain != spread).any()
    image = panel(np.full((17, 3), np.nan))
    assert (image == image[0, 0]).all()
    draw_joints_3d(image, joints * 1e12, std=np.full(17, 1e12))


def test_a_lifted_pose_of_another_shape() -> None:
    with pytest.raises(VipeError, match=r"joints of shape \(2, 17, 3\): joints17 needs \(17, 3\)"):
        panel(np.zeros((2, 17, 3)))


def test_opencv_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(VipeError, match=r"drawing needs OpenCV: pip install"):
        thumbnail(None, person(), None, "body13")
