"""Swaps: left and right of a whole body, exchanged by the detector and exchanged back."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from vipe_core.errors import VipeError
from vipe_core.runtime import Model
from vipe_core.swaps import SwapFilter
from vipe_training.datasets import MotionSet
from vipe_training.evaluate.metrics import swaps
from vipe_training.evaluate.metrics.swaps import Score
from vipe_training.evaluate.report.findings import Findings, Table
from vipe_training.evaluate.samples import multiview, swap_streams
from vipe_training.evaluate.samples.swap_streams import Stream
from vipe_training.evaluate.task import Contestant, Task

CUES = {
    "both": SwapFilter(),
    "time only": replace(SwapFilter(), spread_weight=0.0),
    "model only": replace(SwapFilter(), time_weight=0.0),
}
_STEPS = (1, 2, 4)  # of a video's rate
_VIEWS = 2  # of each rendered clip
_RENDERED = [
    *("swaps repaired %", "of those since the first view %", "of those inside a stream %"),
    *("exchanges called for %", "good views broken %", "of people turning round %"),
    "broken where nothing is swapped %",
]
_RENDERED_NOTE = (
    "Mean and standard deviation over seeds. Clips of one to eight seconds through random cameras "
    "with a detector's noise; swaps begin 0.3 times a second and last 0.35 s in the mean, 8 % of "
    "the streams begin with one; half of the people turn round within a second. Since the first "
    "view: nothing right was seen before."
)
_FILMED = [
    *("swapped", "repaired", "since the first view", "of them repaired", "good", "broken"),
    *("error mm", "repaired mm", "of swapped mm", "repaired mm "),
]
_FILMED_NOTE = (
    "Views of all cameras, each its own stream; at lower rates the frames left out are streams of "
    "their own. A view is swapped where the triangulated joints fit its exchanged limbs better. "
    "Error: mean over views, 13 joints after similarity alignment to the triangulated truth, "
    "before and after the repair; the last two columns are those of the swapped views alone."
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """The suite's own options."""
    parser.add_argument(
        "--seeds", type=int, default=3, metavar="N", help="from --seed on (%(default)s)"
    )
    parser.add_argument(
        "--video",
        type=Path,
        metavar="FILE.npz",
        help="a real video instead: K, R, T of the cameras, points3d, and kp33_* of BlazePose",
    )


def run(task: Task) -> Findings:
    """Swaps: left and right of a whole body, exchanged by the detector and exchanged back.

    Recorded motion through random cameras, with swaps in runs, measured with the cues of the
    filter together and one at a time. --video measures on a real video of several
    calibrated cameras instead, at its rate, half and a quarter of it, for every detector in it.
    --poses has no meaning.
    """
    findings = Findings(f"Swaps on {task.source}")
    rivals = []
    for rival in task.contestants:
        if rival.model is None or rival.model.fingerprint != rival.fingerprint:
            findings.skipped.append(f"{rival.name} is no model file")
        elif rival.frames > 1:
            findings.skipped.append(f"{rival.name} takes windows: a robot's filter has one image")
        else:
            rivals.append((rival, rival.model))
    if not rivals:
        raise VipeError(f"nothing to measure: {', '.join(findings.skipped)}")
    path = getattr(task.options, "video", None)
    for rival, model in rivals:
        if path is None:
            _add_rendered(task, findings, rival, model)
        else:
            _add_filmed(task, findings, rival, model, path)
    return findings


def _add_rendered(task: Task, findings: Findings, rival: Contestant, model: Model) -> None:
    seeds = getattr(task.options, "seeds", 3)
    if seeds < 1:
        raise VipeError(f"--seeds must be at least 1, not {seeds}")
    motion = task.source.load()
    task.parts.expect(2 * seeds * len(CUES))
    table = Table(f"{rival.name}, rendered", _RENDERED, {}, rows_are="cue", note=_RENDERED_NOTE)
    for cue in CUES:
        rows = [
            _shares(*(_rendered(task, rival, model, motion, cue, seed, w) for w in (True, False)))
            for seed in range(task.seed, task.seed + seeds)
        ]
        figures = np.array(rows)  # (seeds, columns)
        table.rows[cue] = [_spread(column) for column in figures.T]
        said = findings.summary.setdefault(rival.name, {})
        for name in ("swaps repaired %", "exchanges called for %"):
            said[f"{name}, {cue}"] = round(float(figures[:, _RENDERED.index(name)].mean()), 2)
    findings.tables.append(table)


