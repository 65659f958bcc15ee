"""Findings as Markdown, for a terminal, a model card and ``results.md``."""

from __future__ import annotations

from vipe_training.evaluate.report.findings import Findings, Table
from vipe_training.evaluate.report.record import Record

Cell = float | str | None


def document(findings: Findings, record: Record) -> str:
    """The whole report but for its pictures: how it was measured, then every table."""
    said = "\n".join(f"* {name}: {value}" for name, value in record.lines())
    return f"# {findings.title}\n\n{said}\n\n{body(findings)}\n"


def body(findings: Findings) -> str:
    """Every table, and what was left out."""
    parts = [table(one) for one in findings.tables]
    if findings.skipped:
        parts.append("Left out:\n\n" + "\n".join(f"* {line}" for line in findings.skipped))
    return "\n\n".join(parts)


def table(content: Table) -> str:
    """One table under its title; the best of a column is bold."""
    best = best_cells(content)
    lines = [
        _line([content.rows_are, *content.columns]),
        "|---" + "|---:" * len(content.columns) + "|",
    ]
    for name, cells in content.rows.items():
        texts = [text(cell, content.digits) for cell in cells]
        marked = [f"**{t}**" if (name, i) in best else t for i, t in enumerate(texts)]
        lines.append(_line([name, *marked]))
    note = f"\n\n{content.note}" if content.note else ""
    return f"**{content.title}**\n\n" + "\n".join(lines) + note


def text(cell: Cell, digits: int) -> str:
    """A cell in words: whole numbers as they are, others with ``digits``, None as nothing."""
    if cell is None:
        return ""
    return f"{cell:.{digits}f}" if isinstance(cell, float) else str(cell)


def best_cells(content: Table) -> set[tuple[str, int]]:
    """Row name and column number of the best cells; ties are all best.

    What looks equal is equal: figures are compared as they are printed. A column with one
    figure has no best.
    """
    if content.best not in ("highest", "lowest"):
        return set()
    choose = max if content.best == "highest" else min
    found: set[tuple[str, int]] = set()
    for column in range(len(content.columns)):
        cells = {name: row[column] for name, row in content.rows.items()}
        shown = {
            name: round(float(cell), content.digits)
            for name, cell in cells.items()
            if isinstance(cell, (int, float))
        }
        if len(shown) > 1:
            found |= {(name, column) for name, v in shown.items() if v == choose(shown.values())}
    return found


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
