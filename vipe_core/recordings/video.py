"""Videos and images as recordings: detected, followed, embedded."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vipe_core import detectors
from vipe_core.errors import VipeError
from vipe_core.estimate import check_skeleton
from vipe_core.recordings.recording import Moment
from vipe_core.recordings.source import Follower, Source
from vipe_core.recordings.windowed import in_windows

if TYPE_CHECKING:
    from vipe_core.detectors import Detector
    from vipe_core.pipeline import Options
    from vipe_core.runtime import Model

_DAMAGED = 100  # images in a row; with more of them it is the end
_RATE_LIMIT = 1000.0  # images a second; what says more does not know


def import_cv2(what: str) -> Any:
    """OpenCV; VipeError, that begins with ``what``, where it is not installed."""
    try:
        import cv2
    except ImportError:
        raise VipeError(
            f"{what}: reading images needs OpenCV: pip install opencv-python-headless"
        ) from None
    return cv2


def load_detector(detector: Detector | str | Path | None, model: Model) -> Detector:
    """A detector as it is, or by its YAML file; None: BlazePose.

    Raises:
        VipeError: its files are not there, or it finds a skeleton that the model cannot take.
    """
    if detector is None or isinstance(detector, (str, Path)):
        detector = detectors.load(detector or "")
    check_skeleton(detector.skeleton, model)
    return detector


class VideoSource(Source):
    """A video file, through a detector and then as vipe_node takes it.

    Stamps are the container's, in seconds; where it has none, they are counted. Images come
    upright, as OpenCV turns them.

    Args:
        path: the file.
        model, options: see :class:`vipe_core.pipeline.Pipeline`.
        detector: finds the people; forgets what it saw before.
        images: whether moments keep their image.

    Raises:
        VipeError: no video, or no image in it that can be decoded.
    """

    kind = "video"

    def __init__(
        self, path: Path, model: Model, detector: Detector, options: Options | None, images: bool
    ) -> None:
        super().__init__(path)
        self._model, self._options = model, options
        self._detector, self._images = detector, images
        self._name = f"video {path}"
        self._cv2 = import_cv2(self._name)
        self._look()

    def moments(self) -> Iterator[Moment]:
        return in_windows(self._followed(), self._model)

    def _followed(self) -> Iterator[Moment]:
        follower = Follower(self._model, self._options)
        self._detector.reset()
        for stamp_s, image in self._frames():
            people = self._detector(image)
            yield follower.moment(stamp_s, people, image if self._images else None)

    def _look(self) -> None:
        """Learn its size and length; refuse what shows nothing."""
        cv2, capture = self._cv2, self._open()
        more, image = capture.read()
        if not more:
            raise VipeError(f"{self._name} has no image that can be decoded")
        self.image_size = (image.shape[1], image.shape[0])
        count = capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.count = int(count) if 0 < count < 1e9 else None
        self.close()

    def _open(self) -> Any:
        self.close()
        # FFmpeg's own lines of a damaged file say less than ours.
        os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
        capture = self._cv2.VideoCapture(str(self.path))
        self._resources.callback(capture.release)
        if not capture.isOpened():
            raise VipeError(f"{self._name} cannot be opened: it is no video, or damaged")
        return capture

    def _frames(self) -> Iterator[tuple[float, np.ndarray]]:
        """Stamp and image of all that can be decoded; counts what cannot."""
        cv2, capture = self._cv2, self._open()
        fps, stamp_s, shown = capture.get(cv2.CAP_PROP_FPS), None, 0
        while self._grab(capture, shown):
            stamp_s = self._stamp(capture.get(cv2.CAP_PROP_POS_MSEC) / 1e3, fps, stamp_s)
            decoded, image = capture.retrieve()
            if decoded:
                shown += 1
                yield stamp_s, image
        self.close()
        if self.count and shown < self.count:
            self.note(f"{self._name}: {self.count - shown} of {self.count} images lost")

    def _grab(self, capture: Any, shown: int) -> bool:
        """Go to the next image; OpenCV says of a damaged one what it says at the end."""
        missing = (self.count or 0) - shown
        tries = min(max(missing, 1), _DAMAGED)
        return any(capture.grab() for _ in range(tries))

    def _stamp(self, said: float, fps: float, before: float | None) -> float:
        """The container's stamp where it rises, else one image later than the last."""
        if np.isfinite(said) and (before is None or said > before):
            return said
        if not 0 < fps <= _RATE_LIMIT:
            raise VipeError(f"{self._name} does not say when its images were taken")
        return 0.0 if before is None else before + 1 / fps


class ImageSource(Source):
    """A single image: one moment, at 0 s. Arguments and errors as of :class:`VideoSource`."""

    kind = "image"

    def __init__(
        self, path: Path, model: Model, detector: Detector, options: Options | None, images: bool
    ) -> None:
        super().__init__(path, count=1)
        self._model, self._options = model, options
        self._detector, self._images = detector, images
        self._image = self._read()
        self.image_size = (self._image.shape[1], self._image.shape[0])

    def moments(self) -> Iterator[Moment]:
        self._detector.reset()
        people = self._detector(self._image)
        image = self._image if self._images else None
        moment = Follower(self._model, self._options).moment(0.0, people, image)
        yield from in_windows([moment], self._model)

    def _read(self) -> np.ndarray:
        cv2 = import_cv2(f"image {self.path}")
        data = np.fromfile(self.path, np.uint8)
        try:
            image = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
        except cv2.error:
            image = None
        if image is None:
            raise VipeError(f"image {self.path} cannot be decoded: it is no image, or damaged")
        return image
