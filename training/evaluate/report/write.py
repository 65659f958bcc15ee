"""Findings to a folder: JSON, Markdown, a PNG per picture, and one page."""

from __future__ import annotations

import re
from pathlib import Path

from vipe_core.files import write_atomically
from vipe_training.evaluate.report import people, plots, record
from vipe_training.evaluate.report.findings import Findings
from vipe_training.evaluate.report.markdown import document
from vipe_training.evaluate.report.page import page
from vipe_training.evaluate.report.record import Record

PAGE = "report.html"


def write(folder: Path, findings: Findings, how: Record) -> Path:
    """Write everything; pictures of an earlier run of the suite go.

    Returns:
        the page.

    Raises:
        VipeError: the folder cannot be written.
    """
    # The numbers first: they are what took long.
    record.save(folder, findings, how)
    return draw(folder, findings, how)


def draw(folder: Path, findings: Findings, how: Record) -> Path:
    """Everything but ``results.json``."""
    write_atomically(folder / "results.md", document(findings, how).encode())
    pictures = {
        "plots": [plots.draw(plot) for plot in findings.plots],
        "galleries": [people.draw(gallery) for gallery in findings.galleries],
    }
    for old in (*folder.glob("plot-[0-9]*.png"), *folder.glob("gallery-[0-9]*.png")):
        old.unlink()
    for kind, contents in (("plot", findings.plots), ("gallery", findings.galleries)):
        drawn = pictures["plots" if kind == "plot" else "galleries"]
        for i, (content, picture) in enumerate(zip(contents, drawn, strict=True), start=1):
            write_atomically(folder / f"{kind}-{i:02}-{slug(content.title)}.png", picture)
    return write_atomically(folder / PAGE, page(findings, how, pictures).encode())


def slug(title: str) -> str:
    """A title as a part of a file name."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower())[:50].strip("-")
