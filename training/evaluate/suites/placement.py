"""Placement: where bodies are put before the camera, and whether that is known."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from vipe_core.errors import VipeError
from vipe_training.datasets import MotionSet, data_root
from vipe_training.datasets.cache import sha256
from vipe_training.evaluate import protocol
from vipe_training.evaluate.report.findings import Findings, Table
from vipe_training.evaluate.samples.scenes import depends_on, lift_of
from vipe_training.evaluate.samples.shots import filmed
from vipe_training.evaluate.suites.placement_figures import (
    OWN_STD,
    filmed_figures,
    rendered_figures,
)
from vipe_training.evaluate.suites.smoothing_findings import add_smoothing
from vipe_training.evaluate.task import Contestant, Task

VIDEO = "multiview/pose2sim_singleperson.npz"
NOISES = {"exact": 0.0, "noise of 2 %": 0.02}
_COLUMNS = {
    "views": "views",
    "placed": "placed %",
    "along": "along ray mm",
    "along90": "90 %",
    "bias": "mean along",
    "across": "across mm",
    "across90": "90 %",
    "total": "total mm",
    "total90": "90 %",
    "chest": "chest °",
    "chest90": "90 %",
    "inside": "in 90 % ellipsoid",
}
_NOTE = (
    "Error of the body's origin (mid-hip): median and 90th percentile along the ray from the "
    "camera, at right angles to it and altogether; angle between where the chest points and "
    "should point; how often the truth lies in the ellipsoid that should hold it in 90 %."
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """The suite's own options."""
    parser.add_argument(
        "--multiview",
        type=Path,
        metavar="FILE.npz",
        help=f"a video of several calibrated cameras (default: {VIDEO}, if it is there)",
    )
    parser.add_argument(
        "--draws", type=int, default=3, help="of people, cameras and noise (%(default)s)"
    )
    parser.add_argument(
        "--deep",
        type=int,
        default=100,
        metavar="N",
        help="poses of a draw that get a depth image, and a tenth as many takes (%(default)s)",
    )


def run(task: Task) -> Findings:
    """Placement: where bodies are put before the camera, and whether that is known.

    A real video of several calibrated cameras, by detector, with 1.7 m for everybody and with
    the person's own height; rendered people of 1.7 +- 0.08 m through cameras 1.5 to 6 m away,
    the same, with a rendered depth image, and after depth has stopped; how smoothing trades
    steadiness for delay. Rendered figures are the mean of several draws, with their spread.
    """
    rivals = [rival for rival in task.contestants if rival.lift is not None and rival.frames == 1]
    findings = Findings(f"Placement: {task.source}, and a real video")
    findings.skipped += [
        f"{rival.name} does not lift single frames"
        for rival in task.contestants
        if rival not in rivals
    ]
    if not rivals:
        raise VipeError(f"nothing to measure: {', '.join(findings.skipped)}")
    if task.options.draws < 1 or task.options.deep < 10:
        raise VipeError("--draws must be at least 1 and --deep at least 10")
    path = task.options.multiview or data_root() / VIDEO
    motion = task.source.load()
    for rival in rivals:
        summary = findings.summary.setdefault(rival.name, {})
        if path.is_file():
            _add_filmed(findings, task, rival, path)
        elif task.options.multiview:
            raise VipeError(f"no multi-view video {path}")
        _add_rendered(findings, task, rival, motion, summary)
        add_smoothing(findings, task, rival, path if path.is_file() else None, motion)
    if not path.is_file():
        findings.skipped.append(f"the real video: no {VIDEO} in the data folder")
    return findings


def _add_filmed(findings: Findings, task: Task, rival: Contestant, path: Path) -> None:
    rows = {}
    tall = 0.0
    for name, cameras in filmed(path).items():
        tall = float(cameras[0].height[0])
        for height, std, who in ((1.7, 0.08, "1.7 m"), (tall, OWN_STD, f"{tall:.2f} m")):
            parts = task.parts.part(
                f"filmed-{name.replace(' ', '-')}",
                lambda c=cameras, h=height, s=std: filmed_figures(lift_of(rival), c, h, s),
                contestant=rival.fingerprint,
                height=[height, std],
                video=sha256(path),
            )
            for which, figures in parts.items():
                rows[f"{name}, {who}, {which}"] = [figures.get(key) for key in _COLUMNS]
    note = (
        f"{_NOTE} The truth is triangulated, not marker-based. The person's own height, "
        f"{tall:.2f} m, follows from the triangulated leg and trunk. "
        f"SHA-256 of the video: {sha256(path)[:12]}."
    )
    title = f"Placement in {path.name}: {rival.name}"
    findings.tables.append(Table(title, list(_COLUMNS.values()), rows, "points", note=note))


def _add_rendered(
    findings: Findings,
    task: Task,
    rival: Contestant,
    motion: MotionSet,
    summary: dict[str, float],
) -> None:
    joints = protocol.choose(motion, task.poses, task.seed)
    rows: dict[str, list[float | str | None]] = {}
    for name, noise in NOISES.items():
        draws = [
            task.parts.part(
                f"rendered-{name.split()[0]}-{draw}",
                lambda n=noise, s=task.seed + draw: rendered_figures(
                    lift_of(rival), joints, motion, n, s, task.options.deep
                ),
                contestant=rival.fingerprint,
                draw=draw,
                **depends_on(task, joints),
            )
            for draw in range(task.options.draws)
        ]
        for case in draws[0]:
            each = {key: [draw[case].get(key) for draw in draws] for key in _COLUMNS}
            rows[f"{name}, {case}"] = [_spread(key, values) for key, values in each.items()]
            total = float(np.mean([draw[case].get("total", np.nan) for draw in draws]))
            summary[f"placement mm, {name}, {case}"] = round(total, 1)
    note = (
        f"{_NOTE} Mean of {task.options.draws} draws +- their standard deviation. assumed: 1.7 m "
        "for people of 1.7 +- 0.08 m. depth: a rendered depth image of another body than the one "
        "assumed. learned: without depth, after 10 frames with it from another camera."
    )
    title = f"Placement, rendered people: {rival.name}"
    findings.tables.append(Table(title, list(_COLUMNS.values()), rows, "points", note=note))


def _spread(name: str, values: list[float | None]) -> str | None:
    """A cell: mean and standard deviation over the draws; the number of views altogether."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    if name == "views":
        return f"{sum(known):.0f}"
    spread = f" ± {np.std(known, ddof=1):.1f}" if len(known) > 1 else ""
    return f"{np.mean(known):.1f}{spread}"
