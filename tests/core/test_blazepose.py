"""BlazePose: geometry by itself, then the real networks on the real video."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pytest

from vipe_core import assets, skeletons
from vipe_core.detectors import BlazePose, ssd
from vipe_core.detectors.blazepose import refine, windows
from vipe_core.detectors.roi import Roi
from vipe_core.errors import VipeError
from vipe_core.skeletons import BLAZEPOSE33

FIRST, LAST = 8, 64  # frames of the demo video in which one man does jumping jacks


@pytest.fixture(scope="session")
def weights() -> Path:
    assets.fetch(["pose_detection.tflite", "pose_landmark_full.tflite"])
    return assets.folder()


@pytest.fixture(scope="session")
def frames() -> list[np.ndarray]:
    cv2 = pytest.importorskip("cv2")
    video = cv2.VideoCapture(str(assets.path("demo.mp4", fetch=True)))
    found = [video.read()[1] for _ in range(LAST)]
    video.release()
    return found


@pytest.fixture
def detector(weights) -> BlazePose:
    return BlazePose(weights, threads=1)


# ---- geometry


@pytest.mark.parametrize("angle", [0, 0.4, -1.3, math.pi])
def test_region_and_affine_agree_and_invert(angle):
    roi, pixels = Roi(300, 200, 120, angle), 256
    crop = np.random.default_rng(0).uniform(0, pixels - 1, (20, 2))
    matrix = roi.affine(pixels)
    image = crop @ matrix[:, :2].T + matrix[:, 2]
    np.testing.assert_allclose(image, roi.to_image((crop + 0.5) / pixels), atol=1e-9)
    back = np.linalg.solve(matrix[:, :2], (image - matrix[:, 2]).T).T
    np.testing.assert_allclose(back, crop, atol=1e-9)


@pytest.mark.parametrize("angle", [0, 0.5, math.pi / 2, -2])
def test_region_of_a_person_puts_the_head_up(angle):
    middle = np.array([400.0, 300.0])
    top = middle + 100 * np.array([math.sin(angle), -math.cos(angle)])
    roi = Roi.from_alignment(middle, top)
    np.testing.assert_allclose(roi.to_image(np.array([0.5, 0.5])), middle)
    np.testing.assert_allclose(roi.to_image(np.array([0.5, 0.5 - 0.4])), top)
    assert roi.size == pytest.approx(250)
    assert math.remainder(roi.angle - angle, 2 * math.pi) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    "roi", [Roi(math.nan, 0, 50, 0), Roi(5, 5, 2, 0), Roi(-1, 5, 50, 0), Roi(5, 100, 50, 0)]
)
def test_unusable_regions(roi):
    assert not roi.is_usable(100, 100)
    assert Roi(5, 5, 50, 0).is_usable(100, 100)


def test_anchors_of_the_published_model():
    anchors = ssd.anchors()
    assert anchors.shape == (2254, 2)
    assert anchors.min() > 0
    assert anchors.max() < 1
    np.testing.assert_allclose(anchors[:2], 4 / 224)  # first cell of stride 8, twice
    np.testing.assert_allclose(anchors[-1], 1 - 16 / 224)  # last cell of stride 32
    np.testing.assert_allclose(anchors.mean(axis=0), 0.5, atol=1e-6)


def test_best_person_decodes_and_merges_neighbours():
    boxes, logits = np.zeros((2254, 12), np.float32), np.full(2254, -9, np.float32)
    assert ssd.best_person(boxes, logits) is None
    for anchor, score in ((900, 3.0), (901, 3.0), (0, 1.0)):  # 0 lies elsewhere
        boxes[anchor, 2:4] = 60
        boxes[anchor, 4:8] = (0, 20, 0, -40 if anchor == 900 else -44)
        logits[anchor] = score
    person = ssd.best_person(boxes, logits)
    assert person is not None
    points, score = person
    x, y = ssd.anchors()[900]
    np.testing.assert_allclose(points * 224, [[x * 224, y * 224 + 20], [x * 224, y * 224 - 42]])
    assert score == pytest.approx(1 / (1 + math.exp(-3)))


@pytest.mark.parametrize(
    ("size", "count"),
    [((640, 640), 1), ((640, 480), 3), ((1768, 994), 4), ((1080, 1920), 4), ((2000, 2), 1)],
)
def test_search_windows_cover_the_image(size, count):
    parts = windows(*size)
    assert len(parts) == count
    assert parts[0].size == max(size)
    for part in parts[1:]:
        half = part.size / 2
        assert part.size == min(size)
        assert part.x - half >= -0.5 - 1e-6
        assert part.x + half <= size[0] - 0.5 + 1e-6
        assert part.y - half >= -0.5 - 1e-6
        assert part.y + half <= size[1] - 0.5 + 1e-6
    along = sorted(part.x if size[0] > size[1] else part.y for part in parts[1:])
    assert not len(along) or np.diff(along).max() <= min(size) / 2 + 1e-6


def test_refine_against_a_plain_loop():
    rng = np.random.default_rng(1)
    points = rng.uniform(-0.1, 1.1, (35, 2))
    heatmap = rng.normal(-2, 1.5, (64, 64, 35))
    heatmap[..., ::3] = -9  # no peak: these stay
    expected = points.copy()
    for n, (x, y) in enumerate(points):
        column, row = math.floor(x * 64), math.floor(y * 64)
        cells = [
            (1 / (1 + math.exp(-heatmap[r, c, n])), c, r)
            for r in range(max(row - 3, 0), min(row + 4, 64))
            for c in range(max(column - 3, 0), min(column + 4, 64))
        ]
        total = sum(w for w, _, _ in cells)
        if cells and max(w for w, _, _ in cells) >= 0.5:
            expected[n, 0] = sum(w * c for w, c, _ in cells) / total / 64
            expected[n, 1] = sum(w * r for w, _, r in cells) / total / 64
    np.testing.assert_allclose(refine(points, heatmap), expected, atol=1e-6)


# ---- the networks


def test_finds_and_follows_the_man(detector, frames):
    shoulders = skeletons.BLAZEPOSE33.indices("left_shoulder", "right_shoulder")
    ankles = skeletons.BLAZEPOSE33.indices("left_ankle", "right_ankle")
    for image in frames[FIRST : FIRST + 6]:
        bodies = detector(image)
        assert len(bodies) == 1
        assert bodies.skeleton == "blazepose33"
        assert bodies.image_size == (1768, 994)
        assert bodies.scores[0] > 0.9
        upper, lower = bodies.points[0, shoulders], bodies.points[0, ankles]
        # He stands on the box near (650, 400); seen from the front his left is on the right.
        assert np.all(np.abs(upper.mean(axis=0) - (650, 130)) < 60)
        assert np.all(np.abs(lower.mean(axis=0) - (650, 400)) < 60)
        assert upper[0, 0] > upper[1, 0]
        assert bodies.visibility[0, shoulders].min() > 0.9


def test_same_image_gives_the_same_answer_after_reset(detector, frames):
    first = detector(frames[FIRST])
    detector(frames[FIRST + 20])
    detector.reset()
    np.testing.assert_array_equal(detector(frames[FIRST]).points, first.points)


def test_any_memory_layout_gives_the_same_answer(detector, frames):
    image = frames[FIRST]
    first = detector(image)
    wide = np.zeros((994, 1768 * 2, 3), np.uint8)
    wide[:, ::2] = image
    fortran, flipped = np.asfortranarray(image), np.ascontiguousarray(image[:, :, ::-1])
    for other in (wide[:, ::2], fortran, flipped[:, :, ::-1]):
        assert not other.flags.c_contiguous
        detector.reset()
        np.testing.assert_array_equal(detector(other).points, first.points)


def test_image_is_left_as_it_was(detector, frames):
    image = frames[FIRST].copy()
    image.flags.writeable = False
    detector(image)
    np.testing.assert_array_equal(image, frames[FIRST])


def test_follows_through_a_change_of_image_size(detector, frames):
    assert len(detector(frames[FIRST])) == 1
    small = np.ascontiguousarray(frames[FIRST][:400, 480:880])  # the region lies outside now
    bodies = detector(small)
    assert len(bodies) == 1
    assert bodies.image_size == (400, 400)


def test_joints_outside_the_image_are_invisible(detector, frames):
    assert len(detector(frames[FIRST])) == 1
    bodies = detector(frames[FIRST][:330])  # cut at the knees
    x, y = bodies.points[0].T
    outside = (x < -0.5) | (y < -0.5) | (x >= 1767.5) | (y >= 329.5)
    assert outside.any()
    assert not bodies.visibility[0, outside].any()
    assert bodies.visibility[0, ~outside].any()


@pytest.mark.parametrize("shape", [(480, 640, 3), (1, 1, 3), (5, 3, 3), (2, 2000, 3)])
@pytest.mark.parametrize("value", [0, 128, 255])
def test_nobody_in_a_grey_or_tiny_image(detector, shape, value):
    for _ in range(3):
        bodies = detector(np.full(shape, value, np.uint8))
        assert len(bodies) == 0
        assert bodies.points.shape == (0, 33, 2)
        assert bodies.image_size == shape[1::-1]
        assert detector.world is None


def test_the_networks_own_3d_is_turned_as_the_image_is(detector, frames):
    image = frames[FIRST]
    detector(image)
    upright = detector.world
    assert upright.shape == (33, 3)
    assert upright[BLAZEPOSE33.index("nose"), 1] < -0.3  # y is down, the hips are the origin
    assert upright[BLAZEPOSE33.index("left_ankle"), 1] > 0.3
    detector.reset()
    detector(np.ascontiguousarray(np.rot90(image, 2)))
    turned = detector.world @ np.diag([-1, -1, 1])
    assert np.median(np.linalg.norm(turned - upright, axis=1)) < 0.1


def test_finds_the_man_again_after_darkness(detector, frames):
    dark = np.zeros_like(frames[0])
    assert len(detector(frames[FIRST])) == 1
    assert [len(detector(dark)) for _ in range(3)] == [0, 0, 0]
    found = [len(detector(frames[FIRST + i])) for i in range(2)]  # two windows a frame
    assert found[-1] == 1


@pytest.mark.parametrize(
    ("image", "line"),
    [
        (np.zeros((0, 0, 3), np.uint8), "image is empty"),
        (np.zeros((0, 640, 3), np.uint8), "image is empty"),
        (np.zeros((480, 640), np.uint8), r"image has shape \(480, 640\)"),
        (np.zeros((480, 640, 4), np.uint8), r"\(H, W, 3\) uint8 BGR needed"),
        (np.zeros((480, 640, 3)), "type float64"),
        (None, "type NoneType"),
    ],
)
def test_not_an_image(detector, image, line):
    with pytest.raises(VipeError, match=line):
        detector(image)


def test_missing_broken_and_wrong_weights(tmp_path, weights, monkeypatch):
    with pytest.raises(VipeError, match=r"no pose_detection.tflite in .*run: vipe fetch"):
        BlazePose(tmp_path)
    monkeypatch.setenv("VIPE_ASSETS", str(tmp_path))
    with pytest.raises(VipeError, match=r"missing; run: vipe fetch"):
        BlazePose()
    person = (weights / "pose_detection.tflite").read_bytes()
    (tmp_path / "pose_landmark_full.tflite").write_bytes(person)
    (tmp_path / "pose_detection.tflite").write_bytes(b"nonsense")
    with pytest.raises(VipeError, match=r"pose_detection.tflite: not a tflite network"):
        BlazePose(tmp_path)
    (tmp_path / "pose_detection.tflite").write_bytes(person)
    with pytest.raises(VipeError, match=r"pose_landmark_full.tflite: input has shape"):
        BlazePose(tmp_path)
    with pytest.raises(VipeError, match="unknown BlazePose variant 'tiny'"):
        BlazePose(tmp_path, variant="tiny")


@pytest.mark.skipif("VIPE_DATA" not in os.environ, reason="VIPE_DATA names no data folder")
def test_agrees_with_the_reference_pipeline(detector, frames):
    """MediaPipe's own output (which it smooths) on the same frames."""
    file = Path(os.environ["VIPE_DATA"]) / "multiview" / "sports2d_demo_blazepose.npz"
    reference = np.load(file)["kp33_full"][FIRST:LAST, :, :2]
    points = np.stack([detector(image).points[0] for image in frames[FIRST:LAST]])
    tall = np.ptp(reference[..., 1], axis=1)[:, None]
    error = np.linalg.norm(points - reference, axis=-1) / tall
    assert np.median(error) < 0.015
