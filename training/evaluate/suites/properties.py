"""The suite ``properties``: what an embedding is like."""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np

from vipe_core.errors import VipeError
from vipe_training.evaluate.coders import EmbeddingCoder
from vipe_training.evaluate.metrics import properties
from vipe_training.evaluate.report.findings import Findings
from vipe_training.evaluate.samples.property_views import Views, Visitor
from vipe_training.evaluate.suites.property_findings import PROBABILITY, SHARES, show
from vipe_training.evaluate.task import Task

_DOTS = 400  # points of a scatter


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--dimensions",
        nargs="+",
        type=int,
        default=[2, 4, 8, 16, 32],
        metavar="N",
        help="leading dimensions of the embedding to keep (default: 2 4 8 16 32)",
    )
    parser.add_argument(
        "--map-poses", type=int, default=100, metavar="N", help="on the map (default: 100)"
    )
    parser.add_argument(
        "--clusters", type=int, default=6, metavar="N", help="colours of the map (default: 6)"
    )


def run(task: Task) -> Findings:
    """Map, variance, confidence and dimensions of an embedding.

    Eight cameras from anywhere (novel8), with noise of 2 % of the torso where Hit@1 is asked
    for: a PCA map of the embeddings; Hit@1 when the most uncertain queries are left out;
    total variance against how ambiguous the view is; whether the match probability is what
    it says; Hit@1 of the leading principal dimensions.
    """
    visitor = Visitor(task)
    findings = Findings(f"Properties of embeddings on {task.source}")
    found: dict[str, dict[str, dict]] = {part: {} for part in _PARTS}
    ranked = [contestant for contestant in task.contestants if contestant.coder]
    for contestant in task.contestants:
        if contestant not in ranked:
            findings.skipped.append(f"{contestant.name}: it codes nothing that could be ranked")
    if not ranked:
        raise VipeError("none of the models has an embedding or a pose to rank by")
    task.parts.expect(len(_PARTS) * len(ranked))
    for contestant in ranked:
        for part, (compute, lacks) in _PARTS.items():
            result = task.parts.part(
                f"properties-{part}",
                lambda c=contestant, compute=compute: compute(visitor.views(c)),
                contestant=contestant.fingerprint,
            )
            if result is None:
                findings.skipped.append(f"{contestant.name}: no {part}, it gives {lacks}")
            else:
                found[part][contestant.name] = result
    show(findings, found)
    return findings


def _map(views: Views) -> dict | None:
    """Two leading axes of the embeddings of some poses in all cameras."""
    if (codes := views.embeddings(noisy=False)) is None:
        return None
    means = codes[0]  # (V, N, D)
    center, axes, share = properties.principal_axes(means.reshape(-1, means.shape[-1]))
    rows = views.some(views.options.map_poses)
    flat = (means[:, rows] - center) @ axes[:2].T  # (V, M, 2)
    if flat.shape[-1] == 1:
        flat = np.concatenate([flat, np.zeros_like(flat)], axis=-1)
    clusters = views.clusters()[rows]
    dots = {
        f"pose cluster {one + 1}": flat[:, clusters == one].reshape(-1, 2).T.tolist()
        for one in np.unique(clusters)
    }
    camera = properties.camera_share(means)
    return {"dots": dots, "shares": share.tolist(), "camera": camera, "poses": len(rows)}


def _discarding(views: Views) -> dict | None:
    """Hit@1 without the most uncertain queries, mean over camera pairs."""
    if not views.has_uncertainty():
        return None
    kept = [
        properties.hit_of_kept(right, uncertainty, SHARES) for right, uncertainty in views.answers()
    ]
    return {"hit": (100 * np.mean(kept, axis=0)).tolist()}


def _ambiguity(views: Views) -> dict | None:
    """Uncertainty of every view, and how near its look-alikes of another pose are."""
    if not views.has_uncertainty():
        return None
    near = views.look_alikes()
    total = np.concatenate(views.uncertainties(noisy=False))[views.pool()]
    told = np.isfinite(near)
    near, total = near[told], total[told]
    relative = total / max(float(np.median(total)), 1e-12)
    some = np.linspace(0, len(near) - 1, min(_DOTS, len(near))).astype(int)
    return {
        "correlation": properties.rank_correlation(near, total),
        "dots": [near[some].tolist(), relative[some].tolist()],
        "views": len(near),
    }


def _confidence(views: Views) -> dict | None:
    """Reliability of the match probability, of what is found first and of any pair."""
    found = {}
    for name, pairs in zip(PROBABILITY, (views.found_pairs, views.random_pairs), strict=True):
        if (answer := pairs()) is None:
            return None
        rows = properties.reliability(*answer)
        found[name] = {"rows": rows, "error": 100 * properties.calibration_error(rows)}
    return found


def _dimensions(views: Views) -> dict | None:
    """Hit@1 of the leading principal dimensions, and of the embedding as it is."""
    if (codes := views.embeddings(noisy=True)) is None:
        return None
    mean, variance = codes
    size = mean.shape[-1]
    _, axes, _ = properties.principal_axes(mean.reshape(-1, size))
    coder = EmbeddingCoder(lambda points, visibility: (points, visibility))
    hits = {}
    for count in sorted({d for d in views.options.dimensions if 0 < d < size}):
        coded = [
            properties.leading(m, v, axes[:count]) for m, v in zip(mean, variance, strict=True)
        ]
        hits[str(count)] = views.hit(coder, coded)
    hits[str(size)] = views.hit(coder, list(zip(mean, variance, strict=True)))
    return {"hit": hits}


# Name, what computes it, and what a contestant lacks that has none.
_PARTS: dict[str, tuple[Callable[[Views], dict | None], str]] = {
    "map": (_map, "no embedding"),
    "discarding": (_discarding, "no variance"),
    "ambiguity": (_ambiguity, "no variance"),
    "confidence": (_confidence, "no match probability"),
    "dimensions": (_dimensions, "no embedding"),
}
