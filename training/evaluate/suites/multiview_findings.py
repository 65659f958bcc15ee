"""What a real video of several cameras says of a lifter, as tables."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from vipe_core.errors import VipeError
from vipe_training.evaluate.report.findings import Findings, Table
from vipe_training.evaluate.samples import multiview
from vipe_training.evaluate.samples.scenes import lift_of
from vipe_training.evaluate.task import Contestant, Task


def add_multiview(task: Task, findings: Findings, rivals: list[Contestant]) -> None:
    """Fill ``findings`` with medians per camera and detector of contestants that lift.

    Raises:
        VipeError: no ``--video``, or an unsuitable one.
    """
    path = getattr(task.options, "video", None)
    if path is None:
        raise VipeError("--protocol multiview needs --video FILE.npz")
    video = multiview.read_video(path)
    findings.title = f"Lifting in {path.name}"
    heads = [f"camera {number}" for number in range(1, video.cameras + 1)]
    pictures = getattr(task.options, "pictures", None)
    if pictures and len(pictures) != video.cameras:
        raise VipeError(f"{len(pictures)} films for {video.cameras} cameras")
    task.parts.expect(len(rivals) * len(video.points) + bool(pictures))
    note = (
        f"Median of {len(video.truth)} frames of 13 joints after similarity alignment to the "
        "triangulated truth, which is not marker-based."
    )
    for detector in video.points:
        table = Table(f"{detector}, mm", heads, {}, note=note, best="lowest")
        for rival in rivals:
            found = task.parts.part(
                f"multiview-{detector.replace(' ', '-')}",
                lambda r=rival, d=detector: multiview.medians(
                    lift_of(r), video, d, r.frames, r.frame_step
                ),
                contestant=rival.fingerprint,
                video=_digest(path),
            )
            table.rows[rival.name] = list(found)
            summary = findings.summary.setdefault(rival.name, {})
            summary[f"multiview {detector} mm"] = round(float(np.mean(found)), 1)
        findings.tables.append(table)
    if pictures:
        findings.tables.append(_world(task, video, pictures, heads, note))


def _world(
    task: Task, video: multiview.Video, pictures: list[Path], heads: list[str], note: str
) -> Table:
    """BlazePose lifts, too: its world landmarks are a baseline."""
    found, missed = task.parts.part(
        "multiview-world",
        lambda: multiview.world_medians(video, pictures),
        pictures=[[str(p), p.stat().st_size if p.is_file() else 0] for p in pictures],
    )
    said = f" Nobody found in {missed} frames, which do not count." if missed else ""
    rows: dict[str, list] = {"BlazePose full, world landmarks": list(found)}
    return Table("the detector's own lifting, mm", heads, rows, note=note + said)


def _digest(path: Path) -> str:
    """SHA-256 of a file's content."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
