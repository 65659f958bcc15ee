"""The suite ``actions``."""

from __future__ import annotations

import argparse
from functools import cache

import numpy as np

from vipe_core.errors import VipeError
from vipe_training.evaluate.metrics import classification
from vipe_training.evaluate.metrics.warping import clip_distances
from vipe_training.evaluate.report.findings import Findings, Heatmap, Table
from vipe_training.evaluate.samples.action_sets import (
    ActionSet,
    add_set_options,
    load_actions,
    set_files,
)
from vipe_training.evaluate.samples.clip_codes import (
    COSTS,
    EXCESS,
    LOG_P,
    OPTIONS,
    PLAIN,
    code_clips,
    coder_of,
    frame_costs,
    pick,
    truth_row,
)
from vipe_training.evaluate.suites.neighbours import gallery
from vipe_training.evaluate.task import Contestant, Task

_BLOCK = 12  # queries of a part
_SIDES = ("", " or mirrored")
# Per cost (2, Q, I): the query's person as it is, and the smaller of that and mirrored. To mirror
# the index's person, too, gives these two again.
Distances = dict[str, np.ndarray]


def add_options(parser: argparse.ArgumentParser) -> None:
    add_set_options(parser, limit=12)
    parser.add_argument(
        "--index", default="val", help="bandai: val, train, or one style (default %(default)s)"
    )
    parser.add_argument(
        "--window",
        choices=list(classification.WINDOWS),
        default="paper",
        help="average frame distances over 7 taps of rate 3, or 5 of them (default %(default)s)",
    )
    parser.add_argument(
        "--cost", choices=list(OPTIONS), default="log-p", help="of the tables per class"
    )
    parser.add_argument(
        "--mirror",
        choices=("auto", "yes", "no"),
        default="auto",
        help="tables per class count a mirrored person as the same action; auto: unless the "
        "set has classes for left and right",
    )


data = set_files  # what the record names in place of --data


