"""What image.py uses of cv_bridge, by its documented interface, on the OpenCV of this machine.

Signatures, error class, colour conversions and their order are those of cv_bridge's Python module
and of its ``cvtColor``. So are the faults of some of its versions: the step of a row is not
looked at, and bytes in the other order end in numpy's missing ``ndarray.newbyteorder``.
"""

from __future__ import annotations

import sys

import cv2
import numpy as np


class CvBridgeError(TypeError):
    """Raised when a conversion is not possible."""


_DEPTHS = {"8": np.uint8, "16": np.uint16}
_CHANNELS = {"bgr": 3, "rgb": 3, "bgra": 4, "rgba": 4, "mono": 1}
_CODES = {
    "rgb": cv2.COLOR_RGB2BGR,
    "bgra": cv2.COLOR_BGRA2BGR,
    "rgba": cv2.COLOR_RGBA2BGR,
    "mono": cv2.COLOR_GRAY2BGR,
    "bayer_rggb": cv2.COLOR_BayerBG2BGR,
    "bayer_bggr": cv2.COLOR_BayerRG2BGR,
    "bayer_gbrg": cv2.COLOR_BayerGR2BGR,
    "bayer_grbg": cv2.COLOR_BayerGB2BGR,
}


class CvBridge:
    """Converts between messages and arrays."""

    def imgmsg_to_cv2(self, img_msg, desired_encoding="passthrough"):
        name = img_msg.encoding.rstrip("0123456789")
        bits = img_msg.encoding[len(name) :]
        if bits not in _DEPTHS or not (name in _CHANNELS or name in _CODES):
            raise CvBridgeError(f"Unrecognized image encoding [{img_msg.encoding}]")
        channels = _CHANNELS.get(name, 1)
        shape = (img_msg.height, img_msg.width) + ((channels,) if channels > 1 else ())
        image = np.ndarray(shape, _DEPTHS[bits], buffer=img_msg.data)
        if img_msg.is_bigendian == (sys.byteorder == "little"):
            image = image.byteswap().newbyteorder()
        if desired_encoding in ("passthrough", img_msg.encoding):
            return image
        if desired_encoding != "bgr8":
            raise CvBridgeError(f"Unsupported conversion to [{desired_encoding}]")
        if name in _CODES:
            image = cv2.cvtColor(image, _CODES[name])
        return cv2.convertScaleAbs(image, alpha=255.0 / 65535.0) if bits == "16" else image

    def compressed_imgmsg_to_cv2(self, cmprs_img_msg, desired_encoding="passthrough"):
        buffer = np.ndarray((1, len(cmprs_img_msg.data)), np.uint8, buffer=cmprs_img_msg.data)
        return cv2.imdecode(buffer, cv2.IMREAD_ANYCOLOR)
