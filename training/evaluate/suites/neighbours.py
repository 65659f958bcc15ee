"""Pictures of clips beside their nearest neighbours."""

from __future__ import annotations

import numpy as np

from vipe_training.evaluate.report.findings import Drawing, Gallery
from vipe_training.evaluate.samples.action_sets import ActionSet
from vipe_training.evaluate.samples.clip_sets import Clip

_ROWS, _FOUND = 6, 3


def gallery(name: str, actions: ActionSet, distance: np.ndarray) -> Gallery:
    """Middle frames of some queries, wrong answers first, and of what was found for them.

    Args:
        name: of the contestant. distance: (Q, I) of its clips.
    """
    distance = np.where(actions.same, np.inf, distance)
    order = np.argsort(distance, axis=1, kind="stable")[:, :_FOUND]
    right = [
        actions.index[best].label == query.label
        for query, best in zip(actions.queries, order[:, 0], strict=True)
    ]
    rows = []
    for q in np.argsort(right, kind="stable")[:_ROWS]:
        query = actions.queries[q]
        row = [_drawing(query, f"{query.label}, {query.view}".rstrip(", "), None)]
        for i in order[q]:
            clip = actions.index[i]
            caption = f"{clip.label}, {distance[q, i]:.2f}"
            row.append(_drawing(clip, caption, clip.label == query.label))
        rows.append(row)
    note = f"Middle frames; {right.count(False)} of {len(right)} are wrong, those come first."
    return Gallery(f"{name}: nearest examples", rows, note)


def _drawing(clip: Clip, caption: str, right: bool | None) -> Drawing:
    middle = len(clip) // 2
    points = [p.tolist() if np.isfinite(p).all() else None for p in clip.points[middle]]
    return Drawing(points, (clip.visibility[middle] >= 0.5).tolist(), caption, right)
