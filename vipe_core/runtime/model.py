"""The callable that every backend is behind."""

from __future__ import annotations

import numpy as np

from vipe_core.bodies import Estimates
from vipe_core.errors import VipeError
from vipe_core.model_file.check import LIMITS
from vipe_core.model_file.signature import check_outputs, input_shape
from vipe_core.runtime.backend import Backend, Request, Unavailable
from vipe_core.runtime.onnxruntime_backend import CPU

BLOCK = 4096  # poses per run: bounds memory at about 100 MB for a 1024-wide network


class Model:
    """A loaded model: poses in, estimates out.

    Calls from several threads at once are safe.

    Attributes:
        path: the file.
        metadata: what the file says of itself.
        backend: name of what runs it.
        precision: what its matrix products are computed with: fp32, fp16 or int8.
        error: largest difference of the backend's outputs from the file's check vectors,
            relative where a value exceeds 1.
        passed_over: why each backend that would have been preferred was not taken.
        fingerprint: first 12 hexadecimal digits of the file's SHA-256.
    """

    def __init__(
        self, request: Request, backend: Backend, passed_over: tuple[str, ...] = ()
    ) -> None:
        """
        Raises:
            VipeError: the graph does not run, or gives something else than it should; an
                Unavailable where another backend may do better.
        """
        self.path = request.path
        self.fingerprint = request.fingerprint
        self.metadata = backend.metadata
        self.backend = backend.name
        self.precision = backend.precision
        self.passed_over = passed_over
        self._run = backend.run
        self._shape = input_shape(self.metadata)
        # The first run allocates and, on a GPU, compiles: not in the first image's time.
        self.error, self._row_shapes = self._warm_up(backend, request.batch)

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

    def _warm_up(
        self, backend: Backend, batch: tuple[int, ...]
    ) -> tuple[float, dict[str, tuple[int, ...]]]:
        """Run the check vectors, and every batch size once. Largest difference from what they
        should give; the shape of each output behind the batch axis."""
        check = backend.check
        kind = VipeError if backend.name == CPU else Unavailable
        outputs = self._attempt(check.points, check.visibility, kind)
        try:
            check_outputs(outputs, self.metadata)
        except VipeError as error:
            raise VipeError(f"model {self.path}: {error}") from None
        error = check.worst(outputs)
        if not error <= LIMITS[self.precision]:
            raise kind(
                f"model {self.path} does not give on {self.backend} what it should: off by "
                f"{error:.1e}, the limit for {self.precision} is {LIMITS[self.precision]:g}"
            )
        for size in batch:
            rows = np.arange(min(size, BLOCK)) % len(check.points)
            self._attempt(check.points[rows], check.visibility[rows], kind)
        return error, {name: value.shape[1:] for name, value in outputs.items()}

    def _attempt(
        self, points: np.ndarray, visibility: np.ndarray, kind: type[VipeError]
    ) -> dict[str, np.ndarray]:
        try:
            return self._run(points, visibility)
        except Exception as error:  # a backend's own exception types have no common base
            said = " ".join(str(error).split())[:300]
            raise kind(f"model {self.path} loads but does not run: {said}") from None
