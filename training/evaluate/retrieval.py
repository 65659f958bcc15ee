"""Cross-view retrieval: Hit@k over all ordered camera pairs (Pr-VIPE section 5.1)."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np

from vipe_core.geometry import mpjpe, normalize_2d
from vipe_core.geometry.procrustes import procrustes
from vipe_core.skeletons import BODY13
from vipe_training.evaluate import protocol
from vipe_training.evaluate.coders import Coder, smallest

DISCARDED = (0, 10, 25, 50)  # percent
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


def hit_at_k(coder: Coder, queries: list, index: list, matches: np.ndarray) -> np.ndarray:
    """Hit@1..20 in percent (20,), mean over queries, then over ordered camera pairs.

    Args:
        coder: made the codes.
        queries, index: per camera the code of the same N poses.
        matches: (N, N) bool, query pose x index pose.
    """
    found = [_hits(coder, queries[q], index[i], matches) for q, i in _pairs(len(queries))]
    return 100 * np.mean([hits.mean(axis=0) for hits in found], axis=0)


def hit_after_discarding(coder: Coder, coded: list, matches: np.ndarray) -> dict[str, float]:
    """Hit@1 in percent without the most uncertain 0, 10, 25 and 50 % of the queries.

    Arguments as in :func:`hit_at_k`. Source: Pr-VIPE, figure 10.
    """
    kept: dict[str, list[float]] = {f"{share} %": [] for share in DISCARDED}
    for q, i in _pairs(len(coded)):
        right = _hits(coder, coded[q], coded[i], matches)[:, 0]
        surest = np.argsort(coder.uncertainty(coded[q]), kind="stable")
        for share in DISCARDED:
            rest = surest[: max(1, round(len(surest) * (1 - share / 100)))]
            kept[f"{share} %"].append(right[rest].mean())
    return {name: round(100 * float(np.mean(values)), 2) for name, values in kept.items()}


def _hits(coder: Coder, queries: Any, index: Any, matches: np.ndarray) -> np.ndarray:
    """(N, 20) bool: is one of the first k = 1..20 that each query finds right?"""
    depth = min(max(protocol.TOP), matches.shape[1])
    return protocol.hits(coder.rank(queries, index, depth), matches)


def _pairs(cameras: int) -> list[tuple[int, int]]:
    """All ordered pairs (query camera, index camera)."""
    return list(permutations(range(cameras), 2))


def evaluate_retrieval(
    coder: Coder, joints: np.ndarray, seed: int = 0
) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Cross-view retrieval under every camera protocol.

    Args:
        coder: of the model.
        joints: (N, [T,] 17, 3) metres, de-duplicated (:func:`protocol.choose`).

    Returns:
        protocol name -> Hit@1/5/10/20 in percent; and, on noisy novel cameras,
        :func:`hit_after_discarding`.
    """
    matches = protocol.match_matrix(joints)
    shown = [
        protocol.match_matrix(joints, [protocol.BODY13_IN_17[j] for j in range(13) if j not in h])
        for h in TARGETED.values()
    ]
    results, discarded = {}, {}
    for name, views in (("chest4", protocol.chest4()), ("novel8", protocol.novel8(seed))):
        for suffix, noise in (("", 0.0), ("+n", 0.02)):
            points = protocol.render(joints, views, noise, seed)
            coded = [coder.code(p, np.ones(p.shape[:-1])) for p in points]
            results[name + suffix] = _at_top(hit_at_k(coder, coded, coded, matches))
            if not noise:
                partial = _at_top(_partial(coder, points, coded, shown))
                results["partial" if name == "chest4" else f"partial {name}"] = partial
        discarded = hit_after_discarding(coder, coded, matches)  # the last: novel8+n
    return results, discarded


def _partial(coder: Coder, points: np.ndarray, index: list, matches: list) -> np.ndarray:
    """Mean over the ten targeted occlusions of the query; the index is fully visible."""
    scores = []
    for hidden, match in zip(TARGETED.values(), matches, strict=True):
        visibility = np.ones(points.shape[1:-1])
        visibility[..., hidden] = 0
        queries = [coder.code(p, visibility) for p in points]
        scores.append(hit_at_k(coder, queries, index, match))
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
            protocol.hits(smallest(_aligned_distance(points[q], points[i]), depth), matches).mean(0)
            for q, i in _pairs(len(views))
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
