"""Two performances side by side, in step: frames of a video or of a GIF.

OpenCV, Pillow and matplotlib (for its fonts) are imported when something is drawn. All colours
are BGR.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import uniform_filter1d

from vipe_core import drawing, skeletons
from vipe_core.alignment.joints import mirror_joints
from vipe_core.alignment.performances import Alignment
from vipe_core.drawing import Colour, Palette
from vipe_core.errors import VipeError
from vipe_core.recordings.recording import Moment, Person
from vipe_core.skeletons import JOINTS17

SIZE = (1280, 574)  # pixels
_PANEL, _GAP, _TOP = 400, 20, 56
_STRIP = (488, 536)  # rows of the curve of likeness
_PAPER: Colour = (255, 255, 255)
_PLAIN: Colour = (246, 244, 242)
_INK: Colour = (46, 39, 35)
_FAINT: Colour = (214, 206, 201)
_GREY: Colour = (140, 130, 122)
A_COLOUR: Colour = (142, 152, 20)  # teal
B_COLOUR: Colour = (176, 74, 122)  # purple
_DIFFERENT: Colour = (60, 50, 220)  # red
_DEVIATIONS, _METRES = 1.5, 0.10  # a joint differs when it does by both
_HEAD = 0.6  # of the torso, from the shoulders to the top of the head
_AZIMUTH, _SPAN = 35.0, 1.25  # from where the lifted poses are seen; statures that fit


@dataclass(frozen=True)
class Side:
    """One of the two.

    Attributes:
        title: shown above it.
        person: who performs, with points.
        images: moments with their image in the order of time, or None for plain paper.
    """

    title: str
    person: Person
    images: Iterator[Moment] | None = None


def frames(alignment: Alignment, a: Side, b: Side, rate_hz: float) -> Iterator[np.ndarray]:
    """Pictures (H, W, 3) uint8 BGR of :data:`SIZE`, in step along the path.

    Time is the mean of both performances' own, so that neither waits for the other.

    Raises:
        VipeError: a performance without points.
    """
    path = alignment.path
    scenes = [_Scene(a, A_COLOUR), _Scene(b, B_COLOUR)]
    elapsed = [
        side.person.track.stamp[path[:, k]] - side.person.track.stamp[path[0, k]]
        for k, side in enumerate((a, b))
    ]
    time = np.mean(elapsed, axis=0)
    ticks = np.arange(0, time[-1] + 1e-9, 1 / rate_hz)
    strip = _strip(time, alignment.likeness)
    for tick in ticks:
        row = int(np.searchsorted(time, tick).clip(0, len(time) - 1))
        picture = np.empty((SIZE[1], SIZE[0], 3), np.uint8)
        picture[:] = _PAPER
        words = []
        for k, scene in enumerate(scenes):
            left = _GAP + k * (_PANEL + _GAP)
            picture[_TOP : _TOP + _PANEL, left : left + _PANEL] = scene.panel(path[row, k])
            words += scene.words(left, path[row, k])
        words += _overlay(picture, alignment, a.person, b.person, row)
        words += _timeline(picture, strip, alignment, row, tick / max(time[-1], 1e-9))
        yield _written(picture, words)


_Words = tuple[int, int, str, int, Colour, str]  # x, y, text, size, colour, anchor of Pillow


class _Scene:
    """A square that follows the person, with or without the image behind."""

    def __init__(self, side: Side, colour: Colour) -> None:
        person = side.person
        if person.points is None or person.visibility is None:
            raise VipeError(
                f"{side.title} holds embeddings without keypoints: a video needs those to show"
            )
        self._side, self._colour = side, colour
        self._points, self._visibility = person.points, person.visibility
        self._middle, self._extent = _follow(person.points, person.visibility, person.skeleton)
        self._moment: Moment | None = None

    def panel(self, frame: int) -> np.ndarray:
        """(400, 400, 3) of a frame; frames are asked for in the order of time."""
        import cv2

        scale = _PANEL / self._extent
        corner = self._middle[frame] - self._extent / 2
        panel = np.empty((_PANEL, _PANEL, 3), np.uint8)
        panel[:] = _PLAIN
        image = self._image(frame)
        if image is not None:
            move = np.array([[scale, 0, -corner[0] * scale], [0, scale, -corner[1] * scale]])
            way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
            panel = cv2.warpAffine(
                image,
                move,
                (_PANEL, _PANEL),
                flags=way,
                borderMode=cv2.BORDER_CONSTANT,
                borderValue=_PLAIN,
            )
        points = (self._points[frame] - corner) * scale
        if image is None:
            _draw_head(panel, points, self._side.person.skeleton, self._colour)
        drawing.draw_skeleton(
            panel,
            points,
            self._visibility[frame],
            self._side.person.skeleton,
            Palette(self._colour, self._colour, self._colour),
            width=4,
        )
        return panel

    def words(self, left: int, frame: int) -> list[_Words]:
        since = self._side.person.track.stamp[frame] - self._side.person.track.stamp[0]
        right = left + _PANEL
        return [
            (left, 40, self._side.title, 20, self._colour, "ls"),
            (right, 40, f"{since:.2f} s", 18, _INK, "rs"),
        ]

    def _image(self, frame: int) -> np.ndarray | None:
        """The image at that frame's stamp; the stream is read as far as needed."""
        if self._side.images is None:
            return None
        stamp = self._side.person.track.stamp[frame]
        while self._moment is None or self._moment.stamp_s < stamp - 1e-6:
            following = next(self._side.images, None)
            if following is None:
                break
            self._moment = following
        return None if self._moment is None else self._moment.image


