"""Depth against known surfaces, and what is remembered of people."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tests.seen import LENS, SIZE, Seen
from vipe_core.placement import Placer
from vipe_core.placement import depth as depth_image
from vipe_core.skeletons import BODY13, JOINTS17


def upright(distance: float, heading: float, height: float = 1.7) -> Seen:
    """Somebody who stands before the camera; heading 0 faces it."""
    seen = Seen(1, seed=5, off_axis=0.0)
    facing = np.array([[0, 1, 0], [0, 0, -1], [-1, 0, 0.0]])  # columns: chest, left, up
    seen.rotation = (facing @ Rotation.from_rotvec([0, 0, heading]).as_matrix())[None]
    seen.root = np.array([[0.2, 0.0, distance]])
    seen.height = np.array([height])
    seen.see()
    return seen


def trunk_image(seen: Seen, scale: float = 1.0) -> np.ndarray:
    """Depth in metres of an elliptic cylinder around the trunk's axis, by marching along each
    ray; a wall 3 m behind. ``scale`` of the image's size."""
    width, height = round(SIZE[0] * scale), round(SIZE[1] * scale)
    y, x = np.mgrid[0:height, 0:width]
    flat = LENS.undistort((np.stack([x, y], -1) + 0.5) / scale - 0.5)
    depth = np.full((height, width), seen.root[0, 2] + 3)
    away = np.abs(flat - seen.root[0, :2] / seen.root[0, 2]) * seen.root[0, 2]
    near = (away < [0.35, 0.8]).all(axis=-1)
    rays = np.concatenate([flat[near], np.ones((near.sum(), 1))], -1)
    found = depth[near]
    for far in np.arange(seen.root[0, 2] + 0.3, seen.root[0, 2] - 0.3, -0.005):
        body = (rays * far - seen.root[0]) @ seen.rotation[0] / seen.height[0]
        top = np.clip(body[..., 2] / seen.joints[0, JOINTS17.index("neck"), 2], 0, 1)
        breadth = 0.10 + 0.045 * top
        inside = (body[..., 0] / 0.07) ** 2 + (body[..., 1] / breadth) ** 2 < 1
        inside &= (body[..., 2] > -0.08) & (body[..., 2] < 0.35)
        found[inside] = far
    depth[near] = found
    return depth


def place(seen: Seen, image: np.ndarray | None, placer: Placer | None = None, stamp_s=0.0, who="1"):
    people = seen.people([who])
    return (placer or Placer()).place(people, seen.estimates(0.02), LENS, stamp_s, image)


class TestDepth:
    @pytest.mark.parametrize("heading", [0.0, 0.7, 1.4, 2.3, 3.1])
    def test_the_distance_is_measured_whatever_the_heading(self, heading):
        seen = upright(3.0, heading, height=1.9)  # 12 % taller than assumed
        image = trunk_image(seen)
        by_height = place(seen, None)
        assert by_height.translation[0, 2] < 2.75
        found = place(seen, image)
        assert found.source == ("depth",)
        assert found.translation[0] == pytest.approx(seen.root[0], abs=0.04)
        assert np.sqrt(found.covariance[0, 2, 2]) < 0.06
        assert np.sqrt(by_height.covariance[0, 2, 2]) > 0.12

    def test_metres_millimetres_and_other_sizes_say_the_same(self):
        seen = upright(3.0, 0.3, 1.8)
        wanted = place(seen, trunk_image(seen)).translation
        short = (1000 * trunk_image(seen)).astype(np.uint16)
        np.testing.assert_allclose(place(seen, short).translation, wanted, atol=0.002)
        single = trunk_image(seen).astype(np.float32)
        np.testing.assert_allclose(place(seen, single).translation, wanted, atol=0.002)
        for scale in (0.5, 0.25):
            found = place(seen, trunk_image(seen, scale))
            np.testing.assert_allclose(found.translation, wanted, atol=0.01)

    @pytest.mark.parametrize("missing", [0, np.nan, np.inf])
    def test_missing_depth_is_no_depth(self, missing):
        seen = upright(3.0, 0.0)
        found = place(seen, np.full((480, 640), float(missing)))
        assert found.source == ("height",)
        np.testing.assert_array_equal(found.translation, place(seen, None).translation)

    def test_holes_and_something_in_front(self):
        seen = upright(3.0, 0.0, 1.9)
        image = trunk_image(seen)
        image[::2, ::3] = np.nan
        corners = seen.pixels[0, depth_image.CORNERS]
        x, y = np.rint(corners[0]).astype(int)
        image[y - 25 : y + 25, x - 25 : x + 25] = 2.2  # a box before one shoulder
        found = place(seen, image)
        assert found.translation[0] == pytest.approx(seen.root[0], abs=0.05)

    def test_a_wall_is_not_the_person(self):
        seen = upright(3.0, 0.0)
        found = place(seen, np.full((480, 640), 6.0))
        assert found.source == ("height",)

    def test_hidden_hips_leave_too_little(self):
        seen = upright(3.0, 0.0)
        visibility = np.ones((1, 13))
        visibility[0, BODY13.indices("left_hip", "right_hip", "left_shoulder")] = 0
        people = seen.people(["1"], visibility)
        found = Placer().place(people, seen.estimates(), LENS, 0.0, trunk_image(seen))
        assert found.source == ("height",)


