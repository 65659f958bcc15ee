"""The suite ``ablations``: what each setting of a system is worth."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vipe_core.errors import VipeError
from vipe_training.evaluate import protocol
from vipe_training.evaluate.report.findings import Curves, Findings, Table
from vipe_training.evaluate.task import Task

if TYPE_CHECKING:
    from vipe_training.evaluate.suites.ablation import Factor
    from vipe_training.loop.run_config import RunConfig

# It trains the models that it measures.
TAKES_MODELS = False
MEASURES = ("chest4", "novel8", "partial")
_FACTORS = ("K", "beta", "kappa", "elevation", "roll", "dropout", "embedding")


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config", default="pr_vipe", metavar="NAME", help="what is varied (default: pr_vipe)"
    )
    parser.add_argument(
        "--steps", type=int, default=1000, metavar="N", help="of each training (default: 1000)"
    )
    parser.add_argument(
        "--only",
        nargs="+",
        choices=_FACTORS,
        default=[],
        metavar="FACTOR",
        help=f"factors to vary: {' '.join(_FACTORS)} (default: all that the system has)",
    )
    parser.add_argument(
        "--values",
        nargs="+",
        default=[],
        metavar="FACTOR=V,V",
        help="values of a factor instead of its own, such as beta=1.5,2,4",
    )
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="KEY=VALUE", help="other settings of all trainings"
    )


def run(task: Task) -> Findings:
    """Train variants of a system, one setting at a time, and measure each.

    Factors: samples K, ratio beta, threshold kappa, elevation and roll of the augmented
    cameras, hidden keypoints q (dropout), size of the embedding. Hit@1 on chest4, novel8 and
    partial (ten targeted occlusions of the query on chest4). Every variant is one training
    of --steps from the same seed, kept in DIR/runs; a stopped one is resumed.
    """
    from vipe_training.evaluate.suites import ablation

    options = task.options
    if options.steps < 1:
        raise VipeError("--steps must be at least 1")
    config = ablation.base(options.config, options.set, options.steps, task.seed)
    findings = Findings(
        f"Ablations of {config.name}: one training of {config.steps} steps per row, "
        f"measured on {task.source}"
    )
    plan = _plan(config, options, findings)
    motion = task.source.load()
    task.parts.expect(len({ablation.key(c) for runs in plan.values() for c in runs.values()}))
    if task.folder is None:
        raise VipeError("ablations need a folder for their trainings")
    window = (config.batch.frames, config.batch.frame_step)
    joints = protocol.choose(motion, task.poses, task.seed, *window)
    done: dict[str, dict[str, float]] = {}
    for name, runs in plan.items():
        for value, variant in runs.items():
            key = ablation.key(variant)
            if key not in done:
                label = "base" if key == ablation.key(config) else f"{name}-{value:g}"
                folder = task.folder / "runs" / f"{label}-{key}"
                done[key] = task.parts.part(
                    f"ablation-{label}",
                    lambda v=variant, f=folder: _measure(v, f, joints, task.seed),
                    training=key,
                )
        found = {value: done[ablation.key(variant)] for value, variant in runs.items()}
        usual = [v for v, variant in runs.items() if ablation.key(variant) == ablation.key(config)]
        _show(findings, name, ablation.FACTORS[name], config, found, usual)
    return findings


def _measure(config: RunConfig, folder: Path, joints: np.ndarray, seed: int) -> dict[str, float]:
    from vipe_training.evaluate.suites import ablation

    return ablation.measured(ablation.trained(config, folder), joints, seed)


def _plan(
    config: RunConfig, options: argparse.Namespace, findings: Findings
) -> dict[str, dict[float, RunConfig]]:
    """Factor -> value -> training. What the system does not have is left out, unless named."""
    from vipe_training.evaluate.suites import ablation

    values = _values(options.values)
    wanted = options.only or list(values) or list(_FACTORS)
    plan = {}
    for name in wanted:
        factor = ablation.FACTORS[name]
        try:
            plan[name] = {
                value: ablation.varied(config, factor, ablation.whole(value))
                for value in values.get(name, factor.values)
            }
        except VipeError as error:
            if options.only or options.values:
                raise
            findings.skipped.append(f"{name}: {config.name} has no such setting ({error})")
    if not plan:
        raise VipeError(f"{config.name} has none of the settings {', '.join(wanted)}")
    return plan


def _values(words: list[str]) -> dict[str, list[float]]:
    """``beta=1.5,2`` -> {"beta": [1.5, 2.0]}."""
    found = {}
    for word in words:
        name, _, text = word.partition("=")
        if name not in _FACTORS:
            raise VipeError(f"--values {word}: unknown factor; known: {', '.join(_FACTORS)}")
        try:
            found[name] = sorted({float(value) for value in text.split(",")})
        except ValueError:
            raise VipeError(f"--values {word}: expected numbers, as in {name}=1,2") from None
    return found


def _show(
    findings: Findings,
    name: str,
    factor: Factor,
    config: RunConfig,
    found: dict[float, dict[str, float]],
    usual: list[float],
) -> None:
    title = f"{name}: Hit@1 after {config.steps} steps of {config.name}, %"
    rows: dict = {}
    for value, scores in found.items():
        said = f"{value:g} (as in {config.name})" if value in usual else f"{value:g}"
        rows[said] = [scores[measure] for measure in MEASURES]
        figures = findings.summary.setdefault(f"{config.name}, {name} {value:g}", {})
        figures |= {f"{measure} hit@1": scores[measure] for measure in MEASURES}
    note = "One seed: differences of a point or two may be chance."
    findings.tables.append(
        Table(title, list(MEASURES), rows, rows_are=factor.what, note=note, best="highest")
    )
    series = {
        measure: [list(found), [scores[measure] for scores in found.values()]]
        for measure in MEASURES
    }
    findings.plots.append(Curves(title, factor.what, "Hit@1, %", series, note=note))