def _draw_head(panel: np.ndarray, points: np.ndarray, skeleton: str, colour: Colour) -> None:
    """A neck and a head: skeletons of keypoints have but a nose."""
    import cv2

    kind = skeletons.get(skeleton)
    names = ("nose", "left_shoulder", "right_shoulder", "left_hip", "right_hip")
    if not all(name in kind for name in names):
        return
    nose, *torso = points[kind.indices(*names)]
    neck = np.mean(torso[:2], axis=0)
    size = 0.16 * np.linalg.norm(neck - np.mean(torso[2:], axis=0))
    if not np.isfinite([*nose, *neck, size]).all() or max(map(abs, [*nose, *neck])) > 4 * _PANEL:
        return
    at, start = (tuple(int(v) for v in np.rint(point)) for point in (nose, neck))
    cv2.line(panel, start, at, colour, 3, cv2.LINE_AA)
    cv2.circle(panel, at, max(round(size), 3), _PLAIN, cv2.FILLED, cv2.LINE_AA)
    cv2.circle(panel, at, max(round(size), 3), colour, 3, cv2.LINE_AA)


def _follow(points: np.ndarray, visibility: np.ndarray, skeleton: str) -> tuple[np.ndarray, float]:
    """Centre (T, 2) of a square that follows the person calmly, and its side, in pixels."""
    points, visibility = _with_head(points, visibility, skeleton)
    there = np.isfinite(points).all(-1) & (visibility >= drawing.UNCERTAIN)
    there |= ~there.any(axis=1, keepdims=True) & np.isfinite(points).all(-1)
    low = np.where(there[..., None], points, np.inf).min(axis=1)
    high = np.where(there[..., None], points, -np.inf).max(axis=1)
    known = np.isfinite(low).all(-1) & np.isfinite(high).all(-1)
    index = np.flatnonzero(known)
    if not len(index):
        raise VipeError("no keypoint of a performance is visible: there is nothing to show")
    middle = np.stack(
        [np.interp(np.arange(len(points)), index, ((low + high) / 2)[known, d]) for d in (0, 1)], 1
    )
    calm = uniform_filter1d(middle, min(45, len(points)), axis=0, mode="nearest")
    reach = np.maximum(high - calm, calm - low)[known].max(axis=1)
    return calm, max(2.25 * float(np.percentile(reach, 98)), 16.0)


def _with_head(
    points: np.ndarray, visibility: np.ndarray, skeleton: str
) -> tuple[np.ndarray, np.ndarray]:
    """The joints and the top of the head, where the torso says that it is: no joint is there,
    and those of a face that is turned away or blurred are not certain."""
    kind = skeletons.get(skeleton)
    names = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")
    if not all(name in kind for name in names):
        return points, visibility
    joints = kind.indices(*names)
    neck, hip = points[:, joints[:2]].mean(axis=1), points[:, joints[2:]].mean(axis=1)
    top = neck + _HEAD * (neck - hip)
    certain = visibility[:, joints].min(axis=1)
    return (
        np.concatenate([points, top[:, None]], axis=1),
        np.concatenate([visibility, certain[:, None]], axis=1),
    )


