"""One run of a suite: what it measures, what it keeps, what it writes."""

from __future__ import annotations

import argparse
from pathlib import Path
from types import ModuleType
from typing import Any

from vipe_core import files
from vipe_core.cli.common import load_model
from vipe_core.errors import VipeError
from vipe_training.evaluate import provenance
from vipe_training.evaluate.contestants import contestants
from vipe_training.evaluate.parts import Parts
from vipe_training.evaluate.report import record
from vipe_training.evaluate.report.markdown import body
from vipe_training.evaluate.report.record import Record
from vipe_training.evaluate.report.write import draw, write
from vipe_training.evaluate.samples.source import Source
from vipe_training.evaluate.task import Task


def takes_models(suite: ModuleType) -> bool:
    """Whether a suite measures given model files: not if its TAKES_MODELS is false."""
    return getattr(suite, "TAKES_MODELS", True)


def measure(
    name: str,
    suite: ModuleType,
    args: argparse.Namespace,
    options: argparse.Namespace,
    command: str,
) -> str:
    """Run a suite and write its folder ``args.out``.

    Args:
        name: of the suite.
        suite: module with ``run``. With ``data(options)`` it names the files that it reads
            below the data folder where those are not the ones of --data.
        args: what all suites are given.
        options: the suite's own.
        command: the exact command line.

    Returns:
        the tables, and where the report is.

    Raises:
        VipeError: bad models, data or options, or a folder that cannot be written.
    """
    files.check_writable(args.out / record.RESULTS)
    if (args.out / record.RESULTS).exists():
        _check_suite(args.out, record.load(args.out)[1], name)
    files.check_writable(args.out / "parts" / "a-part")
    paths = (args.model or [None]) if takes_models(suite) else []
    models = [load_model(path) for path in paths]
    rows = contestants(models, args.baselines)
    goes_by_set = hasattr(suite, "data")
    if goes_by_set and (args.people or tuple(args.data) != Source().files):
        raise VipeError(f"{name} goes by --set: --data and --people do not apply")
    names = suite.data(options) if goes_by_set else args.data
    how = Record(
        suite=name,
        command=command,
        seed=args.seed,
        poses=args.poses,
        models=provenance.model_hashes(models),
        data=provenance.data_hashes(names) | provenance.option_hashes(vars(options)),
        people=args.people,
        versions=provenance.versions(),
        code=provenance.code_hash(),
    )
    parts = Parts(args.out / "parts", _inputs(how, options))
    source = Source(tuple(args.data), tuple(args.people))
    try:
        findings = suite.run(Task(rows, source, args.poses, args.seed, options, parts, args.out))
    finally:
        parts.close()
    if takes_models(suite) and not goes_by_set and not getattr(options, "video", None):
        findings.skipped += source.left_out()
    return f"{body(findings)}\n\nreport: {write(args.out, findings, how)}"


def render(folder: Path, suite: str) -> Path:
    """Draw the results of a folder again; returns the page.

    Raises:
        VipeError: there are none, or they are of another suite.
    """
    findings, how = record.load(folder)
    _check_suite(folder, how, suite)
    return draw(folder, findings, how)


def _check_suite(folder: Path, how: Record, suite: str) -> None:
    if how.suite != suite:
        raise VipeError(f"{folder} holds results of {how.suite}: take another --out for {suite}")


def _inputs(how: Record, options: argparse.Namespace) -> dict[str, Any]:
    """What all parts depend on. A row that is added leaves the parts of the others alone."""
    named = {key: value for key, value in vars(how).items() if key not in ("command", "models")}
    return named | {"options": {key: str(value) for key, value in vars(options).items()}}
