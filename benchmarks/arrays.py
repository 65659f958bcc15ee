"""Search and pose distance against the same written plainly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from benchmarks.timing import Row, compare
from vipe_core.embedding import likelihood_distance, pairwise_likelihood_distance
from vipe_core.errors import VipeError
from vipe_core.gallery import nearest
from vipe_core.geometry import normalize_3d, pairwise_np_mpjpe

A, B, K = 1.5, 0.75, 20  # of the search; speed does not depend on them


def search() -> Iterator[Row]:
    """20 nearest of 20,000 for 256 queries: memory stays at 8 MB however many queries come."""
    index, query = embeddings(20_000, 0), embeddings(256, 1)

    def loop() -> list[np.ndarray]:
        return [naive(index, (mean, variance)) for mean, variance in zip(*query, strict=True)]

    def matrix() -> np.ndarray:
        distance = pairwise_likelihood_distance(*query, *index)
        return np.argpartition(distance, K, axis=1)[:, :K]

    def ours() -> tuple[np.ndarray, np.ndarray]:
        return nearest(*index, *query, A, B, K)

    what = "search 256 in 20,000, k = 20"
    yield compare(what, "loop over queries", ours, loop, aim=0.2)
    yield compare(what, "whole matrix, then argpartition", ours, matrix, aim=0.5)


def pose_distance(count: int = 1000, sample: int = 30) -> Row:
    """NP-MPJPE of 1,000 x 1,000 poses of 16 joints. The loop over pairs with an SVD each runs on
    a sample of the targets and sources; its time is scaled to all of them.

    Raises:
        VipeError: the two differ by more than 1e-5.
    """
    rng = np.random.default_rng(0)
    a, b = (normalize_3d(rng.normal(size=(count, 17, 3)), "joints17")[:, :16] for _ in range(2))

    def loop() -> np.ndarray:
        return np.array([[naive_np_mpjpe(t, s) for s in b[:sample]] for t in a[:sample]])

    apart = np.abs(pairwise_np_mpjpe(a[:sample], b[:sample]) - loop()).max()
    if apart > 1e-5:
        raise VipeError(f"bench: NP-MPJPE of all pairs is {apart:.1g} away from the SVD")
    row = compare(
        f"NP-MPJPE of {count:,} x {count:,}",
        f"SVD loop, {sample} x {sample} scaled",
        lambda: pairwise_np_mpjpe(a, b),
        loop,
        aim=0.05,
    )
    baseline_ms = row.baseline_value * (count / sample) ** 2
    return replace(row, baseline_value=baseline_ms, ratio=row.value / baseline_ms)


def naive_np_mpjpe(target: np.ndarray, source: np.ndarray) -> float:
    """One pair (J, 3), written as the formula reads."""
    a, b = target - target.mean(0), source - source.mean(0)
    u, singular, vt = np.linalg.svd(b.T @ a)
    sign = np.array([1, 1, np.sign(np.linalg.det(u @ vt))])
    scale = (singular * sign).sum() / (b * b).sum()
    return float(np.linalg.norm(scale * b @ (u * sign) @ vt - a, axis=1).mean())


def naive(index: tuple[np.ndarray, np.ndarray], query: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """The K nearest rows of one query, written as the formula reads."""
    return np.argsort(likelihood_distance(*query, *index))[:K]


def embeddings(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance (N, 16) of made-up poses."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, 16)), rng.uniform(0.01, 0.5, (count, 16))
