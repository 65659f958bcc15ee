"""What the vector index finds neighbours by.

Poses are near when the squared gap of their means, weighted by how certain they are, is small.
The weights are those of the pose asked for, so they cannot lie in the index. But

    sum_d w_d (q_d - m_d)^2 = const - 2 [sum_d (w_d q_d) m_d - sum_d (w_d / 2) m_d^2]

is a dot product with (m, m^2): the index holds both, and the weights come with the query. The
index knows Euclidean distances, |asked|^2 - 2 asked . key + |key|^2; to a key that is asked for
from very far away only the dot product makes a difference. (An index of dot products itself
leaves partitions empty and was half as fast.)
"""

from __future__ import annotations

import numpy as np

_SQUARES = 0.05  # brings the squares to the size of the means, so that partitions heed both
_TYPICAL_VARIANCE = 0.7  # of a row; the answers hardly depend on it
_FAR = 3000  # keys are hardly ever longer than 30


def keys(mean: np.ndarray) -> np.ndarray:
    """(N, 2 D) float32 for the index, of means (N, D)."""
    mean = np.asarray(mean, np.float32)
    return np.concatenate([mean, np.float32(_SQUARES) * mean * mean], axis=1)


def asking(mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """(2 D,) float32 whose distance to a key is the smaller, the nearer it is to a pose with
    mean and variance (D,)."""
    weight = 1 / (1 + np.asarray(variance) + _TYPICAL_VARIANCE)
    return np.concatenate([_FAR * weight * mean, -_FAR * weight / (2 * _SQUARES)]).astype(
        np.float32
    )
