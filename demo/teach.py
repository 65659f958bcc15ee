"""Teach actions: name spans of the video, keep their keypoints as labelled clips."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from vipe_core import keypoint_file
from vipe_core.detectors import BlazePose
from vipe_core.errors import VipeError
from vipe_core.keypoint_file import KeypointFile


@dataclass(frozen=True)
class Span:
    """Frames ``first`` to ``last``, both included, show the action ``label``."""

    label: str
    first: int
    last: int


# The man on the box does two jumping jacks. The first one is taught; the second one, the rest
# of the video and the woman who walks by are for the recogniser to judge.
SPANS = (Span("jack_open", 6, 24), Span("jack_close", 26, 41))


WIDTH = 884  # pixels, half the video's: images are scaled to it, here and by the camera node


def video_frames(video: Path) -> Iterator[np.ndarray]:
    """Every frame (H, W, 3) uint8 BGR of the file.

    Raises:
        VipeError: the file cannot be opened.
    """
    capture = cv2.VideoCapture(str(video))
    if not capture.isOpened():
        raise VipeError(f"video {video}: cannot be opened")
    try:
        while True:
            more, frame = capture.read()
            if not more:
                return
            yield frame
    finally:
        capture.release()


def video_rate(video: Path) -> float:
    """Frames per second that the file states."""
    capture = cv2.VideoCapture(str(video))
    try:
        return float(capture.get(cv2.CAP_PROP_FPS))
    finally:
        capture.release()


def teach(video: Path, folder: Path, spans: tuple[Span, ...] = SPANS) -> list[Path]:
    """Run the detector over the taught spans and write one keypoint file per span.

    Only the part of the video up to the end of the last span is looked at.

    Raises:
        VipeError: nobody is seen in a span, or the video ends before it does.
    """
    points, visibility, size = _detect(video, 1 + max(span.last for span in spans))
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.npz"):
        old.unlink()
    files = []
    for number, span in enumerate(spans):
        frames = slice(span.first, span.last + 1)
        if len(points) <= span.last or np.isnan(points[frames]).all():
            raise VipeError(f"{video} shows nobody in frames {span.first} to {span.last}")
        clip = KeypointFile(
            points[frames],
            visibility[frames],
            "blazepose33",
            fps=video_rate(video),
            label=span.label,
            image_size=size,
        )
        files.append(folder / f"{number:02d}_{span.label}.npz")
        keypoint_file.write(files[-1], clip)
    return files


def _detect(video: Path, count: int) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
    """Points (T, 33, 2), visibility (T, 33) of the first ``count`` frames, image size."""
    detector = BlazePose()
    points, visibility, size = [], [], (0, 0)
    for index, frame in enumerate(video_frames(video)):
        if index == count:
            break
        size = (WIDTH, round(frame.shape[0] * WIDTH / frame.shape[1]))
        found = detector(cv2.resize(frame, size, interpolation=cv2.INTER_AREA))
        points.append(found.points[0] if len(found) else np.full((33, 2), np.nan))
        visibility.append(found.visibility[0] if len(found) else np.zeros(33))
    return np.array(points), np.array(visibility), size


def frame_count(video: Path) -> int:
    """Number of frames that can be decoded."""
    return sum(1 for _ in video_frames(video))


def first_frames(video: Path, count: int, target: Path) -> Path:
    """Write the first ``count`` frames as a video of its own and return its path."""
    frames = [frame for _, frame in zip(range(count), video_frames(video), strict=False)]
    size = (frames[0].shape[1], frames[0].shape[0])
    code = cv2.VideoWriter.fourcc(*"MJPG")
    writer = cv2.VideoWriter(str(target), code, video_rate(video), size)
    for frame in frames:
        writer.write(frame)
    writer.release()
    return target
