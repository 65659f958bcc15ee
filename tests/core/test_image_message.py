"""Pixels of image messages: every encoding, against the conversion one pixel at a time."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from vipe_core.errors import VipeError
from vipe_core.image_message import ENCODINGS, decompress, is_colour, to_bgr

HEIGHT, WIDTH = 6, 8


def message(pixels: np.ndarray, encoding: str, padding: int = 0, big: bool = False):
    """What rclpy and rosbags both have, of (H, W, C)."""
    rows = pixels.astype(pixels.dtype.newbyteorder(">" if big else "<"))
    rows = rows.reshape(len(pixels), -1).view(np.uint8)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=77)
    return SimpleNamespace(
        height=len(pixels), width=pixels.shape[1], encoding=encoding, step=rows.shape[1],
        is_bigendian=int(big), data=rows.ravel(),
    )  # fmt: skip


def colours(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


ORDERS = {"bgr": [0, 1, 2], "rgb": [2, 1, 0], "bgra": [0, 1, 2, 2], "rgba": [2, 1, 0, 2]}


@pytest.mark.parametrize("padding", [0, 3])
@pytest.mark.parametrize("name", list(ORDERS))
def test_eight_bits(name: str, padding: int) -> None:
    bgr = colours()
    given = message(bgr[..., ORDERS[name]], f"{name}8", padding)
    np.testing.assert_array_equal(to_bgr(given), bgr)


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("name", list(ORDERS))
def test_sixteen_bits_in_either_byte_order(name: str, big: bool) -> None:
    deep = np.random.default_rng(0).integers(0, 65536, (HEIGHT, WIDTH, 3)).astype(np.uint16)
    given = message(deep[..., ORDERS[name]], f"{name}16", 6, big)
    np.testing.assert_array_equal(to_bgr(given), np.rint(deep * (255 / 65535)))


def test_grey() -> None:
    grey = colours()[..., :1]
    np.testing.assert_array_equal(to_bgr(message(grey, "mono8")), np.repeat(grey, 3, axis=-1))


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
def test_bayer_patterns_put_colours_where_their_name_says(pattern: str) -> None:
    """A scene of one colour: each value of the mosaic is that of its letter."""
    bgr = {"b": 40, "g": 120, "r": 220}
    tile = np.array([bgr[letter] for letter in pattern], np.uint8).reshape(2, 2)
    mosaic = np.tile(tile, (HEIGHT // 2, WIDTH // 2))[..., None]
    image = to_bgr(message(mosaic, f"bayer_{pattern}8"))
    np.testing.assert_array_equal(image[2:-2, 2:-2].reshape(-1, 3)[:3], [[40, 120, 220]] * 3)


@pytest.mark.parametrize(("name", "luma"), [("uyvy", 1), ("yuv422", 1), ("yuyv", 0)])
def test_packed_yuv_of_a_grey_scene(name: str, luma: int) -> None:
    packed = np.full((HEIGHT, WIDTH, 2), 128, np.uint8)
    packed[..., luma] = 126  # half way from 16 to 235
    assert np.abs(to_bgr(message(packed, name)).astype(int) - 128).max() <= 1


def test_depth_is_no_colour() -> None:
    assert [name for name in ("16UC1", "32FC1", "mono16") if is_colour(name)] == []
    assert all(is_colour(name) for name in ENCODINGS if name != "mono16")


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"encoding": "infrared9"}, r"image has encoding 'infrared9'; known: bgr8"),
        ({"height": 7}, r"image says .* but holds"),
        ({"step": 3}, r"image says .* but holds"),
        ({"width": 0, "step": 0}, r"image says .* but holds"),
        ({"encoding": "yuyv", "width": 7}, r"yuyv image is 7 pixels wide"),
    ],
)
def test_what_contradicts_itself(change: dict, error: str) -> None:
    given = message(colours(), "bgr8")
    for name, value in change.items():
        setattr(given, name, value)
    with pytest.raises(VipeError, match=error):
        to_bgr(given)


def test_compressed() -> None:
    bgr = colours()
    data = cv2.imencode(".png", bgr)[1].ravel()
    np.testing.assert_array_equal(decompress(SimpleNamespace(data=data, format="png")), bgr)
    for broken in (data[:20], data[:0]):
        with pytest.raises(VipeError, match=r"cannot be decoded"):
            decompress(SimpleNamespace(data=broken, format="png"))
