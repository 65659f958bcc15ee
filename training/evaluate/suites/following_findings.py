"""The third part of the suite ``alignment``: progress along a reference, live."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from vipe_core.alignment import Follower
from vipe_core.track import Track
from vipe_training.evaluate.report.findings import Findings, Table
from vipe_training.evaluate.samples.clip_codes import CodedClips, code_clips
from vipe_training.evaluate.samples.clip_sets import MotionClip
from vipe_training.evaluate.suites.synchronisation_findings import Take, make_takes
from vipe_training.evaluate.task import Contestant, Task

_BEFORE_S, _WAIT_S, _AWAY_S, _AFTER_S = 1.0, 1.5, 1.0, 1.0
_EARLY_S = 1.0  # "finished" so long before the end is wrong
KINDS = ("plain", "disturbed")


@dataclass(frozen=True)
class Stream:
    """What the camera sees of a take, frame by frame.

    Attributes:
        frame: (K,) of the second clip.
        seen: (K,) bool, whether anybody is.
    """

    frame: np.ndarray
    seen: np.ndarray


def streams(take: Take, rng: np.random.Generator) -> dict[str, Stream]:
    """The take as it is; and with waiting before, at a moment in the middle and at the end, and
    an absence from sight at another moment, during which the movement goes on."""
    count, second = len(take.second), 1000 / take.milliseconds
    wait = int(rng.integers(count // 4, 3 * count // 4))
    before, pause, away, after = (
        round(seconds * second) for seconds in (_BEFORE_S, _WAIT_S, _AWAY_S, _AFTER_S)
    )
    parts = (
        np.zeros(before, int),
        np.arange(wait),
        np.full(pause, wait),
        np.arange(wait, count),
        np.full(after, count - 1),
    )
    frame = np.concatenate(parts)
    seen = np.ones(len(frame), bool)
    gone = int(rng.integers(len(frame) // 4, 3 * len(frame) // 4))
    seen[gone : gone + away] = False
    plain = Stream(np.arange(count), np.ones(count, bool))
    return {KINDS[0]: plain, KINDS[1]: Stream(frame, seen)}


def add_following(
    findings: Findings, task: Task, rivals: list[Contestant], motion: list[MotionClip]
) -> None:
    """A table over the contestants that have a match probability."""
    takes = make_takes(motion, task.options.shortest, task.seed)
    rng = np.random.default_rng(task.seed)
    played = [streams(take, rng) for take in takes]
    rows: dict[str, list[float | str | None]] = {}
    for contestant in rivals:
        if contestant.model is not None and contestant.model.metadata.has_embedding:
            codes = _codes(contestant, takes)
            for kind in KINDS:
                name = f"{contestant.name}, {kind}"
                rows[name] = _row(contestant, takes, [streams[kind] for streams in played], codes)
    if not rows:
        findings.skipped.append("following: no contestant has a match probability")
        return
    columns = ["median, ms", "mean, ms", "90th percentile, ms", "median, % of the clip"]
    columns += ["finished, %", "finished early, %", "ms per frame"]
    note = (
        f"{len(takes)} clips, one camera's as the reference, another's at half to twice the speed "
        f"live; error of the reference's time until finished, while seen. Disturbed: "
        f"{_BEFORE_S:g} s of waiting before, {_WAIT_S:g} s in the middle, {_AFTER_S:g} s at the "
        f"end, and {_AWAY_S:g} s out of sight. Early: over {_EARLY_S:g} s before the end."
    )
    findings.tables.append(Table("Following live: error in time", columns, rows, note=note))


_Codes = tuple[tuple[CodedClips, CodedClips], tuple[CodedClips, CodedClips]]


def _codes(contestant: Contestant, takes: list[Take]) -> _Codes:
    """Of the first and of the second clips: as they are, and mirrored."""
    clips = [take.first for take in takes], [take.second for take in takes]
    first, second = ((code_clips(contestant, c), code_clips(contestant, c, True)) for c in clips)
    return first, second


def _row(
    contestant: Contestant, takes: list[Take], played: list[Stream], codes: _Codes
) -> list[float | str | None]:
    assert contestant.model is not None
    info = contestant.model.metadata
    errors, shares, finished, early, spent, frames = [], [], 0, 0, 0.0, 0
    for number, (take, stream) in enumerate(zip(takes, played, strict=True)):
        first, second = (_track(both, number) for both in codes)
        reference = Track(take.first.stamps, *first)
        follower = Follower(reference, info.sigmoid_a, info.sigmoid_b)
        truth = np.interp(take.truth, np.arange(len(reference)), take.first.stamps)
        truth -= take.first.stamps[0]
        for tick, (row, seen) in enumerate(zip(stream.frame, stream.seen, strict=True)):
            values = [code[row] if seen else np.full_like(code[row], np.nan) for code in second]
            start = time.perf_counter()
            found = follower.update(tick * take.milliseconds / 1000, *values)
            spent, frames = spent + time.perf_counter() - start, frames + 1
            if found.finished:
                finished += 1
                early += truth[row] < reference.duration - _EARLY_S
                break
            if seen:
                errors.append(1000 * abs(found.reference_time_s - truth[row]))
                shares.append(errors[-1] / 10 / reference.duration)
    return [
        *(float(f(errors)) for f in (np.median, np.mean)),
        float(np.percentile(errors, 90)),
        float(np.median(shares)),
        *(100 * count / len(takes) for count in (finished, early)),
        1000 * spent / frames,
    ]


def _track(both: tuple[CodedClips, CodedClips], number: int) -> list[np.ndarray]:
    """Mean and variance (F, D) of one clip, then of its mirror image."""
    return [values[coded.rows(number)] for coded in both for values in coded.code]
