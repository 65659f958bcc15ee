"""What all figures share: size, colours, and how one becomes a PNG.

Colours are those of Okabe and Ito (2008), which people with any colour vision tell apart.
"""

from __future__ import annotations

import io
import textwrap
from contextlib import AbstractContextManager
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#E69F00", "#009E73", "#CC79A7"
SKY, VERMILION, BLACK, GREY = "#56B4E9", "#D55E00", "#222222", "#8A8A8A"
CYCLE = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK)
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINES = ("-", "-.", ":")  # dashes mark the ideal
WIDTH = 8.0  # inches, of every plot
_DPI = 130
_FONT: Any = {"font.family": "DejaVu Sans", "font.size": 10, "text.usetex": False}


def figure(height: float, width: float = WIDTH) -> Figure:
    """An empty figure, inches; it belongs to no window and no global list."""
    made = Figure(figsize=(width, height), dpi=_DPI, layout="constrained", facecolor="white")
    FigureCanvasAgg(made)
    return made


def png(made: Figure) -> bytes:
    """The figure as a PNG, the same bytes for the same figure."""
    stream = io.BytesIO()
    made.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def fonts() -> AbstractContextManager:
    """Context in which figures are made: the fonts of the report, whatever the user set."""
    return matplotlib.rc_context(_FONT)


def wrapped(text: str, width: int) -> str:
    """Text in lines of at most ``width`` letters; a dollar starts no formula."""
    lines = [textwrap.fill(line, width, break_on_hyphens=False) for line in text.splitlines()]
    return "\n".join(lines).replace("$", r"\$")


def label(axes: Axes, title: str, x: str, y: str) -> None:
    """Title of the figure, over its whole width, and axis labels."""
    axes.figure.suptitle(wrapped(title, 90), x=0.01, ha="left", fontsize=11, fontweight="bold")
    axes.set_xlabel(wrapped(x, 80))
    axes.set_ylabel(wrapped(y, 45))


def look(index: int) -> dict[str, Any]:
    """Colour, marker and dashes of the series number ``index``: no two are alike in 21."""
    turn, place = divmod(index, len(CYCLE))
    return {
        "color": CYCLE[place],
        "marker": MARKERS[(place + turn) % len(MARKERS)],
        "linestyle": LINES[turn % len(LINES)],
    }
