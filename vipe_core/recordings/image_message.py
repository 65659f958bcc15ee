"""The pixels of sensor_msgs/Image and CompressedImage, whoever deserialised them."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from vipe_core.errors import VipeError

# Name of an encoding: channels, OpenCV's name of the conversion to BGR, bytes of a value.
# Names: sensor_msgs/image_encodings.hpp. OpenCV names a Bayer pattern by its second row.
_COLOURS = {
    "bgr": (3, ""),
    "rgb": (3, "RGB2BGR"),
    "bgra": (4, "BGRA2BGR"),
    "rgba": (4, "RGBA2BGR"),
    "mono": (1, "GRAY2BGR"),
    "bayer_rggb": (1, "BayerBG2BGR"),
    "bayer_bggr": (1, "BayerRG2BGR"),
    "bayer_gbrg": (1, "BayerGR2BGR"),
    "bayer_grbg": (1, "BayerGB2BGR"),
}
_YUV = {
    "uyvy": (2, "YUV2BGR_UYVY", 1),
    "yuv422": (2, "YUV2BGR_UYVY", 1),
    "yuyv": (2, "YUV2BGR_YUY2", 1),
    "yuv422_yuy2": (2, "YUV2BGR_YUY2", 1),
}
ENCODINGS = {
    f"{name}{8 * size}": (channels, code, size)
    for size in (1, 2)
    for name, (channels, code) in _COLOURS.items()
} | _YUV
_DEPTHS = {"16UC1", "32FC1", "mono16"}  # REP-118; a camera with mono16 colours is rare


def is_colour(encoding: str) -> bool:
    """Whether people can be looked for in images of an encoding: it is no depth."""
    return encoding in ENCODINGS and encoding not in _DEPTHS


def to_bgr(message: Any) -> np.ndarray:
    """(H, W, 3) uint8 BGR of a raw image; 16 bits are scaled to 8.

    Raises:
        VipeError: unknown encoding, or sizes that contradict each other.
    """
    import cv2

    if message.encoding not in ENCODINGS:
        raise VipeError(f"image: encoding {message.encoding!r}; known: {', '.join(ENCODINGS)}")
    channels, code, size = ENCODINGS[message.encoding]
    height, width, step = message.height, message.width, message.step
    used = width * channels * size
    if not height or not width or step < used or len(message.data) != height * step:
        raise VipeError(f"image: {message.encoding} data of another size than it says")
    if channels == 2 and width % 2:
        raise VipeError(f"image: {message.encoding} with an odd width")
    rows = np.frombuffer(message.data, np.uint8).reshape(height, step)[:, :used]
    kind = np.dtype(f"u{size}").newbyteorder(">" if message.is_bigendian else "<")
    pixels = np.ascontiguousarray(rows).view(kind).reshape(height, width, channels)
    if kind.byteorder not in ("|", "=", "<" if sys.byteorder == "little" else ">"):
        pixels = pixels.astype(kind.newbyteorder("="))
    if code:
        pixels = cv2.cvtColor(pixels, getattr(cv2, f"COLOR_{code}"))
    return pixels if size == 1 else cv2.convertScaleAbs(pixels, alpha=255.0 / 65535.0)


def decompress(message: Any) -> np.ndarray:
    """(H, W, 3) uint8 BGR of a compressed image (JPEG, PNG: whatever cv2 reads).

    Raises:
        VipeError: it cannot be decoded.
    """
    import cv2

    data = np.frombuffer(message.data, np.uint8)
    try:
        image = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
    except cv2.error:
        image = None
    if image is None:
        raise VipeError("compressed image: cannot be decoded")
    return image
