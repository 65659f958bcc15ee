"""Image messages as arrays, in every encoding; and what is refused."""

from __future__ import annotations

from array import array

import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage, Image

from vipe_ros import image
from vipe_ros.errors import InputError

cv2 = pytest.importorskip("cv2")
BGR = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
OPAQUE = np.full((5, 7, 1), 255, np.uint8)
GREY = BGR[..., :1]
PIXELS = {
    "bgr8": BGR,
    "rgb8": BGR[..., ::-1],
    "bgra8": np.concatenate([BGR, OPAQUE], axis=2),
    "rgba8": np.concatenate([BGR[..., ::-1], OPAQUE], axis=2),
    "mono8": GREY,
}


def message(encoding: str, padding: int = 0) -> Image:
    """The test picture; ``padding`` bytes end every row, as camera drivers do."""
    rows = PIXELS[encoding].reshape(5, -1)
    rows = np.concatenate([rows, np.full((5, padding), 77, np.uint8)], axis=1)
    data = array("B", rows.tobytes())
    return Image(height=5, width=7, encoding=encoding, step=rows.shape[1], data=data)


@pytest.mark.parametrize("padding", [0, 5])
@pytest.mark.parametrize("encoding", PIXELS)
def test_encodings(encoding: str, padding: int) -> None:
    found = image.to_bgr(message(encoding, padding))
    expected = np.repeat(GREY, 3, axis=2) if encoding == "mono8" else BGR
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.uint8
    assert found.flags.c_contiguous


def test_every_encoding_is_tested() -> None:
    assert {*PIXELS, "yuv422_yuy2"} == set(image.ENCODINGS)


@pytest.mark.parametrize("padding", [0, 6])
def test_yuy2_against_the_formula(padding: int) -> None:
    """BT.601: two neighbours have a brightness each and share their colour."""
    rng = np.random.default_rng(1)
    y = rng.integers(16, 236, (5, 8))
    u, v = (rng.integers(16, 241, (5, 4)) for _ in range(2))
    rows = np.stack([y[:, ::2], u, y[:, 1::2], v], axis=2).reshape(5, 16).astype(np.uint8)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=77)
    data = array("B", rows.tobytes())
    found = image.to_bgr(
        Image(height=5, width=8, encoding="yuv422_yuy2", step=16 + padding, data=data)
    )
    for row in range(5):
        for column in range(8):
            bright = 1.164 * (int(y[row, column]) - 16)
            blue, red = int(u[row, column // 2]) - 128, int(v[row, column // 2]) - 128
            expected = (
                bright + 2.018 * blue,
                bright - 0.813 * red - 0.391 * blue,
                bright + 1.596 * red,
            )
            np.testing.assert_allclose(found[row, column], np.clip(expected, 0, 255), atol=1.5)
    assert found.flags.c_contiguous


def test_yuy2_of_an_odd_width() -> None:
    given = Image(height=1, width=3, encoding="yuv422_yuy2", step=6, data=array("B", bytes(6)))
    with pytest.raises(InputError, match="3 pixels wide"):
        image.to_bgr(given)


@pytest.mark.parametrize("encoding", ["", "yuv422", "16UC1", "32FC1", "bayer_rggb8", "BGR8"])
def test_unknown_encoding(encoding: str) -> None:
    given = message("bgr8")
    given.encoding = encoding
    with pytest.raises(InputError, match="bgr8, rgb8") as caught:
        image.to_bgr(given)
    assert caught.value.kind == "unknown encoding"


@pytest.mark.parametrize(
    "changes",
    [
        {"height": 6},
        {"height": 4},
        {"width": 8},
        {"step": 20},
        {"step": 22},
        {"step": 0},
        {"width": 0},
        {"height": 0, "data": b""},
        {"data": b"short"},
        {"height": 2**31, "width": 2**31},
    ],
)
def test_wrong_size(changes: dict) -> None:
    given = message("bgr8")
    for name, value in changes.items():
        setattr(given, name, value)
    with pytest.raises(InputError) as caught:
        image.to_bgr(given)
    assert caught.value.kind == "wrong image size"


def test_from_bgr_round_trip() -> None:
    made = image.from_bgr(BGR)
    assert (made.encoding, made.height, made.width, made.step) == ("bgr8", 5, 7, 21)
    np.testing.assert_array_equal(image.to_bgr(made), BGR)
    view = np.zeros((10, 14, 3), np.uint8)[::2, ::2]
    np.testing.assert_array_equal(image.to_bgr(image.from_bgr(view)), view)


def test_compressed_round_trip() -> None:
    data = cv2.imencode(".png", BGR)[1].tobytes()
    np.testing.assert_array_equal(image.decompress(CompressedImage(data=data)), BGR)
    grey = cv2.imencode(".png", GREY)[1].tobytes()
    assert image.decompress(CompressedImage(data=grey)).shape == (5, 7, 3)


@pytest.mark.parametrize("length", [0, 1, 40])
def test_undecodable(length: int) -> None:
    data = cv2.imencode(".png", BGR)[1].tobytes()[:length]
    with pytest.raises(InputError) as caught:
        image.decompress(CompressedImage(format="png", data=data))
    assert caught.value.kind == "undecodable image"
