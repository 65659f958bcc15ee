"""The second half of the suite ``alignment``: synchronisation where the truth is known."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from vipe_core.alignment import align, dtw
from vipe_core.errors import VipeError
from vipe_core.track import Track
from vipe_training.evaluate.metrics.warping import found_warp, random_warp, warped
from vipe_training.evaluate.report.findings import Curves, Findings, Table
from vipe_training.evaluate.samples import clip_sets
from vipe_training.evaluate.samples.clip_codes import code_clips, coder_of, frame_costs, pick
from vipe_training.evaluate.samples.clip_sets import Clip, MotionClip
from vipe_training.evaluate.task import Contestant, Task

_BLOCK = 10  # clips of a part
_STRAIGHT = "straight line"
_ALIGNED = "vipe align"  # in a column: by what `vipe align` does, in place of warping


@dataclass(frozen=True)
class Take:
    """A clip, the same at another speed from another camera, and the true warp (F,) of it."""

    first: Clip
    second: Clip
    truth: np.ndarray

    @property
    def milliseconds(self) -> float:
        """Of a frame."""
        return 1000 * float(np.median(np.diff(self.first.stamps)))


def make_takes(motion: list[MotionClip], shortest: float, seed: int) -> list[Take]:
    """Two takes of every clip of at least ``shortest`` seconds, from cameras drawn at random.

    Poses between frames are interpolated joint by joint.

    Raises:
        VipeError: no clip is that long.
    """
    rng = np.random.default_rng(seed)
    first, second = clip_sets.cameras(seed)
    takes = []
    for clip in motion:
        if len(clip.stamps) < 3 or clip.stamps[-1] - clip.stamps[0] < shortest:
            continue
        truth = random_warp(len(clip.joints), rng)
        slow = replace(clip, joints=warped(clip.joints, truth))
        one, other = (
            clip_sets.film(c, views, str(rng.choice(list(views))), int(rng.integers(2**31)))
            for c, views in ((clip, first), (slow, second))
        )
        takes.append(Take(one, other, truth))
    if not takes:
        raise VipeError(f"no clip lasts {shortest:g} s, so none can be synchronised")
    return takes


def add_synchronisation(
    findings: Findings, task: Task, rivals: list[Contestant], motion: list[MotionClip]
) -> None:
    """The table over contestants, the errors' distribution, one path against the truth."""
    takes = make_takes(motion, task.options.shortest, task.seed)
    if len(takes) < len(motion):
        short = len(motion) - len(takes)
        findings.skipped.append(
            f"synchronisation: {short} clips shorter than {task.options.shortest:g} s"
        )
    blocks = range(0, len(takes), _BLOCK)
    task.parts.expect(len(rivals) * len(blocks))
    found, aligned = {}, {}
    for c in rivals:
        both = [warps for start in blocks for warps in _part(task, c, takes, start)]
        found[c.name] = [warps[0] for warps in both]
        aligned[c.name] = [warps[1] for warps in both if warps[1] is not None]
    found[_STRAIGHT] = [np.linspace(0, len(t.first) - 1, len(t.second)) for t in takes]
    frame = np.concatenate([np.full(len(t.truth), t.milliseconds) for t in takes])
    rows: dict[str, list[float | str | None]] = {}
    series = {}
    for name, warps in found.items():
        error = np.concatenate([np.abs(w - t.truth) for w, t in zip(warps, takes, strict=True)])
        rows[name] = [
            *(float(f(error)) for f in (np.mean, np.median)),
            *(float(f(error * frame)) for f in (np.mean, np.median)),
            *_aligned_errors(aligned.get(name, []), takes),
        ]
        share = np.linspace(0, 100, 101)
        series[name] = [np.percentile(error * frame, share).tolist(), share.tolist()]
        if name != _STRAIGHT:
            figures = findings.summary.setdefault(name, {})
            for what, f in (("mean", np.mean), ("median", np.median)):
                said = f"{task.options.set} synchronisation, {what} ms"
                figures[said] = round(float(f(error * frame)), 1)
            for what, value in zip(("mean", "median"), rows[name][4:], strict=True):
                if isinstance(value, float):
                    said = f"{task.options.set} synchronisation by {_ALIGNED}, {what} ms"
                    figures[said] = round(value, 1)
    note = (
        f"{len(takes)} clips from two noisy novel cameras, the second at half to twice the speed; "
        f"absolute error of the path of dynamic time warping, and by {_ALIGNED}, where there is a "
        f"match probability. {_STRAIGHT}: no model, both run alike."
    )
    columns = ["mean, frames", "median, frames", "mean, ms", "median, ms"]
    columns += [f"{_ALIGNED}: {what}" for what in columns[2:]]
    title = "Synchronisation: error in time"
    findings.tables.append(Table(title, columns, rows, note=note, best="lowest"))
    title = "Synchronisation: share of frames with at most this error"
    findings.plots.append(Curves(title, "error, ms", "frames, %", series))
    findings.plots.append(_example(takes, found))


