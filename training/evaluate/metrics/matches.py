"""Which poses are the same: the right answers of every retrieval protocol."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vipe_core.geometry import normalize_3d, pairwise_np_mpjpe, ranked_np_mpjpe
from vipe_core.skeletons import JOINTS17

KAPPA = 0.1
# The head top is synthetic or estimated in most sources, so it does not vote.
VOTING = [i for i, joint in enumerate(JOINTS17.joints) if joint != "head"]
# Up to here all pairs are decided once; beyond, only the ones that are asked about.
_TABLE = 4096
_ROWS = 4096


class Matches:
    """Whether a query's pose and an index item's pose match: NP-MPJPE at most 0.1.

    The query is the alignment's target. Windows match when every frame does, each aligned by
    itself (Pr-VIPE's NP-MPJPE of sequences: the largest of a window).
    """

    def __init__(self, joints: np.ndarray, which: Sequence[int] = VOTING) -> None:
        """
        Args:
            joints: (N, 17, 3), or windows (N, T, 17, 3): of the queries and of the index,
                which are the same poses, in the same order.
            which: joints that vote.
        """
        self._joints = normalize_3d(joints, "joints17")[..., list(which), :]
        self._table: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self._joints)

    def right(self, ranking: np.ndarray) -> np.ndarray:
        """(N, K) bool: which items of a ranking (N, K), a row for each pose, are right.

        An item -1, which stands for none, is wrong.
        """
        if len(self) > _TABLE:
            return (self.error(ranking) <= KAPPA) & (ranking >= 0)
        if self._table is None:
            self._table = _table(self._joints)
        return np.take_along_axis(self._table, np.maximum(ranking, 0), axis=1) & (ranking >= 0)

    def error(self, ranking: np.ndarray, queries: np.ndarray | None = None) -> np.ndarray:
        """(Q, K) NP-MPJPE between queries, row numbers (Q,), and the items found for them.

        ``queries`` is None for all poses in their order.
        """
        queries = np.arange(len(self)) if queries is None else queries
        return np.concatenate(
            [
                self._error(queries[i : i + _ROWS], ranking[i : i + _ROWS])
                for i in range(0, len(queries), _ROWS)
            ]
        )

    def _error(self, queries: np.ndarray, ranking: np.ndarray) -> np.ndarray:
        target, source = _frames(self._joints[queries]), self._joints[ranking]
        source = source[:, :, None] if self._joints.ndim == 3 else source
        frames = range(target.shape[1])
        return np.max([ranked_np_mpjpe(target[:, t], source[:, :, t]) for t in frames], axis=0)


def match_matrix(joints: np.ndarray, which: Sequence[int] = VOTING) -> np.ndarray:
    """(N, N) bool: query pose (row) and index pose match; see :class:`Matches`."""
    return _table(normalize_3d(joints, "joints17")[..., list(which), :])


def hits(ranking: np.ndarray, matches: np.ndarray | Matches) -> np.ndarray:
    """(N, K) bool: any of the first k ranked items (N, K) is right, for k = 1..K.

    Args:
        ranking: a row for each pose.
        matches: (N, N) bool, or who decides them.
    """
    if isinstance(matches, Matches):
        right = matches.right(ranking)
    else:
        right = np.take_along_axis(matches, np.maximum(ranking, 0), axis=1) & (ranking >= 0)
    return np.logical_or.accumulate(right, axis=1)


def _frames(joints: np.ndarray) -> np.ndarray:
    """(N, T, J, 3) of windows; of single poses T is 1."""
    return joints[:, None] if joints.ndim == 3 else joints


def _table(joints: np.ndarray) -> np.ndarray:
    frames = _frames(joints)
    errors = (pairwise_np_mpjpe(f, f) for f in frames.swapaxes(0, 1))
    return np.logical_and.reduce([error <= KAPPA for error in errors])
