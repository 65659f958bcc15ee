"""The suite ``sequence``."""

from __future__ import annotations

import argparse
from functools import cache

import numpy as np

from vipe_core.errors import VipeError
from vipe_training.datasets import MotionSet, windows
from vipe_training.evaluate import protocol
from vipe_training.evaluate.coders import EmbeddingCoder
from vipe_training.evaluate.metrics import clips
from vipe_training.evaluate.report.findings import Curves, Findings, Table
from vipe_training.evaluate.samples.clip_codes import coder_of
from vipe_training.evaluate.task import Contestant, Task

FRAMES, STEP = 7, 0.08  # half a second, as in training
_BLOCK = 250  # rows of the match matrix that make a part


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--stack",
        type=int,
        nargs="+",
        default=[1, 3, 7],
        metavar="FRAMES",
        help="frames of a clip whose single-frame codes are put together (default 1 3 7)",
    )


def run(task: Task) -> Findings:
    """Find half-second clips again from another camera.

    A clip is seven frames around a chosen pose; an answer is right if the largest NP-MPJPE of
    its frames is at most 0.1. Models of windows take the clip whole. Of models of single frames
    the embeddings of several frames are put end to end, and ranked by the likelihood
    distance: the stacked baselines, with their dimensions behind the name. Cameras: chest4 and
    novel8, clean and with noise (+n); Hit@1/5/10/20 over all ordered camera pairs.
    """
    frames, step = _window(task.contestants)
    entries = [_entries(contestant, frames, task.options.stack) for contestant in task.contestants]
    motion = task.source.load()
    rows = windows(motion, frames, step)
    chosen = protocol.select_poses(motion.joints[rows[:, frames // 2]], task.poses, task.seed)
    joints = motion.joints[rows[chosen]]
    shots = [(name, views, noise) for name, views in _cameras(task.seed) for noise in (0.0, 0.02)]
    blocks = range(0, len(joints), _BLOCK)
    steps = sum(len(views) for _, views, _ in shots)
    task.parts.expect(len(blocks) + steps * len(task.contestants))
    matches = np.concatenate([_match_part(task, joints, start) for start in blocks])
    results: dict[str, dict[str, np.ndarray]] = {}
    for contestant, stacks in zip(task.contestants, entries, strict=True):
        for name, views, noise in shots:
            found = _hits(task, contestant, stacks, joints, matches, (views, noise))
            for entry, curve in found.items():
                results.setdefault(entry, {})[name + "+n" * bool(noise)] = curve
    skipped = _too_short(motion, rows, frames, step)
    return _findings(results, f"{len(joints)} clips of {task.source}, seed {task.seed}", skipped)


def _window(contestants: list[Contestant]) -> tuple[int, float]:
    """Frames and step of the clips: those of the models of windows, which must agree."""
    wanted = {(c.frames, c.frame_step): c.name for c in contestants if c.frames > 1}
    if len(wanted) > 1:
        said = ", ".join(f"{n}: {t} frames {s:g} s apart" for (t, s), n in wanted.items())
        raise VipeError(f"models of different windows cannot be compared on clips ({said})")
    return next(iter(wanted), (FRAMES, STEP))


def _entries(
    contestant: Contestant, frames: int, counts: list[int]
) -> dict[str, clips.StackedCoder]:
    """Name and stack of each row that a contestant gives."""
    coder = coder_of(contestant)
    if contestant.frames > 1:
        return {contestant.name: clips.StackedCoder(coder, [0])}
    if bad := [count for count in counts if not 1 <= count <= frames]:
        raise VipeError(f"--stack {bad[0]}: a clip has 1 to {frames} frames")
    size = contestant.model.metadata.embedding_size if contestant.model else 0
    entries = {}
    for count in sorted(set(counts)):
        said = f"{count} frames" if count > 1 else "middle frame"
        if size and isinstance(coder, EmbeddingCoder):
            said += f", {count * size}-D"
        stack = clips.StackedCoder(coder, clips.spread(frames, count))
        entries[f"{contestant.name} ({said})"] = stack
    return entries


def _cameras(seed: int) -> list[tuple[str, list[protocol.View]]]:
    return [("chest4", protocol.chest4()), ("novel8", protocol.novel8(seed))]


def _match_part(task: Task, joints: np.ndarray, start: int) -> np.ndarray:
    """(Q, N) bool, a block of rows of the match matrix."""
    queries = np.arange(start, min(start + _BLOCK, len(joints)))

    def compute() -> list[list[int]]:
        return [np.flatnonzero(row).tolist() for row in clips.match_rows(joints, queries)]

    found = task.parts.part("sequence-matches", compute, start=start, shape=joints.shape)
    matches = np.zeros((len(queries), len(joints)), bool)
    for row, columns in zip(matches, found, strict=True):
        row[columns] = True
    return matches


def _hits(
    task: Task,
    contestant: Contestant,
    stacks: dict[str, clips.StackedCoder],
    joints: np.ndarray,
    matches: np.ndarray,
    shot: tuple[list[protocol.View], float],
) -> dict[str, np.ndarray]:
    """Hit@1..20 in percent of each stack; a query camera is a part."""
    views, noise = shot

    @cache
    def coded() -> list[list]:
        points = protocol.render(joints, views, noise, task.seed)
        return [_codes(contestant, view) for view in points]

    def camera(query: int) -> dict[str, list[float]]:
        out = {}
        for name, stack in stacks.items():
            codes = [stack.stacked(frames) for frames in coded()]
            depth = min(max(protocol.TOP), len(joints))
            curves = [
                protocol.hits(stack.rank(codes[query], other, depth), matches).mean(axis=0)
                for index, other in enumerate(codes)
                if index != query
            ]
            out[name] = (100 * np.mean(curves, axis=0)).tolist()
        return out

    inputs = {"contestant": contestant.fingerprint, "stacks": list(stacks), "noise": noise}
    inputs |= {"shape": joints.shape, "views": [repr(view) for view in views]}
    parts = [
        task.parts.part("sequence", lambda q=query: camera(q), query=query, **inputs)
        for query in range(len(views))
    ]
    return {name: np.mean([part[name] for part in parts], axis=0) for name in stacks}


def _codes(contestant: Contestant, points: np.ndarray) -> list:
    """Codes of all frames, or of the clip, seen by one camera: points (N, T, 13, 2)."""
    coder, visible = coder_of(contestant), np.ones(points.shape[:-1])
    if contestant.frames > 1:
        return [coder.code(points, visible)]
    return [coder.code(points[:, t], visible[:, t]) for t in range(points.shape[1])]


def _too_short(motion: MotionSet, rows: np.ndarray, frames: int, step: float) -> list[str]:
    short = len(np.unique(motion.clip)) - len(np.unique(motion.clip[rows[:, 0]]))
    return [f"{short} clips shorter than {(frames - 1) * step:g} s"] if short else []


def _findings(results: dict[str, dict[str, np.ndarray]], what: str, skipped: list[str]) -> Findings:
    findings = Findings(f"Clips of half a second: {what}", skipped=skipped)
    for cameras in next(iter(results.values())):
        rows = {}
        for name, curves in results.items():
            curve = curves[cameras]
            rows[name] = [round(float(curve[min(k, len(curve)) - 1]), 2) for k in protocol.TOP]
            figures = findings.summary.setdefault(name, {})
            for k, value in zip(protocol.TOP, rows[name], strict=True):
                figures[f"clips {cameras} hit@{k}"] = value
        columns = [f"Hit@{k}" for k in protocol.TOP]
        title = f"{cameras}: clip found again from another camera, %"
        findings.tables.append(Table(title, columns, rows, best="highest"))
    last = "novel8+n"
    series = {
        name: [list(range(1, len(curves[last]) + 1)), curves[last].tolist()]
        for name, curves in results.items()
    }
    findings.plots.append(Curves(f"Clips, {last}", "k", "Hit@k, %", series))
    return findings