def _rendered(
    task: Task,
    rival: Contestant,
    model: Model,
    motion: MotionSet,
    cue: str,
    seed: int,
    with_swaps: bool,
) -> Score:
    """Counts of one seed, a part that is kept."""

    def compute() -> dict[str, int]:
        streams = swap_streams.rendered(motion, _VIEWS, seed, with_swaps)
        return asdict(swaps.score(streams, swaps.repair(model, streams, CUES[cue])[0]))

    name = f"rendered-{seed}-{'swaps' if with_swaps else 'none'}"
    return Score(**_part(task, rival, name, cue, compute))


def _shares(found: Score, none: Score) -> list[float]:
    """Percentages in the order of the columns; NaN where there is nothing to count."""

    def share(part: int, whole: int) -> float:
        return 100 * part / whole if whole else float("nan")

    return [
        found.recall,
        share(found.first_caught, found.first),
        share(found.caught - found.first_caught, found.swapped - found.first),
        found.precision,
        share(found.broken, found.good),
        share(found.turning_broken, found.turning),
        share(none.broken, none.good),
    ]


def _spread(values: np.ndarray) -> str | None:
    """Mean and standard deviation of those of (seeds,) that say something."""
    values = values[np.isfinite(values)]
    return f"{values.mean():.2f} ± {values.std():.2f}" if len(values) else None


def _add_filmed(
    task: Task, findings: Findings, rival: Contestant, model: Model, path: Path
) -> None:
    video = multiview.read_video(path)
    detectors = [name for name in video.points if name != multiview.EXACT]
    if not detectors:
        raise VipeError(f"{path} has no detections kp33_NAME")
    findings.title = f"Swaps in {path.name}"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    task.parts.expect(len(detectors) * len(_STEPS) * len(CUES))
    for detector in detectors:
        whole = swap_streams.filmed(video, detector)
        table = Table(
            f"{rival.name}, {detector}", _FILMED, {}, rows_are="rate and cues", note=_FILMED_NOTE
        )
        for step in _STEPS:
            streams = [part for stream in whole for part in stream.every(step)]
            for cue in CUES:
                table.rows[f"{streams[0].fps:g} fps, {cue}"] = _part(
                    task,
                    rival,
                    f"filmed-{detector}-{step}",
                    cue,
                    lambda s=streams, c=cue: _filmed_row(model, s, c),
                    video=digest,
                )
        findings.tables.append(table)


def _filmed_row(model: Model, streams: list[Stream], cue: str) -> list[float | str | None]:
    exchanged, poses = swaps.repair(model, streams, CUES[cue])
    found = swaps.score(streams, exchanged)
    counts = (found.swapped, found.caught, found.first, found.first_caught)
    cells = [str(count) for count in (*counts, found.good, found.broken)]
    if not model.metadata.has_pose:
        return [*cells, None, None, None, None]
    swapped = np.concatenate([stream.swapped for stream in streams])
    untouched = [model(stream.points, stream.visibility).pose()[0] for stream in streams]
    before, after = (_errors(streams, each) for each in (untouched, poses))
    means = [_mean(each) for each in (before, after, before[swapped], after[swapped])]
    return [*cells, *means]


def _errors(streams: list[Stream], poses: list[np.ndarray]) -> np.ndarray:
    pairs = zip(streams, poses, strict=True)
    return np.concatenate([swaps.errors(stream, each) for stream, each in pairs])


def _mean(errors: np.ndarray) -> float | None:
    return round(float(errors.mean()), 1) if len(errors) else None


def _part(
    task: Task, rival: Contestant, name: str, cue: str, compute: Callable[[], Any], **inputs: str
) -> Any:
    return task.parts.part(
        f"{name}-{cue.replace(' ', '-')}",
        compute,
        contestant=rival.fingerprint,
        filter=asdict(CUES[cue]),
        **inputs,
    )
