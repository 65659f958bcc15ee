"""The two pictures: what the camera and the model see, and what was recognised when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

matplotlib.use("Agg")  # no display on a robot or in CI

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, Rectangle

from vipe_core import skeletons
from vipe_core.skeletons import Skeleton

LEFT, RIGHT, MIDDLE = "#e8702a", "#1f77b4", "#4a4f57"  # the person's own sides
_INK, _FAINT, _PAPER = "#23272e", "#c9ced6", "#ffffff"
_LABEL_COLOURS = ("#2a9d8f", "#8e5bb5", "#d1495b", "#e9a23b", "#3a86c8")
_UNKNOWN_COLOUR = "#d9dde3"
_FONT = {"font.family": "DejaVu Sans", "font.size": 11, "text.color": _INK}


@dataclass(frozen=True)
class Moment:
    """One frame with what was found in it.

    Attributes:
        title: shown above it.
        image: (H, W, 3) uint8 BGR.
        points, visibility: (J, 2) pixels and (J,) of ``skeleton``.
        joints: (17, 3) metres in the body frame.
        std: (17,) metres.
    """

    title: str
    image: np.ndarray
    points: np.ndarray
    visibility: np.ndarray
    skeleton: str
    joints: np.ndarray
    std: np.ndarray


def skeletons_picture(moments: list[Moment], path: Path) -> None:
    """One column per moment: the image, then the lifted pose from two sides."""
    views = (("3D pose\nfrom the front", 0.0), ("3D pose\nfrom the right", 90.0))
    with plt.rc_context(_FONT):
        figure, axes = plt.subplots(
            3, len(moments), figsize=(3.6 * len(moments) + 0.5, 11.2), squeeze=False
        )
        figure.subplots_adjust(0.055, 0.045, 0.995, 0.955, 0.03, 0.03)
        for column, moment in enumerate(moments):
            _draw_image(axes[0, column], moment)
            for row, (_, azimuth) in enumerate(views, 1):
                _draw_pose(axes[row, column], moment, azimuth)
        for row, name in enumerate(("camera image", *(name for name, _ in views))):
            axes[row, 0].set_ylabel(name, fontsize=13, labelpad=10)
        _legend(figure)
        figure.savefig(path, dpi=110, facecolor=_PAPER)
        plt.close(figure)


def _draw_image(axes: Axes, moment: Moment) -> None:
    left, top, side = crop(moment.points, moment.image.shape)
    axes.imshow(moment.image[top : top + side, left : left + side, ::-1], interpolation="bilinear")
    skeleton = skeletons.get("body13")
    points = skeletons.convert(moment.points, moment.skeleton, "body13") - (left, top)
    _bones(axes, points, skeleton, width=3.2, halo="white")
    axes.set_title(moment.title, fontsize=14, pad=8)
    axes.set(xlim=(0, side), ylim=(side, 0))
    _bare(axes)


def _draw_pose(axes: Axes, moment: Moment, azimuth: float) -> None:
    skeleton = skeletons.get("joints17")
    flat, depth = look(moment.joints, azimuth)
    floor = moment.joints[:, 2].min() - 0.04
    _floor(axes, floor, azimuth)
    for joint in np.argsort(-depth):
        colour = _side(skeleton, joint)
        axes.add_patch(plt.Circle(flat[joint], moment.std[joint], color=colour, alpha=0.16, lw=0))
    _bones(axes, flat, skeleton, width=5.0, halo=_PAPER, depth=depth)
    # A head, so that the eye finds the front at once.
    centre = flat[skeleton.indices("nose", "head")].mean(axis=0)
    axes.add_patch(plt.Circle(centre, 0.10, facecolor="#f2f3f5", edgecolor=MIDDLE, lw=2, zorder=30))
    axes.plot(*flat[skeleton.index("nose")], "o", color=MIDDLE, ms=5, zorder=31)
    middle = (floor + max(moment.joints[:, 2].max(), floor + 1.7)) / 2
    axes.set(xlim=(-1.0, 1.0), ylim=(middle - 1.0, middle + 1.0), aspect="equal")
    _bare(axes)


def look(joints: np.ndarray, azimuth: float, elevation: float = 12.0) -> tuple[Any, Any]:
    """Parallel projection of body frame points (..., 3) for a viewer at ``azimuth`` degrees.

    0 looks into the face, 90 at the person's right side. Returns (..., 2), x right and y up, and
    the distance behind the origin (...).
    """
    turn, tilt = np.radians(azimuth), np.radians(elevation)
    towards = np.array([np.cos(turn), -np.sin(turn), 0.0])  # from the person to the viewer
    right = np.array([np.sin(turn), np.cos(turn), 0.0])
    up = np.array([0, 0, np.cos(tilt)]) - towards * np.sin(tilt)
    back = -(towards * np.cos(tilt) + np.array([0, 0, np.sin(tilt)]))
    return np.stack([joints @ right, joints @ up], axis=-1), joints @ back


def _floor(axes: Axes, height: float, azimuth: float) -> None:
    """A grid of 0.25 m at ``height``, and an arrow where the chest points."""
    ticks = np.linspace(-0.75, 0.75, 7)
    for tick in ticks:
        for line in ([[tick, -0.75], [tick, 0.75]], [[-0.75, tick], [0.75, tick]]):
            flat, _ = look(np.column_stack([line, [height, height]]), azimuth)
            axes.plot(*flat.T, color=_FAINT, lw=0.8, zorder=0)
    ends, _ = look(np.array([[0.12, 0, height], [0.62, 0, height]]), azimuth)
    arrow = FancyArrowPatch(*ends, arrowstyle="-|>", mutation_scale=16, color="#9aa2ad", lw=2)
    arrow.set_zorder(1)
    axes.add_patch(arrow)


def _bones(
    axes: Axes,
    points: np.ndarray,
    skeleton: Skeleton,
    width: float,
    halo: str,
    depth: np.ndarray | None = None,
) -> None:
    """Bones and joints, far ones first, each with a halo that separates crossings."""
    depth = np.zeros(len(points)) if depth is None else depth
    for a, b in sorted(skeleton.bones, key=lambda bone: -(depth[bone[0]] + depth[bone[1]])):
        if not np.isfinite(points[[a, b]]).all():
            continue
        colour = _side(skeleton, a) if _side(skeleton, a) == _side(skeleton, b) else MIDDLE
        x, y = points[[a, b]].T
        zorder = 10 - (depth[a] + depth[b])
        axes.plot(x, y, color=halo, lw=width + 2.2, solid_capstyle="round", zorder=zorder)
        axes.plot(x, y, color=colour, lw=width, solid_capstyle="round", zorder=zorder)
    nearest = depth.copy()  # of the joint and its neighbours: it is drawn above its bones
    for a, b in skeleton.bones:
        nearest[[a, b]] = min(nearest[a], depth[b]), min(nearest[b], depth[a])
    for joint in np.flatnonzero(np.isfinite(points).all(axis=1)):
        axes.plot(
            *points[joint],
            "o",
            ms=width * 1.35,
            mfc=_side(skeleton, joint),
            mec="white",
            mew=0.9,
            zorder=10 - 2 * nearest[joint] + 0.1,
        )


def _side(skeleton: Skeleton, joint: int) -> str:
    name = skeleton.joints[joint]
    return LEFT if name.startswith("left_") else RIGHT if name.startswith("right_") else MIDDLE


def crop(points: np.ndarray, shape: tuple[int, ...], margin: float = 0.45) -> tuple[int, int, int]:
    """Left, top and side in pixels of a square in the image around the person."""
    height, width = shape[:2]
    seen = points[np.isfinite(points).all(axis=-1)]
    low, high = seen.min(axis=0), seen.max(axis=0)
    side = int(min(max((high - low).max() * (1 + margin), 160), height, width))
    left, top = ((low + high) / 2 - side / 2).astype(int)
    return int(np.clip(left, 0, width - side)), int(np.clip(top, 0, height - side)), side


def _legend(figure: Any) -> None:
    parts = (
        (0.06, LEFT, "the person's left"),
        (0.20, RIGHT, "the person's right"),
        (0.34, "#b9bfc8", "halo: one standard deviation of the joint"),
        (0.625, "#9aa2ad", "arrow: where the chest points, grid 0.25 m"),
    )
    for x, colour, text in parts:
        figure.text(x, 0.016, "\u25cf", color=colour, fontsize=17, va="center")
        figure.text(x + 0.014, 0.016, text, fontsize=11.5, va="center")


def _bare(axes: Axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


@dataclass(frozen=True)
class Timeline:
    """What was recognised, per message of the topic ``actions``.

    Attributes:
        times: (T,) seconds since the first image.
        probabilities: label -> (T,) how well the examples of it fit, as of that moment.
        taught: label, start and end in seconds of the spans that were taught.
        recognised: the same of what was recognised; the rest of the time is unknown.
        moments: time in seconds and frame, to show above.
        duration: seconds of video.
    """

    times: np.ndarray
    probabilities: Mapping[str, np.ndarray]
    taught: list[tuple[str, float, float]]
    recognised: list[tuple[str, float, float]]
    moments: list[tuple[float, Moment]]
    duration: float


def actions_picture(timeline: Timeline, path: Path) -> None:
    """Frames, taught spans, recognised labels and match probabilities over one time axis."""
    names = list(timeline.probabilities)
    colours = {name: _LABEL_COLOURS[i % len(_LABEL_COLOURS)] for i, name in enumerate(names)}
    with plt.rc_context(_FONT):
        figure = plt.figure(figsize=(14.5, 6.6))
        axes = figure.add_axes((0.085, 0.09, 0.905, 0.55))
        _strip(figure, timeline, (0.085, 0.905))
        _lanes(axes, timeline, colours)
        _curves(axes, timeline, colours)
        axes.set(xlim=(0, timeline.duration), ylim=(-0.06, 2.25))
        axes.set_xlabel("seconds of video")
        axes.set_yticks([0, 0.5, 1, 1.38, 1.9], ["0", "0.5", "1", "recognised", "taught"])
        axes.tick_params(length=0)
        axes.grid(axis="x", color=_FAINT, lw=0.6)
        axes.set_axisbelow(True)
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)
        axes.text(
            -0.026,
            0.5,
            "fit of each example",
            rotation=90,
            transform=axes.get_yaxis_transform(),
            va="center",
            ha="right",
        )
        figure.savefig(path, dpi=110, facecolor=_PAPER)
        plt.close(figure)


def _strip(figure: Any, timeline: Timeline, span: tuple[float, float]) -> None:
    """Small images above the axis, each centred on its time."""
    left, width = span
    pitch = width / max(len(timeline.moments), 1)
    for column, (time, moment) in enumerate(timeline.moments):
        centre = left + pitch * (column + 0.5)
        inset = figure.add_axes((centre - 0.48 * pitch, 0.72, 0.96 * pitch, 0.26))
        _draw_image(inset, moment)
        inset.set_title("")
        ends = [left + width * time / timeline.duration, centre], [0.64, 0.725]
        figure.add_artist(plt.Line2D(*ends, color="#9aa2ad", lw=1, transform=figure.transFigure))


def _lanes(axes: Axes, timeline: Timeline, colours: Mapping[str, str]) -> None:
    for name, start, end in timeline.taught:
        _bar(axes, start, end, 1.72, colours.get(name, MIDDLE), name, hatch="//")
    _bar(axes, 0, timeline.duration, 1.20, _UNKNOWN_COLOUR, "")
    for name, start, end in timeline.recognised:
        _bar(axes, start, end, 1.20, colours.get(name, MIDDLE), name)
    for start, end in _gaps(timeline):
        middle = (start + end) / 2
        if end - start > 0.4:
            axes.text(middle, 1.38, "unknown", ha="center", va="center", fontsize=10)


def _gaps(timeline: Timeline) -> list[tuple[float, float]]:
    """Stretches in which nothing was recognised."""
    gaps, done = [], 0.0
    for _, start, end in sorted(timeline.recognised, key=lambda entry: entry[1]):
        gaps.append((done, start))
        done = max(done, end)
    return [*gaps, (done, timeline.duration)]


def _bar(
    axes: Axes, start: float, end: float, bottom: float, colour: str, text: str, hatch: str = ""
) -> None:
    edge = colour if hatch else "white"
    face = "white" if hatch else colour
    axes.add_patch(
        Rectangle((start, bottom), end - start, 0.36, fc=face, ec=edge, hatch=hatch, lw=1.2)
    )
    if end - start > 0.045 * len(text):
        box = {"fc": "white", "ec": "none", "pad": 1.5} if hatch else None
        axes.text(
            (start + end) / 2,
            bottom + 0.18,
            text,
            ha="center",
            va="center",
            fontsize=10,
            color=_INK if hatch else "white",
            bbox=box,
        )


def _curves(axes: Axes, timeline: Timeline, colours: Mapping[str, str]) -> None:
    for name, values in timeline.probabilities.items():
        axes.plot(timeline.times, values, color=colours[name], lw=2, label=name)
        axes.fill_between(timeline.times, 0, values, color=colours[name], alpha=0.10, lw=0)
    if timeline.probabilities:
        axes.legend(loc="upper right", ncols=len(timeline.probabilities), frameon=False)
