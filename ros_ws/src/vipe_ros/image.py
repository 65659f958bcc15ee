"""Image messages as arrays.

Where ``cv_bridge`` is installed and works it converts colours; elsewhere OpenCV does, with the
same calls and so the same result. Sizes are checked here, and what cv_bridge gets wrong in some
of its versions (rows that are padded, bytes in the other order) is put right before it sees it.
Which encodings are understood does not depend on the machine.
"""

from __future__ import annotations

import subprocess
import sys
from array import array
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
from sensor_msgs.msg import Image

from vipe_core import image_message
from vipe_core.errors import VipeError
from vipe_core.image_message import converted
from vipe_ros.errors import InputError

if TYPE_CHECKING:
    from sensor_msgs.msg import CompressedImage

ENCODINGS = tuple(image_message.ENCODINGS)
_BIG_ENDIAN = sys.byteorder == "big"
_PACKED = 2  # channels of packed YUV, which not every cv_bridge knows


def to_bgr(message: Image) -> np.ndarray:
    """(H, W, 3) uint8, C-contiguous, of a raw image. May share the message's memory.

    Raises:
        InputError: an encoding not in :data:`ENCODINGS`, sizes that contradict each other, or
            cv_bridge refuses it.
    """
    form = _known(image_message.ENCODINGS, message.encoding, "image")
    pixels = _pixels(message, form.depth, form.channels)
    if message.encoding == "bgr8":
        return np.ascontiguousarray(pixels)  # nothing to convert: no copy
    bridge = None if form.channels == _PACKED else _bridge()
    return _by_bridge(bridge, message, pixels) if bridge else converted(form, pixels)


def converter() -> str:
    """What converts images here, for diagnostics: cv_bridge or opencv."""
    return "cv_bridge" if _bridge() else "opencv"


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
    depth = _known(image_message.DEPTHS, message.encoding, "depth image")
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
    try:
        return image_message.pixels(message, depth, channels)
    except VipeError as error:
        raise InputError("wrong image size", str(error)) from None


def decompress(message: CompressedImage) -> np.ndarray:
    """(H, W, 3) uint8 BGR of a compressed image (JPEG, PNG: whatever cv2 reads).

    cv_bridge is not asked: it decodes with cv2 too, but a grey image stays grey.

    Raises:
        InputError: it cannot be decoded, or has more than :data:`image_message.MAX_PIXELS`
            pixels.
    """
    try:
        return image_message.decompress(message)
    except VipeError as error:
        raise InputError("undecodable image", str(error)) from None


def from_bgr(image: np.ndarray) -> Image:
    """A bgr8 message without header of an (H, W, 3) uint8 array."""
    height, width, _ = image.shape
    message = Image(height=height, width=width, encoding="bgr8", step=3 * width)
    # Only an array.array skips the per-byte type check of the setter (60 ms at 640 x 480).
    message.data = array("B", image.tobytes())
    return message
