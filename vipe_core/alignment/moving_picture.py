"""Frames into a file: MP4 by OpenCV, GIF by Pillow."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from pathlib import Path

import numpy as np

from vipe_core import files
from vipe_core.errors import VipeError

ENDINGS = (".mp4", ".gif")
_COLOURS = 64  # of a GIF: flat drawings need few, and the file is a third of that with 256


def check_ending(path: Path) -> None:
    """Raises VipeError for an ending that is not of :data:`ENDINGS`."""
    if path.suffix.lower() not in ENDINGS:
        known = " or ".join(ENDINGS)
        raise VipeError(f"cannot write {path}: a video ends in {known}, not {path.suffix!r}")


def check_installed() -> None:
    """Raises VipeError, with what to do, when a library that draws is missing."""
    for module in ("cv2", "matplotlib", "PIL"):
        try:
            import_module(module)
        except ImportError:
            raise VipeError(f"pictures need {module}: pip install -e '.[demo]'") from None


def write(path: Path, frames: Iterable[np.ndarray], rate_hz: float, scale: float = 1.0) -> int:
    """Write frames (H, W, 3) uint8 BGR of one size; returns how many.

    Args:
        path: ends in .mp4 or .gif; whole or not at all.
        rate_hz: frames a second.
        scale: of width and height.

    Raises:
        VipeError: an unknown ending, a place that cannot be written, no encoder.
    """
    check_ending(path)
    resized = (_resized(frame, scale) for frame in frames)
    with files.atomic(path) as part:
        if path.suffix.lower() == ".gif":
            return _write_gif(part, resized, rate_hz)
        return _write_mp4(part, resized, rate_hz)


def _resized(frame: np.ndarray, scale: float) -> np.ndarray:
    import cv2

    if scale == 1:
        return frame
    # Even numbers: encoders want them.
    size = tuple(2 * round(side * scale / 2) for side in frame.shape[1::-1])
    return cv2.resize(frame, size, interpolation=cv2.INTER_AREA)


def _write_gif(part: Path, frames: Iterable[np.ndarray], rate_hz: float) -> int:
    from PIL import Image

    # A palette of its own for each: what appears later has colours that the first lacks.
    pages = [
        Image.fromarray(np.ascontiguousarray(frame[..., ::-1])).quantize(
            _COLOURS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE
        )
        for frame in frames
    ]
    if not pages:
        raise VipeError("there is no frame to write")
    rest = {"save_all": True, "append_images": pages[1:], "loop": 0}
    pages[0].save(part, "GIF", duration=round(1000 / rate_hz), **rest)
    return len(pages)


def _write_mp4(part: Path, frames: Iterable[np.ndarray], rate_hz: float) -> int:
    import cv2

    # OpenCV chooses the container by the ending.
    named = part.with_suffix(".mp4")
    writer, count = None, 0
    try:
        for frame in frames:
            if writer is None:
                code = cv2.VideoWriter.fourcc(*"mp4v")
                writer = cv2.VideoWriter(str(named), code, rate_hz, frame.shape[1::-1])
                if not writer.isOpened():
                    raise VipeError(f"cannot write {named.name}: OpenCV has no MPEG-4 encoder here")
            writer.write(frame)
            count += 1
        if writer is None:
            raise VipeError("there is no frame to write")
        writer.release()
        named.replace(part)
    finally:
        named.unlink(missing_ok=True)
    return count
