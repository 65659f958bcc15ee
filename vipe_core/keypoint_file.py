"""The keypoint file: 2D keypoints of a clip in one ``.npz``.

Fields:
    points      (T, J, 2) one person, or (T, P, J, 2); pixels, x right, y down, NaN = missing
    visibility  (T, J) or (T, P, J), 0..1
    skeleton    its name
    fps         frames per second, optional
    stamp       (T,) seconds, rising, optional
    label       what the clip shows, optional
    image_size  (width, height) pixels, optional
    camera_matrix  (3, 3) pinhole matrix K in pixels, optional
Nothing in it is ever unpickled.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vipe_core import files, skeletons
from vipe_core.errors import VipeError

_REQUIRED = ("points", "visibility", "skeleton")


@dataclass(frozen=True)
class KeypointFile:
    """The content of a keypoint file, checked.

    Attributes:
        points: (T, J, 2) or (T, P, J, 2) float32 pixels; NaN where a joint is missing.
        visibility: same less the last axis, float32 in 0..1; 0 where a joint is missing.
        skeleton: name of the skeleton that orders the joints.
        fps: frames per second.
        stamp: (T,) float64 seconds, strictly rising.
        label: what the clip shows.
        image_size: (width, height) in pixels.
        camera_matrix: (3, 3) float64 pinhole matrix in pixels.

    Raises:
        VipeError: on construction, when a field does not fit.
    """

    points: np.ndarray
    visibility: np.ndarray
    skeleton: str
    fps: float | None = None
    stamp: np.ndarray | None = None
    label: str | None = None
    image_size: tuple[int, int] | None = None
    camera_matrix: np.ndarray | None = None

    def __post_init__(self) -> None:
        joints = len(skeletons.get(self.skeleton))
        points = _numbers("points", self.points, np.float32).copy()
        if points.ndim not in (3, 4) or points.shape[-2:] != (joints, 2):
            raise VipeError(
                f"points: shape {points.shape}, {self.skeleton} needs (T, {joints}, 2) "
                f"or (T, P, {joints}, 2)"
            )
        visibility = _numbers("visibility", self.visibility, np.float32)
        if visibility.shape != points.shape[:-1]:
            raise VipeError(
                f"visibility: shape {visibility.shape}, points need {points.shape[:-1]}"
            )
        present = np.isfinite(points).all(axis=-1)
        points[~present] = np.nan
        seen = np.where(present, np.clip(np.nan_to_num(visibility), 0, 1), 0)
        self._set(points=points, visibility=seen.astype(np.float32))
        self._set(fps=_fps(self.fps), stamp=_stamp(self.stamp, len(points)))
        self._set(image_size=_image_size(self.image_size), label=_label(self.label))
        self._set(camera_matrix=_camera_matrix(self.camera_matrix))

    def _set(self, **values: Any) -> None:
        """Store checked values; a frozen dataclass allows it this way only."""
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return len(self.points)

    def people(self) -> int:
        """P: how many people a frame holds."""
        return self.points.shape[1] if self.points.ndim == 4 else 1

    def person(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Points (T, J, 2) and visibility (T, J) of one person."""
        if not 0 <= index < self.people():
            raise VipeError(f"no person {index}; the keypoint file holds {self.people()}")
        if self.points.ndim == 3:
            return self.points, self.visibility
        return self.points[:, index], self.visibility[:, index]

    def stamps(self, default_fps: float | None = None) -> np.ndarray:
        """(T,) float64 seconds: ``stamp``, else counted at ``fps`` or ``default_fps``.

        Raises:
            VipeError: none of the three is known.
        """
        if self.stamp is not None:
            return self.stamp
        fps = self.fps or default_fps
        if not fps:
            raise VipeError("the keypoint file has neither stamp nor fps: add one of them")
        return np.arange(len(self)) / fps


def read(path: str | Path) -> KeypointFile:
    """Read and check a keypoint file.

    Raises:
        VipeError: missing, unreadable or malformed; the line names file and field.
    """
    fields = _load(Path(path))
    try:
        missing = [name for name in _REQUIRED if name not in fields]
        if missing:
            raise VipeError(f"{', '.join(missing)}: missing")
        return _from_fields(fields)
    except VipeError as error:
        raise VipeError(f"keypoint file {path}: {error}") from None


