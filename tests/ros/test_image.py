"""Image messages as arrays, in every encoding, with and without cv_bridge; and what is refused."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage, Image

from vipe_core import image_message
from vipe_ros import image
from vipe_ros.errors import InputError

cv2 = pytest.importorskip("cv2")
STAND_IN = Path(__file__).parent / "stand_ins" / "cv_bridge.py"
RNG = np.random.default_rng(0)
BGR = RNG.integers(0, 256, (5, 7, 3), np.uint8)
ALPHA = RNG.integers(0, 256, (5, 7, 1), np.uint8)
GREY = BGR[..., :1]
PIXELS = {
    "bgr": BGR,
    "rgb": BGR[..., ::-1],
    "bgra": np.concatenate([BGR, ALPHA], axis=2),
    "rgba": np.concatenate([BGR[..., ::-1], ALPHA], axis=2),
    "mono": GREY,
}
BAYER = ("bayer_rggb", "bayer_bggr", "bayer_gbrg", "bayer_grbg")
PACKED = ("yuyv", "yuv422_yuy2", "uyvy", "yuv422")


def message(encoding: str, values: np.ndarray, padding: int = 0, bigendian: bool = False) -> Image:
    """``values`` (H, W, ...) as a message; ``padding`` bytes end every row, as drivers do."""
    height, width = values.shape[:2]
    stored = np.ascontiguousarray(values, values.dtype.newbyteorder(">" if bigendian else "<"))
    rows = stored.view(np.uint8).reshape(height, -1)
    rows = np.concatenate([rows, np.full((height, padding), 77, np.uint8)], axis=1)
    return Image(
        height=height, width=width, encoding=encoding, step=rows.shape[1],
        data=array("B", rows.tobytes()), is_bigendian=bigendian,
    )  # fmt: skip


@pytest.fixture
def no_bridge() -> Iterator[None]:
    """The choice is made anew, before and after."""
    image._bridge.cache_clear()
    yield
    image._bridge.cache_clear()
    sys.modules.pop("cv_bridge", None)


@pytest.fixture
def bridge(monkeypatch: pytest.MonkeyPatch, no_bridge: None) -> None:
    """cv_bridge can be imported, here and in other processes."""
    install(monkeypatch, STAND_IN.parent)
    assert image.converter() == "cv_bridge"


def install(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.delitem(sys.modules, "cv_bridge", raising=False)


LAYOUTS = pytest.mark.parametrize(("padding", "bigendian"), [(0, False), (5, False), (6, True)])


@LAYOUTS
@pytest.mark.parametrize("name", PIXELS)
def test_eight_bits(name: str, padding: int, bigendian: bool) -> None:
    found = image.to_bgr(message(f"{name}8", PIXELS[name], padding, bigendian))
    expected = np.repeat(GREY, 3, axis=2) if name == "mono" else BGR
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.uint8
    assert found.flags.c_contiguous


@LAYOUTS
@pytest.mark.parametrize("name", PIXELS)
def test_sixteen_bits_are_scaled_to_eight(name: str, padding: int, bigendian: bool) -> None:
    shape = PIXELS[name].shape
    values = np.random.default_rng(1).integers(0, 65536, shape).astype(np.uint16)
    found = image.to_bgr(message(f"{name}16", values, padding, bigendian))
    order = {"mono": [0, 0, 0], "rgb": [2, 1, 0], "rgba": [2, 1, 0]}.get(name, [0, 1, 2])
    expected = np.rint(values[..., order] * 255.0 / 65535.0)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.uint8


def test_sixteen_bits_round_every_value_to_the_nearest() -> None:
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256, 1)
    found = image.to_bgr(message("mono16", values))
    np.testing.assert_array_equal(found[..., 0], np.rint(values[..., 0] / 257.0))


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("name", BAYER)
def test_bayer_of_one_colour(name: str, bits: int) -> None:
    """The letters say what lies where: the first row, then the second."""
    colour = {"b": 40, "g": 120, "r": 250}
    tile = np.array([colour[letter] for letter in name[-4:]]).reshape(2, 2)
    mosaic = np.tile(tile, (5, 6))[:9, :11, None].astype(np.uint8)
    values = mosaic if bits == 8 else mosaic.astype(np.uint16) * 257
    found = image.to_bgr(message(f"{name}{bits}", values))
    assert found.shape == (9, 11, 3)
    np.testing.assert_array_equal(found, np.broadcast_to([40, 120, 250], found.shape))


def packed(encoding: str, y: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """(H, W, 2) bytes of brightness (H, W) and colour (H, W / 2)."""
    parts = [y[:, ::2], u, y[:, 1::2], v]
    if encoding in ("uyvy", "yuv422"):
        parts = [u, y[:, ::2], v, y[:, 1::2]]
    return np.stack(parts, axis=2).reshape(*y.shape, 2).astype(np.uint8)


@pytest.mark.parametrize("padding", [0, 6])
@pytest.mark.parametrize("encoding", PACKED)
def test_packed_yuv_against_the_formula(encoding: str, padding: int) -> None:
    """BT.601: two neighbours have a brightness each and share their colour."""
    rng = np.random.default_rng(1)
    y = rng.integers(16, 236, (5, 8))
    u, v = (rng.integers(16, 241, (5, 4)) for _ in range(2))
    found = image.to_bgr(message(encoding, packed(encoding, y, u, v), padding))
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


@pytest.mark.parametrize("encoding", PACKED)
def test_packed_yuv_of_an_odd_width(encoding: str) -> None:
    with pytest.raises(InputError, match="3 pixels wide") as caught:
        image.to_bgr(message(encoding, np.zeros((1, 3, 2), np.uint8)))
    assert caught.value.kind == "wrong image size"


def test_every_encoding_is_tested() -> None:
    known = {f"{name}{bits}" for name in (*PIXELS, *BAYER) for bits in (8, 16)} | set(PACKED)
    assert known == set(image.ENCODINGS)


# With cv_bridge.


def any_message(encoding: str, size: tuple[int, int], padding: int, bigendian: bool) -> Image:
    channels = image_message.ENCODINGS[encoding].channels
    kind = np.dtype(image_message.ENCODINGS[encoding].depth)
    values = np.random.default_rng(2).integers(0, np.iinfo(kind).max + 1, (*size, channels))
    return message(encoding, values.astype(kind), padding, bigendian)


def test_cv_bridge_gives_the_same(monkeypatch: pytest.MonkeyPatch, bridge: None) -> None:
    calls = count_calls(monkeypatch)
    for encoding in image.ENCODINGS:
        for size in ((5, 8), (6, 4), (7, 2), (48, 64), *(() if encoding in PACKED else [(5, 7)])):
            for padding, bigendian in ((0, False), (1, False), (3, False), (8, False), (6, True)):
                given = any_message(encoding, size, padding, bigendian)
                before = bytes(given.data)
                form = image_message.ENCODINGS[encoding]
                alone = image_message.converted(
                    form, image._pixels(given, form.depth, form.channels)
                )
                np.testing.assert_array_equal(image.to_bgr(given), alone, err_msg=encoding)
                assert bytes(given.data) == before
    # bgr8 needs no conversion, packed YUV is not known to every version.
    assert set(calls) == set(image.ENCODINGS) - {"bgr8", *PACKED}


def count_calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The encodings that cv_bridge is asked to convert, as it is asked."""
    calls: list[str] = []
    kind = type(image._bridge())
    convert = kind.imgmsg_to_cv2

    def noted(self: Any, img_msg: Image, desired_encoding: str = "passthrough") -> np.ndarray:
        calls.append(img_msg.encoding)
        return convert(self, img_msg, desired_encoding)

    monkeypatch.setattr(kind, "imgmsg_to_cv2", noted)
    return calls