def _overlay(
    picture: np.ndarray, alignment: Alignment, a: Person, b: Person, row: int
) -> list[_Words]:
    """Both lifted poses in one body frame, and the joints that differ."""
    left = _GAP + 2 * (_PANEL + _GAP)
    panel = picture[_TOP : _TOP + _PANEL, left : left + _PANEL]
    panel[:] = _PLAIN
    title = [(left, 40, "both, in the body's own frame", 18, _INK, "ls")]
    gap, deviation = alignment.joint_difference, alignment.joint_deviation
    if gap is None or deviation is None or a.joints is None or b.joints is None:
        return [*title, (left + 200, _TOP + 200, "no lifted poses", 18, _GREY, "mm")]
    gap, deviation = gap[row], deviation[row]
    first, second = a.joints[alignment.path[row, 0]], b.joints[alignment.path[row, 1]]
    second = mirror_joints(second) if alignment.mirrored else second
    canvas = np.ascontiguousarray(panel)
    for joints, colour in ((first, A_COLOUR), (second, B_COLOUR)):
        palette = Palette(colour, colour, colour)
        drawing.draw_joints_3d(canvas, joints, _AZIMUTH, span=_SPAN, palette=palette)
    far = np.flatnonzero((gap > _METRES) & (deviation > _DEVIATIONS))
    _mark(canvas, first, second, far)
    panel[:] = canvas
    far = far[np.argsort(-gap[far])][:3]
    named = [f"{JOINTS17.joints[k].replace('_', ' ')} {100 * gap[k]:.0f} cm" for k in far]
    lines = [
        (left + 12, _TOP + 24 + 22 * n, text, 16, _DIFFERENT, "ls") for n, text in enumerate(named)
    ]
    return [*title, *lines]


def _mark(panel: np.ndarray, first: np.ndarray, second: np.ndarray, joints: np.ndarray) -> None:
    """A line from either pose's joint to the other's, and a ring around the second's."""
    import cv2

    scale = _PANEL / _SPAN
    at = [
        np.rint(drawing.look(pose, _AZIMUTH)[0] * (scale, -scale) + (_PANEL - 1) / 2).astype(int)
        for pose in (first, second)
    ]
    for joint in joints:
        start, end = (tuple(int(v) for v in pose[joint]) for pose in at)
        cv2.line(panel, start, end, _DIFFERENT, 2, cv2.LINE_AA)
        cv2.circle(panel, end, 11, _DIFFERENT, 2, cv2.LINE_AA)


def _strip(time: np.ndarray, likeness: np.ndarray) -> np.ndarray:
    """(H, W, 3) the curve of likeness, filled, over the whole width."""
    import cv2

    height, width = _STRIP[1] - _STRIP[0], SIZE[0] - 2 * _GAP
    strip = np.empty((height, width, 3), np.uint8)
    strip[:] = _PLAIN
    at = np.linspace(0, time[-1], width)
    level = np.interp(at, time, likeness)
    level = uniform_filter1d(level, 7, mode="nearest")
    top = np.rint((1 - level) * (height - 1)).astype(int)
    inside = np.arange(height)[:, None] >= top
    fill = np.array(A_COLOUR) * 0.35 + np.array(_PAPER) * 0.65
    strip[inside] = fill.astype(np.uint8)
    curve = np.stack([np.arange(width), top], axis=1).astype(np.int32)
    cv2.polylines(strip, [curve], False, A_COLOUR, 2, cv2.LINE_AA)
    return strip


def _timeline(
    picture: np.ndarray, strip: np.ndarray, alignment: Alignment, row: int, share: float
) -> list[_Words]:
    import cv2

    width = SIZE[0] - 2 * _GAP
    picture[_STRIP[0] : _STRIP[1], _GAP : _GAP + width] = strip
    x = _GAP + round(share * (width - 1))
    cv2.line(picture, (x, _STRIP[0] - 5), (x, _STRIP[1] + 5), _INK, 2, cv2.LINE_AA)
    speed = alignment.speed[alignment.path[row, 0]]
    pace = "" if len(alignment.moment_s) == 1 else f"speed of the second {speed:.1f} x"
    pace += ", mirrored" if alignment.mirrored else ""
    return [
        (_GAP, _STRIP[0] - 10, f"alike {alignment.likeness[row]:.0%}", 16, _INK, "ls"),
        (SIZE[0] - _GAP, _STRIP[0] - 10, pace, 16, _INK, "rs"),
    ]


def _written(picture: np.ndarray, words: list[_Words]) -> np.ndarray:
    from PIL import Image, ImageDraw

    page = Image.fromarray(picture)
    pen = ImageDraw.Draw(page)
    for x, y, text, size, colour, anchor in words:
        pen.text((x, y), text, fill=colour, font=_font(size), anchor=anchor)
    return np.asarray(page)


@cache
def _font(size: int) -> Any:
    import matplotlib
    from PIL import ImageFont

    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    return ImageFont.truetype(str(path), size)
