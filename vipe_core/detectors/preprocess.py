"""An image as the input of a network, and the way back for points.

Pixel coordinates: x right, y down, whole numbers at pixel centres, in the image and in the
input alike. Every map here moves pixels and points by the same formula, so a point that a
network places on a pixel of its input comes back to where that pixel was taken from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from vipe_core.detectors.configuration import Pixels
from vipe_core.errors import VipeError


@dataclass(frozen=True)
class Mapping:
    """image = input * scale + offset, per axis.

    Attributes:
        scale, offset: (..., 2) x and y; one mapping, or one per person.
    """

    scale: np.ndarray
    offset: np.ndarray

    def to_image(self, points: np.ndarray) -> np.ndarray:
        """Points (M, K, 2) of the input in image pixels; where there are P mappings, M is P."""
        return points * self.scale[..., None, :] + self.offset[..., None, :]

    def boxes_to_image(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes (M, 4) x1, y1, x2, y2, one mapping for all."""
        return self.to_image(boxes.reshape(-1, 2, 2)).reshape(-1, 4)


def check_image(image: Any) -> None:
    """Raises VipeError for anything but an (H, W, 3) uint8 array with pixels in it."""
    if getattr(image, "dtype", None) != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        shape, dtype = np.shape(image), getattr(image, "dtype", type(image).__name__)
        raise VipeError(f"image has shape {shape} and type {dtype}, (H, W, 3) uint8 BGR needed")
    if not image.size:
        raise VipeError(f"image is empty: shape {image.shape}")


def letterbox(
    image: np.ndarray, size: tuple[int, int], given: Pixels
) -> tuple[np.ndarray, Mapping]:
    """The whole image in an input of another shape, not distorted.

    Args:
        image: (H, W, 3) uint8 BGR.
        size: (width, height) of the input.
        given: ``place`` and ``fill`` are read.

    Returns:
        (height, width, 3) uint8 BGR and the way back.
    """
    import cv2

    whole = np.array(image.shape[1::-1])
    ratio = (np.array(size) / whole).min()
    inner = np.clip(np.rint(whole * ratio).astype(int), 1, size)
    # An uneven rest lies below and to the right, as Ultralytics has it.
    free = np.array(size) - inner
    left, top = (free // 2 if given.place == "centre" else np.zeros(2, int)).tolist()
    canvas = np.full((size[1], size[0], 3), given.fill, np.uint8)
    target = canvas[top : top + inner[1], left : left + inner[0]]
    target[:] = cv2.resize(image, tuple(inner.tolist()), interpolation=cv2.INTER_LINEAR)
    scale = whole / inner
    # cv2.resize keeps the edges of the image in place: half a pixel beside the first centre.
    return canvas, Mapping(scale, (0.5 - np.array([left, top])) * scale - 0.5)


def crop_maps(
    boxes: np.ndarray, size: tuple[int, int], padding: float, udp: bool = False
) -> Mapping:
    """Where the crops of people lie, as mmpose's TopdownAffine places them.

    Args:
        boxes: (P, 4) x1, y1, x2, y2 image pixels.
        size: (width, height) of the input.
        padding: the crop is this much larger than the box, then widened to the input's shape.
        udp: measure the input from its first to its last pixel centre.

    Returns:
        P mappings.
    """
    pixels = np.array(size, float)
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    extent = (boxes[:, 2:] - boxes[:, :2]) * padding
    per_pixel = (extent / pixels).max(axis=1, keepdims=True)  # (P, 1)
    spans = pixels - 1 if udp else pixels
    scale = per_pixel * pixels / spans
    return Mapping(scale, middle - scale * spans / 2)


def crops(image: np.ndarray, maps: Mapping, size: tuple[int, int]) -> np.ndarray:
    """(P, height, width, 3) uint8 BGR, black beyond the image."""
    import cv2

    out = np.empty((len(maps.scale), size[1], size[0], 3), np.uint8)
    for crop, scale, offset in zip(out, maps.scale, maps.offset, strict=True):
        back = np.array([[scale[0], 0, offset[0]], [0, scale[1], offset[1]]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        crop[:] = cv2.warpAffine(image, back, size, flags=flags)
    return out


def normalise(images: np.ndarray, given: Pixels) -> np.ndarray:
    """(N, 3, H, W) float32 for the network, of (N, H, W, 3) uint8 BGR."""
    order = (2, 1, 0) if given.channels == "rgb" else (0, 1, 2)
    std = np.array(given.std, np.float32)
    factor = (np.float32(given.scale) / std)[:, None, None]
    shift = (np.array(given.mean, np.float32) / std)[:, None, None]
    out = np.empty((len(images), 3, *images.shape[1:3]), np.float32)
    np.multiply(images.transpose(0, 3, 1, 2)[:, order], factor, out=out)
    if shift.any():
        out -= shift
    return out
