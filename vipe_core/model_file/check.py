"""Check vectors: a few poses and what the model made of them, inside the model file.

A runtime shows with them that it computes what the trainer's machine computed, on every backend,
before the first real pose: see :mod:`vipe_core.runtime`.
"""

from __future__ import annotations

import base64
import binascii
import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from vipe_core import skeletons
from vipe_core.errors import VipeError
from vipe_core.model_file.metadata import ModelMetadata
from vipe_core.model_file.signature import input_shape, output_shapes

POSES = 16
# Largest difference by what the graph computes with, relative where a value exceeds 1. Measured:
# fp32 4e-6, fp16 8e-3. A file in int8 holds what it gives itself; another runtime may round
# to the neighbouring one of 255 steps. An output of zeros is off by 1.
LIMITS = {"fp32": 1e-3, "fp16": 2e-2, "int8": 0.5}
_MAX_TEXT, _MAX_BYTES = 10_000_000, 50_000_000
_OUTPUT = "output_"

# A person who stands in front of the camera, coco17, in statures, y down from the hips.
_STANDING = np.array(
    [
        *([0, -0.40], [0.02, -0.42], [-0.02, -0.42], [0.04, -0.41], [-0.04, -0.41]),
        *([0.11, -0.30], [-0.11, -0.30], [0.14, -0.13], [-0.14, -0.13], [0.15, 0.02]),
        *([-0.15, 0.02], [0.06, 0], [-0.06, 0], [0.06, 0.25], [-0.06, 0.25]),
        *([0.06, 0.49], [-0.06, 0.49]),
    ]
)


@dataclass(frozen=True)
class CheckVectors:
    """Inputs and the outputs that belong to them.

    Attributes:
        points: (C, [T,] J, 2) float32 pixels.
        visibility: points less the last axis, float32 in 0..1.
        outputs: by name, (C, ...) float32.
    """

    points: np.ndarray
    visibility: np.ndarray
    outputs: Mapping[str, np.ndarray]

    def worst(self, outputs: Mapping[str, np.ndarray]) -> float:
        """Largest difference of ``outputs`` from what they should be, relative where that
        exceeds 1. NaN when one of them is."""
        found = [
            np.max(np.abs(outputs[name] - right) / np.maximum(np.abs(right), 1))
            for name, right in self.outputs.items()
        ]
        return float(np.max(found))

    def first(self, count: int) -> CheckVectors:
        """The first ``count`` of them."""
        outputs = {name: value[:count] for name, value in self.outputs.items()}
        return CheckVectors(self.points[:count], self.visibility[:count], outputs)

    def encode(self) -> str:
        """The text that a model file holds: an ``.npz`` in base64."""
        buffer = io.BytesIO()
        named: dict[str, Any] = {f"{_OUTPUT}{name}": value for name, value in self.outputs.items()}
        np.savez_compressed(buffer, points=self.points, visibility=self.visibility, **named)
        return base64.b64encode(buffer.getvalue()).decode()

    @classmethod
    def decode(cls, text: str, metadata: ModelMetadata) -> CheckVectors:
        """Parse and check shapes; raises VipeError where the text is no check vectors."""
        arrays = _arrays(text)
        outputs = {
            name.removeprefix(_OUTPUT): value
            for name, value in arrays.items()
            if name.startswith(_OUTPUT)
        }
        try:
            found = cls(arrays["points"], arrays["visibility"], outputs)
        except KeyError as error:
            raise VipeError(f"the check vectors lack {error}") from None
        shape = (found.visibility.shape[:1] or (0,)) + input_shape(metadata)
        if not shape[0] or found.points.shape != (*shape, 2) or found.visibility.shape != shape:
            raise VipeError("the check vectors do not fit the model's input")
        known = output_shapes(metadata)
        if not outputs or any(
            value.shape != (shape[0], *known.get(name, (-1,))) for name, value in outputs.items()
        ):
            raise VipeError("the check vectors do not fit the model's outputs")
        return found


def example_inputs(metadata: ModelMetadata, count: int = POSES) -> tuple[np.ndarray, np.ndarray]:
    """People of several sizes and places, the same at every call; in some of them joints are
    missing or hidden.

    Returns:
        points (C, [T,] J, 2) and visibility (C, [T,] J), float32.
    """
    rng = np.random.default_rng(17)
    target = skeletons.get(metadata.skeleton_2d)
    frames = metadata.frames
    shift = rng.normal(0, 0.06, (count, 1, *_STANDING.shape))
    sway = rng.normal(0, 0.01, (count, frames, *_STANDING.shape))
    pixels = rng.uniform(80, 900, (count, 1, 1, 1))
    centre = rng.uniform(0, 1500, (count, 1, 1, 2))
    points = skeletons.convert((_STANDING + shift + sway) * pixels + centre, "coco17", target)
    visibility = np.isfinite(points[..., 0]).astype(np.float32)
    hidden = rng.random(visibility.shape) < 0.2
    visibility[::2][hidden[::2]] = 0.1
    points[1::4][hidden[1::4]] = np.nan
    shape = (count, *input_shape(metadata))
    points = points.astype(np.float32).reshape(*shape, 2)
    return points, visibility.reshape(shape)


def _arrays(text: str) -> dict[str, np.ndarray]:
    if len(text) > _MAX_TEXT:
        raise VipeError("the check vectors are too long")
    try:
        data = io.BytesIO(base64.b64decode(text, validate=True))
        with zipfile.ZipFile(data) as packed:
            size = sum(entry.file_size for entry in packed.infolist())
        if size > _MAX_BYTES:
            raise VipeError(f"the check vectors are {size:,} bytes")
        with np.load(data) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except VipeError:
        raise
    except binascii.Error:
        raise VipeError("the check vectors are not base64") from None
    except Exception as error:  # zlib, zipfile, numpy's header parser: each has its own kind
        raise VipeError(f"the check vectors are unreadable ({type(error).__name__})") from None
    if any(value.dtype != np.float32 for value in arrays.values()):
        raise VipeError("the check vectors are not float32")
    return arrays
