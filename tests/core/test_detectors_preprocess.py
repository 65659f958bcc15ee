"""Images as inputs of networks, and points back in the image."""

from __future__ import annotations

import numpy as np
import pytest

from vipe_core.detectors import preprocess
from vipe_core.detectors.configuration import PRESETS, Pixels
from vipe_core.errors import VipeError

pytest.importorskip("cv2")


def blob(size: tuple[int, int], x: float, y: float, spread: float) -> np.ndarray:
    """(H, W, 3) uint8: a grey Gaussian around a pixel."""
    rows, columns = np.mgrid[: size[1], : size[0]]
    value = 255 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * spread**2))
    return np.repeat(np.rint(value)[..., None], 3, axis=2).astype(np.uint8)


def middle(picture: np.ndarray) -> np.ndarray:
    """(2,) x, y of the centre of mass of a picture on black."""
    weight = picture[..., 0].astype(float)
    rows, columns = np.mgrid[: weight.shape[0], : weight.shape[1]]
    return np.array([(weight * columns).sum(), (weight * rows).sum()]) / weight.sum()


@pytest.mark.parametrize("place", ["corner", "centre"])
@pytest.mark.parametrize("size", [(640, 480), (333, 777), (97, 64), (320, 320), (1921, 1079)])
def test_letterbox_there_and_back(size: tuple[int, int], place: str) -> None:
    at = np.array([0.4 * size[0], 0.6 * size[1]])
    image = blob(size, *at, spread=0.04 * max(size))
    picture, mapping = preprocess.letterbox(image, (320, 256), Pixels(place=place, fill=0))
    assert picture.shape == (256, 320, 3)
    back = mapping.to_image(middle(picture)[None, None])[0, 0]
    np.testing.assert_allclose(back, middle(image), atol=0.01 * size[0] / 97)
    boxes = mapping.boxes_to_image(np.array([[0.0, 0.0, 10.0, 20.0]]))
    np.testing.assert_allclose(boxes[0, 2:] - boxes[0, :2], mapping.scale * (10, 20))


def test_letterbox_places_and_fills() -> None:
    image = np.full((30, 60, 3), 200, np.uint8)
    corner, _ = preprocess.letterbox(image, (120, 100), PRESETS["rtmo"])
    assert (corner[:60] == 200).all()
    assert (corner[60:] == 114).all()
    centre, mapping = preprocess.letterbox(image, (120, 100), PRESETS["yolo_pose"])
    assert (centre[20:80] == 200).all()
    assert (centre[:20] == 114).all() and (centre[80:] == 114).all()  # noqa: PT018
    # The upper left corner of the image is that of its first pixel, not its centre.
    np.testing.assert_allclose(mapping.to_image(np.array([[[-0.5, 19.5]]]))[0, 0], [-0.5, -0.5])


def test_letterbox_of_a_line() -> None:
    image = np.zeros((2, 4000, 3), np.uint8)
    picture, mapping = preprocess.letterbox(image, (320, 320), Pixels())
    assert picture.shape == (320, 320, 3)
    assert np.isfinite(mapping.scale).all()


@pytest.mark.parametrize("udp", [False, True])
@pytest.mark.parametrize("size", [(96, 128), (128, 96), (64, 64)])
def test_crops_there_and_back(size: tuple[int, int], udp: bool) -> None:
    image = np.maximum(blob((640, 480), 200, 150, 9), blob((640, 480), 450, 300, 9))
    boxes = np.array([[150.0, 90.0, 240.0, 260.0], [380.0, 280.0, 560.0, 330.0]])
    maps = preprocess.crop_maps(boxes, size, 1.25, udp)
    crops = preprocess.crops(image, maps, size)
    for crop, scale, offset, truth in zip(
        crops, maps.scale, maps.offset, [(200, 150), (450, 300)], strict=True
    ):
        found = preprocess.Mapping(scale, offset).to_image(middle(crop)[None, None])[0, 0]
        np.testing.assert_allclose(found, truth, atol=0.1)


def test_crop_holds_the_padded_box_in_the_shape_of_the_input() -> None:
    box = np.array([[100.0, 50.0, 200.0, 150.0]])
    maps = preprocess.crop_maps(box, (192, 256), 1.25)
    # 100 pixels and a quarter: 125 wide, and 256 / 192 of that high, around the same middle.
    corners = maps.to_image(np.array([[[0.0, 0.0], [192.0, 256.0]]]))[0]
    np.testing.assert_allclose(corners, [[87.5, 100 - 250 / 3], [212.5, 100 + 250 / 3]])
    # Unbiased data processing: from the first pixel centre to the last.
    maps = preprocess.crop_maps(box, (192, 256), 1.25, udp=True)
    corners = maps.to_image(np.array([[[0.0, 0.0], [191.0, 255.0]]]))[0]
    np.testing.assert_allclose(corners, [[87.5, 100 - 250 / 3], [212.5, 100 + 250 / 3]])


def test_crops_beyond_the_image_are_black() -> None:
    image = np.full((40, 40, 3), 99, np.uint8)
    maps = preprocess.crop_maps(np.array([[-40.0, -40.0, 0.0, 0.0]]), (32, 32), 1.0)
    crop = preprocess.crops(image, maps, (32, 32))[0]
    assert (crop[:20, :20] == 0).all()


@pytest.mark.parametrize("layout", PRESETS)
def test_normalise_against_loops(layout: str) -> None:
    given = PRESETS[layout]
    images = np.random.default_rng(3).integers(0, 256, (2, 4, 5, 3), np.uint8)
    found = preprocess.normalise(images, given)
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    for channel in range(3):
        source = 2 - channel if given.channels == "rgb" else channel
        expected = images[..., source].astype(float) * given.scale - given.mean[channel]
        np.testing.assert_allclose(found[:, channel], expected / given.std[channel], atol=1e-4)


def test_normalise_scales_before_the_mean() -> None:
    image = np.full((1, 1, 1, 3), 255, np.uint8)
    given = Pixels(scale=1 / 255, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    expected = (1 - np.array(given.mean)) / given.std
    np.testing.assert_allclose(preprocess.normalise(image, given)[0, :, 0, 0], expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (None, "shape"),
        (np.zeros((4, 4), np.uint8), "shape"),
        (np.zeros((4, 4, 3)), "float64"),
        (np.zeros((4, 4, 4), np.uint8), "shape"),
        (np.zeros((0, 4, 3), np.uint8), "empty"),
    ],
)
def test_no_image(image: object, message: str) -> None:
    with pytest.raises(VipeError, match=message):
        preprocess.check_image(image)
