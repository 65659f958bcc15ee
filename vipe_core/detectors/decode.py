"""What networks give, as people. Pure functions on arrays, one per layout.

Points and boxes are in pixels of the network's input; N images or crops, K keypoints,
M detections, A anchors. Sources of the layouts: mmpose's SimCCLabel, MSRAHeatmap and UDPHeatmap
codecs; the exports of mmdeploy (RTMO, RTMDet, YOLOX); the exports of Ultralytics.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Found:
    """People in one image, the most certain first.

    Attributes:
        boxes: (M, 4) x1, y1, x2, y2.
        scores: (M,) 0..1.
        points: (M, K, 2).
        visibility: (M, K) 0..1.
    """

    boxes: np.ndarray
    scores: np.ndarray
    points: np.ndarray
    visibility: np.ndarray


@dataclass(frozen=True)
class Choice:
    """Who is kept: scores of at least ``min_score``, overlaps up to ``nms_overlap``."""

    min_score: float
    nms_overlap: float
    max_people: int


def simcc(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One distribution per keypoint and axis.

    Args:
        x: (N, K, X) score of every place along the width, y: (N, K, Y) along the height.

    Returns:
        Points (N, K, 2) in bins (divide by the bins per pixel), NaN where nothing speaks for
        a place; scores (N, K), the smaller maximum of the two axes.
    """
    points = np.stack([x.argmax(axis=-1), y.argmax(axis=-1)], axis=-1).astype(np.float32)
    scores = np.minimum(x.max(axis=-1), y.max(axis=-1))
    points[~(scores > 0)] = np.nan
    return points, np.where(scores > 0, scores, 0)


def heatmap(maps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One map per keypoint: its maximum, refined by the parabola through the logarithm of the
    neighbours in a row and in a column, which is exact for a Gaussian.

    Args:
        maps: (N, K, H, W).

    Returns:
        Points (N, K, 2) in cells, NaN where no cell is above 0; scores (N, K), the maxima.
    """
    count, joints, height, width = maps.shape
    flat = maps.reshape(count, joints, -1)
    row, column = np.divmod(flat.argmax(axis=-1), width)
    scores = flat.max(axis=-1)
    n, k = np.ogrid[:count, :joints]
    x = column + _peak(maps[n, k, row].reshape(count, joints, width), column)
    y = row + _peak(maps[n, k, :, column].reshape(count, joints, height), row)
    points = np.stack([x, y], axis=-1).astype(np.float32)
    points[~(scores > 0)] = np.nan
    return points, np.where(scores > 0, scores, 0)


def _peak(lines: np.ndarray, at: np.ndarray) -> np.ndarray:
    """(N, K) how far beside cell ``at`` (N, K) of ``lines`` (N, K, L) the maximum lies."""
    last = lines.shape[-1] - 1
    inside = (at > 0) & (at < last)
    around = np.clip(at[..., None] + np.array([-1, 0, 1]), 0, last)
    values = np.take_along_axis(lines, around, axis=-1)
    low, mid, high = np.moveaxis(np.log(np.maximum(values, 1e-10)), -1, 0)
    curve = low - 2 * mid + high
    bent = inside & (curve < 0)
    return np.where(bent, np.clip((low - high) / np.where(bent, 2 * curve, 1), -0.5, 0.5), 0)


def rtmo(dets: np.ndarray, keypoints: np.ndarray, choice: Choice) -> Found:
    """RTMO and YOLOX-Pose as mmdeploy exports them.

    Args:
        dets: (M, 5) x1, y1, x2, y2, score. Unused rows have a score of 0.
        keypoints: (M, K, 3) x, y, score.
    """
    return _found(dets[:, :4], dets[:, 4], keypoints, choice)


def yolo_pose(output: np.ndarray, joints: int, choice: Choice) -> Found:
    """Ultralytics' pose models with every anchor: (4 + C + 3K, A), rows middle x, middle y,
    width, height, C class scores (a person is the first), then x, y, visibility in turn."""
    columns = output[:, output[4] >= choice.min_score].T
    keypoints = columns[:, -3 * joints :].reshape(-1, joints, 3)
    return _found(_corners(columns[:, :4]), columns[:, 4], keypoints, choice)


def yolo_pose_nms(output: np.ndarray, joints: int, choice: Choice) -> Found:
    """Ultralytics' end-to-end pose models, and exports with nms=True: (M, 6 + 3K), columns x1,
    y1, x2, y2, score, class (a person is 0), then x, y, visibility in turn."""
    people = output[output[:, 5] == 0]
    keypoints = people[:, 6:].reshape(-1, joints, 3)
    return _found(people[:, :4], people[:, 4], keypoints, choice)


def boxes_dets(
    dets: np.ndarray, labels: np.ndarray, label: int, choice: Choice
) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (M, 4) and scores (M,) of RTMDet and YOLOX as mmdeploy exports them.

    Args:
        dets: (M, 5) x1, y1, x2, y2, score.
        labels: (M,) class; -1 in unused rows.
        label: the class of people.
    """
    people = dets[labels == label]
    kept = select(people[:, :4], people[:, 4], choice)
    return people[kept, :4], people[kept, 4]


def boxes_yolo(output: np.ndarray, label: int, choice: Choice) -> tuple[np.ndarray, np.ndarray]:
    """The same of Ultralytics' detection models: (4 + C, A), rows as in :func:`yolo_pose`."""
    columns = output[:, output[4 + label] >= choice.min_score].T
    boxes, scores = _corners(columns[:, :4]), columns[:, 4 + label]
    kept = select(boxes, scores, choice)
    return boxes[kept], scores[kept]


def boxes_yolo_nms(output: np.ndarray, label: int, choice: Choice) -> tuple[np.ndarray, np.ndarray]:
    """The same of their end-to-end models: (M, 6), columns as in :func:`yolo_pose_nms`."""
    return boxes_dets(output[:, :5], output[:, 5], label, choice)


def select(boxes: np.ndarray, scores: np.ndarray, choice: Choice) -> np.ndarray:
    """Indices of the boxes (M, 4) to keep, best first: non-maximum suppression."""
    usable = np.isfinite(boxes).all(axis=1) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    usable &= (scores >= choice.min_score) & (scores > 0)
    left = np.flatnonzero(usable)
    left = left[np.argsort(-scores[left], kind="stable")]
    kept: list[int] = []
    while len(left) and len(kept) < choice.max_people:
        best, left = left[0], left[1:]
        kept.append(int(best))
        left = left[overlap(boxes[best], boxes[left]) <= choice.nms_overlap]
    return np.array(kept, int)


def overlap(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """(M,) intersection over union of a box (4,) with others (M, 4)."""
    low, high = np.maximum(box[:2], boxes[:, :2]), np.minimum(box[2:], boxes[:, 2:])
    inner = np.clip(high - low, 0, None).prod(axis=1)
    area = np.prod(box[2:] - box[:2]) + (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    return inner / np.maximum(area - inner, 1e-9)


def _found(boxes: np.ndarray, scores: np.ndarray, keypoints: np.ndarray, choice: Choice) -> Found:
    kept = select(boxes, scores, choice)
    points = keypoints[kept]
    return Found(boxes[kept], scores[kept], points[..., :2], points[..., 2])


def _corners(boxes: np.ndarray) -> np.ndarray:
    """(M, 4) x1, y1, x2, y2 of middle and size."""
    half = boxes[:, 2:] / 2
    return np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1)
