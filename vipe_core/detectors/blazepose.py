"""BlazePose on ai-edge-litert: one person, 33 points.

Only the two published networks are used (Apache-2.0, see :mod:`vipe_core.assets`); what
lies before and after them is here. A network that finds a person in the whole image is
run only when nobody is followed; after that the region of the next frame comes from two
extra points of the landmark network (Bazarevsky et al. 2020).

Known faults of the networks: left and right of a whole body may swap at high
visibility, and only the most prominent person is seen.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from vipe_core import assets
from vipe_core.bodies import Bodies2D
from vipe_core.detectors import ssd
from vipe_core.detectors.network import Network
from vipe_core.detectors.preprocess import check_image
from vipe_core.detectors.roi import Roi
from vipe_core.errors import VipeError

_SKELETON = "blazepose33"
_JOINTS, _OUTPUTS = 33, 39  # two of the outputs beyond the joints give the next region
_PIXELS = 256
_HEATMAP = 64
_MIN_SCORE = 0.5
_WINDOW = 3  # heatmap cells to each side that refine a point
_MIN_PEAK = 0.5
_TRIES = 2  # people whose landmarks are tried before the image is given up
_LONGEST = 4  # an image longer than this for its width is searched as a whole only


class BlazePose:
    """Finds one person in an image and follows it through the next ones.

    Args:
        assets_dir: folder with ``pose_detection.tflite`` and
            ``pose_landmark_<variant>.tflite``; the asset folder when None.
        variant: ``full``; ``lite`` and ``heavy`` where their file was put into the folder.
        threads: CPU threads of the networks.

    Attributes:
        name, backend, model, skeleton: see :class:`vipe_core.detectors.Detector`.
        world: of the person in the last image, (33, 3) float32 metres: the network's own guess
            in 3D, x right, y down, z away from the camera, mid-hip at the origin, turned as
            the image is; None when nobody was there.

    Raises:
        VipeError: a file is missing, damaged or not the network expected.
    """

    backend = "ai-edge-litert"
    skeleton = _SKELETON
    world: np.ndarray | None = None

    def __init__(
        self, assets_dir: str | Path | None = None, variant: str = "full", threads: int = 2
    ) -> None:
        if variant not in ("lite", "full", "heavy"):
            raise VipeError(f"unknown BlazePose variant {variant!r}; known: lite, full, heavy")
        person, landmarks = (
            _model_file(assets_dir, name)
            for name in ("pose_detection.tflite", f"pose_landmark_{variant}.tflite")
        )
        self.name, self.model = f"blazepose-{variant}", landmarks.name
        anchors = len(ssd.anchors())
        self._person = Network(
            person,
            (ssd.INPUT_PIXELS, ssd.INPUT_PIXELS),
            {"boxes": (1, anchors, 12), "logits": (1, anchors, 1)},
            threads,
        )
        self._landmarks = Network(
            landmarks,
            (_PIXELS, _PIXELS),
            {
                "landmarks": (1, _OUTPUTS * 5),
                "score": (1, 1),
                "world": (1, _OUTPUTS * 3),
                "heatmap": (1, _HEATMAP, _HEATMAP, _OUTPUTS),
            },
            threads,
        )
        self._roi: Roi | None = None
        self._misses = 0

    def reset(self) -> None:
        """Forget the person followed: the next image is searched as a whole."""
        self._roi = self.world = None
        self._misses = 0

    def __call__(self, image: np.ndarray) -> Bodies2D:
        """Find the person in the next image.

        Args:
            image: (H, W, 3) uint8, BGR. Any size; the size may change between calls.

        Returns:
            0 or 1 person of skeleton blazepose33. A joint that the network places outside
            the image keeps its coordinates and has visibility 0.

        Raises:
            VipeError: not such an image.
        """
        check_image(image)
        height, width = image.shape[:2]
        found = None
        if self._roi is not None and self._roi.is_usable(width, height):
            found = self._follow(image, self._roi)
        if found is None:
            found = self._search(image)
        self._misses = 0 if found else self._misses + 1
        if found is None:
            self._roi = self.world = None
            return Bodies2D.from_arrays(
                np.empty((0, _JOINTS, 2)), skeleton=_SKELETON, image_size=(width, height)
            )
        points, visibility, score = found
        self._roi = Roi.from_alignment(points[_JOINTS], points[_JOINTS + 1])
        points, visibility = points[:_JOINTS], visibility[:_JOINTS]
        inside = ((points >= -0.5) & (points < (width - 0.5, height - 0.5))).all(axis=1)
        return Bodies2D.from_arrays(
            points[None],
            np.where(inside, visibility, 0)[None],
            _SKELETON,
            scores=np.array([score]),
            image_size=(width, height),
        )

    def _search(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray, float] | None:
        """Look for a person in parts of the image; the landmarks decide who is one."""
        height, width = image.shape[:2]
        people = []
        for window in self._due(windows(width, height)):
            outputs = self._person(image, window, low=-1, replicate=False)
            person = ssd.best_person(outputs["boxes"][0], outputs["logits"][0, :, 0])
            if person is not None:
                people.append((person[1], Roi.from_alignment(*window.to_image(person[0]))))
        people.sort(key=lambda person: -person[0])
        for _, roi in people[:_TRIES]:
            found = self._follow(image, roi) if roi.is_usable(width, height) else None
            if found is not None:
                return found
        return None

    def _due(self, parts: list[Roi]) -> list[Roi]:
        """All parts for a first look; while nobody is there, two a frame in turn."""
        start = 2 * (self._misses - 1)
        return parts if not self._misses else [parts[(start + i) % len(parts)] for i in (0, 1)]

    def _follow(self, image: np.ndarray, roi: Roi) -> tuple[np.ndarray, np.ndarray, float] | None:
        """Points (35, 2) image pixels, visibility (35,), score; None when nobody is there."""
        outputs = self._landmarks(image, roi, low=0, replicate=True)
        score = float(outputs["score"][0, 0])
        if not score >= _MIN_SCORE:
            return None
        values = outputs["landmarks"].reshape(_OUTPUTS, 5)[: _JOINTS + 2]
        points = refine(values[:, :2] / _PIXELS, outputs["heatmap"][0, :, :, : _JOINTS + 2])
        self.world = outputs["world"].reshape(_OUTPUTS, 3)[:_JOINTS] @ roi.turn()
        return roi.to_image(points), _sigmoid(values[:, 3]), score


def windows(width: int, height: int) -> list[Roi]:
    """Squares to look for people in: the whole image, then overlapping parts of it.

    The person network sees 224 pixels. In a wide image that makes people too small for it,
    so squares of the short side follow, each sharing at least half with the next.
    """
    short, long = sorted((width, height))
    count = 1 + math.ceil(2 * (long / short - 1) - 1e-9) if long / short < _LONGEST else 1
    whole = Roi((width - 1) / 2, (height - 1) / 2, long, 0)
    if count == 1:
        return [whole]
    along = (short - 1) / 2 + np.linspace(0, long - short, count)
    across = (short - 1) / 2
    places = [(at, across) if width > height else (across, at) for at in along]
    return [whole, *(Roi(float(x), float(y), short, 0) for x, y in places)]


def refine(points: np.ndarray, heatmap: np.ndarray) -> np.ndarray:
    """Move points to the centre of mass of their heatmap, where it has a clear peak nearby.

    Args:
        points: (N, 2) 0..1 over the region.
        heatmap: (H, W, N) raw scores.

    Returns:
        (N, 2) 0..1.
    """
    height, width, count = heatmap.shape
    shift = np.arange(-_WINDOW, _WINDOW + 1)
    cell = np.floor(points * (width, height)).astype(int)
    x, y = cell[:, :1] + shift, cell[:, 1:] + shift  # (N, 7) each
    inside = ((x >= 0) & (x < width))[:, None] & ((y >= 0) & (y < height))[:, :, None]
    at = (y.clip(0, height - 1)[:, :, None], x.clip(0, width - 1)[:, None])
    weight = np.where(inside, _sigmoid(heatmap[(*at, np.arange(count)[:, None, None])]), 0)
    total = weight.sum(axis=(1, 2)) + 1e-9
    mass_x = (weight.sum(axis=1) * x).sum(axis=1) / total / width
    mass_y = (weight.sum(axis=2) * y).sum(axis=1) / total / height
    peak = weight.max(axis=(1, 2)) >= _MIN_PEAK
    return np.where(peak[:, None], np.stack([mass_x, mass_y], axis=1), points)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(x, -50, 50)))


def _model_file(assets_dir: str | Path | None, name: str) -> Path:
    if assets_dir is None and name in assets.NAMES:
        return assets.path(name)
    file = Path(assets_dir or assets.folder()) / name
    if not file.is_file():
        raise VipeError(f"no {name} in {file.parent}; run: vipe fetch (lite, heavy: put it there)")
    return file
