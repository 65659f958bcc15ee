"""What a suite hands over: plain data, from which every form of the report is made.

All of it goes to JSON and back without loss; nothing here knows how it will look.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np

from vipe_core.errors import VipeError


@dataclass(frozen=True)
class Table:
    """Rows of figures.

    Attributes:
        title: what is measured, with the unit.
        columns: heads of the columns; the head of the row names' column is ``rows_are``.
        rows: name -> a cell per column; None where there is nothing to say.
        rows_are: what a row is.
        digits: behind the point, of cells that are numbers.
        note: a sentence below the table.
        best: whether the ``highest`` or ``lowest`` of a column is to be marked, or "".
    """

    title: str
    columns: list[str]
    rows: dict[str, list[float | str | None]]
    rows_are: str = "model"
    digits: int = 1
    note: str = ""
    best: str = ""


@dataclass(frozen=True)
class Curves:
    """Lines over a common axis: ``series`` name -> [x values, y values].

    Attributes:
        style: ``line``, ``points`` (a scatter) or ``bars``.
        ideal: [x values, y values] of what a perfect model would give, drawn dashed.
    """

    title: str
    x: str
    y: str
    series: dict[str, list[list[float]]]
    style: str = "line"
    ideal: list[list[float]] | None = None
    note: str = ""


@dataclass(frozen=True)
class Heatmap:
    """A matrix, rows by columns; None is left blank."""

    title: str
    x: str
    y: str
    columns: list[str]
    rows: list[str]
    values: list[list[float | None]]
    digits: int = 0
    note: str = ""


@dataclass(frozen=True)
class Drawing:
    """A person in 2D: ``points`` 13 x 2 in pixels (None where missing), ``visible`` 13.

    Attributes:
        caption: a line or two below it: camera, confidence, error.
        right: whether it is a right answer; None for a query.
    """

    points: list[list[float] | None]
    visible: list[bool]
    caption: str
    right: bool | None = None


@dataclass(frozen=True)
class Gallery:
    """Queries, each with what was found for it, side by side."""

    title: str
    rows: list[list[Drawing]]  # the query first
    note: str = ""


Plot = Curves | Heatmap
_PLOTS: dict[str, type[Curves] | type[Heatmap]] = {"curves": Curves, "heatmap": Heatmap}


@dataclass
class Findings:
    """Everything that one run of a suite found.

    Attributes:
        title: of the report.
        summary: name -> figures that go into a model's file and card.
        skipped: what was left out and how often, a line each.
    """

    title: str
    tables: list[Table] = field(default_factory=list)
    plots: list[Plot] = field(default_factory=list)
    galleries: list[Gallery] = field(default_factory=list)
    summary: dict[str, dict[str, float]] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; a number that is not finite becomes None."""
        named = asdict(self)
        named["plots"] = [
            {"kind": type(plot).__name__.lower(), **asdict(plot)} for plot in self.plots
        ]
        return _plain(named)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Findings:
        """What :meth:`to_dict` made; raises VipeError for anything else."""
        try:
            return cls(
                title=data["title"],
                tables=[Table(**_known(Table, table)) for table in data["tables"]],
                plots=[_plot(plot) for plot in data["plots"]],
                galleries=[_gallery(gallery) for gallery in data["galleries"]],
                summary=data["summary"],
                skipped=data["skipped"],
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise VipeError(f"these are no findings of vipe evaluate ({error!r})") from None


def _plot(data: dict[str, Any]) -> Plot:
    kind = _PLOTS[data["kind"]]
    return kind(**_known(kind, data))


def _gallery(data: dict[str, Any]) -> Gallery:
    rows = [[Drawing(**_known(Drawing, one)) for one in row] for row in data["rows"]]
    return Gallery(data["title"], rows, data["note"])


def _known(kind: type, data: dict[str, Any]) -> dict[str, Any]:
    """The entries that the class has a field for."""
    names = {f.name for f in fields(kind)}
    return {key: value for key, value in data.items() if key in names}


def _plain(value: Any) -> Any:
    """numpy's numbers and arrays, tuples and what is not finite as JSON knows it."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return _plain(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value
