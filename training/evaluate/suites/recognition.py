"""The suite ``recognition``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np

from vipe_training.evaluate.metrics.properties import calibration_error, reliability
from vipe_training.evaluate.report.findings import Curves, Findings, Plot, Table
from vipe_training.evaluate.samples import recognition_sets
from vipe_training.evaluate.samples.clip_codes import coder_of
from vipe_training.evaluate.samples.clip_sets import fingerprint
from vipe_training.evaluate.samples.recognition_sets import RecognitionSet, load_set
from vipe_training.evaluate.suites.recognition_rows import (
    Measure,
    Taught,
    nearest_clip,
    recogniser,
    rivals,
)
from vipe_training.evaluate.task import Contestant, Task

_FIGURES = {
    "accuracy": "right label, %",
    "auroc": "unknown told apart, AUROC %",
    "recall": "found in the stream, %",
    "precision": "right of what is found, %",
    "latency_ms": "reported after the end, ms",
    "alarms": "false alarms a minute",
}
data = recognition_sets.set_files  # what the record names in place of --data


def add_options(parser: argparse.ArgumentParser) -> None:
    recognition_sets.add_set_options(parser)
    parser.add_argument(
        "--truth", action="store_true", help="also rows of the true 3D poses: limits of the task"
    )


def run(task: Task) -> Findings:
    """Recognise actions by a few examples, in clips and in streams.

    Bandai: 1, 3 and 5 examples of each action from the training styles teach a recogniser
    (``vipe_core.actions``); queries are other styles through other noisy cameras. Measured: the
    right label of a clip among all taught; telling clips of untaught actions apart (half of
    the actions taught); what is found in one long stream of the queries with other motion
    between them, and how long after the true end; false alarms on CMU's clips, where nobody
    does what was taught; whether the probability is the share that is right. Rows without a stream
    compare whole clips with the nearest example by dynamic time warping.
    """
    for contestant in task.contestants:
        coder_of(contestant)
    rows = rivals(task.contestants, task.options.truth)
    shots = sorted(set(task.options.shots))
    task.parts.expect(len(rows) * task.options.draws)
    found: dict[str, list[dict[str, Any]]] = {}
    for number in range(task.options.draws):
        drawn = load_set(task.options, task.seed + number)
        for name, (contestant, how) in rows.items():
            part = _part(task, contestant, how, drawn, task.seed + number, name)
            found.setdefault(name, []).append(part)
    findings = Findings(_title(task.options))
    findings.tables = [_table(found, count) for count in shots]
    findings.plots = _plots(found, shots)
    findings.tables += _calibration_tables(found, shots)
    findings.summary = {name: _summary(parts, shots) for name, parts in found.items()}
    return findings


def _title(options: argparse.Namespace) -> str:
    names = ", names of one movement as one" if options.movements else ""
    return f"Recognition: Bandai, {options.queries} styles{names}"


def _part(
    task: Task, contestant: Contestant, how: str, drawn: RecognitionSet, seed: int, name: str
) -> dict[str, Any]:
    """All figures of a row on one draw, by the number of shots."""
    begin: Callable[[Contestant, RecognitionSet], Measure]
    begin = recogniser if how == "recogniser" else nearest_clip

    def compute() -> dict[str, Any]:
        measured = begin(contestant, drawn)
        labels = np.random.default_rng(seed).permutation(drawn.labels)
        half = sorted(labels[: len(labels) // 2].tolist())
        return {
            str(count): measured(
                Taught(drawn.taught(count), drawn.taught(count, half), half), drawn
            )
            for count in task.options.shots
        }

    clips = {part: fingerprint(getattr(drawn, part)) for part in ("examples", "queries", "others")}
    inputs = {"contestant": contestant.fingerprint, "how": how, "shots": task.options.shots}
    return task.parts.part("recognition", compute, seed=seed, row=name, **inputs, **clips)


def _values(parts: list[dict[str, Any]], count: int, figure: str) -> np.ndarray:
    """(draws,) of a figure; empty where the row has none."""
    found = [part[str(count)].get(figure) for part in parts]
    return np.array([value for value in found if value is not None], float)


def _table(found: dict[str, list[dict[str, Any]]], count: int) -> Table:
    rows: dict[str, list[float | str | None]] = {}
    for name, parts in found.items():
        cells: list[float | str | None] = []
        for figure in _FIGURES:
            values = _values(parts, count, figure)
            digits = {"alarms": 2, "latency_ms": 0}.get(figure, 1)
            spread = f" ± {values.std():.{digits}f}" if len(values) > 1 else ""
            cells.append(f"{values.mean():.{digits}f}{spread}" if len(values) else None)
        rows[name] = cells
    draws = len(next(iter(found.values())))
    note = f"Mean and standard deviation of {draws} draws. Right label: mean over classes."
    title = f"{count} example{'s' * (count > 1)} of each action"
    return Table(title, list(_FIGURES.values()), rows, note=note)


def _pairs(parts: list[dict[str, Any]], count: int) -> tuple[np.ndarray, np.ndarray]:
    pairs = np.array([pair for part in parts for pair in part[str(count)].get("pairs", [])])
    pairs = pairs.reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1].astype(bool)


def _plots(found: dict[str, list[dict[str, Any]]], shots: list[int]) -> list[Plot]:
    """Share of matches that are right over the probability they were given."""
    series = {}
    for name, parts in found.items():
        for count in shots:
            probability, right = _pairs(parts, count)
            if len(probability):
                table = reliability(probability, right)
                series[f"{name}, {count}"] = [[r[1] for r in table], [r[2] for r in table]]
    if not series:
        return []
    title = "What the probability of a match is worth"
    return [Curves(title, "probability", "share right", series, ideal=[[0, 1], [0, 1]])]


def _calibration_tables(found: dict[str, list[dict[str, Any]]], shots: list[int]) -> list[Table]:
    rows: dict[str, list[float | str | None]] = {}
    for name, parts in found.items():
        pairs = [_pairs(parts, count) for count in shots]
        if any(len(probability) for probability, _ in pairs):
            rows[name] = [
                100 * calibration_error(reliability(*pair)) if len(pair[0]) else None
                for pair in pairs
            ]
    if not rows:
        return []
    note = "Matches in the stream and on CMU's clips; gap between probability and share right."
    columns = [f"{count} shots" for count in shots]
    return [Table("Expected calibration error, points", columns, rows, note=note, best="lowest")]


def _summary(parts: list[dict[str, Any]], shots: list[int]) -> dict[str, float]:
    return {
        f"bandai recognition, {count} shots, {figure}": round(float(values.mean()), 2)
        for count in shots
        for figure in ("accuracy", "auroc", "alarms")
        if len(values := _values(parts, count, figure))
    }
