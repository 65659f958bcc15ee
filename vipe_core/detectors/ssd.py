"""The person detector of BlazePose: an SSD that finds a face box and two body points.

Numbers are those of the published model (224 x 224 input, 2254 anchors): Bazarevsky et
al., "BlazePose: On-device Real-time Body Pose tracking", 2020, and its model card.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

INPUT_PIXELS = 224
# Feature maps: pixels per cell, anchors per cell. The three maps of stride 32 share cells.
_MAPS = ((8, 2), (16, 2), (32, 6))
_MIN_SCORE = 0.5
_MIN_OVERLAP = 0.3


@lru_cache(maxsize=1)
def anchors() -> np.ndarray:
    """(2254, 2) float32 centres x, y of the anchors, 0..1; all have size 1."""
    parts = []
    for stride, per_cell in _MAPS:
        cells = INPUT_PIXELS // stride
        y, x = np.mgrid[:cells, :cells]
        centres = (np.stack([x, y], axis=-1).reshape(-1, 2) + 0.5) / cells
        parts.append(np.repeat(centres, per_cell, axis=0))
    return np.concatenate(parts).astype(np.float32)


def best_person(boxes: np.ndarray, logits: np.ndarray) -> tuple[np.ndarray, float] | None:
    """The most certain person of one image.

    Args:
        boxes: (2254, 12) raw: box centre and size, then four points, input pixels from
            the anchor.
        logits: (2254,) raw scores.

    Returns:
        Two alignment points (2, 2), 0..1 over the input square: middle of the hips and a
        point on the circle around the body; and the score 0..1. None when nobody is found.
    """
    limit = np.log(_MIN_SCORE / (1 - _MIN_SCORE))
    chosen = np.flatnonzero(logits >= limit)
    if not len(chosen):
        return None
    scores = 1 / (1 + np.exp(-np.clip(logits[chosen], -100, 100)))
    raw, centres = boxes[chosen] / INPUT_PIXELS, anchors()[chosen]
    middle, size = raw[:, :2] + centres, raw[:, 2:4]
    best = int(scores.argmax())
    # Neighbouring anchors see the same person: their weighted mean is steadier than one.
    same = _overlap(middle, size, best) >= _MIN_OVERLAP
    same[best] = True
    points = raw[same, 4:8].reshape(-1, 2, 2) + centres[same, None]
    return np.average(points, axis=0, weights=scores[same]), float(scores[best])


def _overlap(middle: np.ndarray, size: np.ndarray, of: int) -> np.ndarray:
    """(N,) intersection over union of every box with box ``of``."""
    low, high = middle - size / 2, middle + size / 2
    inner = np.clip(np.minimum(high, high[of]) - np.maximum(low, low[of]), 0, None).prod(axis=1)
    area = np.clip(size, 0, None).prod(axis=1)
    return inner / np.maximum(area + area[of] - inner, 1e-9)
