"""Keypoint files and embedding files as recordings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import numpy as np

from vipe_core import embedding_file, keypoint_file
from vipe_core.bodies import Bodies2D, Estimates
from vipe_core.errors import VipeError
from vipe_core.estimate import check_skeleton, estimate
from vipe_core.recordings.recording import Moment
from vipe_core.recordings.source import Source
from vipe_core.runtime import Model

FRAMES = 256  # of a block: enough for the model's speed, little to hold


class KeypointSource(Source):
    """A keypoint file. Its people are named by their place in it: "0", "1", ...

    The file's keypoints are held, the estimates of :data:`FRAMES` frames at a time are not.

    Raises:
        VipeError: unreadable, no frames, neither fps nor stamp, or a skeleton that the
            model's cannot be made from.
    """

    kind = "keypoints"

    def __init__(self, path: Path, model: Model) -> None:
        content = keypoint_file.read(path)
        super().__init__(path, content.label, content.image_size, len(content))
        try:
            _check_frames(len(content))
            check_skeleton(content.skeleton, model)
            self._stamps = _stamps(len(content), content.stamp, content.fps)
        except VipeError as error:
            raise VipeError(f"keypoint file {path}: {error}") from None
        self._model, self._skeleton = model, content.skeleton
        shape = (len(content), content.people(), *content.points.shape[-2:])
        self._points = content.points.reshape(shape)
        self._visibility = content.visibility.reshape(shape[:-1])

    def moments(self) -> Iterator[Moment]:
        for start in range(0, len(self._stamps), FRAMES):
            end = min(start + FRAMES, len(self._stamps))
            estimates, missing = self._block(start, end)
            for row in range(end - start):
                yield self._moment(start + row, estimates, row, ~missing[row])

    def _moment(self, frame: int, block: Estimates, row: int, there: np.ndarray) -> Moment:
        names = tuple(str(person) for person in np.flatnonzero(there))
        people = Bodies2D(
            self._points[frame][there],
            self._visibility[frame][there],
            self._skeleton,
            names,
            np.ones(len(names), np.float32),
            self.image_size,
        )
        return Moment(float(self._stamps[frame]), names, _rows(block, row, there), people)

    def _block(self, start: int, end: int) -> tuple[Estimates, np.ndarray]:
        """Estimates (F, P, ...) and missing (F, P) of the frames from start to before end."""
        first, last = self._reach(start, end)
        found, missing = estimate(
            self._model,
            self._points[first:last],
            self._visibility[first:last],
            self._skeleton,
            stamps=self._stamps[first:last],
        )
        inner = slice(start - first, end - first)
        return _rows(found, inner), missing[inner]

    def _reach(self, start: int, end: int) -> tuple[int, int]:
        """The frames that a model of windows looks at for a block: from, to before."""
        info, stamps = self._model.metadata, self._stamps
        if info.frames == 1:
            return start, end
        reach = info.frames // 2 * info.frame_step
        # One more to each side: the nearest frame may lie beyond the reach.
        first = np.searchsorted(stamps, stamps[start] - reach) - 1
        last = np.searchsorted(stamps, stamps[end - 1] + reach, side="right") + 1
        return max(int(first), 0), min(int(last), len(stamps))


class EmbeddingSource(Source):
    """An embedding file. Its people are named by their place in it: "0", "1", ...

    Raises:
        VipeError: unreadable, no frames, neither fps nor stamp, or of another model.
    """

    kind = "embeddings"

    def __init__(self, path: Path, model: Model) -> None:
        content = embedding_file.read(path)
        super().__init__(path, content.label, None, len(content.mean))
        try:
            _check_frames(len(content.mean))
            self._stamps = _stamps(len(content.mean), content.stamp, content.fps)
        except VipeError as error:
            raise VipeError(f"embedding file {path}: {error}") from None
        if content.fingerprint != model.fingerprint:
            raise VipeError(
                f"embedding file {path} is of model {content.model} ({content.fingerprint}), not "
                f"of {model.path} ({model.fingerprint}); make it again from its keypoints: "
                f"vipe embed KEYPOINTS.npz {path} --model {model.path}"
            )
        shape = (len(content.mean), -1, content.mean.shape[-1])
        self._mean = content.mean.reshape(shape)
        self._variance = content.variance.reshape(shape)

    def moments(self) -> Iterator[Moment]:
        for frame, stamp_s in enumerate(self._stamps.tolist()):
            mean, variance = self._mean[frame], self._variance[frame]
            there = np.isfinite(mean).all(-1) & np.isfinite(variance).all(-1)
            names = tuple(str(person) for person in np.flatnonzero(there))
            yield Moment(stamp_s, names, Estimates(mean[there], variance[there]))


def _check_frames(count: int) -> None:
    if not count:
        raise VipeError("no frames")


def _stamps(count: int, stamp: np.ndarray | None, fps: float | None) -> np.ndarray:
    """(T,) rising seconds; a single frame needs no time."""
    if stamp is None:
        if not fps and count > 1:
            raise VipeError("neither stamp nor fps says when its frames were; add one of them")
        return np.arange(count) / (fps or 1)
    if len(stamp) != count or not np.isfinite(stamp).all() or (np.diff(stamp) <= 0).any():
        raise VipeError(f"stamp: {count} numbers needed that rise from frame to frame")
    return stamp


def _rows(estimates: Estimates, *index: object) -> Estimates:
    """Estimates at an index of their leading axes."""
    values = {field.name: getattr(estimates, field.name) for field in fields(estimates)}
    for at in index:
        values = {name: None if v is None else v[at] for name, v in values.items()}
    return Estimates(**values)
