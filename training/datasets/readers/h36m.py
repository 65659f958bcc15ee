"""Human3.6M: ``.npz`` of the VideoPose3D preparation, or the owners' ``.cdf``, or ``.h5``.

World z up; metres in the ``.npz``, millimetres in the others; 50 frames per second; 32 joints.
Sources: http://vision.imar.ro/human3.6m; VideoPose3D's DATASETS.md for names and layout.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from vipe_core import skeletons
from vipe_core.errors import VipeError
from vipe_training.datasets import skeleton_maps as maps
from vipe_training.datasets import unpickle
from vipe_training.datasets.readers.common import field, find, need, seen, shaped
from vipe_training.datasets.readers.h36m_raw import CAMERAS, FPS, GET, SUBJECTS, WHAT, RawH36m
from vipe_training.datasets.recording import Kind, Reader, Recording, Sequence

# The better detector first; "gt" is the projected ground truth.
_DETECTIONS = ("cpn_ft_h36m_dbb", "detectron_ft_h36m", "gt")


def reader(source: Path, detections: str | None = None) -> Reader:
    """The reader for what lies at ``source``.

    Args:
        source: ``data_3d_h36m.npz`` or its folder, or the folder with ``S1``, ``S5`` ...
            and their ``.cdf`` or ``.h5`` files.
        detections: which ``data_2d_h36m_*.npz``: the part at the star, "none" for no
            detections, None for the best that is there.

    Raises:
        VipeError: nothing of the set is there.
    """
    folder = source.parent if source.suffix == ".npz" else source
    if (folder / "data_3d_h36m.npz").is_file() or source.suffix == ".npz":
        return H36m(folder, detections)
    for raw in (folder, folder / "h36m"):
        if raw.is_dir() and any(find(raw, RawH36m.PATTERNS, WHAT, GET, needed=False)):
            return RawH36m(raw, detections)
    raise VipeError(
        f"{WHAT}: no data_3d_h36m.npz and no S*/MyPoseFeatures/D3_Positions/*.cdf in {folder}; "
        f"get the set from {GET} (docs/data.md)"
    )


@dataclass(frozen=True)
class H36m:
    """The two ``.npz`` of the VideoPose3D preparation; each is one object, read whole."""

    folder: Path
    detections: str | None = None
    kind: ClassVar[Kind] = "motion"

    @property
    def cameras(self) -> tuple[str, ...]:
        return CAMERAS if self._file_2d else ()

    def files(self) -> list[Path]:
        mocap = need(self.folder / "data_3d_h36m.npz", WHAT, GET)
        return [mocap, *([self._file_2d] if self._file_2d else [])]

    def sequences(self) -> Iterator[Sequence]:
        for subject in SUBJECTS:
            for action in self._positions.get(subject, {}):
                yield Sequence(f"{subject}/{action}", partial(self._read, subject, action))

    @cached_property
    def _file_2d(self) -> Path | None:
        if self.detections == "none":
            return None
        if self.detections:
            return need(self.folder / f"data_2d_h36m_{self.detections}.npz", WHAT, GET)
        paths = [self.folder / f"data_2d_h36m_{name}.npz" for name in _DETECTIONS]
        return next((path for path in paths if path.is_file()), None)

    @cached_property
    def _positions(self) -> dict[str, dict[str, Any]]:
        path = self.files()[0]
        positions = unpickle.load_npz_object(path, "positions_3d", WHAT)
        if not isinstance(positions, dict) or not any(s in positions for s in SUBJECTS):
            raise VipeError(f"{path}: positions_3d has none of {', '.join(SUBJECTS)}")
        return positions

    @cached_property
    def _keypoints(self) -> tuple[dict[str, dict[str, Any]], str]:
        """Positions by subject and action, and the name of their skeleton."""
        path = self._file_2d
        if path is None:
            return {}, "h36m17"
        layout = field(unpickle.load_npz_object(path, "metadata", WHAT), "layout_name", path)
        known = {"h36m": "h36m17", "coco": "coco17"}
        if layout not in known:
            raise VipeError(f"{path}: layout {layout!r}; known: {', '.join(known)}")
        return unpickle.load_npz_object(path, "positions_2d", WHAT), known[layout]

    def _read(self, subject: str, action: str) -> Iterator[Recording]:
        path, name = self.files()[0], f"{subject}/{action}"
        world = shaped(self._positions[subject][action], (None, 32, 3), name, path)
        joints = maps.about_pelvis(maps.z_up_to_y_up(maps.take(world, maps.H36M32)))
        points = self._points(subject, action, len(joints))
        visibility = None if points is None else seen(points)
        yield Recording(subject, FPS, joints, points, visibility, label=action.split(" ")[0])

    def _points(self, subject: str, action: str, frames: int) -> np.ndarray | None:
        """(T, 4, 13, 2); a camera's video may be longer than the recorded motion."""
        if self._file_2d is None:
            return None
        positions, skeleton = self._keypoints
        points = np.full((frames, len(CAMERAS), 13, 2), np.nan, np.float32)
        for camera, found in enumerate(positions.get(subject, {}).get(action, [])[: len(CAMERAS)]):
            name = f"{subject}/{action} camera {camera}"
            pixels = np.asarray(found)[:frames, :, :2]
            pixels = shaped(pixels, (None, 17, 2), name, self._file_2d)
            points[: len(pixels), camera] = skeletons.convert(pixels, skeleton, "body13")
        return points
