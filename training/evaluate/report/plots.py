"""Curves and heatmaps as PNG, to be read without a caption."""

from __future__ import annotations

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from vipe_training.evaluate.report.findings import Curves, Heatmap, Plot
from vipe_training.evaluate.report.markdown import text
from vipe_training.evaluate.report.style import BLACK, figure, fonts, label, look, png, wrapped

_HEIGHT = 4.5
_CROWDED = 24  # columns from which annotations would overlap
_LIGHT = 0.55  # luminance of a cell from which black is read better than white


def draw(plot: Plot) -> bytes:
    """A plot as PNG."""
    with fonts():
        return _curves(plot) if isinstance(plot, Curves) else _heatmap(plot)


def _curves(plot: Curves) -> bytes:
    made = figure(_HEIGHT)
    axes = made.add_subplot()
    label(axes, plot.title, plot.x, plot.y)
    paint = {"line": _lines, "points": _points, "bars": _bars}[plot.style]
    paint(axes, {name: _numbers(pair) for name, pair in plot.series.items()})
    axes.set_axisbelow(True)
    axes.grid(color="#DDDDDD", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    if plot.ideal is not None:
        # Drawn last, and named: what a perfect model would give.
        axes.plot(*_numbers(plot.ideal), "--", color=BLACK, linewidth=1.2, label="ideal")
    if len(plot.series) + (plot.ideal is not None) > 1:
        made.legend(loc="outside right upper", frameon=False, fontsize=9)
    elif plot.series:
        axes.text(1, 1.01, wrapped(next(iter(plot.series)), 40), transform=axes.transAxes,
                  ha="right", va="bottom", fontsize=9)  # fmt: skip
    return png(made)


def _numbers(pair: list[list[float]]) -> tuple[np.ndarray, np.ndarray]:
    """x and y as float arrays; None is a gap."""
    x, y = (np.array(values, dtype=float) for values in pair)
    return x, y


def _lines(axes: Axes, series: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
    for i, (name, (x, y)) in enumerate(series.items()):
        # Many points need no marker each.
        step = max(1, len(x) // 20)
        axes.plot(x, y, label=wrapped(name, 26), markevery=step, markersize=5, **look(i))
    _whole_ticks(axes, [x for x, _ in series.values()])


def _points(axes: Axes, series: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
    for i, (name, (x, y)) in enumerate(series.items()):
        style = look(i)
        axes.plot(x, y, style["marker"], color=style["color"], label=wrapped(name, 26),
                  markersize=4, alpha=0.7, markeredgewidth=0)  # fmt: skip


def _bars(axes: Axes, series: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
    """Bars side by side over their common x values."""
    places = sorted({value for x, _ in series.values() for value in x.tolist()})
    width = 0.8 / max(1, len(series))
    for i, (name, (x, y)) in enumerate(series.items()):
        at = np.array([places.index(value) for value in x.tolist()]) + (i + 0.5) * width - 0.4
        axes.bar(at, y, width, color=look(i)["color"], label=wrapped(name, 26))
    axes.set_xticks(range(len(places)), [f"{place:g}" for place in places])


def _whole_ticks(axes: Axes, xs: list[np.ndarray]) -> None:
    """Few x values are written as they are, not as round numbers between them."""
    values = np.unique(np.concatenate(xs)) if xs else np.empty(0)
    values = values[np.isfinite(values)]
    if 2 <= len(values) <= 6 and np.diff(values).min() > 0.06 * np.ptp(values):
        axes.set_xticks(values, [f"{value:g}" for value in values])
    elif len(values) and (values == values.round()).all():
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _heatmap(plot: Heatmap) -> bytes:
    values = np.array(plot.values, dtype=float).reshape(len(plot.rows), len(plot.columns))
    made = figure(min(14, 1.8 + max(2.2, 0.38 * len(plot.rows))))
    axes = made.add_subplot()
    label(axes, plot.title, plot.x, plot.y)
    colours = matplotlib.colormaps["cividis"].with_extremes(bad="#EEEEEE")
    image = axes.imshow(np.ma.masked_invalid(values), cmap=colours, aspect="auto")
    long = max(map(len, plot.columns), default=0) > 6 or len(plot.columns) > 12
    names = [wrapped(name, 26) for name in plot.columns]
    axes.set_xticks(range(len(names)), names, rotation=45 if long else 0,
                    ha="right" if long else "center", rotation_mode="anchor" if long else None,
                    fontsize=8)  # fmt: skip
    axes.set_yticks(range(len(plot.rows)), [wrapped(name, 30) for name in plot.rows], fontsize=8)
    if len(plot.columns) <= _CROWDED:
        size = max(4.5, min(9, 110 / max(len(plot.columns), 1)))
        for (row, column), value in np.ndenumerate(values):
            if np.isfinite(value):
                bright = np.dot(image.cmap(image.norm(value))[:3], (0.3, 0.59, 0.11)) > _LIGHT
                axes.text(column, row, text(float(value), plot.digits), ha="center", va="center",
                          fontsize=size, color="black" if bright else "white")  # fmt: skip
    if np.isfinite(values).any():
        made.colorbar(image, ax=axes, fraction=0.04, pad=0.02)
    return png(made)
