"""How far bodies are placed from where they are, and whether the placement knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2

from vipe_core.placement import Placements
from vipe_training.evaluate.samples.shots import Shots

_INSIDE_90 = float(chi2.ppf(0.9, 3))


@dataclass(frozen=True)
class Errors:
    """Of N views; NaN where nobody was placed.

    Attributes:
        along, across, total: (N,) metres, of the body's origin: along the ray from the camera
            (positive: too far away), at right angles to it, and altogether.
        chest: (N,) radians between the directions in which the chest points.
        inside: (N,) whether the origin lies in the ellipsoid that should hold it in 90 % of the
            cases; false where nobody was placed.
        swapped: (N,) whether the detector took left for right.
        tall: (N,) metres by which the height is too large.
    """

    along: np.ndarray
    across: np.ndarray
    total: np.ndarray
    chest: np.ndarray
    inside: np.ndarray
    swapped: np.ndarray
    tall: np.ndarray


def errors(found: Placements, shots: Shots) -> Errors:
    """Of placements of the people of all shots, in their order."""
    gap = found.translation - shots.root
    ray = shots.root / np.linalg.norm(shots.root, axis=-1, keepdims=True)
    along = (gap * ray).sum(axis=-1)
    cosine = (found.rotation[..., 0] * shots.rotation[..., 0]).sum(axis=-1)
    inside = np.zeros(len(shots), bool)
    rows = np.flatnonzero(found.placed)
    solved = np.linalg.solve(found.covariance[rows, :3, :3], gap[rows, :, None])[..., 0]
    inside[rows] = (gap[rows] * solved).sum(axis=-1) < _INSIDE_90
    return Errors(
        along,
        np.linalg.norm(gap - along[:, None] * ray, axis=-1),
        np.linalg.norm(gap, axis=-1),
        np.arccos(np.clip(cosine, -1, 1)),
        inside,
        shots.swapped,
        found.height - shots.height,
    )


def join(parts: Sequence[Errors]) -> Errors:
    """The errors of several sets as one."""
    return Errors(
        **{name: np.concatenate([getattr(part, name) for part in parts]) for name in vars(parts[0])}
    )


def summarize(found: Errors, views: np.ndarray | None = None) -> dict[str, float]:
    """Figures of some views (N,) bool, or of all: how many, how many of them are placed (%),
    median and 90th percentile of absolute errors in mm and degrees, the mean along the ray, the
    share inside the 90 % ellipsoid of those placed (%), and the mean absolute error of the
    height in mm."""
    views = np.ones(len(found.total), bool) if views is None else views
    placed = views & np.isfinite(found.total)
    share = float(placed.sum()) / max(int(views.sum()), 1)
    out = {"views": float(views.sum()), "placed": 100 * share}
    if not placed.any():
        return out
    for name, unit in (("along", 1000), ("across", 1000), ("total", 1000), ("chest", 180 / np.pi)):
        value = unit * np.abs(getattr(found, name)[placed])
        out[name], out[f"{name}90"] = (float(v) for v in np.percentile(value, [50, 90]))
    out["bias"] = 1000 * float(found.along[placed].mean())
    out["inside"] = 100 * float(found.inside[placed].mean())
    out["height"] = 1000 * float(np.abs(found.tall[placed]).mean())
    return out
