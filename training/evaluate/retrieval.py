"""Cross-view retrieval: Hit@k over all ordered camera pairs (Pr-VIPE section 5.1)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

import numpy as np

from vipe_core.embedding import pairwise_likelihood_distance
from vipe_core.geometry import mpjpe, normalize_2d
from vipe_core.geometry.procrustes import procrustes
from vipe_core.skeletons import BODY13
from vipe_training.evaluate import protocol

Embed = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
_ARM = ("elbow", "wrist")
_LEG = ("knee", "ankle")


def _hidden(*limbs: tuple[str, tuple[str, ...]]) -> list[int]:
    return BODY13.indices(*(f"{side}_{joint}" for side, joints in limbs for joint in joints))


# The ten targeted occlusions: arms, legs, and one arm with one leg.
TARGETED = {
    "left arm": _hidden(("left", _ARM)),
    "right arm": _hidden(("right", _ARM)),
    "both arms": _hidden(("left", _ARM), ("right", _ARM)),
    "left leg": _hidden(("left", _LEG)),
    "right leg": _hidden(("right", _LEG)),
    "both legs": _hidden(("left", _LEG), ("right", _LEG)),
    "left arm, left leg": _hidden(("left", _ARM), ("left", _LEG)),
    "left arm, right leg": _hidden(("left", _ARM), ("right", _LEG)),
    "right arm, left leg": _hidden(("right", _ARM), ("left", _LEG)),
    "right arm, right leg": _hidden(("right", _ARM), ("right", _LEG)),
}


def hit_at_k(
    queries: list[tuple[np.ndarray, np.ndarray]],
    index: list[tuple[np.ndarray, np.ndarray]],
    matches: np.ndarray,
) -> np.ndarray:
    """Hit@1..20 in percent (20,), mean over queries, then over ordered camera pairs.

    Args:
        queries, index: per camera mean (N, D) and variance (N, D) of the same N poses.
        matches: (N, N) bool, query pose x index pose.
    """
    depth = min(max(protocol.TOP), matches.shape[1])
    scores = []
    for q, i in permutations(range(len(queries)), 2):
        distance = pairwise_likelihood_distance(*queries[q], *index[i])
        scores.append(protocol.hits(_nearest(distance, depth), matches).mean(axis=0))
    return 100 * np.mean(scores, axis=0)


def _nearest(distance: np.ndarray, depth: int) -> np.ndarray:
    """(Q, depth) columns of the smallest distances, nearest first."""
    part = np.argpartition(distance, depth - 1, axis=1)[:, :depth]
    order = np.take_along_axis(distance, part, axis=1).argsort(axis=1, kind="stable")
    return np.take_along_axis(part, order, axis=1)


def evaluate_embedding(embed: Embed, joints: np.ndarray, seed: int = 0) -> dict[str, list[float]]:
    """Hit@1/5/10/20 of an embedding under every camera protocol.

    Args:
        embed: points (N, [T,] 13, 2) and visibility (N, [T,] 13) to mean and variance (N, D).
        joints: (N, [T,] 17, 3) metres, de-duplicated (:func:`protocol.choose`).

    Returns:
        protocol name -> four percentages.
    """
    matches = protocol.match_matrix(joints)
    results = {}
    for name, views in (("chest4", protocol.chest4()), ("novel8", protocol.novel8(seed))):
        for suffix, noise in (("", 0.0), ("+n", 0.02)):
            points = protocol.render(joints, views, noise, seed)
            coded = [embed(p, np.ones(p.shape[:-1])) for p in points]
            results[name + suffix] = _at_top(hit_at_k(coded, coded, matches))
    results["partial"] = _at_top(_partial(embed, joints, seed))
    return results


def _partial(embed: Embed, joints: np.ndarray, seed: int) -> np.ndarray:
    """Mean over the ten targeted occlusions of the query; the index is fully visible."""
    points = protocol.render(joints, protocol.chest4(), 0.0, seed)
    index = [embed(p, np.ones(p.shape[:-1])) for p in points]
    scores = []
    for hidden in TARGETED.values():
        shown = [j for j in range(len(BODY13)) if j not in hidden]
        matches = protocol.match_matrix(joints, [protocol.BODY13_IN_17[j] for j in shown])
        visibility = np.ones(points.shape[1:-1])
        visibility[..., hidden] = 0
        queries = [embed(p, visibility) for p in points]
        scores.append(hit_at_k(queries, index, matches))
    return np.mean(scores, axis=0)


def _at_top(curve: np.ndarray) -> list[float]:
    return [round(float(curve[min(k, len(curve)) - 1]), 2) for k in protocol.TOP]


def aligned_keypoints(joints: np.ndarray, seed: int = 0) -> dict[str, list[float]]:
    """The baseline without learning: nearest 2D keypoints after similarity alignment."""
    matches = protocol.match_matrix(joints)
    results = {}
    for name, views, noise in (
        ("chest4", protocol.chest4(), 0.0),
        ("novel8+n", protocol.novel8(seed), 0.02),
    ):
        points = normalize_2d(protocol.render(joints, views, noise, seed), "body13")
        depth = min(max(protocol.TOP), len(joints))
        scores = [
            protocol.hits(_nearest(_aligned_distance(points[q], points[i]), depth), matches).mean(0)
            for q, i in permutations(range(len(views)), 2)
        ]
        results[name] = _at_top(100 * np.mean(scores, axis=0))
    return results


def _aligned_distance(queries: np.ndarray, index: np.ndarray, block: int = 50) -> np.ndarray:
    rows = []
    for start in range(0, len(queries), block):
        target, source = queries[start : start + block, None], index[None]
        rotation, scale, translation = procrustes(target, source)
        rows.append(mpjpe(target, scale * source @ rotation + translation))
    return np.concatenate(rows)
