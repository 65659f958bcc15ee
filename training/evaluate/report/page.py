"""The report as one file: no server, no links to elsewhere, every picture inside."""

from __future__ import annotations

import base64
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from vipe_training.evaluate.report.findings import Findings
from vipe_training.evaluate.report.markdown import best_cells, text
from vipe_training.evaluate.report.record import Record

TEMPLATE = "page.html"


def page(findings: Findings, record: Record, pictures: dict[str, list[bytes]]) -> str:
    """``report.html``.

    Args:
        findings: of the suite.
        record: how they were measured.
        pictures: PNGs of the ``plots`` and the ``galleries``, in their order.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(TEMPLATE).render(
        findings=findings,
        facts=record.lines(),
        tables=[(table, best_cells(table)) for table in findings.tables],
        plots=_beside(findings.plots, pictures["plots"]),
        galleries=_beside(findings.galleries, pictures["galleries"]),
        text=text,
    )


def _beside(contents: list, pictures: list[bytes]) -> list[tuple]:
    """Each plot or gallery with its picture as a data URI."""
    uris = ["data:image/png;base64," + base64.b64encode(png).decode() for png in pictures]
    return list(zip(contents, uris, strict=True))
