"""Image messages as arrays. numpy only, cv2 for compressed and YUV ones; no cv_bridge needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vipe_ros.errors import InputError

if TYPE_CHECKING:
    from sensor_msgs.msg import CompressedImage, Image

# encoding (sensor_msgs/image_encodings) -> which of its channels are blue, green and red
_CHANNELS = {
    "bgr8": (3, (0, 1, 2)),
    "rgb8": (3, (2, 1, 0)),
    "bgra8": (4, (0, 1, 2)),
    "rgba8": (4, (2, 1, 0)),
    "mono8": (1, (0, 0, 0)),
}
# What most USB cameras send: two pixels in four bytes, Y U Y V (BT.601, 16 to 235).
_YUY2 = "yuv422_yuy2"
ENCODINGS = (*_CHANNELS, _YUY2)


def to_bgr(message: Image) -> np.ndarray:
    """(H, W, 3) uint8, C-contiguous, of a raw image. May share the message's memory.

    Raises:
        InputError: an encoding not in :data:`ENCODINGS`, or sizes that contradict each other.
    """
    if message.encoding == _YUY2:
        import cv2

        pixels = _pixels(message, 2)
        if message.width % 2:
            raise InputError("wrong image size", f"a {_YUY2} image is {message.width} pixels wide")
        return cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_YUV2BGR_YUY2)
    try:
        depth, order = _CHANNELS[message.encoding]
    except KeyError:
        raise InputError(
            "unknown encoding",
            f"image has encoding {message.encoding!r}; known: {', '.join(ENCODINGS)}",
        ) from None
    pixels = _pixels(message, depth)
    return np.ascontiguousarray(pixels if message.encoding == "bgr8" else pixels[..., order])


def _pixels(message: Image, depth: int) -> np.ndarray:
    """(H, W, depth) bytes of the message, less what pads its rows."""
    height, width, step = message.height, message.width, message.step
    if not height or not width or step < width * depth or len(message.data) != height * step:
        raise InputError(
            "wrong image size",
            f"image says {width} x {height} {message.encoding} with rows of {step} bytes "
            f"but holds {len(message.data)} bytes",
        )
    rows = np.frombuffer(message.data, np.uint8).reshape(height, step)
    return rows[:, : width * depth].reshape(height, width, depth)


def decompress(message: CompressedImage) -> np.ndarray:
    """(H, W, 3) uint8 BGR of a compressed image (JPEG, PNG: whatever cv2 reads).

    Raises:
        InputError: it cannot be decoded.
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
            "cannot be decoded",
        )
    return image


def from_bgr(image: np.ndarray) -> Image:
    """A bgr8 message without header of an (H, W, 3) uint8 array."""
    from array import array

    from sensor_msgs.msg import Image

    height, width, _ = image.shape
    message = Image(height=height, width=width, encoding="bgr8", step=3 * width)
    # Only an array.array skips the per-byte type check of the setter (60 ms at 640 x 480).
    message.data = array("B", image.tobytes())
    return message
