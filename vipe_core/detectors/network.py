"""One tflite network that reads a region of an image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from vipe_core.detectors.roi import Roi
from vipe_core.errors import VipeError


class Network:
    """A tflite network with one RGB image as input, on ai-edge-litert.

    Args:
        path: the ``.tflite`` file.
        size: (height, width) of its input.
        outputs: name -> shape of the outputs that are read; found by their shape, since
            the files name them all alike.
        threads: CPU threads.

    Raises:
        VipeError: ai-edge-litert is not installed, or the file is not such a network.
    """

    def __init__(
        self, path: Path, size: tuple[int, int], outputs: dict[str, tuple[int, ...]], threads: int
    ) -> None:
        self._interpreter = _load(path, threads)
        self._input = self._interpreter.get_input_details()[0]["index"]
        shape = tuple(self._interpreter.get_input_details()[0]["shape"])
        if shape != (1, *size, 3):
            raise VipeError(f"{path}: input has shape {shape}, expected {(1, *size, 3)}")
        by_shape = {
            tuple(int(n) for n in detail["shape"]): detail["index"]
            for detail in self._interpreter.get_output_details()
        }
        missing = [name for name, shape in outputs.items() if shape not in by_shape]
        if missing:
            raise VipeError(f"{path}: no output of the shape of {', '.join(missing)}")
        self._outputs = {name: by_shape[shape] for name, shape in outputs.items()}
        self._size = size

    def __call__(
        self, image: np.ndarray, roi: Roi, low: float, replicate: bool
    ) -> dict[str, np.ndarray]:
        """Run on a region.

        Args:
            image: (H, W, 3) uint8 BGR.
            roi: the region, may reach beyond the image.
            low: value of black; white is 1.
            replicate: continue the border beyond the image instead of black.

        Returns:
            The outputs by name, float32, copies.
        """
        self._feed(self._crop(image, roi, replicate), low)
        self._interpreter.invoke()
        return {name: self._interpreter.get_tensor(i) for name, i in self._outputs.items()}

    def _crop(self, image: np.ndarray, roi: Roi, replicate: bool) -> np.ndarray:
        """(h, w, 3) uint8 RGB of the region."""
        import cv2

        crop = cv2.warpAffine(
            image,
            roi.affine(self._size[0]),
            self._size[::-1],
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE if replicate else cv2.BORDER_CONSTANT,
        )
        return cv2.cvtColor(crop, cv2.COLOR_BGR2RGB, dst=crop)

    def _feed(self, crop: np.ndarray, low: float) -> None:
        """Scale 0..255 to low..1 straight into the network's own memory."""
        memory = self._interpreter.tensor(self._input)()[0]
        np.multiply(crop, np.float32((1 - low) / 255), out=memory)
        if low:
            memory += np.float32(low)


def _load(path: Path, threads: int) -> Any:
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        raise VipeError("BlazePose needs ai-edge-litert: pip install ai-edge-litert") from None
    try:
        interpreter = Interpreter(str(path), num_threads=threads)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise VipeError(f"{path}: not a tflite network ({reason})") from None
    return interpreter
