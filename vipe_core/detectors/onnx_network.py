"""One ONNX network that reads images, on onnxruntime's CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from vipe_core.detectors.configuration import Pixels
from vipe_core.detectors.preprocess import normalise
from vipe_core.errors import VipeError
from vipe_core.model_file import import_onnxruntime

BACKEND = "onnxruntime-cpu"
_FLOATS = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


class OnnxNetwork:
    """A network with one input, images (N, 3, H, W), whose outputs begin with N as well.

    It is run once when it is made: what comes out is known then, and the first image does not
    wait for it.

    Args:
        path: the ``.onnx`` file.
        given: how pixels become its input.
        threads: CPU threads.
        several: whether more than one image may be asked for at once. A file that takes only
            as many as it was exported for is then run in turns.

    Attributes:
        size: (width, height) of the input in pixels.
        example: name -> output for one black image.

    Raises:
        VipeError: onnxruntime is missing, or the file is, is not ONNX or not such a network.
    """

    def __init__(self, path: Path, given: Pixels, threads: int, several: bool = False) -> None:
        self.path = path
        self._given = given
        self._session = _open(path, threads)
        inputs = self._session.get_inputs()
        shape, kind = inputs[0].shape, inputs[0].type
        if len(inputs) != 1 or len(shape) != 4 or kind not in _FLOATS or shape[1] not in (3, None):
            said = ", ".join(f"{entry.name} {entry.shape} {entry.type}" for entry in inputs)
            raise VipeError(f"{path}: one input (N, 3, H, W) of floats needed, it has {said}")
        self._input, self._type = inputs[0].name, _FLOATS[kind]
        self._outputs = [output.name for output in self._session.get_outputs()]
        self.size = _size(path, shape, given)
        self._batch = shape[0] if isinstance(shape[0], int) else None
        if several and self._batch is None and not self._takes_two():
            self._batch = 1
        self.example = self(self._black(1))

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """The outputs for N images.

        Args:
            images: (N, H, W, 3) uint8 BGR of :attr:`size`, N at least 1.

        Returns:
            Name -> output, N first, float32 where they are floats.

        Raises:
            VipeError: the network fails.
        """
        at_once = self._batch or len(images)
        parts = [
            self._run(images[start : start + at_once]) for start in range(0, len(images), at_once)
        ]
        return {
            name: np.concatenate([part[name] for part in parts]) if len(parts) > 1 else whole
            for name, whole in parts[0].items()
        }

    def _run(self, images: np.ndarray) -> dict[str, np.ndarray]:
        count = len(images)
        if self._batch and count < self._batch:
            images = np.concatenate([images, self._black(self._batch - count)])
        feed = normalise(images, self._given).astype(self._type, copy=False)
        try:
            values: Any = self._session.run(self._outputs, {self._input: feed})
        except Exception as error:  # its exception types have no public base but Exception
            raise VipeError(f"{self.path} fails on {feed.shape}: {_reason(error)}") from None
        return {
            name: value[:count].astype(np.float32, copy=False)
            if value.dtype.kind == "f"
            else value[:count]
            for name, value in zip(self._outputs, values, strict=True)
        }

    def _black(self, count: int) -> np.ndarray:
        return np.zeros((count, self.size[1], self.size[0], 3), np.uint8)

    def _takes_two(self) -> bool:
        """Whether the file keeps what its free batch size promises: exporters write one also
        over a graph that is fixed inside."""
        try:
            return all(len(value) == 2 for value in self(self._black(2)).values())
        except VipeError:
            return False


def shapes(outputs: dict[str, np.ndarray]) -> str:
    """The names and shapes of outputs, for messages."""
    return ", ".join(f"{name} {value.shape}" for name, value in outputs.items())


def _open(path: Path, threads: int) -> Any:
    onnxruntime = import_onnxruntime()
    if not path.is_file():
        raise VipeError(f"no model file {path}; a path in a detector's YAML begins at its folder")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # A pool that spins takes the core from the nodes beside it.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4  # what it would print is in the error
    try:
        # By path, since large models keep their weights in a file beside it.
        return onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"], enable_fallback=0
        )
    except Exception as error:
        raise VipeError(
            f"{path} is not an ONNX file that onnxruntime can run: {_reason(error)}"
        ) from None


def _reason(error: Exception) -> str:
    said = " ".join(str(error).split())
    return (said.rpartition(" : ")[2] or type(error).__name__)[:300]


def _size(path: Path, shape: list[Any], given: Pixels) -> tuple[int, int]:
    height, width = (length if isinstance(length, int) else None for length in shape[2:])
    fixed = (width, height)
    if given.size is None:
        if width is None or height is None:
            raise VipeError(
                f"{path} takes images of any size: give it one, input: {{size: [W, H]}}"
            )
        return width, height
    if any(own not in (None, wanted) for own, wanted in zip(fixed, given.size, strict=True)):
        raise VipeError(f"{path} takes images of {width} x {height}, input size is {given.size}")
    return given.size