def run(task: Task) -> Findings:
    """Tell actions apart by the nearest example.

    Whole clips are compared by dynamic time warping of frame distances, averaged over a window
    in time and divided by the length of the path; a clip gets the label of its nearest
    neighbour in the index. Measured: percent right, mean over classes, with the person as it
    is and with the smaller distance of it and its mirror image; also with the index of one
    view only. Sets: bandai (unseen styles), cmu (each clip against all others), penn-action
    (official split). Motion capture is seen by four noisy novel cameras, the index by four others.
    """
    actions = load_actions(task.options, task.seed)
    rivals = [*task.contestants, *truth_row(task.options)]
    for contestant in rivals:
        coder_of(contestant)
    task.parts.expect(len(rivals) * -(-len(actions.queries) // _BLOCK))
    found = {c.name: _distances(task, c, actions) for c in rivals}
    mirror = task.options.mirror == "yes" or (task.options.mirror == "auto" and not actions.chiral)
    findings = Findings(f"Actions: {actions.title}", skipped=list(actions.skipped))
    findings.tables = [_accuracies(task, actions, found)]
    chosen = {name: pick(d, task.options.cost)[int(mirror)] for name, d in found.items()}
    _one_view(findings, actions, chosen)
    _per_class(findings, actions, chosen)
    first = next(iter(chosen))
    findings.galleries = [gallery(first, actions, chosen[first])]
    findings.summary = {
        name: {
            f"{task.options.set} actions, {cost}{side}": round(_accuracy(actions, distance), 2)
            for cost, both in distances.items()
            for side, distance in zip(_SIDES, both, strict=True)
        }
        for name, distances in found.items()
    }
    return findings


def _distances(task: Task, contestant: Contestant, actions: ActionSet) -> Distances:
    @cache
    def coded() -> tuple:
        asked = [code_clips(contestant, actions.queries, mirrored) for mirrored in (False, True)]
        return asked, code_clips(contestant, actions.index)

    offsets = classification.WINDOWS[task.options.window]

    def block(rows: range) -> dict[str, list]:
        queries, index = coded()
        out: dict[str, list] = {}
        for side in queries:
            for row in rows:
                asked = coder_of(contestant).take(side.code, side.rows(row))
                for cost, values in frame_costs(contestant, asked, index.code).items():
                    values = classification.window_average(values, index.starts, offsets)
                    distance = clip_distances(values, index.starts)
                    out.setdefault(cost, []).append(distance.round(7).tolist())
        return out

    inputs = {"contestant": contestant.fingerprint, "window": offsets, **actions.inputs()}
    parts: dict[str, list[np.ndarray]] = {}
    for start in range(0, len(actions.queries), _BLOCK):
        rows = range(start, min(start + _BLOCK, len(actions.queries)))
        result = task.parts.part("actions", lambda r=rows: block(r), start=start, **inputs)
        for cost, values in result.items():
            parts.setdefault(cost, []).append(np.reshape(values, (2, len(rows), -1)))
    whole = {cost: np.concatenate(values, axis=1) for cost, values in parts.items()}
    return {cost: np.minimum.accumulate(both, axis=0) for cost, both in whole.items()}


def _labels(actions: ActionSet, distance: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Labels of the queries, and what was found for them."""
    known = [clip.label for clip in actions.index]
    found = classification.nearest_labels(distance, known, actions.same)
    return [clip.label for clip in actions.queries], found


def _accuracy(actions: ActionSet, distance: np.ndarray) -> float:
    return classification.mean_accuracy(*_labels(actions, distance))


def _accuracies(task: Task, actions: ActionSet, found: dict[str, Distances]) -> Table:
    used = [cost for cost in COSTS if any(cost in distances for distances in found.values())]
    columns = [cost + side for cost in used for side in _SIDES]
    rows = {}
    for name, distances in found.items():
        both = [d for cost in used for d in distances.get(cost, [None, None])]
        rows[name] = [None if d is None else _accuracy(actions, d) for d in both]
    taps = classification.WINDOWS[task.options.window]
    classes = len({clip.label for clip in actions.queries})
    limit = f", at most {task.options.limit} of a class" if task.options.limit else ""
    note = (
        f"{len(actions.queries)} clips of {classes} classes against {len(actions.index)}{limit}; "
        f"distances averaged over frames {', '.join(f'{tap:+d}' for tap in taps)}. "
        f"{EXCESS}: likelihood distance less what either is away from itself; "
        f"{LOG_P}: of the match probability, as published; "
        f"{PLAIN}: what a contestant without an embedding has."
    )
    title = f"{actions.title}: right label, % (mean over classes)"
    return Table(title, columns, rows, note=note, best="highest")


def _one_view(findings: Findings, actions: ActionSet, chosen: dict[str, np.ndarray]) -> None:
    """The index reduced to each of its views; needs views that are known."""
    asked, known = (
        np.array([clip.label for clip in clips]) for clips in (actions.queries, actions.index)
    )
    views = [clip.view for clip in actions.index]
    subsets = [] if not any(views) else list(classification.one_view(asked, known, views))
    if not subsets:
        why = "no view has two classes with two clips" if any(views) else "views are not known"
        findings.skipped.append(f"index of one view: {why}")
        return
    rows: dict[str, list[float | str | None]] = {}
    for name, distance in chosen.items():
        scores = []
        for _, q, i in subsets:
            part = np.ix_(q, i)
            try:
                got = classification.nearest_labels(distance[part], known[i], actions.same[part])
            except VipeError:  # the clip itself was the view's only example
                scores.append(None)
                continue
            scores.append(classification.mean_accuracy(asked[q], got))
        rows[name] = [float(np.mean([s for s in scores if s is not None])), *scores]
    kept = ", ".join(f"{view} {len(np.unique(asked[q]))}" for view, q, _ in subsets)
    note = f"Classes with at most one clip in the view are left out; left are: {kept}."
    columns = ["mean", *(view for view, _, _ in subsets)]
    title = "Index of one view only: right label, % (mean over classes)"
    findings.tables.append(Table(title, columns, rows, note=note, best="highest"))


def _per_class(findings: Findings, actions: ActionSet, chosen: dict[str, np.ndarray]) -> None:
    """A table of all classes, and who was taken for whom."""
    rows: dict[str, list[float | str | None]] = {}
    for name, distance in chosen.items():
        truth, found = _labels(actions, distance)
        for label, value in classification.accuracy_per_class(truth, found).items():
            rows.setdefault(label, []).append(value)
        labels = sorted(set(truth))
        share = classification.confusion(truth, found, labels).tolist()
        findings.plots.append(
            Heatmap(f"{name}: label found, %", "found", "true", labels, labels, share)
        )
    findings.tables.append(
        Table("Right label per class, %", list(chosen), rows, rows_are="class", digits=0)
    )
