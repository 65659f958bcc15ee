"""Kendall's tau: whether nearest neighbours keep the order of time."""

from __future__ import annotations

import numpy as np

from vipe_core.errors import VipeError


def kendall_tau(matched: np.ndarray) -> float:
    """Share of frame pairs in order less the share out of order, in -1 .. 1.

    Args:
        matched: (N,) for each frame of a clip, in time order, the frame of another that is
            nearest to it; N >= 2. Two frames with the same match are neither in order nor out.

    Raises:
        VipeError: fewer than two frames.

    Source: Dwibedi et al. 2019 (TCC), section 4; Pr-VIPE, video alignment.
    """
    count = len(matched)
    if count < 2:
        raise VipeError(f"Kendall's tau needs two frames or more, not {count}")
    later = np.sign(matched[None, :] - matched[:, None])[np.triu_indices(count, 1)]
    return float(later.mean())


def pair_tau(distance: np.ndarray, starts: np.ndarray, pairs: list[tuple[int, int]]) -> np.ndarray:
    """(P,) tau of clip pairs (first, second), from distances of all frames (N, M).

    Args:
        distance: rows and columns are the frames of the same clips, one after the other; each
            row's smallest inside a clip is the match there.
        starts: (C + 1,) first row of each clip, and N.
    """
    found = {}
    for second in {pair[1] for pair in pairs}:
        found[second] = distance[:, starts[second] : starts[second + 1]].argmin(axis=1)
    return np.array([kendall_tau(found[b][starts[a] : starts[a + 1]]) for a, b in pairs])
