"""Lenses: from pixels to rays, against OpenCV's way from rays to pixels."""

from __future__ import annotations

import numpy as np
import pytest

from vipe_core.errors import VipeError
from vipe_core.geometry import Lens

K = np.array([[600.0, 0, 639.5], [0, 610.0, 359.5], [0, 0, 1]])
DISTORTIONS = {
    "plumb_bob": [-0.3, 0.1, 0.001, -0.002, -0.01],
    "rational_polynomial": [0.5, -0.1, 0.001, 0.001, 0.02, 0.8, -0.1, 0.03],
    "equidistant": [0.02, -0.01, 0.003, -0.001],
    "": [],
}


def info(model: str = "", **changes) -> dict:
    """The fields of a CameraInfo."""
    fields = {
        "k": K.ravel().tolist(),
        "d": DISTORTIONS[model],
        "distortion_model": model,
        "width": 1280,
        "height": 720,
    }
    return fields | changes


def pixels_of(rays: np.ndarray, model: str) -> np.ndarray:
    """(N, 2) by OpenCV of rays (N, 2)."""
    cv2 = pytest.importorskip("cv2")
    distortion = np.array(DISTORTIONS[model])
    if model == "equidistant":
        return cv2.fisheye.distortPoints(rays[:, None], K, distortion)[:, 0]
    solid = np.concatenate([rays, np.ones((len(rays), 1))], axis=1)
    if not model:
        return (solid @ K.T)[:, :2]
    return cv2.projectPoints(solid, np.zeros(3), np.zeros(3), K, distortion)[0][:, 0]


@pytest.mark.parametrize("model", DISTORTIONS)
def test_back_to_the_ray(model):
    rays = np.random.default_rng(0).uniform([-0.9, -0.5], [0.9, 0.5], (60, 2))
    pixels = pixels_of(rays, model)
    pixels[7, 1] = np.nan
    found = Lens.from_camera_info(**info(model)).undistort(pixels.reshape(4, 15, 2))
    assert found.shape == (4, 15, 2)
    found = found.reshape(60, 2)
    assert np.isnan(found[7]).any()
    there = np.arange(60) != 7
    np.testing.assert_allclose(found[there], rays[there], atol=1e-4)
    if model:
        assert np.isnan(found[7]).all()
        plain = Lens.from_camera_info(**info()).undistort(pixels)[there]
        assert np.abs(plain - rays[there]).max() > 0.02  # the distortion is not small


def test_what_no_ray_can_have_made_is_missing():
    lens = Lens.from_camera_info(**info("plumb_bob", d=[-0.3, 0, 0, 0]))
    # r (1 - 0.3 r^2) is never more than 0.703.
    inside, outside = [639.5 + 600 * 0.6, 359.5], [639.5 + 600 * 0.8, 359.5]
    found = lens.undistort(np.array([inside, outside]))
    assert np.isfinite(found[0]).all()
    assert np.isnan(found[1]).all()
    assert np.isnan(lens.undistort(np.full((3, 2), np.nan))).all()


def test_zero_coefficients_of_any_model_are_no_distortion():
    lens = Lens.from_camera_info(**info(d=[0.0] * 5, distortion_model="nobody's"))
    np.testing.assert_allclose(lens.undistort(np.array([1239.5, 359.5])), [1, 0])
    assert lens.focal == 605


def test_skew():
    k = K.copy()
    k[0, 1] = 5
    pixel = k @ [0.2, -0.3, 1]
    lens = Lens.from_camera_info(**info(k=k.ravel()))
    np.testing.assert_allclose(lens.undistort(pixel[:2]), [0.2, -0.3])


def test_a_rectified_image_goes_by_p():
    p = [500.0, 0, 640, -35, 0, 500, 360, 0, 0, 0, 1, 0]
    lens = Lens.from_camera_info(**info("plumb_bob", p=p, rectified=True))
    np.testing.assert_allclose(lens.undistort(np.array([1140.0, 360])), [1, 0])


def test_rays_of_a_stereo_camera_are_turned():
    angle = 0.1
    r = [np.cos(angle), 0, np.sin(angle), 0, 1, 0, -np.sin(angle), 0, np.cos(angle)]
    lens = Lens.from_camera_info(**info(r=r))
    found = lens.undistort(np.array([639.5, 359.5]))
    np.testing.assert_allclose(found, [np.tan(angle), 0], atol=1e-12)
    assert Lens.from_camera_info(**info(r=[0.0] * 9)).rectification is None
    assert Lens.from_camera_info(**info(r=np.eye(3).ravel())).rectification is None


def test_a_smaller_image_has_the_same_rays():
    lens = Lens.from_camera_info(**info("plumb_bob"))
    small = lens.for_size((640, 360))
    corner = np.array([-0.5, -0.5])
    np.testing.assert_allclose(small.undistort(corner), lens.undistort(corner), atol=1e-4)
    far = np.array([1279.5, 719.5])
    np.testing.assert_allclose(
        small.undistort(np.array([639.5, 359.5])), lens.undistort(far), atol=1e-4
    )
    assert lens.for_size(None) is lens
    assert lens.for_size((1280, 720)) is lens


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"k": [0.0] * 9}, "not calibrated: K of its CameraInfo is 0"),
        ({"k": [1.0] * 8}, "8 values, 9 needed"),
        ({"k": [1.0, 0, 0, 0, 0, 0, 0, 0, 1]}, "focal length is 0"),
        ({"k": [float("inf"), 0, 0, 0, 1, 0, 0, 0, 1]}, "K of the camera holds numbers"),
        ({"d": [float("nan")] * 5, "distortion_model": "plumb_bob"}, "D of the camera holds"),
        ({"r": [float("nan")] * 9}, "R of the camera holds"),
        (
            {"distortion_model": "fov", "d": [0.1]},
            "unknown distortion model 'fov'; known: plumb_bob, rational_polynomial, equidistant",
        ),
        ({"distortion_model": "", "d": [0.1]}, "unknown distortion model ''"),
        (
            {"distortion_model": "rational_polynomial", "d": [0.1] * 5},
            "5 distortion coefficients, rational_polynomial takes 8 or 12 or 14",
        ),
        ({"r": [1.0] * 4}, "R of the camera has 4 values"),
        ({"rectified": True}, "needs P of the CameraInfo"),
        ({"rectified": True, "p": [0.0] * 12}, "needs P of the CameraInfo"),
    ],
)
def test_errors(changes, said):
    with pytest.raises(VipeError, match=said):
        Lens.from_camera_info(**info(**changes))


def test_another_picture():
    with pytest.raises(VipeError, match="the image is 640x480 and its camera is calibrated for"):
        Lens.from_camera_info(**info()).for_size((640, 480))