def write(path: str | Path, content: KeypointFile) -> None:
    """Write a keypoint file, whole or not at all; fields that are None are left out.

    Raises:
        VipeError: the place cannot be written.
    """
    fields: dict[str, Any] = {
        name: getattr(content, name) for name in KeypointFile.__dataclass_fields__
    }
    files.write_npz(path, **fields)


def _load(path: Path) -> dict[str, np.ndarray]:
    """The known fields of the archive; others are left alone."""
    known = KeypointFile.__dataclass_fields__
    try:
        files.check_regular(path, "keypoint file")
        archive = np.load(io.BytesIO(path.read_bytes()), allow_pickle=False)
    except OSError as error:
        raise VipeError(f"keypoint file {path}: {error.strerror or error}") from None
    except (ValueError, EOFError, zipfile.BadZipFile):
        raise VipeError(f"keypoint file {path}: not an .npz") from None
    if isinstance(archive, np.ndarray):
        raise VipeError(f"keypoint file {path}: a bare array; an .npz is needed")
    return {name: _field(path, archive, name) for name in archive.files if name in known}


def _field(path: Path, archive: Any, name: str) -> np.ndarray:
    """One array; any fault of the archive inside it is named by its field."""
    try:
        return archive[name]
    except Exception as error:  # zlib, zipfile, header parser: each has its own kind
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise VipeError(f"keypoint file {path}: {name}: unreadable ({reason})") from None


def _from_fields(fields: dict[str, np.ndarray]) -> KeypointFile:
    values: dict[str, Any] = dict(fields)
    values["skeleton"] = _text("skeleton", fields["skeleton"])
    if "label" in fields:
        values["label"] = _text("label", fields["label"])
    if "fps" in fields:
        values["fps"] = _scalar("fps", fields["fps"])
    if "image_size" in fields:
        values["image_size"] = _numbers("image_size", fields["image_size"], float).ravel().tolist()
    return KeypointFile(**values)


def _numbers(name: str, value: Any, dtype: Any) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise VipeError(f"{name}: type {array.dtype}, numbers needed")
    return array.astype(dtype, copy=False)


def _scalar(name: str, array: np.ndarray) -> float:
    if array.size != 1:
        raise VipeError(f"{name}: shape {array.shape}, one number needed")
    return float(_numbers(name, array, np.float64).reshape(()))


def _text(name: str, array: np.ndarray) -> str:
    if array.size != 1 or array.dtype.kind not in "US":
        raise VipeError(f"{name}: type {array.dtype} of shape {array.shape}, one string needed")
    value = array.reshape(-1)[0]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _fps(value: float | None) -> float | None:
    if value is not None and not (np.isfinite(value) and value > 0):
        raise VipeError(f"fps: {value}, a positive number needed")
    return None if value is None else float(value)


def _stamp(value: Any, frames: int) -> np.ndarray | None:
    if value is None:
        return None
    stamp = _numbers("stamp", value, np.float64)
    if stamp.shape != (frames,):
        raise VipeError(f"stamp: shape {stamp.shape}, points need ({frames},)")
    if not np.isfinite(stamp).all() or (np.diff(stamp) <= 0).any():
        raise VipeError("stamp: not rising from frame to frame")
    return stamp


def _label(value: str | None) -> str | None:
    if value is not None and (not value.strip() or len(value.splitlines()) != 1):
        raise VipeError(f"label: {value!r}, one line of text needed")
    return value


def _image_size(value: Any) -> tuple[int, int] | None:
    if value is None:
        return None
    if len(value) != 2 or not all(np.isfinite(v) and v >= 1 for v in value):
        raise VipeError(f"image_size: {tuple(value)}, (width, height) in pixels needed")
    return int(value[0]), int(value[1])


def _camera_matrix(value: Any) -> np.ndarray | None:
    if value is None:
        return None
    matrix = _numbers("camera_matrix", value, np.float64)
    if matrix.shape != (3, 3) or not np.isfinite(matrix).all():
        raise VipeError(f"camera_matrix: shape {matrix.shape}, a finite (3, 3) needed")
    return matrix
