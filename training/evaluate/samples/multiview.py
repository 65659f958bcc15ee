"""Lifting in a real video of several calibrated cameras."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vipe_core import skeletons
from vipe_core.errors import VipeError
from vipe_core.files import read_npz
from vipe_core.geometry import Camera, project
from vipe_core.windows import window_index
from vipe_training.evaluate import protocol
from vipe_training.evaluate.metrics.lifting import Lift, aligned

EXACT = "exact projections"
_DETECTED = "kp33_"


@dataclass(frozen=True)
class Video:
    """A person filmed by C cameras for F frames.

    Attributes:
        points: detector -> (C, F, 13, 2) pixels; :data:`EXACT` are projections of the truth.
        visibility: detector -> (C, F, 13) in 0..1.
        truth: (F, 13, 3) metres, triangulated.
        fps: frames per second; NaN where the file does not say.
    """

    points: dict[str, np.ndarray]
    visibility: dict[str, np.ndarray]
    truth: np.ndarray
    fps: float

    @property
    def cameras(self) -> int:
        """C."""
        return len(self.points[EXACT])


def read_video(path: Path) -> Video:
    """A file with ``K`` (C, 3, 3), ``R`` (C, 3, 3) and ``T`` (C, 3), world to OpenCV camera,
    ``points3d`` (F, 13, 3) metres in the order of body13, ``kp33_NAME`` (C, F, 33, 4): x, y in
    pixels, z and visibility of BlazePose, for every detector; and ``fps`` if it is known.

    Raises:
        VipeError: missing, unreadable, or not of these shapes.
    """
    data = read_npz(path, "multi-view video")
    if lacking := sorted({"K", "R", "T", "points3d"} - set(data)):
        raise VipeError(f"multi-view video {path} has no {', '.join(lacking)}")
    truth = data["points3d"]
    if truth.ndim != 3 or truth.shape[1:] != (13, 3) or not np.isfinite(truth).all():
        raise VipeError(f"{path}: points3d has shape {truth.shape}, finite (F, 13, 3) needed")
    count = len(data["K"])
    for name, shape in (("K", (count, 3, 3)), ("R", (count, 3, 3)), ("T", (count, 3))):
        if data[name].shape != shape:
            raise VipeError(f"{path}: {name} has shape {data[name].shape}, {shape} needed")
    cameras = [Camera(*each) for each in zip(data["K"], data["R"], data["T"], strict=True)]
    points, visibility = {}, {}
    for name in sorted(name for name in data if name.startswith(_DETECTED)):
        found = data[name]
        if found.shape != (count, len(truth), 33, 4):
            raise VipeError(
                f"{path}: {name} has shape {found.shape}, {(count, len(truth), 33, 4)} needed"
            )
        short = name.removeprefix(_DETECTED)
        points[short] = skeletons.convert(found[..., :2], "blazepose33", "body13")
        visibility[short] = skeletons.convert_visibility(found[..., 3], "blazepose33", "body13")
    points[EXACT] = np.stack([project(truth, camera) for camera in cameras])
    visibility[EXACT] = np.ones(points[EXACT].shape[:-1])
    fps = float(data["fps"]) if "fps" in data else float("nan")
    return Video(points, visibility, truth.astype(np.float64), fps)


def medians(
    lift: Lift, video: Video, detector: str, frames: int = 1, step: float = 0.0, fps: float = 60.0
) -> list[float]:
    """Median over the frames, per camera (C,), of the error in mm after similarity alignment.

    Args:
        lift: points (N, [T,] 13, 2) and visibility to joints (N, 17, 3) and stds.
        video: see :func:`read_video`.
        detector: one of ``video.points``.
        frames, step: of the windows that ``lift`` takes.
        fps: assumed where the file does not say.
    """
    rate = video.fps if np.isfinite(video.fps) else fps
    window = window_index(np.arange(len(video.truth)) / rate, frames, step) if frames > 1 else None
    found = []
    for points, visible in zip(video.points[detector], video.visibility[detector], strict=True):
        if window is not None:
            points, visible = points[window], visible[window]
        joints = np.asarray(lift(points, visible)[0], np.float64)[:, protocol.BODY13_IN_17]
        found.append(round(1000 * float(np.median(aligned(video.truth, joints))), 1))
    return found


def world_medians(video: Video, pictures: Sequence[Path]) -> tuple[list[float], int]:
    """As :func:`medians`, of the world landmarks that BlazePose gives beside its points.

    Args:
        video: see :func:`read_video`.
        pictures: one film per camera, in the order of the cameras, of the same frames.

    Returns:
        the medians (C,), and in how many frames nobody was found.

    Raises:
        VipeError: too few frames, an unreadable film, or no detector here.
    """
    found, missed = [], 0
    for path in pictures:
        errors = _world_errors(path, video.truth)
        missed += int(np.isnan(errors).sum())
        if np.isnan(errors).all():
            raise VipeError(f"{path}: nobody found in any of its {len(errors)} frames")
        found.append(round(1000 * float(np.nanmedian(errors)), 1))
    return found, missed


def _world_errors(path: Path, truth: np.ndarray) -> np.ndarray:
    """(F,) metres after alignment; NaN where nobody was found."""
    import cv2

    from vipe_core.detectors.blazepose import BlazePose

    detector, film, errors = BlazePose(), cv2.VideoCapture(str(path)), []
    for pose in truth:
        ok, image = film.read()
        if not ok:
            raise VipeError(f"{path}: {len(errors)} frames can be read, {len(truth)} needed")
        detector(image)
        world = detector.world
        if world is None:
            errors.append(np.nan)
            continue
        points = skeletons.convert(world, "blazepose33", "body13")
        errors.append(float(aligned(pose, points.astype(np.float64))))
    film.release()
    return np.array(errors)
