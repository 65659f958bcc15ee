"""Lifting: how far the 3D pose is from the truth, and whether the model knows."""

from __future__ import annotations

import argparse
from pathlib import Path

from vipe_core.errors import VipeError
from vipe_core.skeletons import JOINTS17
from vipe_training.evaluate import protocol
from vipe_training.evaluate.metrics import lifting
from vipe_training.evaluate.report.findings import Curves, Findings, Table
from vipe_training.evaluate.samples.scenes import Scenes, depends_on, lift_of
from vipe_training.evaluate.suites.multiview_findings import add_multiview
from vipe_training.evaluate.task import Contestant, Task

DEFAULT_HEIGHT = 1.7
_COLUMNS = {
    "mpjpe": "body frame mm",
    "pa_mpjpe": "aligned mm",
    "np_mpjpe": "NP-MPJPE",
    "mean_pose": "mean pose mm",
    "coverage50": "inside 50 %",
    "coverage90": "inside 90 %",
}
_NOTE = (
    "Mean over joints, poses and eight noisy novel cameras. body frame: both poses in the body's "
    "own axes with the mid-hip at the origin, no alignment; these models do not say how a person "
    "is turned to the camera, so an error in camera axes has no meaning. aligned: after rotation, "
    "scale and shift (PA-MPJPE). NP-MPJPE: the same in trunk lengths of the true pose. mean "
    "pose: body frame error of always giving the mean of the true poses."
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """The suite's own options."""
    parser.add_argument(
        "--protocol",
        choices=["rendered", "multiview"],
        default="rendered",
        help="rendered cameras, or a real video of several cameras (--video); %(default)s",
    )
    parser.add_argument(
        "--video",
        type=Path,
        metavar="FILE.npz",
        help="K, R, T of the cameras, points3d, and kp33_* of BlazePose",
    )
    parser.add_argument(
        "--pictures",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="the cameras' films in their order: BlazePose's own world landmarks as one row more",
    )


def run(task: Task) -> Findings:
    """Lifting: how far the 3D pose is from the truth, and whether the model knows.

    Errors in the body's own frame, after alignment and in trunk lengths through eight noisy
    novel cameras, with the true height of each person and with 1.7 m for everybody; by the
    camera's elevation, by joint, and how often the truth lies in the predicted intervals.
    --protocol multiview measures on a real video of several calibrated cameras (--video) with
    each detector's points and with exact projections: median per camera after alignment.
    """
    findings = Findings(f"Lifting on {task.source}")
    findings.skipped += [
        f"{rival.name} does not lift" for rival in task.contestants if rival.lift is None
    ]
    rivals = [rival for rival in task.contestants if rival.lift is not None]
    if not rivals:
        raise VipeError(f"nothing to measure: {', '.join(findings.skipped)}")
    if (getattr(task.options, "protocol", None) or "rendered") == "multiview":
        add_multiview(task, findings, rivals)
        return findings
    if getattr(task.options, "video", None) or getattr(task.options, "pictures", None):
        raise VipeError("--video and --pictures need --protocol multiview")
    scenes = Scenes(task, task.source.load())
    task.parts.expect(len(rivals) * (1 + len(lifting.ELEVATIONS)))
    found = {rival.name: _errors(task, rival, scenes) for rival in rivals}
    for height in ("true", "assumed"):
        findings.tables.append(_table(height, found))
    findings.tables.append(_joints(found))
    findings.plots += [_elevations(task, rivals, scenes), _calibration(found)]
    for name, figures in found.items():
        findings.summary[name] = {
            label: figures["true"][key] for key, label in _COLUMNS.items()
        } | {f"body frame mm at {DEFAULT_HEIGHT:g} m": figures["assumed"]["mpjpe"]}
    return findings


def _errors(task: Task, rival: Contestant, scenes: Scenes) -> dict:
    """Figures of one contestant, a part that is kept."""
    joints = scenes.joints(rival)

    def compute() -> dict:
        lifted, std, truth = lifting.through(
            lift_of(rival), joints, protocol.novel8(task.seed), task.seed
        )
        true = lifting.in_metres(lifted, std, truth)
        return {
            "true": lifting.summarize(*true, truth),
            "assumed": lifting.summarize(
                *lifting.in_metres(lifted, std, truth, DEFAULT_HEIGHT), truth
            ),
            "joints": lifting.by_joint(true[0], truth),
            "calibration": lifting.calibration(lifting.standardized(*true, truth)),
        }

    return task.parts.part(
        "lifting", compute, contestant=rival.fingerprint, **depends_on(task, joints)
    )


def _table(height: str, found: dict[str, dict]) -> Table:
    who = "true height" if height == "true" else f"{DEFAULT_HEIGHT:g} m for everybody"
    rows = {
        name: [
            f"{figures[height][key]:.3f}" if key == "np_mpjpe" else figures[height][key]
            for key in _COLUMNS
        ]
        for name, figures in found.items()
    }
    return Table(f"Lifting, {who}", list(_COLUMNS.values()), rows, note=_NOTE)


def _joints(found: dict[str, dict]) -> Table:
    rows = {
        joint: [figures["joints"][j] for figures in found.values()]
        for j, joint in enumerate(JOINTS17.joints)
        if joint != "pelvis"
    }
    title = "Error in the body frame by joint, mm, true height"
    note = "The pelvis is the origin."
    return Table(title, list(found), rows, rows_are="joint", note=note)


def _elevations(task: Task, rivals: list[Contestant], scenes: Scenes) -> Curves:
    series = {}
    for rival in rivals:
        joints = scenes.joints(rival)
        errors = [
            task.parts.part(
                f"elevation-{low}",
                lambda r=rival, j=joints, b=low: lifting.by_elevation(lift_of(r), j, b, task.seed),
                contestant=rival.fingerprint,
                **depends_on(task, joints),
            )
            for low in lifting.ELEVATIONS
        ]
        series[rival.name] = [[low + 5.0 for low in lifting.ELEVATIONS], errors]
    note = "Four cameras from any side in each bin of 10 degrees; noise of 2 % of the torso."
    title = "Error in the body frame by the camera's elevation"
    return Curves(title, "elevation, degrees", "error, mm", series, note=note)


def _calibration(found: dict[str, dict]) -> Curves:
    shares = list(lifting.SHARES)
    return Curves(
        "Is the predicted spread true?",
        "share of coordinates expected in an interval",
        "share found",
        {name: [shares, figures["calibration"]] for name, figures in found.items()},
        ideal=[[0.0, 1.0], [0.0, 1.0]],
        note="Below the diagonal the model is too sure of itself.",
    )
