"""What the protocol of 3DPW finds, as rows of a table."""

from __future__ import annotations

from functools import cache

import numpy as np

from vipe_core.errors import VipeError
from vipe_training.evaluate import protocol
from vipe_training.evaluate.metrics.retrieval import at_top
from vipe_training.evaluate.report.findings import Findings, Table
from vipe_training.evaluate.samples.in_the_wild import (
    SPLITS,
    WildScene,
    answerable,
    split,
    wild_hits,
    wild_scene,
)
from vipe_training.evaluate.samples.scenes import coder_of, depends_on
from vipe_training.evaluate.task import Contestant, Task

HIT_COLUMNS = [f"Hit@{k}" for k in protocol.TOP]


def add_row(
    findings: Findings, table: Table, rival: Contestant, name: str, curve: np.ndarray
) -> None:
    """Hit@1..20 as a row of a table, and its figures in the summary."""
    top = at_top(curve)
    table.rows[rival.name] = list(top)
    summary = findings.summary.setdefault(rival.name, {})
    summary |= {f"{name} hit@{k}": value for k, value in zip(protocol.TOP, top, strict=True)}


def add_wild(task: Task, findings: Findings, rivals: list[Contestant]) -> None:
    """Fill ``findings`` with the protocol of 3DPW for contestants that code views.

    Raises:
        VipeError: unsuitable data, or no query of any split has an answer.
    """
    motion = task.source.load()
    scene = cache(lambda frames, step: wild_scene(motion, frames, step))
    note = f"Mean of {SPLITS} random splits. Right: NP-MPJPE at most 0.1 on joints that both show."
    table = Table("3DPW, %", HIT_COLUMNS, {}, note=note, best="highest")
    task.parts.expect(2 * SPLITS * len(rivals))
    for rival in rivals:
        curves, counts = [], []
        here = scene(rival.frames, rival.frame_step)
        findings.skipped += [f"{rival.name}: {line}" for line in here.skipped]
        for number in range(SPLITS):
            asked = split(here, number, task.seed)[0]
            curve, kept = _one_split(task, rival, here, number)
            counts.append(f"{len(asked) - kept} of {len(asked)}")
            if curve is not None:
                curves.append(curve)
        findings.skipped.append(
            f"{rival.name}: queries without an answer in the index, by split: {', '.join(counts)}"
        )
        if not curves:
            raise VipeError("3dpw: no query of any split has an answer in its index")
        add_row(findings, table, rival, "3dpw", np.mean(curves, axis=0))
    findings.tables.append(table)


def _one_split(
    task: Task, rival: Contestant, scene: WildScene, number: int
) -> tuple[list[float] | None, int]:
    """Hit@1..20 of a split, None without queries, and the number of queries."""
    asked, index = split(scene, number, task.seed)
    same = depends_on(task, scene.joints)
    kept = task.parts.part(
        f"3dpw-queries-{number}",
        lambda: asked[answerable(scene, asked, index)].tolist(),
        **same,
    )
    curve = task.parts.part(
        f"3dpw-{number}",
        lambda: wild_hits(coder_of(rival), scene, np.array(kept), index).tolist() if kept else None,
        contestant=rival.fingerprint,
        **same,
    )
    return curve, len(kept)
