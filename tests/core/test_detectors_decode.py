"""What networks give, as people: every decoder against the same thing said in loops."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vipe_core.detectors import decode
from vipe_core.detectors.decode import Choice

RNG = np.random.default_rng(7)
ALL = Choice(min_score=0.0, nms_overlap=1.0, max_people=100)


def test_simcc_against_loops() -> None:
    x, y = RNG.normal(size=(3, 5, 40)), RNG.normal(size=(3, 5, 60))
    x[1, 2] = -1.0  # nothing speaks for a place along x
    points, scores = decode.simcc(x, y)
    for n in range(3):
        for k in range(5):
            best_x = max(range(40), key=lambda i: x[n, k, i])
            best_y = max(range(60), key=lambda i: y[n, k, i])
            score = min(x[n, k, best_x], y[n, k, best_y])
            if score > 0:
                assert points[n, k].tolist() == [best_x, best_y]
                assert scores[n, k] == score
            else:
                assert np.isnan(points[n, k]).all()
                assert scores[n, k] == 0
    assert np.isnan(points[1, 2]).all()


def test_simcc_that_is_not_a_number_is_missing() -> None:
    x = np.full((1, 1, 4), np.nan)
    points, scores = decode.simcc(x, np.ones((1, 1, 4)))
    assert np.isnan(points).all()
    assert scores.tolist() == [[0.0]]


def gaussian(x: float, y: float, width: int = 24, height: int = 32) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width]
    return np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 2.0**2))


def test_heatmap_is_exact_for_a_gaussian() -> None:
    truth = RNG.uniform([3, 3], [20, 28], (2, 6, 2))
    maps = np.array([[gaussian(*point) for point in person] for person in truth])
    points, scores = decode.heatmap(maps)
    np.testing.assert_allclose(points, truth, atol=1e-4)
    assert scores.min() > 0.85


def test_heatmap_against_loops() -> None:
    maps = RNG.uniform(0.01, 1, (2, 3, 7, 6))
    points, scores = decode.heatmap(maps)
    for n in range(2):
        for k in range(3):
            cells = [(r, c) for r in range(7) for c in range(6)]
            row, column = max(cells, key=lambda cell: maps[n, k, cell[0], cell[1]])
            assert scores[n, k] == maps[n, k, row, column]
            expected = []
            for at, line in ((column, maps[n, k, row]), (row, maps[n, k, :, column])):
                shift = 0.0
                if 0 < at < len(line) - 1:
                    low, mid, high = (math.log(line[at + step]) for step in (-1, 0, 1))
                    shift = 0.5 * (low - high) / (low - 2 * mid + high)
                expected.append(at + min(max(shift, -0.5), 0.5))
            np.testing.assert_allclose(points[n, k], expected, rtol=1e-5)


def test_heatmap_without_a_peak() -> None:
    maps = np.stack([np.zeros((8, 8)), np.full((8, 8), -2.0), np.full((8, 8), 0.5)])[None]
    points, scores = decode.heatmap(maps)
    assert np.isnan(points[0, :2]).all()
    assert scores[0].tolist() == [0.0, 0.0, 0.5]
    assert np.isfinite(points[0, 2]).all()  # flat: no slope, no shift


@pytest.mark.parametrize("cell", [(0, 0), (0, 5), (6, 0), (6, 5)])
def test_heatmap_peak_in_a_corner(cell: tuple[int, int]) -> None:
    maps = np.full((1, 1, 7, 6), 0.1)
    maps[0, 0, cell[0], cell[1]] = 1.0
    assert decode.heatmap(maps)[0][0, 0].tolist() == [cell[1], cell[0]]


def random_boxes(count: int, rng: np.random.Generator = RNG) -> np.ndarray:
    corner = rng.uniform(0, 60, (count, 2))
    return np.concatenate([corner, corner + rng.uniform(5, 50, (count, 2))], axis=1)


def plain_overlap(a: np.ndarray, b: np.ndarray) -> float:
    wide = min(a[2], b[2]) - max(a[0], b[0])
    tall = min(a[3], b[3]) - max(a[1], b[1])
    inner = max(wide, 0) * max(tall, 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return inner / (sum(areas) - inner)


def plain_select(boxes: np.ndarray, scores: np.ndarray, choice: Choice) -> list[int]:
    kept: list[int] = []
    for i in sorted(range(len(boxes)), key=lambda i: -scores[i]):
        if scores[i] < choice.min_score or len(kept) == choice.max_people:
            continue
        if all(plain_overlap(boxes[i], boxes[j]) <= choice.nms_overlap for j in kept):
            kept.append(i)
    return kept


@pytest.mark.parametrize("seed", range(5))
def test_select_against_loops(seed: int) -> None:
    rng = np.random.default_rng(seed)
    boxes, scores = random_boxes(60, rng), rng.uniform(0.01, 1, 60)
    for choice in (Choice(0.3, 0.45, 10), Choice(0.0, 0.2, 100), Choice(0.5, 1.0, 3)):
        found = decode.select(boxes, scores, choice)
        assert found.tolist() == plain_select(boxes, scores, choice)


def test_select_leaves_out_what_is_no_box() -> None:
    boxes = np.array([[0, 0, 9, 9], [0, 0, 0, 9], [5, 5, 1, 9], [0, 0, np.nan, 9], [0, 0, 9, 9.0]])
    scores = np.array([0.9, 0.9, 0.9, 0.9, np.nan])
    assert decode.select(boxes, scores, ALL).tolist() == [0]
    assert decode.select(boxes[:1], np.array([0.0]), ALL).tolist() == []  # an unused row
    assert decode.select(np.empty((0, 4)), np.empty(0), ALL).tolist() == []


def test_rtmo() -> None:
    dets = np.array([[0, 0, 10, 20, 0.6], [50, 0, 70, 20, 0.9], [51, 0, 71, 20, 0.8], [0] * 5])
    keypoints = RNG.uniform(0, 1, (4, 17, 3))
    found = decode.rtmo(dets, keypoints, Choice(0.3, 0.45, 10))
    np.testing.assert_array_equal(found.scores, [0.9, 0.6])
    np.testing.assert_array_equal(found.boxes, dets[[1, 0], :4])
    np.testing.assert_array_equal(found.points, keypoints[[1, 0], :, :2])
    np.testing.assert_array_equal(found.visibility, keypoints[[1, 0], :, 2])
    assert len(decode.rtmo(dets, keypoints, Choice(0.3, 0.45, 1)).scores) == 1


@pytest.mark.parametrize("classes", [1, 2])
def test_yolo_pose_against_loops(classes: int) -> None:
    joints, anchors = 3, 12
    output = RNG.uniform(0, 1, (4 + classes + 3 * joints, anchors))
    output[:2] *= 1000  # apart, so that nobody is suppressed
    choice = Choice(0.4, 0.45, 100)
    found = decode.yolo_pose(output, joints, choice)
    people = sorted((a for a in range(anchors) if output[4, a] >= 0.4), key=lambda a: -output[4, a])
    assert len(found.scores) == len(people) > 2
    for i, a in enumerate(people):
        x, y, w, h = output[:4, a]
        np.testing.assert_allclose(found.boxes[i], [x - w / 2, y - h / 2, x + w / 2, y + h / 2])
        assert found.scores[i] == output[4, a]
        for k in range(joints):
            row = 4 + classes + 3 * k
            np.testing.assert_array_equal(found.points[i, k], output[row : row + 2, a])
            assert found.visibility[i, k] == output[row + 2, a]


def test_yolo_pose_nms() -> None:
    output = RNG.uniform(0, 1, (5, 6 + 9))
    output[:, :4] = random_boxes(5) + 200 * np.arange(5)[:, None]
    output[:, 4], output[:, 5] = (0.9, 0.8, 0.7, 0.2, 0.0), (0, 1, 0, 0, 0)  # the second: no person
    found = decode.yolo_pose_nms(output, 3, Choice(0.3, 0.45, 10))
    np.testing.assert_array_equal(found.boxes, output[[0, 2], :4])
    np.testing.assert_array_equal(found.points[1], output[2, 6:].reshape(3, 3)[:, :2])


def test_boxes_of_people_only() -> None:
    boxes = random_boxes(4) + 200 * np.arange(4)[:, None]
    scores, labels = np.array([0.5, 0.9, 0.8, 0.9]), np.array([0, 0, 2, -1])
    dets = np.concatenate([boxes, scores[:, None]], axis=1)
    choice = Choice(0.3, 0.45, 10)
    found, sure = decode.boxes_dets(dets, labels, 0, choice)
    np.testing.assert_array_equal(found, boxes[[1, 0]])
    np.testing.assert_array_equal(sure, [0.9, 0.5])
    np.testing.assert_array_equal(decode.boxes_dets(dets, labels, 2, choice)[0], boxes[[2]])
    end_to_end = np.concatenate([dets, labels[:, None]], axis=1)
    np.testing.assert_array_equal(decode.boxes_yolo_nms(end_to_end, 0, choice)[0], found)


def test_boxes_yolo_reads_the_row_of_the_class() -> None:
    boxes = random_boxes(6) + 200 * np.arange(6)[:, None]
    middles = np.concatenate(
        [(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], axis=1
    )
    scores = RNG.uniform(0, 1, (6, 80))
    output = np.concatenate([middles, scores], axis=1).T
    found, sure = decode.boxes_yolo(output, 3, Choice(0.25, 0.45, 10))
    order = [i for i in np.argsort(-scores[:, 3]) if scores[i, 3] >= 0.25]
    np.testing.assert_allclose(found, boxes[order])
    np.testing.assert_array_equal(sure, scores[order, 3])
