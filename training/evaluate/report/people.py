"""Galleries of people in 2D: a query and what was found for it, side by side."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vipe_core.skeletons import BODY13
from vipe_training.evaluate.report.findings import Drawing, Gallery
from vipe_training.evaluate.report.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    VERMILION,
    WIDTH,
    figure,
    fonts,
    png,
    wrapped,
)

LEGEND = (
    "left limbs orange, right limbs blue; hollow: hidden from the model; "
    "solid green frame: right, dashed red frame: wrong, grey: the query"
)
_CELL = (1.45, 2.15)  # inches
_FRAMES = {None: (GREY, "-", ""), True: (GREEN, "-", "right"), False: (VERMILION, "--", "wrong")}
_SIDES = {"left": ORANGE, "right": BLUE}


def draw(gallery: Gallery) -> bytes:
    """A gallery as PNG."""
    columns = max((len(row) for row in gallery.rows), default=1)
    with fonts():
        title = wrapped(gallery.title, 80)
        # Few columns leave a margin: every picture of the report is equally wide.
        made = figure(_CELL[1] * len(gallery.rows) + 0.9, max(WIDTH, _CELL[0] * columns))
        made.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
        made.supxlabel(wrapped(LEGEND, 110), x=0.01, ha="left", fontsize=8)
        _fill(made, gallery, columns)
        return png(made)


def _fill(made: Figure, gallery: Gallery, columns: int) -> None:
    if not gallery.rows:
        return
    grid = made.subplots(len(gallery.rows), columns, squeeze=False)
    for cells, drawings in zip(grid, gallery.rows, strict=True):
        for axes in cells[len(drawings) :]:
            axes.set_axis_off()
        for axes, drawing in zip(cells, drawings, strict=False):
            person(axes, drawing)


def person(axes: Axes, drawing: Drawing) -> None:
    """Draw one person: image axes (y down), equal scales."""
    points = np.array([p or [np.nan, np.nan] for p in drawing.points], dtype=float)
    shown = np.asarray(np.isfinite(points).all(axis=1))
    visible = np.asarray(np.logical_and(drawing.visible, shown))
    for a, b in BODY13.bones:
        if shown[a] and shown[b]:
            seen = visible[a] and visible[b]
            width, dashes = (1.8, "-") if seen else (0.8, ":")
            axes.plot(*points[[a, b]].T, dashes, color=_colour(a, b), linewidth=width)
    for joint in np.flatnonzero(shown).tolist():
        colour = _colour(joint, joint)
        axes.plot(*points[joint], "o", markersize=3.5, color=colour,
                  markerfacecolor=colour if visible[joint] else "white")  # fmt: skip
    _frame(axes, points[shown])
    colour, dashes, word = _FRAMES[drawing.right]
    for spine in axes.spines.values():
        spine.set(edgecolor=colour, linestyle=dashes, linewidth=1.8)
    caption = "\n".join(filter(None, [word, drawing.caption]))
    axes.set_xlabel(wrapped(caption, 22), fontsize=7)


def _frame(axes: Axes, points: np.ndarray) -> None:
    """A square around the person, upright as in the image."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_aspect("equal")
    if not len(points):
        axes.text(0.5, 0.5, "nothing\nvisible", ha="center", va="center", fontsize=7)
        axes.set(xlim=(0, 1), ylim=(1, 0))
        return
    low, high = points.min(axis=0), points.max(axis=0)
    middle, reach = (low + high) / 2, 0.6 * max(float((high - low).max()), 1e-6)
    axes.set_xlim(middle[0] - reach, middle[0] + reach)
    axes.set_ylim(middle[1] + reach, middle[1] - reach)


def _colour(a: int, b: int) -> str:
    """The side's colour if both ends are of one side."""
    sides = {BODY13.joints[joint].partition("_")[0] for joint in (a, b)}
    return _SIDES.get(sides.pop(), GREY) if len(sides) == 1 else GREY