def test_cv_bridge_that_refuses(monkeypatch: pytest.MonkeyPatch, bridge: None) -> None:
    from importlib import import_module

    error = import_module("cv_bridge").CvBridgeError

    def refuse(self: Any, img_msg: Image, desired_encoding: str = "passthrough") -> None:
        raise error("Image is wrongly formed")

    monkeypatch.setattr(type(image._bridge()), "imgmsg_to_cv2", refuse)
    with pytest.raises(
        InputError, match=r"cv_bridge cannot convert rgb8 .* wrongly formed"
    ) as caught:
        image.to_bgr(message("rgb8", BGR))
    assert caught.value.kind == "unusable image"


UNKNOWN = ("", "8UC3", "16UC1", "32FC1", "nv12", "BGR8", "bayer_rggb", "bgr32")


@pytest.mark.parametrize("encoding", UNKNOWN)
def test_unknown_encoding(encoding: str) -> None:
    with pytest.raises(InputError, match="known: bgr8, rgb8") as caught:
        image.to_bgr(message(encoding, BGR))
    assert caught.value.kind == "unknown encoding"


def test_unknown_encoding_is_so_with_cv_bridge_too(bridge: None) -> None:
    for encoding in UNKNOWN:
        test_unknown_encoding(encoding)


def test_without_cv_bridge(monkeypatch: pytest.MonkeyPatch, no_bridge: None) -> None:
    monkeypatch.setitem(sys.modules, "cv_bridge", None)
    monkeypatch.setattr(image, "find_spec", lambda name: None)
    assert image.converter() == "opencv"
    np.testing.assert_array_equal(image.to_bgr(message("rgb8", BGR[..., ::-1])), BGR)


