"""What smoothing gains in steadiness and costs in delay, as tables."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vipe_core.bodies import Bodies2D, Estimates
from vipe_core.geometry import mpjpe, stature, to_body_frame
from vipe_core.placement import Placer
from vipe_core.smoothing import OneEuro
from vipe_training.datasets import MotionSet
from vipe_training.datasets.cache import sha256
from vipe_training.evaluate import protocol
from vipe_training.evaluate.metrics.smoothness import acceleration, lag
from vipe_training.evaluate.report.findings import Findings, Table
from vipe_training.evaluate.samples import multiview
from vipe_training.evaluate.samples.scenes import lift_of
from vipe_training.evaluate.samples.shots import filmed, rendered
from vipe_training.evaluate.suites.placement_figures import OWN_STD
from vipe_training.evaluate.task import Contestant, Lift, Task

# Cutoff at rest in Hz, and beta in Hz per m/s; None: as it comes.
SETTINGS: list[tuple[float, float] | None] = [
    None,
    (0.5, 1.0),
    (1.0, 0.0),
    (1.0, 0.5),
    (1.0, 1.0),
    (1.0, 2.0),
    (1.0, 4.0),
    (1.0, 8.0),
    (2.0, 1.0),
    (2.0, 4.0),
    (4.0, 0.0),
]
_COLUMNS = ["acceleration m/s²", "lag ms", "said ms", "error mm"]
_LONGEST_S, _SHORTEST_S, _CLIPS = 10.0, 3.0, 12
_SHORTEST_FILM_S = 1.0  # lags of up to 0.6 s are looked for
_NOISE = 0.02
_NOTE = (
    "Acceleration: root mean square over frames and joints. lag: the shift behind the truth at "
    "which the two differ least, less that of the unsmoothed motion. said: the filter's own "
    "delay_s, mean over the frames. error: mean distance from the truth at the same moment. "
    "The truth of the real video is triangulated from single frames and not steady itself."
)


@dataclass(frozen=True)
class Take:
    """A motion as measured and as it was: (F, J, 3) metres both."""

    found: np.ndarray
    truth: np.ndarray
    fps: float


def add_smoothing(
    findings: Findings, task: Task, rival: Contestant, path: Path | None, motion: MotionSet
) -> None:
    """A table per kind of motion: a row per setting of the filter."""
    kinds = {"joints, rendered motion": lambda: _rendered(lift_of(rival), motion, task.seed)}
    if path is not None:
        for part, which in (("joints", 0), ("place", 1)):
            kinds[f"{part}, real video"] = lambda w=which: _filmed(lift_of(rival), path)[w]
    for kind, takes in kinds.items():
        found = task.parts.part(
            f"smoothing-{kind.replace(', ', '-').replace(' ', '-')}",
            lambda t=takes: _rows(t()),
            contestant=rival.fingerprint,
            frames=len(motion),
            video=None if path is None else sha256(path),
        )
        if not found:
            findings.skipped.append(f"smoothing of {kind}: no clip is long enough")
            continue
        title = f"Smoothing of {kind}: {rival.name}"
        findings.tables.append(Table(title, _COLUMNS, found, "cutoff Hz, beta", note=_NOTE))


def _rows(takes: list[Take]) -> dict[str, list[float | str | None]]:
    rows: dict[str, list[float | str | None]] = {}
    if not takes:
        return rows
    for setting in SETTINGS:
        name = "none" if setting is None else f"{setting[0]:g}, {setting[1]:g}"
        rows[name] = [*figures(takes, setting)]
    moves = float(np.mean([acceleration(take.truth, take.fps) for take in takes]))
    return rows | {"the truth": [round(moves, 2), None, None, None]}


def figures(takes: list[Take], setting: tuple[float, float] | None) -> list[float]:
    """The cells of a row: means over the takes."""
    rows = []
    for take in takes:
        smooth, said = _smoothed(take, setting)
        late = lag(smooth, take.truth, take.fps) - lag(take.found, take.truth, take.fps)
        error = float(mpjpe(take.truth, smooth).mean())
        rows.append([acceleration(smooth, take.fps), 1000 * late, 1000 * said, 1000 * error])
    return [round(float(value), 2) for value in np.mean(rows, axis=0)]


def _smoothed(take: Take, setting: tuple[float, float] | None) -> tuple[np.ndarray, float]:
    """The motion through a filter, and the delay in seconds that the filter says it has."""
    if setting is None:
        return take.found, 0.0
    one, out, said = OneEuro(*setting), [], []
    for frame, joints in enumerate(take.found):
        out.append(one.update(["1"], joints[None], frame / take.fps)[0])
        said.append(one.delay_s)
    return np.stack(out), float(np.mean(said[1:]))


def _rendered(lift: Lift, motion: MotionSet, seed: int) -> list[Take]:
    """Joints in the body frame, from noisy keypoints of clips, each through one camera."""
    rng = np.random.default_rng([seed, 17])
    takes = []
    for clip in rng.permutation(np.unique(motion.clip)):
        rows = np.flatnonzero(motion.clip == clip)
        fps = float(motion.fps[rows[0]])
        rows = rows[: int(_LONGEST_S * fps)] if np.isfinite(fps) else rows[:0]
        if len(rows) < _SHORTEST_S * fps or not len(rows):
            continue
        still = np.zeros(len(rows), int)
        shots = rendered(motion.joints[rows], _NOISE, int(rng.integers(2**31)), still, still)
        assert shots.joints is not None, "rendered people have joints"
        truth = to_body_frame(shots.joints, "joints17")
        found = lift(shots.points.astype(np.float32), shots.visibility)[0]
        takes.append(Take(found * stature(truth)[:, None, None], truth, fps))
        if len(takes) == _CLIPS:
            break
    return takes


def _filmed(lift: Lift, path: Path) -> tuple[list[Take], list[Take]]:
    """Joints in the body frame, and the body's origin in the camera, of the detector that swaps
    no sides; a take per camera."""
    video = multiview.read_video(path)
    fps = video.fps if np.isfinite(video.fps) else 60.0
    joints, places = [], []
    sets = filmed(path)
    name = min(
        (n for n in sets if n != multiview.EXACT),
        key=lambda n: sum(int(shots.swapped.sum()) for shots in sets[n]),
        default=multiview.EXACT,
    )
    for shots in sets[name]:
        people = Bodies2D.from_arrays(shots.points, shots.visibility)
        lifted, std = lift(people.points, people.visibility)
        found = lifted[:, protocol.BODY13_IN_17] * shots.height[:, None, None]
        if len(found) < _SHORTEST_FILM_S * fps:
            continue
        joints.append(Take(found, to_body_frame(video.truth, "body13"), fps))
        placer = Placer(float(shots.height[0]), OWN_STD)
        placed = placer.place(people, Estimates(joints=lifted, std=std), shots.lens, 0.0)
        if placed.placed.all():
            places.append(Take(placed.translation[:, None], shots.root[:, None], fps))
    return joints, places
