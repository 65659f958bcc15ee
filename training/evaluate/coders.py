"""What a model makes of a view, and how two views are compared by it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from vipe_core.geometry import normalize_3d, pairwise_np_mpjpe
from vipe_core.runtime import Model
from vipe_core.search import nearest
from vipe_training.evaluate import protocol

_Pair = tuple[np.ndarray, np.ndarray]
# (points (N, [T,] 13, 2), visibility (N, [T,] 13)) to two arrays of N rows.
Estimator = Callable[[np.ndarray, np.ndarray], _Pair]


class Coder(Protocol):
    """Codes views for retrieval. A code holds N poses and is whatever the coder likes."""

    def code(self, points: np.ndarray, visibility: np.ndarray) -> Any:
        """The code of points (N, [T,] 13, 2) with visibility (N, [T,] 13)."""
        ...

    def rank(self, queries: Any, index: Any, depth: int) -> np.ndarray:
        """(Q, depth) rows of the index, best first, for each query."""
        ...

    def uncertainty(self, code: Any) -> np.ndarray:
        """(N,) how little the coder knows about each pose."""
        ...


class EmbeddingCoder:
    """Mean and variance (N, D) of an embedding, ranked by the likelihood distance."""

    def __init__(self, embed: Estimator) -> None:
        self._embed = embed

    def code(self, points: np.ndarray, visibility: np.ndarray) -> _Pair:
        return self._embed(points, visibility)

    def rank(self, queries: _Pair, index: _Pair, depth: int) -> np.ndarray:
        return nearest(*index, *queries, 1.0, 0.0, depth)[0]

    def uncertainty(self, code: _Pair) -> np.ndarray:
        return code[1].sum(axis=1)


class LiftingCoder:
    """Joints (N, 17, 3) and their stds (N, 17): each pair of lifted poses is aligned and
    compared, the query being the target (Pr-VIPE's 3D lifting baseline)."""

    def __init__(self, lift: Estimator) -> None:
        self._lift = lift

    def code(self, points: np.ndarray, visibility: np.ndarray) -> _Pair:
        joints, std = self._lift(points, visibility)
        return normalize_3d(joints, "joints17")[:, protocol.VOTING], std.sum(axis=1)

    def rank(self, queries: _Pair, index: _Pair, depth: int) -> np.ndarray:
        return smallest(pairwise_np_mpjpe(queries[0], index[0]), depth)

    def uncertainty(self, code: _Pair) -> np.ndarray:
        return code[1]


def coder(model: Model) -> Coder:
    """The coder that suits a model."""
    if model.metadata.has_embedding:
        return EmbeddingCoder(lambda *view: model(*view).embedding())
    return LiftingCoder(lambda *view: model(*view).pose())


def smallest(distance: np.ndarray, depth: int) -> np.ndarray:
    """(Q, depth) columns of the smallest distances (Q, N), nearest first."""
    depth = min(depth, distance.shape[1])
    part = np.argpartition(distance, depth - 1, axis=1)[:, :depth]
    order = np.take_along_axis(distance, part, axis=1).argsort(axis=1, kind="stable")
    return np.take_along_axis(part, order, axis=1)
