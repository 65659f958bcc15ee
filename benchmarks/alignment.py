"""Dynamic time warping against dtaidistance, following live against aligning again."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle

import numpy as np

from benchmarks.timing import Row, compare
from vipe_core.alignment import Follower, align, dtw
from vipe_core.embedding import pairwise_excess_distance
from vipe_core.errors import VipeError
from vipe_core.track import Track

A, B = 1.8, 15.0  # of the match probability; speed does not depend on them
SIZE, FIRST, SECOND = 16, 200, 300
FPS, REFERENCE_S = 30.0, 10.0


def rows() -> Iterator[Row | str]:
    """DTW of 200 x 300 embeddings of 16 numbers, path included; one frame of following."""
    yield from warping()
    yield following()


def warping() -> Iterator[Row | str]:
    """Cost matrix and path, by dtaidistance's C and by its Python.

    Raises:
        VipeError: the cost differs from dtaidistance's by more than a billionth.
    """
    try:
        from dtaidistance import dtw_ndim
    except ModuleNotFoundError:
        yield "alignment: DTW skipped, no dtaidistance here: pip install -r requirements/dev.txt"
        return
    first, second = walk(FIRST, 0), walk(SECOND, 1)

    def ours() -> tuple[np.ndarray, float]:
        return dtw(squared(first, second))

    wanted, found = dtw_ndim.distance(first, second, use_c=True), np.sqrt(ours()[1])
    if abs(found - wanted) > 1e-9 * wanted:
        raise VipeError(f"bench: DTW costs {found!r}, dtaidistance says {wanted!r}")
    what = f"DTW of {FIRST} x {SECOND} x {SIZE}, with path"
    for name, use_c, aim in (("C", True, None), ("Python", False, 0.05)):

        def theirs(use_c: bool = use_c) -> object:
            return dtw_ndim.warping_path(first, second, use_c=use_c)

        yield compare(what, f"dtaidistance.dtw_ndim, {name}", ours, theirs, aim)
    a, b = track(first, 0), track(second, 1)

    def uncertain() -> tuple[np.ndarray, float]:
        return dtw(pairwise_excess_distance(a.mean, a.variance, b.mean, b.variance))

    yield compare("the same of Gaussians", "DTW of their means alone", uncertain, ours, None)


def following() -> Row:
    """In a reference of ten seconds: the 30 frames of a second live, as they are and mirrored; or
    for a single one of them the five seconds until then aligned again."""
    reference = track(walk(round(FPS * REFERENCE_S), 2), 2)
    half = len(reference) // 2
    seen = Track(reference.stamp[:half], reference.mean[:half], reference.variance[:half])
    follower, starts = Follower(reference, A, B), cycle(range(0, half, round(FPS)))

    def live() -> None:
        start = next(starts)
        if start == 0:
            follower.reset()
        for row in range(start, start + round(FPS)):
            mean, variance = seen.mean[row], seen.variance[row]
            follower.update(float(seen.stamp[row]), mean, variance, -mean, variance)

    def again() -> object:
        return align(reference, seen, A, B, subsequence=True)

    return compare(
        "following 10 s, 30 frames", "aligning 5 s again, for one frame", live, again, aim=0.5
    )


def squared(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(N, M) squared Euclidean distances."""
    own = (first * first).sum(axis=1)[:, None] + (second * second).sum(axis=1)
    return np.maximum(own - 2 * first @ second.T, 0)


def walk(count: int, seed: int) -> np.ndarray:
    """(N, 16) a random walk: neighbouring frames are alike."""
    return np.random.default_rng(seed).normal(size=(count, SIZE)).cumsum(axis=0)


def track(mean: np.ndarray, seed: int) -> Track:
    """Embeddings with made-up variances."""
    variance = np.random.default_rng(seed).uniform(0.01, 0.5, mean.shape)
    return Track(np.arange(len(mean)) / FPS, mean, variance)