class TestLearnedHeight:
    def learn(self, placer: Placer, height: float = 1.25, frames: int = 20, who: str = "1"):
        for frame in range(frames):
            seen = upright(2.5, 0.3 * frame, height)
            found = place(seen, trunk_image(seen, 0.25), placer, 0.5 * frame, who)
        return found

    def test_a_child_is_known_when_depth_is_gone(self):
        placer = Placer()
        found = self.learn(placer)
        assert found.height[0] == pytest.approx(1.25, abs=0.05)
        assert found.height_std[0] < 0.03
        seen = upright(4.0, 1.0, 1.25)
        later = place(seen, None, placer, 10.0)
        assert later.source == ("height",)
        assert later.translation[0, 2] == pytest.approx(4.0, abs=0.15)
        stranger = place(seen, None, placer, 10.1, who="2")
        assert stranger.translation[0, 2] > 5
        assert stranger.height[0] == 1.7

    def test_frames_in_a_row_say_the_same_again(self):
        slow, fast = Placer(), Placer()
        for frame in range(10):
            seen = upright(2.5, 0.0, 1.8)
            image = trunk_image(seen, 0.25)
            a = place(seen, image, slow, float(frame))
            b = place(seen, image, fast, 0.01 * frame)
        assert a.height_std[0] < 0.6 * b.height_std[0]

    def test_the_assumption_may_change_while_running(self):
        placer = Placer(1.7, 0.08)
        self.learn(placer, 1.8, 3)
        before = place(upright(2.5, 0, 1.8), None, placer, 1.1).height[0]
        placer.height, placer.height_std = 1.8, 0.001
        assert place(upright(2.5, 0, 1.8), None, placer, 1.2).height[0] == pytest.approx(1.8, 1e-3)
        placer.height, placer.height_std = 1.7, 0.08
        assert place(upright(2.5, 0, 1.8), None, placer, 1.3).height[0] == before

    @pytest.mark.parametrize(("stamp", "kept"), [(6.4, True), (6.6, False), (4.0, False)])
    def test_who_is_gone_is_forgotten(self, stamp, kept):
        placer = Placer()
        self.learn(placer, frames=10)  # to 4.5 s
        found = place(upright(2.5, 0, 1.25), None, placer, stamp)
        assert (found.height[0] < 1.5) == kept

    def test_in_sight_without_depth_is_not_gone(self):
        placer = Placer()
        self.learn(placer, frames=10)
        for stamp in np.arange(5.0, 12):
            found = place(upright(2.5, 0, 1.25), None, placer, stamp)
        assert found.height[0] < 1.5

    def test_who_has_no_id_is_not_learned(self):
        placer = Placer()
        found = self.learn(placer, frames=3, who="")
        assert found.source == ("depth",)
        assert found.height[0] == 1.7