def _aligned_errors(warps: list[np.ndarray], takes: list[Take]) -> list[float | str | None]:
    """Mean and median error in ms; None where there are no warps."""
    if not warps:
        return [None, None]
    pairs = zip(warps, takes, strict=True)
    error = np.concatenate([np.abs(w - take.truth) * take.milliseconds for w, take in pairs])
    return [float(np.mean(error)), float(np.median(error))]


_Warps = tuple[np.ndarray, np.ndarray | None]


def _part(task: Task, contestant: Contestant, takes: list[Take], start: int) -> list[_Warps]:
    """(F,) frame of the first clip that is found for each of the second, for some clips: by
    dynamic time warping, and as `vipe align` does where there is a match probability."""
    some = takes[start : start + _BLOCK]

    def compute() -> list[list[list[float] | None]]:
        firsts, seconds = [take.first for take in some], [take.second for take in some]
        first, second = code_clips(contestant, firsts), code_clips(contestant, seconds)
        out = []
        for number, take in enumerate(some):
            codes = [coder_of(contestant).take(c.code, c.rows(number)) for c in (first, second)]
            path, _ = dtw(pick(frame_costs(contestant, *codes), task.options.cost))
            aligned = _aligned(contestant, take, codes)
            warps = (found_warp(path, len(take.second)), aligned)
            out.append([None if warp is None else warp.round(4).tolist() for warp in warps])
        return out

    clips = [clip for take in some for clip in (take.first, take.second)]
    result = task.parts.part(
        "synchronisation",
        compute,
        contestant=contestant.fingerprint,
        clips=clip_sets.fingerprint(clips),
        cost=task.options.cost,
        also=_ALIGNED,
    )
    return [
        (np.array(warped_frames), None if frames is None else np.array(frames))
        for warped_frames, frames in result
    ]


def _aligned(contestant: Contestant, take: Take, codes: list) -> np.ndarray | None:
    if contestant.model is None or not contestant.model.metadata.has_embedding:
        return None
    info = contestant.model.metadata
    tracks = [
        Track(clip.stamps, *code)
        for clip, code in zip((take.first, take.second), codes, strict=True)
    ]
    first, second = tracks
    moment = align(first, second, info.sigmoid_a, info.sigmoid_b).moment_s
    return np.interp(moment, take.first.stamps, np.arange(len(take.first)))


def _example(takes: list[Take], found: dict[str, list[np.ndarray]]) -> Curves:
    """The clip whose speed changes most."""
    away = [np.abs(take.truth - np.arange(len(take.truth))).mean() for take in takes]
    number = int(np.argmax(away))
    take, frames = takes[number], [float(j) for j in range(len(takes[number].truth))]
    series = {name: [frames, warps[number].tolist()] for name, warps in found.items()}
    return Curves(
        f"Synchronisation of one clip: {take.first.label}",
        "frame of the second clip",
        "frame of the first clip",
        series,
        ideal=[frames, take.truth.tolist()],
        note=f"{take.first.name}, {take.first.view} and {take.second.view}. Dashed: the truth.",
    )
