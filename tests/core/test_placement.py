"""Placement: the solver against exact views and OpenCV, its covariance against repeated noise,
and what cannot be placed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import chi2

from tests.seen import IN_17, LENS, SIZE, Seen, sigma, turned_by
from vipe_core.bodies import Bodies2D, Estimates
from vipe_core.errors import VipeError
from vipe_core.geometry import rotation_vector
from vipe_core.placement import Placer, pnp
from vipe_core.skeletons import BODY13, convert


class TestSolver:
    def test_exact_views_of_people_in_any_pose_anywhere(self):
        seen = Seen(400)
        found = pnp.solve(seen.joints[:, IN_17], seen.rays, sigma(seen))
        assert found.ok.all()
        np.testing.assert_allclose(found.translation * seen.height[:, None], seen.root, atol=1e-4)
        assert turned_by(found.rotation, seen.rotation).max() < 1e-4
        np.testing.assert_allclose(np.linalg.det(found.rotation), 1)

    def test_normal_equations_against_differences_of_the_cost(self):
        seen, rng = Seen(6), np.random.default_rng(2)
        rays = seen.rays + rng.normal(0, 0.02, seen.rays.shape)  # some joints are outliers
        problem = pnp._Problem(seen.joints[:, IN_17], rays, np.full(rays.shape[:2], 100.0))
        place = seen.root / seen.height[:, None]
        information, slope = problem.normal_equations(problem.start(seen.rotation, place))
        assert np.linalg.eigvalsh(information).min() > 0
        for k, step in enumerate(1e-6 * np.eye(6)):
            ahead, behind = (
                problem.start(
                    pnp.small_rotation(sign * step[None, 3:]) @ seen.rotation,
                    place + sign * step[:3],
                ).cost
                for sign in (1, -1)
            )
            gradient = (ahead - behind) / (2 * 1e-6)
            np.testing.assert_allclose(2 * slope[:, k, 0], gradient, rtol=1e-4, atol=1e-2)

    def test_the_same_optimum_as_opencv(self):
        cv2 = pytest.importorskip("cv2")
        # In the middle of the image: beside it OpenCV's plane of the errors is another one.
        seen, rng = Seen(30, off_axis=0.0), np.random.default_rng(1)
        rays = seen.rays + rng.normal(0, 0.002, seen.rays.shape)
        shape = seen.joints[:, IN_17]
        found = pnp.solve(shape, rays, sigma(seen, 0.05))  # nothing is an outlier
        assert found.ok.all()
        for n in range(len(rays)):
            guess = cv2.Rodrigues(seen.rotation[n])[0], seen.root[n][:, None] / seen.height[n]
            given = np.ascontiguousarray(shape[n]), np.ascontiguousarray(rays[n])
            ok, turn, place = cv2.solvePnP(*given, np.eye(3), None, *guess, True)
            assert ok
            np.testing.assert_allclose(found.translation[n], place[:, 0], rtol=2e-3, atol=1e-3)
            turn = cv2.Rodrigues(turn)[0]
            assert turned_by(found.rotation[n][None], turn[None]) < 5e-3

    def test_the_covariance_is_that_of_repeated_noise(self):
        seen, rng, spread = Seen(1, seed=3), np.random.default_rng(0), 0.004
        shape = np.repeat(seen.joints[:, IN_17], 2000, axis=0)
        rays = np.repeat(seen.rays, 2000, axis=0)
        noise = spread * seen.height / seen.root[:, 2]  # a length at the body, in the image
        rays = rays + noise * rng.standard_normal(rays.shape)
        found = pnp.solve(shape, rays, np.full(rays.shape[:2], spread))
        assert found.ok.all()
        error = np.concatenate(
            [
                found.translation - seen.root / seen.height,
                rotation_vector(found.rotation @ seen.rotation[0].T),
            ],
            axis=1,
        )
        predicted = np.sqrt(np.median(found.covariance, axis=0).diagonal())
        np.testing.assert_allclose(error.std(axis=0), predicted, rtol=0.15)
        size = (error * np.linalg.solve(found.covariance, error[..., None])[..., 0]).sum(axis=1)
        assert 0.87 < (size < chi2.ppf(0.9, 6)).mean() < 0.96

    def test_errors_larger_than_expected_widen_it(self):
        seen, rng = Seen(50), np.random.default_rng(0)
        rays = seen.rays + rng.normal(0, 0.02, seen.rays.shape)
        calm = pnp.solve(seen.joints[:, IN_17], seen.rays, sigma(seen, 0.01))
        wild = pnp.solve(seen.joints[:, IN_17], rays, sigma(seen, 0.01))
        ratio = wild.covariance[:, 2, 2] / calm.covariance[:, 2, 2]
        assert np.median(ratio[wild.ok]) > 2

    def test_one_joint_far_off_hardly_matters(self):
        seen = Seen(100)
        rays = seen.rays.copy()
        rays[:, BODY13.index("left_wrist")] += 0.3
        found = pnp.solve(seen.joints[:, IN_17], rays, sigma(seen))
        gap = np.linalg.norm(found.translation * seen.height[:, None] - seen.root, axis=1)
        assert found.ok.mean() > 0.97
        assert np.median(gap[found.ok] / seen.root[found.ok, 2]) < 0.03

    def test_a_joint_that_does_not_count_may_be_anything(self):
        seen = Seen(40)
        wanted = pnp.solve(seen.joints[:, IN_17], seen.rays, sigma(seen))
        rays, spread = seen.rays.copy(), sigma(seen)
        rays[:, 0], rays[:, 4], rays[:, 9] = np.nan, 1e30, 3.0
        spread[:, [0, 4, 9]] = np.inf
        found = pnp.solve(seen.joints[:, IN_17], rays, spread)
        assert found.ok.all()
        np.testing.assert_allclose(found.translation, wanted.translation, rtol=1e-3, atol=1e-3)

    def test_neighbours_do_not_matter(self):
        seen, rng = Seen(12), np.random.default_rng(0)
        rays = seen.rays + rng.normal(0, 0.01, seen.rays.shape)
        shape = seen.joints[:, IN_17]
        together = pnp.solve(shape, rays, sigma(seen))
        for n in range(12):
            alone = pnp.solve(shape[n : n + 1], rays[n : n + 1], sigma(seen)[:1])
            for name, value in vars(alone).items():
                np.testing.assert_allclose(value[0], getattr(together, name)[n], rtol=1e-6)

    def test_nobody(self):
        found = pnp.solve(np.zeros((0, 13, 3)), np.zeros((0, 13, 2)), np.zeros((0, 13)))
        assert [len(value) for value in vars(found).values()] == [0] * 4
        assert found.covariance.shape == (0, 6, 6)


def spoil(seen: Seen, how: str) -> Seen:
    """One person, spoilt."""
    if how == "three joints":
        seen.pixels[:, 3:] = np.nan
    elif how == "no joints":
        seen.pixels[:] = np.nan
    elif how == "all in one point":
        seen.pixels[:] = 100
    elif how == "a line in 3D":
        seen.joints[:] = np.linspace(-0.5, 0.5, 17)[:, None] * [0.1, 0.2, 1]
        seen.see()
    elif how == "a point in 3D":
        seen.joints[:] = 0
    elif how == "no lifted joints":
        seen.joints[:] = np.nan
    elif how == "far outside the image":
        seen.pixels[:] = 1e30 * np.sign(seen.pixels)
    elif how == "around the camera":
        seen.root[:] = 0.01
        seen.see()
    return seen


HARMLESS = ("all in one point", "around the camera")  # may be placed, if nobody knows where


@pytest.mark.parametrize(
    "how",
    [
        *("three joints", "no joints", "all in one point", "a line in 3D", "a point in 3D"),
        *("no lifted joints", "far outside the image", "around the camera"),
    ],
)
def test_somebody_who_cannot_be_placed_is_no_error(how):
    seen = spoil(Seen(2), how)
    good = Seen(1)
    pixels = np.concatenate([seen.pixels, good.pixels])
    joints = np.concatenate([seen.joints, good.joints])
    people = Bodies2D.from_arrays(pixels, image_size=SIZE)
    found = Placer().place(people, Estimates(joints=joints, std=np.full((3, 17), 0.005)), LENS, 0.0)
    assert found.placed[2]
    if how not in HARMLESS:
        assert not found.placed[:2].any()
    for row in np.flatnonzero(~found.placed):
        assert found.source[row] == ""
        for value in (found.translation, found.rotation, found.covariance):
            assert np.isnan(value[row]).all()
        assert found.height[row] == 1.7
    placed = found.placed
    assert (found.translation[placed, 2] > 0).all()
    assert np.isfinite(found.covariance[placed]).all()


@pytest.mark.parametrize("deep", [False, True])
def test_any_numbers_at_all_raise_nothing(deep):
    rng = np.random.default_rng(0)
    image = np.exp(rng.normal(0, 3, (48, 64))) if deep else None
    for scale in (1e-6, 1.0, 1e3, 1e20):
        pixels = rng.normal(0, scale, (200, 13, 2))
        pixels[rng.random((200, 13)) < 0.3] = np.nan
        joints = rng.normal(0, min(scale, 1e3), (200, 17, 3))
        people = Bodies2D.from_arrays(pixels, rng.random((200, 13)))
        estimates = Estimates(joints=joints, std=rng.random((200, 17)))
        found = Placer().place(people, estimates, LENS, 0.0, image)
        assert np.isfinite(found.translation[found.placed]).all()


class TestPlacer:
    def test_a_person_of_the_assumed_height(self):
        seen = Seen(1, off_axis=0.3)
        found = Placer(seen.height[0]).place(seen.people(), seen.estimates(), LENS, 0.0)
        np.testing.assert_allclose(found.translation, seen.root, atol=1e-3)
        np.testing.assert_allclose(found.rotation, seen.rotation, atol=1e-3)
        assert found.source == ("height",)
        assert len(found) == 1

    def test_the_place_scales_with_the_height(self):
        seen, placer = Seen(5), Placer(1.7)
        tall = placer.place(seen.people(), seen.estimates(), LENS, 0.0)
        placer.height = 0.85
        short = placer.place(seen.people(), seen.estimates(), LENS, 0.1)
        np.testing.assert_allclose(short.translation, tall.translation / 2)
        np.testing.assert_array_equal(short.height, 0.85)

    def test_an_uncertain_height_is_uncertain_along_the_ray(self):
        seen, placer = Seen(5), Placer(1.7, 0.0)
        sure = placer.place(seen.people(), seen.estimates(), LENS, 0.0)
        placer.height_std = 0.17
        unsure = placer.place(seen.people(), seen.estimates(), LENS, 0.1)
        more = (unsure.covariance - sure.covariance)[:, :3, :3]
        wanted = 0.1 * sure.translation
        np.testing.assert_allclose(more, wanted[:, :, None] * wanted[:, None], rtol=1e-6)
        np.testing.assert_allclose(unsure.height_std, 0.17)
        assert (np.linalg.eigvalsh(unsure.covariance) > 0).all()

    def test_any_skeleton_and_a_lens_with_distortion(self):
        cv2 = pytest.importorskip("cv2")
        seen = Seen(4, off_axis=0.2)
        bent = replace(LENS, distortion=np.array([-0.2, 0.05, 0, 0]), model="plumb_bob")
        zero = np.zeros(3)
        flat = seen.placed.reshape(-1, 3)
        pixels = cv2.projectPoints(flat, zero, zero, bent.matrix, bent.distortion)[0]
        points = convert(pixels.reshape(4, 13, 2), "body13", "coco17")
        people = Bodies2D.from_arrays(points, skeleton="coco17", image_size=SIZE)
        found = Placer().place(people, seen.estimates(), bent, 0.0)
        scaled = found.translation * (seen.height / 1.7)[:, None]
        np.testing.assert_allclose(scaled, seen.root, atol=0.01)

    def test_a_lens_of_the_whole_image_for_a_smaller_one(self):
        seen = Seen(3)
        half = Bodies2D.from_arrays((seen.pixels + 0.5) / 2 - 0.5, image_size=(320, 240))
        found = Placer().place(half, seen.estimates(), LENS, 0.0)
        wanted = Placer().place(seen.people(), seen.estimates(), LENS, 0.0)
        np.testing.assert_allclose(found.translation, wanted.translation, rtol=1e-4)

    def test_hidden_joints_do_not_count(self):
        seen, visibility = Seen(3), np.ones((3, 13))
        wanted = Placer().place(seen.people(), seen.estimates(), LENS, 0.0)
        visibility[:, 5] = 0.4
        seen.pixels[:, 5] += 200
        found = Placer().place(seen.people(visibility=visibility), seen.estimates(), LENS, 0.0)
        np.testing.assert_allclose(found.translation, wanted.translation, rtol=1e-3)

    def test_nobody(self):
        people = Bodies2D.from_arrays(np.zeros((0, 13, 2)))
        nobody = Estimates(joints=np.zeros((0, 17, 3)), std=np.zeros((0, 17)))
        found = Placer().place(people, nobody, LENS, 0.0, np.ones((4, 4)))
        assert len(found) == 0
        assert found.source == ()
        assert found.covariance.shape == (0, 6, 6)

    def test_errors(self):
        seen = Seen(2)
        people, estimates = seen.people(), seen.estimates()
        for arguments in ((0.0,), (np.nan,), (1.7, -0.1), (np.inf,)):
            with pytest.raises(VipeError, match="height"):
                Placer(*arguments)
        with pytest.raises(VipeError, match="no 3D pose"):
            Placer().place(people, Estimates(), LENS, 0.0)
        with pytest.raises(VipeError, match="1 estimates for 2 people"):
            Placer().place(people, Seen(1).estimates(), LENS, 0.0)
        with pytest.raises(VipeError, match="stamp of a frame is nan"):
            Placer().place(people, estimates, LENS, np.nan)
        with pytest.raises(VipeError, match="not the same picture"):
            Placer().place(replace(people, image_size=(640, 640)), estimates, LENS, 0.0)
        for image, said in (
            (np.ones((480, 640), np.uint8), "depth image of uint8"),
            (np.ones((480, 640, 1)), r"shape \(480, 640, 1\)"),
            (np.ones((480, 480)), "must be registered to the image"),
        ):
            with pytest.raises(VipeError, match=said):
                Placer().place(people, estimates, LENS, 0.0, image)
