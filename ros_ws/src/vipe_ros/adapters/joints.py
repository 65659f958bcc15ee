"""What every source has to say of joints, as arrays."""

from __future__ import annotations

import numpy as np


def present(points: np.ndarray, *, missing: float = 0.0) -> np.ndarray:
    """Points (..., 2), NaN where both coordinates are exactly ``missing``, the source's way to
    say that a joint was not found."""
    return np.where((points == missing).all(axis=-1, keepdims=True), np.nan, points)


def share(values: np.ndarray) -> np.ndarray:
    """Certainties of any shape, limited to 0..1; NaN is no certainty at all."""
    return np.clip(np.nan_to_num(values), 0, 1)


def share_if_filled(values: np.ndarray) -> np.ndarray:
    """Certainties (P, J) in 0..1. Zeros in a whole row are a field that nobody filled in: 1."""
    values = share(values)
    return np.where(values.any(axis=-1, keepdims=True), values, 1.0)
