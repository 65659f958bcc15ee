"""The pixels of sensor_msgs/Image and CompressedImage, whoever deserialised them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from vipe_core.errors import VipeError

# OpenCV reads it when it is imported, which nobody has done yet: a few hundred bytes of PNG may
# stand for gigabytes of pixels.
MAX_PIXELS = 50_000_000
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MAX_PIXELS))


@dataclass(frozen=True)
class Encoding:
    """How the pixels of an encoding lie in a message, and what makes BGR of them.

    Attributes:
        channels: values per pixel.
        code: OpenCV's name of the conversion; "" for none.
        depth: type of a value; 16 bits are scaled to 8, 65535 to 255.
    """

    channels: int
    code: str
    depth: type = np.uint8


_UYVY = Encoding(2, "YUV2BGR_UYVY")  # two pixels in four bytes, BT.601, 16 to 235
_YUYV = Encoding(2, "YUV2BGR_YUY2")  # what most USB cameras send
_COLOURS = {"bgr": (3, ""), "rgb": (3, "RGB2BGR"), "bgra": (4, "BGRA2BGR"), "rgba": (4, "RGBA2BGR")}
# OpenCV names a Bayer pattern by the second row, from its second pixel.
_BAYER = {"rggb": "BG", "bggr": "RG", "gbrg": "GR", "grbg": "GB"}
# Names: sensor_msgs/image_encodings.hpp.
ENCODINGS = {
    f"{name}{bits}": Encoding(*form, depth)
    for bits, depth in ((8, np.uint8), (16, np.uint16))
    for name, form in (
        *_COLOURS.items(),
        ("mono", (1, "GRAY2BGR")),
        *((f"bayer_{pattern}", (1, f"Bayer{code}2BGR")) for pattern, code in _BAYER.items()),
    )
} | {"uyvy": _UYVY, "yuv422": _UYVY, "yuyv": _YUYV, "yuv422_yuy2": _YUYV}
# Depth (REP-118): 16UC1 in millimetres, 0 where nothing was measured; 32FC1 in metres.
DEPTHS = {"16UC1": np.uint16, "mono16": np.uint16, "32FC1": np.float32}


def is_colour(encoding: str) -> bool:
    """Whether people can be looked for in images of an encoding: it is no depth, which mono16
    mostly is."""
    return encoding in ENCODINGS and encoding not in DEPTHS


def to_bgr(message: Any) -> np.ndarray:
    """(H, W, 3) uint8 BGR of a raw image; 16 bits are scaled to 8.

    Raises:
        VipeError: unknown encoding, or sizes that contradict each other.
    """
    if message.encoding not in ENCODINGS:
        raise VipeError(f"image has encoding {message.encoding!r}; known: {', '.join(ENCODINGS)}")
    form = ENCODINGS[message.encoding]
    return converted(form, pixels(message, form.depth, form.channels))


def pixels(message: Any, depth: type, channels: int) -> np.ndarray:
    """(H, W, channels) of a raw image in its own byte order, less what pads its rows.

    May share the message's memory.

    Raises:
        VipeError: sizes that contradict each other.
    """
    height, width, step = message.height, message.width, message.step
    kind = np.dtype(depth).newbyteorder(">" if message.is_bigendian else "<")
    used = width * channels * kind.itemsize
    if not height or not width or step < used or len(message.data) != height * step:
        raise VipeError(
            f"image says {width} x {height} {message.encoding} with rows of {step} bytes "
            f"but holds {len(message.data)} bytes"
        )
    if channels == 2 and width % 2:
        raise VipeError(f"a {message.encoding} image is {width} pixels wide: an odd number")
    rows = np.frombuffer(message.data, np.uint8).reshape(height, step)
    return rows[:, :used].view(kind).reshape(height, width, channels)


def converted(form: Encoding, values: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 BGR of pixels (H, W, channels), as cv_bridge converts them: first the
    colours, then the depth."""
    import cv2

    values = np.ascontiguousarray(values, form.depth)  # in this machine's byte order
    if form.code:
        values = cv2.cvtColor(values, getattr(cv2, f"COLOR_{form.code}"))
    if form.depth == np.uint16:
        values = cv2.convertScaleAbs(values, alpha=255.0 / 65535.0)  # to the nearest
    return values


def decompress(message: Any) -> np.ndarray:
    """(H, W, 3) uint8 BGR of a compressed image (JPEG, PNG: whatever cv2 reads).

    Raises:
        VipeError: it cannot be decoded, or has more than :data:`MAX_PIXELS` pixels.
    """
    import cv2

    data = np.frombuffer(message.data, np.uint8) if len(message.data) else None
    try:
        image = None if data is None else cv2.imdecode(data, cv2.IMREAD_COLOR)
    except cv2.error:
        image = None
    if image is None:
        raise VipeError(
            f"compressed image of format {message.format!r} and {len(message.data)} bytes "
            f"cannot be decoded, or has more than {MAX_PIXELS // 10**6} million pixels"
        )
    return image
