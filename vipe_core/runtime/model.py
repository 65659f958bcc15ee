"""The callable that every backend is behind."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np

from vipe_core import model_file
from vipe_core.bodies import Estimates
from vipe_core.errors import VipeError
from vipe_core.model_metadata import ModelMetadata
from vipe_core.model_signature import check_outputs, input_shape
from vipe_core.runtime.onnxruntime_backend import OnnxRuntimeBackend

BLOCK = 4096  # poses per run: bounds memory at about 100 MB for a 1024-wide network


class Backend(Protocol):
    """What runs the graph. ``run`` is thread-safe."""

    name: str
    metadata: ModelMetadata

    def run(self, points: np.ndarray, visibility: np.ndarray) -> dict[str, np.ndarray]:
        """Outputs by name for (N, [T,] J, 2) and (N, [T,] J), C-contiguous float32, 1 <= N."""
        ...


# Constructors by name: (path, content of the file, threads).
BACKENDS: dict[str, Callable[[Path, bytes, int], Backend]] = {
    "onnxruntime": OnnxRuntimeBackend,
}
_AUTO = ("onnxruntime",)  # in order of preference


class Model:
    """A loaded model: poses in, estimates out.

    Calls from several threads at once are safe: nothing is written after loading.

    Attributes:
        path: the file.
        metadata: what the file says of itself.
        backend: name of what runs it.
        fingerprint: first 12 hexadecimal digits of the file's SHA-256.
    """

    def __init__(self, path: Path, backend: Backend, fingerprint: str) -> None:
        self.path = path
        self.metadata = backend.metadata
        self.backend = backend.name
        self.fingerprint = fingerprint
        self._run = backend.run
        self._shape = input_shape(self.metadata)
        # The first run allocates and, on a GPU, compiles: not in the first image's time.
        self._row_shapes = self._warm_up()

    def __call__(self, points: np.ndarray, visibility: np.ndarray | None = None) -> Estimates:
        """Estimate N poses.

        Args:
            points: (N, J, 2) raw pixels, x right, y down, in ``metadata.skeleton_2d``; a
                joint with a non-finite coordinate is missing. N may be 0. A model with
                ``metadata.frames`` T > 1 takes windows (N, T, J, 2), their frames
                ``metadata.frame_step`` seconds apart; see :mod:`vipe_core.windows`.
            visibility: points less the last axis, in 0..1; None means 1 wherever the
                joint is there.

        Returns:
            float32 arrays with leading axis N; a head that the model lacks is None.

        Raises:
            VipeError: shapes that do not fit the model's skeleton and window.
        """
        points = self._points(points)
        visibility = self._visibility(visibility, points)
        count = len(points)
        if count == 0:
            empty = {n: np.empty((0, *s), np.float32) for n, s in self._row_shapes.items()}
            return Estimates(**empty)
        if count <= BLOCK:
            return Estimates(**self._run(points, visibility))
        blocks = [
            self._run(points[i : i + BLOCK], visibility[i : i + BLOCK])
            for i in range(0, count, BLOCK)
        ]
        return Estimates(**{n: np.concatenate([b[n] for b in blocks]) for n in blocks[0]})

    def __repr__(self) -> str:
        info = self.metadata
        return f"<Model {info.name} {info.version} ({info.task}) on {self.backend}>"

    def _points(self, points: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):  # beyond float32 becomes inf, and so missing
            points = np.ascontiguousarray(points, np.float32)
        if points.shape[1:] != (*self._shape, 2):
            info = self.metadata
            wants = info.skeleton_2d if info.frames == 1 else f"{info.name} ({info.skeleton_2d})"
            raise VipeError(
                f"points have shape {points.shape}, "
                f"{wants} needs (N, {', '.join(map(str, self._shape))}, 2)"
            )
        if not np.isfinite(points).all():
            points = np.where(np.isfinite(points).all(-1, keepdims=True), points, np.nan)
            points = points.astype(np.float32, copy=False)
        return points

    def _visibility(self, visibility: np.ndarray | None, points: np.ndarray) -> np.ndarray:
        if visibility is None:
            return np.isfinite(points[..., 0]).astype(np.float32)
        visibility = np.ascontiguousarray(visibility, np.float32)
        if visibility.shape != points.shape[:-1]:
            raise VipeError(
                f"visibility has shape {visibility.shape}, expected {points.shape[:-1]}"
            )
        return visibility

    def _warm_up(self) -> dict[str, tuple[int, ...]]:
        """Run once; the shape of each output behind the batch axis."""
        visibility = np.ones((1, *self._shape), np.float32)
        angle = np.linspace(0, 6, self._shape[-1], dtype=np.float32) * visibility
        points = 300 + 100 * np.stack([np.cos(angle), np.sin(angle)], -1)
        try:
            outputs = self._run(points, visibility)
        except Exception as error:  # a backend's own exception types have no common base
            said = " ".join(str(error).split())[:300]
            raise VipeError(f"model {self.path} loads but does not run: {said}") from None
        try:
            check_outputs(outputs, self.metadata)
        except VipeError as error:
            raise VipeError(f"model {self.path}: {error}") from None
        return {name: value.shape[1:] for name, value in outputs.items()}


def load(path: str | os.PathLike[str], backend: str = "auto", threads: int = 1) -> Model:
    """Load a model file, check it, and run it once.

    Args:
        path: the file; see :func:`vipe_core.model_file.default_path`.
        backend: a key of :data:`BACKENDS`, or "auto".
        threads: CPU threads for one call. More than one pays off at large N on an idle
            machine only.

    Raises:
        VipeError: unknown backend, or a file that is missing, damaged or does not fit
            its own metadata; see :mod:`vipe_core.model_file`.
    """
    if threads < 1:
        raise VipeError(f"threads must be at least 1, not {threads}")
    name = _AUTO[0] if backend == "auto" else backend
    if name not in BACKENDS:
        raise VipeError(f"unknown backend {backend!r}; known: auto, {', '.join(BACKENDS)}")
    path = Path(path)
    data = model_file.read_bytes(path)
    return Model(path, BACKENDS[name](path, data, threads), model_file.fingerprint_of(data))
