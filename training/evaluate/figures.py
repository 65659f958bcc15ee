"""The figures of one model file, for its metadata and its card."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from vipe_core.runtime import Model
from vipe_training.evaluate import protocol
from vipe_training.evaluate.contestants import contestants
from vipe_training.evaluate.report.findings import Findings
from vipe_training.evaluate.samples.source import Source
from vipe_training.evaluate.suites import lifting, partial, retrieval
from vipe_training.evaluate.task import Task


@dataclass(frozen=True)
class Figures:
    """What was measured, and on what.

    Attributes:
        model: its name.
        data: motion files and people.
        poses: how many after de-duplication.
        seed: of poses, cameras and noise.
        summary: the figures by name, such as "novel8+n hit@1"; they go into the model file.
        findings: of one suite after the other.
    """

    model: str
    data: str
    poses: int
    seed: int
    summary: dict[str, float]
    findings: list[Findings]


def evaluate_model(model: Model, source: Source, poses: int, seed: int) -> Figures:
    """Retrieval, the ten targeted occlusions and lifting, as far as the model does them.

    A model without an embedding is ranked by the poses that it lifts, which takes minutes
    for two thousand of them.
    """
    rivals = contestants([model])
    found: list[Findings] = []
    for suite, named in ((retrieval, "rendered"), (partial, "targeted"), (lifting, "rendered")):
        if suite is lifting and not model.metadata.has_pose:
            continue
        options = argparse.Namespace(protocol=named)
        found.append(suite.run(Task(rivals, source, poses, seed, options)))
    name = rivals[0].name
    summary = {key: value for one in found for key, value in one.summary[name].items()}
    info = model.metadata
    count = len(protocol.choose_rows(source.load(), poses, seed, info.frames, info.frame_step))
    return Figures(name, str(source), count, seed, summary, found)


def markdown(figures: Figures) -> str:
    """Tables of one model for a terminal and a card, from its summary."""
    said = figures.summary
    lines = [
        f"{figures.model}: {figures.poses} poses of {figures.data}, seed {figures.seed}",
        "",
        "| cameras | Hit@1 | Hit@5 | Hit@10 | Hit@20 |",
        "|---|---|---|---|---|",
    ]
    names = [key.removesuffix(" hit@1") for key in said if key.endswith(" hit@1")]
    for name in names:
        cells = (f"{said[f'{name} hit@{k}']:.1f}" for k in protocol.TOP)
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    start = "novel8+n hit@1 without "
    shares = [
        f"{key.removeprefix(start)} {value:.1f}" for key, value in said.items() if start in key
    ]
    if shares:
        title = "Hit@1 on novel8+n without the most uncertain queries: "
        lines += ["", title + ", ".join(shares)]
    for one in figures.findings:
        heights = [table for table in one.tables if table.title.startswith("Lifting, ")]
        lines += _heights(heights)
    return "\n".join(lines)


def _heights(tables: list) -> list[str]:
    """One row per assumed height."""
    if not tables:
        return []
    lines = [
        "",
        "| person's height | body frame | aligned | NP-MPJPE | mean pose | in 50 % | in 90 % |",
        "|---|---|---|---|---|---|---|",
    ]
    for table in tables:
        (body, aligned, relative, mean, half, most) = next(iter(table.rows.values()))
        cells = [f"{body:.1f} mm", f"{aligned:.1f} mm", str(relative), f"{mean:.1f} mm"]
        cells += [f"{half:.0f} %", f"{most:.0f} %"]
        lines.append(f"| {table.title.removeprefix('Lifting, ')} | " + " | ".join(cells) + " |")
    return lines