@pytest.mark.parametrize(
    "content",
    [
        "import os\nos.abort()",  # as one compiled for another numpy does
        "raise ImportError('libboost_python is missing')",
        "class CvBridge:\n    def imgmsg_to_cv2(self, img_msg, desired_encoding):\n"
        "        import numpy\n        return numpy.zeros((1, 1, 3), 'u1')",
    ],
)
def test_cv_bridge_that_does_not_work_is_left_alone(
    content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_bridge: None
) -> None:
    (tmp_path / "cv_bridge.py").write_text(content)
    install(monkeypatch, tmp_path)
    assert image.converter() == "opencv"
    np.testing.assert_array_equal(image.to_bgr(message("rgb8", BGR[..., ::-1])), BGR)


# Sizes.


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
        {"encoding": "bgr16"},
    ],
)
def test_wrong_size(changes: dict) -> None:
    given = message("bgr8", BGR)
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


# Depth images.

MILLIMETRES = np.array([[0, 1, 999, 1000], [1001, 4321, 65534, 65535]], np.uint16)
METRES = np.array([[np.nan, 0.5, np.inf, -np.inf], [0.0, -1.0, 1e-3, 12.5]], np.float32)


@pytest.mark.parametrize("padding", [0, 3, 8])
@pytest.mark.parametrize("bigendian", [False, True])
@pytest.mark.parametrize("encoding", ["16UC1", "mono16"])
def test_millimetres(encoding: str, bigendian: bool, padding: int) -> None:
    found = image.to_metres(message(encoding, MILLIMETRES, padding, bigendian))
    expected = [[np.nan, 0.001, 0.999, 1.0], [1.001, 4.321, 65.534, 65.535]]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert (found.shape, found.dtype) == ((2, 4), np.float32)


@pytest.mark.parametrize("padding", [0, 3, 8])
@pytest.mark.parametrize("bigendian", [False, True])
def test_metres(bigendian: bool, padding: int) -> None:
    given = message("32FC1", METRES, padding, bigendian)
    before = bytes(given.data)
    found = image.to_metres(given)
    nothing = np.nan
    expected = [[nothing, 0.5, nothing, nothing], [nothing, nothing, 1e-3, 12.5]]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert found.dtype == np.float32
    assert bytes(given.data) == before


@pytest.mark.parametrize("encoding", ["", "64FC1", "16SC1", "bgr8", "32FC2"])
def test_no_depth_image(encoding: str) -> None:
    with pytest.raises(InputError, match="known: 16UC1, mono16, 32FC1") as caught:
        image.to_metres(message(encoding, METRES))
    assert caught.value.kind == "unknown encoding"


def test_depth_image_of_the_wrong_size() -> None:
    given = message("16UC1", MILLIMETRES)
    given.encoding = "32FC1"
    with pytest.raises(InputError, match="4 x 2 32FC1 with rows of 8 bytes") as caught:
        image.to_metres(given)
    assert caught.value.kind == "wrong image size"


# Compressed images.


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


def test_a_small_file_of_a_huge_image() -> None:
    """400 million pixels in a few bytes: refused by its header."""
    head = struct.pack(">IIBBBBB", 20000, 20000, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(bytes(20001))), (b"IEND", b"")]
    png = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )
    # OpenCV reads its limit when it is imported: as a node does, in a process of its own.
    code = (
        "from sensor_msgs.msg import CompressedImage\nfrom vipe_ros import image\n"
        f"try: image.decompress(CompressedImage(data={png!r}))\n"
        "except image.InputError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "more than 50 million pixels" in done.stdout
