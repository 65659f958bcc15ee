"""Queries and what was found for them, drawn."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np

from vipe_training.evaluate.coders import Coder
from vipe_training.evaluate.metrics.matches import KAPPA
from vipe_training.evaluate.report.findings import Drawing
from vipe_training.evaluate.samples.scenes import Scene

QUERIES, FOUND = 6, 5


def draw(coder: Coder, scene: Scene, seed: int = 0) -> list[list[dict]]:
    """Some queries of a camera and the best five of another, drawings as plain values.

    Half of the queries are found at once and half are not, as far as there are so many.

    Args:
        coder: of a model.
        scene: with two cameras or more.
        seed: chooses the two cameras and the queries.
    """
    rng = np.random.default_rng(seed)
    query, other = rng.permutation(len(scene.cameras))[:2]
    coded = [coder.code(scene.points[c], scene.visibility[c]) for c in (query, other)]
    ranking = coder.rank(coded[0], coded[1], min(FOUND, len(scene.joints)))
    right = scene.matches.right(ranking)
    rows = _mixed(right[:, 0], rng)
    error = scene.matches.error(ranking[rows], rows)
    drawn = []
    for row, gaps in zip(rows, error, strict=True):
        found = ranking[row]
        sure = coder.confidence(
            coder.take(coded[0], np.repeat(row, len(found))), coder.take(coded[1], found)
        )
        line = [_drawing(scene, query, row, f"query, camera {scene.cameras[query]}", None)]
        for place, item in enumerate(found):
            said = [f"camera {scene.cameras[other]}", f"NP-MPJPE {gaps[place]:.3f}"]
            if sure is not None:
                said.insert(1, f"confidence {sure[place]:.2f}")
            good = bool(gaps[place] <= KAPPA)
            line.append(_drawing(scene, other, item, ", ".join(said), good))
        drawn.append([asdict(drawing) for drawing in line])
    return drawn


def _mixed(right: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rows of :data:`QUERIES` queries, half right and half wrong where that can be."""
    good, bad = (rng.permutation(np.flatnonzero(which)) for which in (right, ~right))
    wrong = min(len(bad), max(QUERIES // 2, QUERIES - len(good)))
    return np.concatenate([good[: QUERIES - wrong], bad[:wrong]])


def _drawing(scene: Scene, camera: int, row: int, caption: str, right: bool | None) -> Drawing:
    points, visible = scene.points[camera][row], scene.visibility[camera][row]
    if points.ndim == 3:
        points, visible = points[len(points) // 2], visible[len(visible) // 2]
    there = np.isfinite(points).all(axis=-1)
    return Drawing(
        [p.tolist() if ok else None for p, ok in zip(points.astype(float), there, strict=True)],
        (there & (visible >= 0.5)).tolist(),
        caption,
        right,
    )
