"""Retrieval of people who are partly hidden."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np

from vipe_training.augment.cliques import SHIPPED
from vipe_training.datasets.visibility import read_table
from vipe_training.evaluate.metrics.occlusion import (
    TARGETED,
    Patterns,
    hidden_hits,
    top_patterns,
)
from vipe_training.evaluate.report.findings import Findings, Table
from vipe_training.evaluate.samples.scenes import Scenes, coder_of, depends_on
from vipe_training.evaluate.suites.wild_findings import HIT_COLUMNS, add_row, add_wild
from vipe_training.evaluate.task import Contestant, Task

# The names of the figures go into model files.
_TARGETED = {"chest4": "partial", "novel8": "partial novel8"}


def add_options(parser: argparse.ArgumentParser) -> None:
    """The suite's own options."""
    parser.add_argument(
        "--protocol",
        choices=["rendered", "targeted", "real", "3dpw"],
        default="rendered",
        help="rendered = targeted and real; %(default)s",
    )
    parser.add_argument(
        "--visibility",
        type=Path,
        metavar="FILE.npz",
        help="table of vipe data visibility for the real distribution (default: the shipped one)",
    )


def run(task: Task) -> Findings:
    """Retrieval of people who are partly hidden.

    targeted: ten patterns hide arms and legs of the query, the index is fully visible. real:
    queries and index hide what is hidden in pictures of real life, by the 50 commonest patterns
    that show the torso, weighted by their frequency; the index shows at least what the query
    shows. 3dpw: the test videos of a cache of 3DPW (--data), 45 % of them as queries, every
    second frame, five random splits; hidden 2D points do not vote in 3D either. A query counts
    there if its shoulders and hips are visible and something in the index is within 0.1.
    """
    name = getattr(task.options, "protocol", None) or "rendered"
    findings = Findings(f"Partial visibility on {task.source}")
    rivals = [rival for rival in task.contestants if rival.coder is not None]
    findings.skipped += [
        f"{rival.name} does not code views" for rival in task.contestants if rival.coder is None
    ]
    if name == "3dpw":
        add_wild(task, findings, rivals)
        return findings
    scenes = Scenes(task, task.source.load())
    if name in ("rendered", "targeted"):
        for cameras in _TARGETED:
            _targeted(task, findings, rivals, scenes, cameras)
    if name in ("rendered", "real"):
        _real(task, findings, rivals, scenes)
    return findings


def _targeted(
    task: Task, findings: Findings, rivals: list[Contestant], scenes: Scenes, cameras: str
) -> None:
    task.parts.expect(len(rivals) * len(TARGETED))
    name = _TARGETED[cameras]
    note = "Mean of the ten patterns; only the visible points vote."
    table = Table(
        f"{name}: ten patterns on {cameras}, %", HIT_COLUMNS, {}, note=note, best="highest"
    )
    rows: dict[str, list] = {pattern: [] for pattern in TARGETED}
    for rival in rivals:
        scene = scenes.rendered(rival, cameras)
        index = _coded(rival, scene.points, lambda view, _, s=scene: np.ones(view.shape[:-1]))
        curves = []
        for number, (pattern, hidden) in enumerate(TARGETED.items()):
            visible = ~np.isin(np.arange(13), hidden)
            curve = task.parts.part(
                f"targeted-{cameras}-{number}",
                lambda r=rival, s=scene, i=index, v=visible: hidden_hits(
                    coder_of(r), s.points, i(), v, scenes.matches_on(r, v)
                ).tolist(),
                contestant=rival.fingerprint,
                **depends_on(task, scene.joints),
            )
            curves.append(curve)
            rows[pattern].append(round(curve[0], 2))
        add_row(findings, table, rival, name, np.mean(curves, axis=0))
    title = f"{name}: Hit@1 by what is hidden, %"
    each = Table(title, [r.name for r in rivals], rows, rows_are="hidden")
    findings.tables += [table, each]


def _real(task: Task, findings: Findings, rivals: list[Contestant], scenes: Scenes) -> None:
    path = getattr(task.options, "visibility", None) or SHIPPED
    patterns = top_patterns(read_table(path))
    task.parts.expect(len(rivals) * len(patterns.weight))
    note = (
        f"{len(patterns.weight)} patterns of {path.name}, {100 * patterns.covered:.0f} % of the "
        "people there whose torso is visible; mean weighted by frequency; four chest cameras."
    )
    table = Table(
        "partial real: hidden as in real life, %", HIT_COLUMNS, {}, note=note, best="highest"
    )
    rows: dict[str, list] = {name: [] for name in patterns.names()}
    for rival in rivals:
        scene = scenes.rendered(rival, "chest4")
        curves = [
            task.parts.part(
                f"real-{number}",
                lambda r=rival, n=number: _one_pattern(scenes, r, patterns, n),
                contestant=rival.fingerprint,
                visible=patterns.visible.tolist(),
                weight=patterns.weight.tolist(),
                **depends_on(task, scene.joints),
            )
            for number in range(len(patterns.weight))
        ]
        for name, curve in zip(rows, curves, strict=True):
            rows[name].append(round(curve[0], 2))
        add_row(findings, table, rival, "partial real", np.average(curves, 0, patterns.weight))
    title = "partial real: Hit@1 by what the query hides, commonest first, %"
    each = Table(title, [r.name for r in rivals], rows, rows_are="hidden")
    findings.tables += [table, each]


def _one_pattern(scenes: Scenes, rival: Contestant, patterns: Patterns, number: int) -> list[float]:
    """Hit@1..20 of queries with one pattern; items of the index show what that shows or more."""
    scene, rng = scenes.rendered(rival, "chest4"), np.random.default_rng([scenes.task.seed, number])
    shown = [patterns.supersets(number, len(scene.joints), rng) for _ in scene.points]

    def visible(view: np.ndarray, camera: int) -> np.ndarray:
        each = shown[camera].astype(np.float64)
        return each if view.ndim == 3 else np.repeat(each[:, None], view.shape[1], axis=1)

    index = _coded(rival, scene.points, visible)()
    right = scenes.matches_on(rival, patterns.visible[number])
    return hidden_hits(
        coder_of(rival), scene.points, index, patterns.visible[number], right
    ).tolist()


def _coded(
    rival: Contestant, points: np.ndarray, visible: Callable[[np.ndarray, int], np.ndarray]
) -> Callable[[], list]:
    """A function that codes every camera's view once, when it is first needed."""
    return cache(
        lambda: [
            coder_of(rival).code(view, visible(view, camera)) for camera, view in enumerate(points)
        ]
    )
