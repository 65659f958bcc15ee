"""What a model makes of a view, and how two views are compared by it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from vipe_core.embedding import likelihood_match_probability, pairwise_likelihood_distance
from vipe_core.gallery import nearest
from vipe_core.geometry import normalize_3d, pairwise_np_mpjpe
from vipe_core.runtime import Model
from vipe_training.evaluate import protocol
from vipe_training.evaluate.metrics import keypoints

_BLOCK_PAIRS = 1 << 23  # 32 MB of distances
_Pair = tuple[np.ndarray, np.ndarray]
_Sigmoid = tuple[float, float]
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

    def distance(self, queries: Any, index: Any) -> np.ndarray:
        """(Q, N) how far apart every pair is; a pose's own smallest is its best match."""
        ...

    def uncertainty(self, code: Any) -> np.ndarray:
        """(N,) how little the coder knows about each pose."""
        ...

    def take(self, code: Any, rows: np.ndarray) -> Any:
        """The code of some of the poses: row numbers (M,), or a mask (N,)."""
        ...

    def confidence(self, queries: Any, index: Any) -> np.ndarray | None:
        """(N,) probability that row i of either shows the same pose; None if the coder gives
        none."""
        ...


class EmbeddingCoder:
    """Mean and variance (N, D) of an embedding, ranked by the likelihood distance."""

    def __init__(self, embed: Estimator, sigmoid: _Sigmoid | None = None) -> None:
        """``sigmoid``: slope and offset of the match probability."""
        self._embed = embed
        self._sigmoid = sigmoid

    def code(self, points: np.ndarray, visibility: np.ndarray) -> _Pair:
        return self._embed(points, visibility)

    def rank(self, queries: _Pair, index: _Pair, depth: int) -> np.ndarray:
        return nearest(*index, *queries, 1.0, 0.0, depth)[0]

    def distance(self, queries: _Pair, index: _Pair) -> np.ndarray:
        return pairwise_likelihood_distance(*queries, *index)

    def uncertainty(self, code: _Pair) -> np.ndarray:
        return code[1].sum(axis=1)

    def take(self, code: _Pair, rows: np.ndarray) -> _Pair:
        return code[0][rows], code[1][rows]

    def confidence(self, queries: _Pair, index: _Pair) -> np.ndarray | None:
        if self._sigmoid is None:
            return None
        return likelihood_match_probability(*queries, *index, *self._sigmoid)


class LiftingCoder:
    """Joints (N, 17, 3) and their stds (N, 17): each pair of lifted poses is aligned and
    compared, the query being the target (Pr-VIPE's 3D lifting baseline)."""

    def __init__(self, lift: Estimator) -> None:
        self._lift = lift

    def code(self, points: np.ndarray, visibility: np.ndarray) -> _Pair:
        joints, std = self._lift(points, visibility)
        return normalize_3d(joints, "joints17")[:, protocol.VOTING], std.sum(axis=1)

    def rank(self, queries: _Pair, index: _Pair, depth: int) -> np.ndarray:
        return _ranked(self, queries, index, depth)

    def distance(self, queries: _Pair, index: _Pair) -> np.ndarray:
        return pairwise_np_mpjpe(queries[0], index[0])

    def uncertainty(self, code: _Pair) -> np.ndarray:
        return code[1]

    def take(self, code: _Pair, rows: np.ndarray) -> _Pair:
        return code[0][rows], code[1][rows]

    def confidence(self, queries: _Pair, index: _Pair) -> np.ndarray | None:
        return None


class KeypointCoder:
    """The visible 2D keypoints (N, 13) and which they are: each pair is aligned by rotation,
    scale and shift in the image and compared on the points that both show."""

    def code(self, points: np.ndarray, visibility: np.ndarray) -> _Pair:
        """Of windows (N, T, 13, 2) the middle frame."""
        if points.ndim == 4:
            points, visibility = (x[:, x.shape[1] // 2] for x in (points, visibility))
        return keypoints.normalized(points, visibility)

    def rank(self, queries: _Pair, index: _Pair, depth: int) -> np.ndarray:
        return _ranked(self, queries, index, depth)

    def distance(self, queries: _Pair, index: _Pair) -> np.ndarray:
        return keypoints.pairwise_aligned(*queries, *index)

    def uncertainty(self, code: _Pair) -> np.ndarray:
        """The number of hidden points: nothing else is known."""
        return (~code[1]).sum(axis=1)

    def take(self, code: _Pair, rows: np.ndarray) -> _Pair:
        return code[0][rows], code[1][rows]

    def confidence(self, queries: _Pair, index: _Pair) -> np.ndarray | None:
        return None


def coder(model: Model) -> Coder:
    """The coder that suits a model."""
    if model.metadata.has_embedding:
        sigmoid = model.metadata.sigmoid_a, model.metadata.sigmoid_b
        return EmbeddingCoder(lambda *view: model(*view).embedding(), sigmoid)
    return LiftingCoder(lambda *view: model(*view).pose())


def _ranked(coder: Coder, queries: _Pair, index: _Pair, depth: int) -> np.ndarray:
    """(Q, depth) by the coder's distance, in blocks of rows that bound the memory."""
    rows = max(1, _BLOCK_PAIRS // max(1, len(index[0])))
    blocks = [np.arange(i, min(i + rows, len(queries[0]))) for i in range(0, len(queries[0]), rows)]
    found = [smallest(coder.distance(coder.take(queries, block), index), depth) for block in blocks]
    return np.concatenate(found)


def smallest(distance: np.ndarray, depth: int) -> np.ndarray:
    """(Q, depth) columns of the smallest distances (Q, N), nearest first."""
    depth = min(depth, distance.shape[1])
    part = np.argpartition(distance, depth - 1, axis=1)[:, :depth]
    order = np.take_along_axis(distance, part, axis=1).argsort(axis=1, kind="stable")
    return np.take_along_axis(part, order, axis=1)
