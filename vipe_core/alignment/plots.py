"""The picture of an alignment: which moments belong together, how alike they are, and why not."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from vipe_core import files
from vipe_core.alignment.frames import all_distances, twin
from vipe_core.alignment.performances import Alignment
from vipe_core.recordings.recording import Person
from vipe_core.skeletons import JOINTS17
from vipe_core.track import Track

A_COLOUR, B_COLOUR, _RED = "#14988e", "#7a4ab0", "#d1495b"
_INK, _FAINT = "#23272e", "#c9ced6"
_STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 11,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _FAINT,
    "xtick.color": _INK,
    "ytick.color": _INK,
}
_USUAL, _MOST_OCTAVES = (-2, 2), 6  # powers of two of the axis of speed
_MOST = 600  # frames of either side in the picture of the cost
# From head to foot, the person's left beside the right.
_ROWS = (
    *("head", "nose", "neck", "left_shoulder", "right_shoulder", "left_elbow", "right_elbow"),
    *("left_wrist", "right_wrist", "spine", "left_hip", "right_hip", "left_knee", "right_knee"),
    *("left_ankle", "right_ankle"),
)


def plot(
    path: Path,
    alignment: Alignment,
    a: Person,
    b: Person,
    names: tuple[str, str],
    sigmoid_a: float,
    sigmoid_b: float,
) -> None:
    """Draw the cost with the path on it, likeness and speed over time, and a map of the joints.

    Args:
        path: picture to write; its ending says the kind.
        alignment: of a and b.
        names: of the two performances, for the axes.
        sigmoid_a, sigmoid_b: of the model's match probability.

    Raises:
        VipeError: the place cannot be written.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    lifted = alignment.joint_difference is not None
    with rc_context(_STYLE):
        figure = Figure(figsize=(14, 6.8 if lifted else 5.4))
        FigureCanvasAgg(figure)
        left = figure.add_axes((0.05, 0.1, 0.37, 0.8))
        _draw_cost(figure, left, alignment, a.track, b.track, names)
        heights = (0.74, 0.16), (0.55, 0.14), (0.1, 0.40)
        if not lifted:
            heights = (0.56, 0.34), (0.1, 0.34), None
        axes = [figure.add_axes((0.56, y, 0.36, h)) for y, h in filter(None, heights)]
        since = a.track.stamp[alignment.path[:, 0]] - a.track.stamp[0]
        _draw_likeness(axes[0], since, alignment.likeness)
        _draw_speed(axes[1], a.track.stamp - a.track.stamp[0], alignment.speed)
        if lifted:
            _draw_joints(figure, axes[2], since, alignment)
        for axis in axes:
            axis.set_xlim(0, max(a.track.duration, 1e-3))
        for axis in axes[:-1]:
            axis.tick_params(labelbottom=False)
        axes[-1].set_xlabel(f"seconds of {names[0]}")
        with files.atomic(path) as part:
            kind = path.suffix.lower().lstrip(".")
            figure.savefig(part, dpi=110, facecolor="white", format=kind)


def _draw_cost(
    figure: Any, axes: Any, alignment: Alignment, a: Track, b: Track, names: tuple[str, str]
) -> None:
    shown = (twin(b) if alignment.mirrored else None) or b
    rows = np.unique(np.linspace(0, len(a) - 1, min(len(a), _MOST)).round().astype(int))
    columns = np.unique(np.linspace(0, len(b) - 1, min(len(b), _MOST)).round().astype(int))
    thin_a = Track(a.stamp[rows], a.mean[rows], a.variance[rows])
    thin_b = Track(shown.stamp[columns], shown.mean[columns], shown.variance[columns])
    cost = all_distances(thin_a, thin_b)
    extent = (0, b.duration or 1, 0, a.duration or 1)
    picture = axes.imshow(
        cost, origin="lower", extent=extent, aspect="auto", cmap="bone", interpolation="bilinear"
    )
    box = axes.get_position()
    bar_axes = figure.add_axes((box.x1 + 0.01, box.y0, 0.010, box.height))
    bar = figure.colorbar(picture, cax=bar_axes)
    bar.set_label("distance of the embeddings")
    bar.outline.set_visible(False)
    axes.plot(b.stamp - b.stamp[0], alignment.moment_s - a.stamp[0], color="white", lw=4.5)
    axes.plot(b.stamp - b.stamp[0], alignment.moment_s - a.stamp[0], color="#ff7f50", lw=2.4)
    mirrored = ", mirrored" if alignment.mirrored else ""
    axes.set(xlabel=f"seconds of {names[1]}{mirrored}", ylabel=f"seconds of {names[0]}")
    axes.set_title("Which moments belong together", loc="left", fontsize=13)


