"""Image messages as arrays.

Where ``cv_bridge`` is installed and works it converts colours; elsewhere OpenCV does, with the
same calls and so the same result. Sizes are checked here, and what cv_bridge gets wrong in some
of its versions (rows that are padded, bytes in the other order) is put right before it sees it.
Which encodings are understood does not depend on the machine.
"""

from __future__ import annotations

import os
import subprocess
import sys
from array import array
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
from sensor_msgs.msg import Image

from vipe_ros.errors import InputError

if TYPE_CHECKING:
    from sensor_msgs.msg import CompressedImage

# OpenCV reads it when it is imported, which nobody has done yet: a few hundred bytes of PNG may
# stand for gigabytes of pixels.
MAX_PIXELS = 50_000_000
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MAX_PIXELS))


@dataclass(frozen=True)
class _Encoding:
    """How the pixels of an encoding lie in a message, and what makes BGR of them.

    Attributes:
        channels: values per pixel.
        code: OpenCV's name of the conversion; "" for none.
        depth: type of a value; 16 bits are scaled to 8, 65535 to 255.
        bridge: whether every cv_bridge knows it. Packed YUV it knows in some versions only.
    """

    channels: int
    code: str
    depth: type = np.uint8
    bridge: bool = True


_UYVY = _Encoding(2, "YUV2BGR_UYVY", bridge=False)  # two pixels in four bytes, BT.601, 16 to 235
_YUYV = _Encoding(2, "YUV2BGR_YUY2", bridge=False)  # what most USB cameras send
_COLOURS = {"bgr": (3, ""), "rgb": (3, "RGB2BGR"), "bgra": (4, "BGRA2BGR"), "rgba": (4, "RGBA2BGR")}
# OpenCV names a Bayer pattern by the second row, from its second pixel.
_BAYER = {"rggb": "BG", "bggr": "RG", "gbrg": "GR", "grbg": "GB"}
# Names: sensor_msgs/image_encodings.hpp.
_ENCODINGS = {
    f"{name}{bits}": _Encoding(*form, depth)
    for bits, depth in ((8, np.uint8), (16, np.uint16))
    for name, form in (
        *_COLOURS.items(),
        ("mono", (1, "GRAY2BGR")),
        *((f"bayer_{pattern}", (1, f"Bayer{code}2BGR")) for pattern, code in _BAYER.items()),
    )
} | {"uyvy": _UYVY, "yuv422": _UYVY, "yuyv": _YUYV, "yuv422_yuy2": _YUYV}
ENCODINGS = tuple(_ENCODINGS)
# Depth (REP-118): 16UC1 in millimetres, 0 where nothing was measured; 32FC1 in metres.
_DEPTHS = {"16UC1": np.uint16, "mono16": np.uint16, "32FC1": np.float32}
_BIG_ENDIAN = sys.byteorder == "big"


def to_bgr(message: Image) -> np.ndarray:
    """(H, W, 3) uint8, C-contiguous, of a raw image. May share the message's memory.

    Raises:
        InputError: an encoding not in :data:`ENCODINGS`, sizes that contradict each other, or
            cv_bridge refuses it.
    """
    form = _known(_ENCODINGS, message.encoding, "image")
    pixels = _pixels(message, form.depth, form.channels)
    if form.channels == 2 and message.width % 2:
        raise InputError(
            "wrong image size", f"a {message.encoding} image is {message.width} pixels wide"
        )
    if message.encoding == "bgr8":
        return np.ascontiguousarray(pixels)  # nothing to convert: no copy
    bridge = _bridge() if form.bridge else None
    return _by_bridge(bridge, message, pixels) if bridge else _by_opencv(form, pixels)


def converter() -> str:
    """What converts images here, for diagnostics: cv_bridge or opencv."""
    return "cv_bridge" if _bridge() else "opencv"


def _by_opencv(form: _Encoding, pixels: np.ndarray) -> np.ndarray:
    """As cv_bridge does it: first the colours, then the depth."""
    import cv2

    pixels = np.ascontiguousarray(pixels, form.depth)  # in this machine's byte order
    if form.code:
        pixels = cv2.cvtColor(pixels, getattr(cv2, f"COLOR_{form.code}"))
    if form.depth == np.uint16:
        pixels = cv2.convertScaleAbs(pixels, alpha=255.0 / 65535.0)  # to the nearest
    return pixels


