"""The first half of the suite ``alignment``: Kendall's tau."""

from __future__ import annotations

import numpy as np

from vipe_core.errors import VipeError
from vipe_training.datasets import data_root
from vipe_training.evaluate.metrics.ordering import pair_tau
from vipe_training.evaluate.report.findings import Findings, Table
from vipe_training.evaluate.samples import clip_sets
from vipe_training.evaluate.samples.clip_codes import code_clips, frame_costs, pick
from vipe_training.evaluate.samples.clip_sets import Clip, MotionClip
from vipe_training.evaluate.samples.penn_clips import load_penn
from vipe_training.evaluate.task import Contestant, Task

_RATE_HZ, _PENN_EVERY = 6, 5
_NO_ORDER = "jump_rope"  # of Penn Action; left out by all published figures
KINDS = ("all pairs", "same view", "different views")


def order_sets(task: Task, motion: list[MotionClip], skipped: list[str]) -> dict[str, list[Clip]]:
    """Clips by action, each through one of four cameras, two or more that are long enough.

    Args:
        motion: recorded clips; empty for Penn Action, which brings its own.
        skipped: what is left out is added here.

    Raises:
        VipeError: no action is left.
    """
    rng = np.random.default_rng(task.seed)
    if motion:
        clips = clip_sets.film_all(motion, clip_sets.cameras(task.seed)[0], rng)
    else:
        options = task.options
        _, clips, lines = load_penn(data_root() / options.cache, options.labels)
        clips = [clip for clip in clips if clip.label != _NO_ORDER]
        skipped += [*lines, f"action {_NO_ORDER}, as in the paper"]
        clips = clip_sets.limited(clips, options.limit, rng)
    long = [clip for clip in clips if -(-len(clip) // every(task, clip)) >= 2]
    if len(long) < len(clips):
        skipped.append(f"order: {len(clips) - len(long)} clips with under two sampled frames")
    actions: dict[str, list[Clip]] = {}
    for clip in long:
        actions.setdefault(clip.label, []).append(clip)
    kept = {label: group for label, group in sorted(actions.items()) if len(group) > 1}
    if len(kept) < len(actions):
        skipped.append(f"order: {len(actions) - len(kept)} actions with a single clip")
    if not kept:
        raise VipeError("no action has two clips whose order could be compared")
    return kept


def every(task: Task, clip: Clip) -> int:
    """How many frames on the next sampled one is."""
    if task.options.every is not None:
        return task.options.every
    if task.options.set == "penn-action":
        return _PENN_EVERY
    step = float(np.median(np.diff(clip.stamps))) if len(clip) > 1 else 1.0
    return max(1, int(1 / (step * _RATE_HZ) + 1e-3))


def add_order(
    findings: Findings, task: Task, rivals: list[Contestant], actions: dict[str, list[Clip]]
) -> None:
    """Tables over contestants, and over actions."""
    task.parts.expect(len(rivals) * len(actions))
    rows: dict[str, list[float | str | None]] = {}
    by_action: dict[str, list[float | str | None]] = {}
    for contestant in rivals:
        tau = {label: _action(task, contestant, clips) for label, clips in actions.items()}
        rows[contestant.name] = [
            *(_mean([values[kind] for values in tau.values()]) for kind in KINDS),
            _mean([values["as it is"] for values in tau.values()]),
        ]
        for label, values in tau.items():
            by_action.setdefault(label, []).append(values[KINDS[0]])
        findings.summary.setdefault(contestant.name, {}).update(
            {
                f"{task.options.set} tau, {kind}": round(value, 4)
                for kind, value in zip(KINDS, rows[contestant.name], strict=False)
                if isinstance(value, float)
            }
        )
    columns = [*KINDS, "all pairs, never mirrored"]
    title = "Order in time: Kendall's tau of nearest frames, -1 to 1"
    count = sum(map(len, actions.values()))
    note = f"{count} clips of {len(actions)} actions; mean over pairs of an action, then actions."
    findings.tables += [
        Table(title, columns, rows, digits=3, note=note, best="highest"),
        Table("Kendall's tau per action", list(rows), by_action, rows_are="action", digits=3),
    ]


def _action(task: Task, contestant: Contestant, clips: list[Clip]) -> dict[str, float | None]:
    step = every(task, clips[0])

    def compute() -> dict[str, float | None]:
        pairs = [(a, b) for a in range(len(clips)) for b in range(len(clips)) if a != b]
        first = code_clips(contestant, clips, every=step)
        tau = []
        for mirrored in (False, True):
            second = code_clips(contestant, clips, mirrored, step)
            costs = frame_costs(contestant, first.code, second.code)
            tau.append(pair_tau(pick(costs, task.options.cost), first.starts, pairs))
        best = np.maximum(*tau)
        known = all(clip.view for clip in clips)
        same = np.array([clips[a].view == clips[b].view for a, b in pairs])
        return {
            KINDS[0]: _mean(best),
            KINDS[1]: _mean(best[same]) if known else None,
            KINDS[2]: _mean(best[~same]) if known else None,
            "as it is": _mean(tau[0]),
        }

    return task.parts.part(
        "order",
        compute,
        contestant=contestant.fingerprint,
        clips=clip_sets.fingerprint(clips),
        every=step,
        cost=task.options.cost,
    )


def _mean(values) -> float | None:
    """Mean of what is there."""
    there = [value for value in values if value is not None]
    return float(np.mean(there)) if there else None