def _draw_likeness(axes: Any, since: np.ndarray, likeness: np.ndarray) -> None:
    axes.fill_between(since, 0, likeness, color=A_COLOUR, alpha=0.25, lw=0)
    axes.plot(since, likeness, color=A_COLOUR, lw=1.8)
    axes.axhline(0.5, color=_FAINT, lw=1)
    axes.set(ylim=(0, 1.02), yticks=(0, 0.5, 1))
    axes.set_title("Match probability", loc="left", fontsize=13)
    _bare(axes)


def _draw_speed(axes: Any, since: np.ndarray, speed: np.ndarray) -> None:
    low, high = _octaves(speed)
    axes.axhline(1, color=_FAINT, lw=1)
    axes.plot(since, np.clip(speed, 2.0**low, 2.0**high), color=B_COLOUR, lw=2)
    axes.set_yscale("log", base=2)
    step = 1 if high - low <= 5 else 2
    ticks = [power for power in range(low, high + 1) if power % step == 0]
    axes.set(ylim=(2.0**low / 1.1, 2.0**high * 1.1), yticks=[2.0**power for power in ticks])
    words = [str(2**power) if power >= 0 else f"1/{2**-power}" for power in ticks]
    axes.set_yticklabels([*words[:-1], f"{words[-1]} x"])
    axes.minorticks_off()
    axes.set_title("Speed of the second, against the first", loc="left", fontsize=13)
    _bare(axes)


def _octaves(speed: np.ndarray) -> tuple[int, int]:
    """Powers of two between which speeds lie: from a quarter to four at least, 64 at most.
    Where the second waits, at 0, it is drawn at the lower end."""
    moving = speed[np.isfinite(speed) & (speed > 0)]
    if not len(moving):
        return _USUAL
    low, high = math.floor(math.log2(moving.min())), math.ceil(math.log2(moving.max()))
    return max(min(low, _USUAL[0]), -_MOST_OCTAVES), min(max(high, _USUAL[1]), _MOST_OCTAVES)


def _draw_joints(figure: Any, axes: Any, since: np.ndarray, alignment: Alignment) -> None:
    """Joints by seconds of a; pairs of one frame of a are averaged."""
    assert alignment.joint_difference is not None
    gap = alignment.joint_difference[:, JOINTS17.indices(*_ROWS)]
    edges = np.linspace(0, max(since[-1], 1e-3), min(len(np.unique(since)), 240) + 1)
    column = np.clip(np.searchsorted(edges, since, side="right") - 1, 0, len(edges) - 2)
    count = np.maximum(np.bincount(column, minlength=len(edges) - 1), 1)
    cells = np.stack([np.bincount(column, row, len(edges) - 1) / count for row in gap.T])
    most = max(float(np.percentile(cells, 99)), 0.25)
    levels = np.arange(len(_ROWS) + 1)
    picture = axes.pcolormesh(edges, levels, 100 * cells, cmap="magma_r", vmin=0, vmax=100 * most)
    picture.set_rasterized(True)
    axes.set(ylim=(len(_ROWS), 0), yticks=levels[:-1] + 0.5)
    axes.set_yticklabels([name.replace("_", " ") for name in _ROWS], fontsize=9)
    axes.tick_params(length=0)
    axes.set_title("Which joints differ", loc="left", fontsize=13)
    for side in axes.spines.values():
        side.set_visible(False)
    box = axes.get_position()
    bar_axes = figure.add_axes((box.x1 + 0.01, box.y0, 0.010, box.height))
    bar = figure.colorbar(picture, cax=bar_axes)
    bar.set_label("cm, in the body's frame")
    bar.outline.set_visible(False)


def _bare(axes: Any) -> None:
    axes.grid(axis="x", color=_FAINT, lw=0.5)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(length=0)