def _by_bridge(bridge: Any, message: Image, pixels: np.ndarray) -> np.ndarray:
    if message.step != pixels[0].nbytes or bool(message.is_bigendian) != _BIG_ENDIAN:
        plain = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("="))
        message = Image(
            height=message.height,
            width=message.width,
            encoding=message.encoding,
            step=plain[0].nbytes,
            data=array("B", plain.tobytes()),
            is_bigendian=_BIG_ENDIAN,
        )
    try:
        return np.ascontiguousarray(bridge.imgmsg_to_cv2(message, desired_encoding="bgr8"))
    except TypeError as error:  # what CvBridgeError is
        raise InputError(
            "unusable image", f"cv_bridge cannot convert {message.encoding} to bgr8: {error}"
        ) from None


_TRIAL = """
from array import array
from cv_bridge import CvBridge
from sensor_msgs.msg import Image
pixel = Image(height=1, width=1, step=3, encoding="rgb8", data=array("B", [1, 2, 3]))
assert CvBridge().imgmsg_to_cv2(pixel, desired_encoding="bgr8").tolist() == [[[3, 2, 1]]]
"""


@cache
def _bridge() -> Any:
    """A CvBridge; None where it is not installed or does not work.

    It is tried in another process first: one that was compiled for another numpy than the one
    installed ends the process at the first image, with nothing to catch.
    """
    if find_spec("cv_bridge") is None:
        return None
    try:
        tried = subprocess.run([sys.executable, "-c", _TRIAL], capture_output=True, timeout=60)
    except subprocess.TimeoutExpired:
        return None
    return None if tried.returncode else import_module("cv_bridge").CvBridge()


def to_metres(message: Image) -> np.ndarray:
    """(H, W) float32 metres of a depth image, NaN where nothing was measured.

    16UC1 (or mono16) is in millimetres, 0 where missing; 32FC1 is in metres, not finite where
    missing (REP-118), and 0 as some drivers have it. Either byte order.

    Raises:
        InputError: another encoding, or sizes that contradict each other.
    """
    depth = _known(_DEPTHS, message.encoding, "depth image")
    values = _pixels(message, depth, 1)[..., 0].astype(np.float32)
    values[~(np.isfinite(values) & (values > 0))] = np.nan
    if depth == np.uint16:
        values *= np.float32(1e-3)
    return values


def _known(table: dict[str, Any], encoding: str, what: str) -> Any:
    if encoding not in table:
        raise InputError(
            "unknown encoding",
            f"{what} has encoding {encoding!r}; known: {', '.join(table)}",
        )
    return table[encoding]


def _pixels(message: Image, depth: type, channels: int) -> np.ndarray:
    """(H, W, channels) of the message in its own byte order, less what pads its rows."""
    height, width, step = message.height, message.width, message.step
    kind = np.dtype(depth).newbyteorder(">" if message.is_bigendian else "<")
    used = width * channels * kind.itemsize
    if not height or not width or step < used or len(message.data) != height * step:
        raise InputError(
            "wrong image size",
            f"image says {width} x {height} {message.encoding} with rows of {step} bytes "
            f"but holds {len(message.data)} bytes",
        )
    rows = np.frombuffer(message.data, np.uint8).reshape(height, step)
    return rows[:, :used].view(kind).reshape(height, width, channels)


def decompress(message: CompressedImage) -> np.ndarray:
    """(H, W, 3) uint8 BGR of a compressed image (JPEG, PNG: whatever cv2 reads).

    cv_bridge is not asked: it decodes with cv2 too, but a grey image stays grey.

    Raises:
        InputError: it cannot be decoded, or has more than :data:`MAX_PIXELS` pixels.
    """
    import cv2

    data = np.frombuffer(message.data, np.uint8) if len(message.data) else None
    try:
        image = None if data is None else cv2.imdecode(data, cv2.IMREAD_COLOR)
    except cv2.error:
        image = None
    if image is None:
        raise InputError(
            "undecodable image",
            f"compressed image of format {message.format!r} and {len(message.data)} bytes "
            f"cannot be decoded, or has more than {MAX_PIXELS // 10**6} million pixels",
        )
    return image


def from_bgr(image: np.ndarray) -> Image:
    """A bgr8 message without header of an (H, W, 3) uint8 array."""
    height, width, _ = image.shape
    message = Image(height=height, width=width, encoding="bgr8", step=3 * width)
    # Only an array.array skips the per-byte type check of the setter (60 ms at 640 x 480).
    message.data = array("B", image.tobytes())
    return message
