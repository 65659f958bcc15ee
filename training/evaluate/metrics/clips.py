"""Short clips in retrieval: which match, and single-frame codes stacked."""

from __future__ import annotations

import numpy as np

from vipe_core.geometry import normalize_3d, np_mpjpe, pairwise_np_mpjpe
from vipe_training.evaluate import protocol
from vipe_training.evaluate.coders import Coder, EmbeddingCoder, smallest


def match_rows(joints: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """(Q, N) bool: the largest NP-MPJPE of the frames of two clips is at most kappa.

    What :func:`protocol.match_matrix` says, computed in all frames only where the middle
    frames match.

    Args:
        joints: (N, T, 17, 3).
        queries: (Q,) rows of it, the alignment targets.

    Source: Pr-VIPE, temporal variant: each pair of frames is aligned by itself.
    """
    frames = joints.shape[1]
    normal = normalize_3d(joints, "joints17")[..., protocol.VOTING, :]
    middle = normal[:, frames // 2]
    matches = pairwise_np_mpjpe(middle[queries], middle) <= protocol.KAPPA
    row, column = np.nonzero(matches)
    for t in (t for t in range(frames) if t != frames // 2):
        error = np_mpjpe(normal[queries[row], t], normal[column, t])
        keep = error <= protocol.KAPPA
        row, column = row[keep], column[keep]
    matches[:] = False
    matches[row, column] = True
    return matches


def spread(frames: int, count: int) -> list[int]:
    """``count`` of T frames, evenly spread with both ends; the middle one for a count of 1."""
    if count == 1:
        return [frames // 2]
    return np.rint(np.linspace(0, frames - 1, count)).astype(int).tolist()


class StackedCoder:
    """Some frames of a clip, each coded by itself: a code is a list of codes of frames.

    Embeddings are concatenated. Other codes are compared by the root of the summed squares of
    the frames' distances, which for embeddings is the distance of the concatenation.

    Source: Pr-VIPE, the baseline of the temporal variant (7 x 16 = 112 dimensions).
    """

    def __init__(self, coder: Coder, chosen: list[int]) -> None:
        """``chosen``: numbers of the frames in the code that it is given."""
        self._coder, self._chosen = coder, chosen

    def stacked(self, frames: list) -> list:
        """The code of a clip from the codes of all its frames."""
        codes = [frames[t] for t in self._chosen]
        if not isinstance(self._coder, EmbeddingCoder):
            return codes
        return [tuple(np.concatenate(parts, axis=1) for parts in zip(*codes, strict=True))]

    def rank(self, queries: list, index: list, depth: int) -> np.ndarray:
        """(Q, depth) rows of the index, best first."""
        if len(queries) == 1:
            return self._coder.rank(queries[0], index[0], depth)
        return smallest(self.distance(queries, index), depth)

    def distance(self, queries: list, index: list) -> np.ndarray:
        """(Q, N) of stacked codes."""
        squares = [self._coder.distance(q, i) ** 2 for q, i in zip(queries, index, strict=True)]
        return np.sqrt(np.sum(squares, axis=0))
