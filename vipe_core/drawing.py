"""People drawn into images: bones over a picture, lifted poses from any side, thumbnails.

OpenCV is imported when something is drawn. Colours are BGR; the person's own left is orange,
the right blue, what is neither grey.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from vipe_core import skeletons
from vipe_core.errors import VipeError
from vipe_core.skeletons import Skeleton

Colour = tuple[int, int, int]

UNCERTAIN = 0.5  # visibility below which a joint is drawn fainter
_FAINT = 0.35  # share of the colour that is left of it
_FAR = 32_000.0  # pixels: OpenCV's lines must not begin farther out
_SUB_PIXEL = 4  # bits
_LONGEST_SIDE = 160  # of a person, in line widths
_PAPER: Colour = (246, 244, 242)
_MARGIN = 0.3  # around a person in a thumbnail, as share of their size
_QUALITY = 80  # of a thumbnail's JPEG


@dataclass(frozen=True)
class Palette:
    """Colours of the person's left and right, of what is neither, and of the line's border;
    None: no border."""

    left: Colour = (42, 112, 232)
    right: Colour = (180, 119, 31)
    middle: Colour = (87, 79, 74)
    border: Colour | None = (255, 255, 255)


DEFAULT = Palette()


def draw_skeleton(
    image: np.ndarray,
    points: np.ndarray,
    visibility: np.ndarray | None,
    skeleton: str,
    palette: Palette = DEFAULT,
    width: int | None = None,
) -> None:
    """Draw people's bones into an image, in place.

    Bones to a joint of visibility under :data:`UNCERTAIN` are fainter; those to a missing joint
    (NaN, or visibility 0) or to one absurdly far away are left out.

    Args:
        image: (H, W, 3) uint8 BGR, contiguous.
        points: (J, 2) or (P, J, 2) pixels.
        visibility: same less the last axis, 0..1; None: 1 everywhere.
        skeleton: its name.
        palette: of the lines.
        width: of the lines in pixels; None: after the size of the person.

    Raises:
        VipeError: shapes that do not fit the skeleton.
    """
    kind = skeletons.get(skeleton)
    points = np.asarray(points, float)
    seen = np.ones(points.shape[:-1]) if visibility is None else np.asarray(visibility, float)
    if points.shape[-2:] != (len(kind), 2) or seen.shape != points.shape[:-1]:
        raise VipeError(
            f"points of shape {points.shape} and visibility of {seen.shape}: {skeleton} needs "
            f"(..., {len(kind)}, 2) and (..., {len(kind)})"
        )
    people = zip(points.reshape(-1, len(kind), 2), seen.reshape(-1, len(kind)), strict=True)
    for person, certainty in people:
        there = _near(person) & (certainty > 0)
        if there.any():
            line = width or _line_width(person[there])
            faint = there & (certainty < UNCERTAIN)
            _draw_person(image, person, kind, there, faint, palette, line)


def _draw_person(
    image: np.ndarray,
    points: np.ndarray,
    kind: Skeleton,
    there: np.ndarray,
    faint: np.ndarray,
    palette: Palette,
    width: int,
) -> None:
    """First what is uncertain, blended; then what is certain above it."""
    bones = [(a, b) for a, b in kind.bones if there[a] and there[b]]
    unsure = [(a, b) for a, b in bones if faint[a] or faint[b]]
    if unsure or faint.any():
        before = image.copy()
        _draw(image, points, kind, unsure, np.flatnonzero(faint), palette, width)
        _cv2().addWeighted(image, _FAINT, before, 1 - _FAINT, 0, dst=image)
    sure = [bone for bone in bones if bone not in unsure]
    _draw(image, points, kind, sure, np.flatnonzero(there & ~faint), palette, width)


def _draw(
    image: np.ndarray,
    points: np.ndarray,
    kind: Skeleton,
    bones: list[tuple[int, int]],
    joints: np.ndarray,
    palette: Palette,
    width: int,
) -> None:
    """Lines with a border, so that crossings are clear; dots where joints are."""
    cv2, at = _cv2(), _fixed(points)
    form = {"lineType": cv2.LINE_AA, "shift": _SUB_PIXEL}
    for a, b in bones:
        if palette.border is not None:
            cv2.line(image, at[a], at[b], palette.border, width + 2, **form)
        cv2.line(image, at[a], at[b], _bone_colour(kind, a, b, palette), width, **form)
    radius = round(0.8 * width * 2**_SUB_PIXEL)
    for joint in joints:
        cv2.circle(image, at[joint], radius, _colour(kind, joint, palette), cv2.FILLED, **form)


def thumbnail(
    image: np.ndarray | None,
    points: np.ndarray,
    visibility: np.ndarray | None,
    skeleton: str,
    size: int = 96,
) -> bytes:
    """A small square picture of one person, as JPEG.

    The part of the image around the person with the skeleton in it; without an image the
    skeleton on plain paper. What lies outside the image is paper too.

    Args:
        image: (H, W, 3) uint8 BGR, or None.
        points, visibility, skeleton: (J, 2), (J,) or None, name; as of :func:`draw_skeleton`.
        size: width and height in pixels.

    Raises:
        VipeError: as of :func:`draw_skeleton`.
    """
    cv2 = _cv2()
    points = np.asarray(points, float)
    left, top, side = _square(points, visibility, image)
    picture = np.empty((size, size, 3), np.uint8)
    picture[:] = _PAPER
    scale = size / side
    if image is not None:
        _paste(picture, image, left, top, scale)
    # Pixel centres: where the middle of the first pixel of the part goes.
    draw_skeleton(picture, (points + 0.5 - (left, top)) * scale - 0.5, visibility, skeleton)
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes()


def _square(
    points: np.ndarray, visibility: np.ndarray | None, image: np.ndarray | None
) -> tuple[float, float, float]:
    """Left, top and side of what to show: around the joints, else the whole image."""
    there = _near(points)
    if visibility is not None:
        there &= np.asarray(visibility) > 0
    if there.any():
        low, high = points[there].min(0), points[there].max(0)
    else:
        height, width = (1, 1) if image is None else image.shape[:2]
        low, high = np.zeros(2), np.array([width, height], float)
    side = max((high - low).max() * (1 + _MARGIN), 8.0)
    left, top = (low + high) / 2 - side / 2
    return float(left), float(top), float(side)


def _paste(picture: np.ndarray, image: np.ndarray, left: float, top: float, scale: float) -> None:
    """Fill the picture with the part of the image from left, top on; shrunk by areas."""
    size = picture.shape[0]
    height, width = image.shape[:2]
    across, down = _overlap(left, size / scale, width), _overlap(top, size / scale, height)
    if across is None or down is None:
        return
    part = image[down[0] : down[1], across[0] : across[1]]
    columns = [round((end - left) * scale) for end in across]
    rows = [round((end - top) * scale) for end in down]
    columns, rows = np.clip(columns, 0, size).tolist(), np.clip(rows, 0, size).tolist()
    wanted = (columns[1] - columns[0], rows[1] - rows[0])
    if min(wanted) < 1:
        return
    cv2 = _cv2()
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    picture[rows[0] : rows[1], columns[0] : columns[1]] = cv2.resize(
        part, wanted, interpolation=way
    )


def _overlap(start: float, length: float, limit: int) -> tuple[int, int] | None:
    """The pixels of 0..limit that lie in a stretch; None for none."""
    first, last = max(int(np.floor(start)), 0), min(int(np.ceil(start + length)), limit)
    return (first, last) if first < last else None


def panel(
    joints: np.ndarray,
    size: tuple[int, int] = (320, 320),
    azimuth: float = 0.0,
    std: np.ndarray | None = None,
    span: float = 1.4,
    skeleton: str = "joints17",
    palette: Palette = DEFAULT,
) -> np.ndarray:
    """A picture (H, W, 3) uint8 BGR of one lifted pose on plain paper.

    Args:
        joints: (J, 3) body frame (x out of the chest, y left, z up, origin mid-hip); NaN: missing.
        size: (width, height) in pixels.
        azimuth: where the viewer stands, degrees: 0 looks into the face, 90 at the person's
            right side.
        std: (J,) in the unit of the joints: a disc of that radius around each joint.
        span: of the joints' unit that the shorter side shows; 1.4 for statures, 2.4 for metres.
        skeleton: of the joints.
        palette: of the lines.

    Raises:
        VipeError: a shape that does not fit the skeleton.
    """
    image = np.empty((size[1], size[0], 3), np.uint8)
    image[:] = _PAPER
    draw_joints_3d(image, joints, azimuth, std, span, skeleton, palette)
    return image


def draw_joints_3d(
    image: np.ndarray,
    joints: np.ndarray,
    azimuth: float = 0.0,
    std: np.ndarray | None = None,
    span: float = 1.4,
    skeleton: str = "joints17",
    palette: Palette = DEFAULT,
) -> None:
    """Draw one lifted pose into the middle of an image, in place; arguments as of
    :func:`panel`. Nearer bones lie above farther ones."""
    height, width = image.shape[:2]
    scale, kind = min(width, height) / span, skeletons.get(skeleton)
    if np.shape(joints) != (len(kind), 3):
        raise VipeError(f"joints of shape {np.shape(joints)}: {skeleton} needs ({len(kind)}, 3)")
    flat, depth = look(np.asarray(joints, float), azimuth)
    points = flat * (scale, -scale) + ((width - 1) / 2, (height - 1) / 2)
    there = _near(points)
    if std is not None:
        _draw_spread(image, points, np.asarray(std, float) * there * scale, kind, palette)
    line = max(round(min(width, height) / 64), 1)
    bones = [(a, b) for a, b in kind.bones if there[a] and there[b]]
    for a, b in sorted(bones, key=lambda bone: -(depth[bone[0]] + depth[bone[1]])):
        _draw(image, points, kind, [(a, b)], np.array([a, b]), palette, line)


def look(
    joints: np.ndarray, azimuth: float, elevation: float = 10.0
) -> tuple[np.ndarray, np.ndarray]:
    """Parallel projection of body frame points (..., 3) for a viewer at ``azimuth`` degrees.

    0 looks into the face, 90 at the person's right side. Returns (..., 2), x right and y up, and
    the distance behind the origin (...), all in the unit of the joints.
    """
    turn, tilt = np.radians(azimuth), np.radians(elevation)
    towards = np.array([np.cos(turn), -np.sin(turn), 0.0])  # from the person to the viewer
    right = np.array([np.sin(turn), np.cos(turn), 0.0])
    up = np.array([0, 0, np.cos(tilt)]) - towards * np.sin(tilt)
    back = -(towards * np.cos(tilt) + np.array([0, 0, np.sin(tilt)]))
    return np.stack([joints @ right, joints @ up], axis=-1), joints @ back


def _draw_spread(
    image: np.ndarray, points: np.ndarray, radius: np.ndarray, kind: Skeleton, palette: Palette
) -> None:
    """Faint discs around joints."""
    cv2, before = _cv2(), image.copy()
    at, shift = _fixed(points), _SUB_PIXEL
    for joint in np.flatnonzero((radius > 0.5) & (radius < _FAR)):
        size, colour = round(radius[joint] * 2**shift), _colour(kind, joint, palette)
        cv2.circle(image, at[joint], size, colour, cv2.FILLED, cv2.LINE_AA, shift)
    cv2.addWeighted(image, 0.16, before, 0.84, 0, dst=image)


def _fixed(points: np.ndarray) -> list[tuple[int, int]]:
    """Pixels in OpenCV's fixed point; what is missing is anywhere."""
    far = np.clip(np.nan_to_num(points), -_FAR, _FAR)
    return [(int(x), int(y)) for x, y in np.rint(far * 2**_SUB_PIXEL)]


def _near(points: np.ndarray) -> np.ndarray:
    """Which points (..., 2) can be drawn."""
    return np.asarray((np.abs(points) < _FAR).all(-1))  # NaN is not


def _line_width(points: np.ndarray) -> int:
    extent = float((points.max(0) - points.min(0)).max())
    return int(np.clip(round(extent / _LONGEST_SIDE * 2), 1, 12))


def _colour(kind: Skeleton, joint: int | np.integer, palette: Palette) -> Colour:
    name = kind.joints[joint]
    if name.startswith("left_"):
        return palette.left
    return palette.right if name.startswith("right_") else palette.middle


def _bone_colour(kind: Skeleton, a: int, b: int, palette: Palette) -> Colour:
    """Of both ends; between the sides neither."""
    first, second = _colour(kind, a, palette), _colour(kind, b, palette)
    return first if first == second else palette.middle


def _cv2() -> Any:
    try:
        import cv2
    except ImportError:
        raise VipeError("drawing needs OpenCV: pip install opencv-python-headless") from None
    return cv2
