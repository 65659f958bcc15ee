"""Cross-view retrieval: Hit@k over all ordered camera pairs (Pr-VIPE section 5.1)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from typing import Any

import numpy as np

from vipe_training.evaluate import protocol
from vipe_training.evaluate.coders import Coder
from vipe_training.evaluate.metrics.matches import Matches, hits

DISCARDED = (0, 10, 25, 50)  # percent


def hit_at_k(
    coder: Coder, queries: Sequence, index: Sequence, matches: np.ndarray | Matches
) -> np.ndarray:
    """Hit@1..20 in percent (20,), mean over queries, then over ordered camera pairs.

    Args:
        coder: made the codes.
        queries, index: per camera the code of the same N poses.
        matches: (N, N) bool, query pose x index pose; or who decides them.
    """
    found = [
        pair_hits(coder, queries[q], index[i], matches)
        for q, i in permutations(range(len(queries)), 2)
    ]
    return 100 * np.mean([pair.mean(axis=0) for pair in found], axis=0)


def hit_after_discarding(
    coder: Coder, coded: Sequence, matches: np.ndarray | Matches
) -> dict[str, float]:
    """Hit@1 in percent without the most uncertain 0, 10, 25 and 50 % of the queries.

    Arguments as in :func:`hit_at_k`. Source: Pr-VIPE, figure 10.
    """
    kept = [
        surest(pair_hits(coder, coded[q], coded[i], matches)[:, 0], coder.uncertainty(coded[q]))
        for q, i in permutations(range(len(coded)), 2)
    ]
    return named_shares(100 * np.mean(kept, axis=0))


def from_camera(
    coder: Coder, coded: Sequence, query: int, matches: np.ndarray | Matches
) -> dict[str, list]:
    """What one query camera finds in all the others; for JSON.

    Args:
        coder, matches: see :func:`hit_at_k`.
        coded: per camera the code of the same N poses.
        query: number of the query camera.

    Returns:
        ``hits``: per index camera Hit@1..20 in percent, None for the query camera itself;
        ``surest``: the same with Hit@1 by :data:`DISCARDED`.
    """
    found: dict[str, list] = {"hits": [], "surest": []}
    unsure = coder.uncertainty(coded[query])
    for i, index in enumerate(coded):
        if i == query:
            found["hits"].append(None)
            found["surest"].append(None)
            continue
        pair = pair_hits(coder, coded[query], index, matches)
        found["hits"].append((100 * pair.mean(axis=0)).tolist())
        found["surest"].append((100 * surest(pair[:, 0], unsure)).tolist())
    return found


def pair_hits(coder: Coder, queries: Any, index: Any, matches: np.ndarray | Matches) -> np.ndarray:
    """(N, 20) bool: is one of the first k = 1..20 that each query finds right?"""
    depth = min(max(protocol.TOP), len(matches))
    return hits(coder.rank(queries, index, depth), matches)


def surest(right: np.ndarray, uncertainty: np.ndarray) -> np.ndarray:
    """Share of right answers (4,) without the most uncertain 0, 10, 25 and 50 % of queries.

    Args:
        right: (N,) bool.
        uncertainty: (N,).
    """
    order = np.argsort(uncertainty, kind="stable")
    counts = [max(1, round(len(order) * (1 - share / 100))) for share in DISCARDED]
    return np.array([right[order[:count]].mean() for count in counts])


def named_shares(values: np.ndarray) -> dict[str, float]:
    """Percent by the share that was discarded, "10 %"."""
    return {f"{s} %": round(float(v), 2) for s, v in zip(DISCARDED, values, strict=True)}


def at_top(curve: np.ndarray) -> list[float]:
    """Hit@1/5/10/20 of Hit@1..K."""
    return [round(float(curve[min(k, len(curve)) - 1]), 2) for k in protocol.TOP]


def over_pairs(found: Sequence[dict[str, list]], what: str) -> np.ndarray:
    """Mean over ordered camera pairs of ``hits`` or ``surest`` of :func:`from_camera`."""
    return np.mean([pair for one in found for pair in one[what] if pair is not None], axis=0)
