"""Pose models of one's own, from the image to people: real ONNX networks on painted images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml

from tests import detector_factory as factory
from vipe_core import detectors
from vipe_core.bodies import Bodies2D
from vipe_core.detectors import Detector
from vipe_core.errors import VipeError

pytest.importorskip("cv2")
TOP_DOWN = {"simcc": factory.simcc, "heatmap": factory.heatmap}
PEOPLE = ("rtmdet", "yolox", "yolo", "yolo_nms")
ONE_STAGE = ("rtmo", "yolo_pose", "yolo_pose_nms")
TWO = np.array([[160.0, 180.0], [430.0, 170.0]])


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model of every layout."""
    folder = tmp_path_factory.mktemp("models")
    for name, make in TOP_DOWN.items():
        make(folder / f"{name}.onnx")
    for name in (*ONE_STAGE, *PEOPLE):
        factory.one_stage(folder / f"{name}.onnx", name)
    return folder


def load(folder: Path, layout: str, person: Any = None, **given: Any) -> Detector:
    """A detector of the model of that name; ``person`` names another, or is a section."""
    content = {"model": f"{layout}.onnx", "layout": layout.removesuffix("_nms")}
    content |= {"skeleton": "coco17", **given}
    if person in PEOPLE:
        person = {"model": f"{person}.onnx", "layout": person.removesuffix("_nms")}
    if person is not None:
        content["person"] = person
    path = folder / f"detector_{layout}.yaml"
    path.write_text(yaml.safe_dump(content))
    return detectors.load(path, threads=1)


def in_order(found: Bodies2D) -> np.ndarray:
    """(P, K, 2) points of the people, from left to right."""
    return found.points[np.argsort(np.nanmean(found.points[..., 0], axis=1))]


def check(found: Bodies2D, truth: np.ndarray, worst: float, bias: float = 0.12) -> None:
    """Every joint is within ``worst`` pixels, and their mean off by less than ``bias``."""
    assert len(found) == len(truth)
    assert found.skeleton == "coco17"
    errors = in_order(found) - truth
    assert np.linalg.norm(errors, axis=-1).max() < worst
    assert abs(errors.mean(axis=(0, 1))).max() < bias
    assert found.visibility.min() > 0.8
    assert found.scores.min() > 0.8
    assert found.track_ids == ("",) * len(truth)


SIZES = pytest.mark.parametrize("size", [(640, 360), (320, 192), (960, 700), (501, 333)])


def scene(size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """An image of two people, larger in a larger image, and where their joints are."""
    scale = size[0] / 640
    people = factory.figures(TWO * np.array(size) / (640, 360), 70 * scale)
    return factory.paint(size, people, factory.RADIUS * scale), people


@SIZES
@pytest.mark.parametrize("layout", ONE_STAGE)
def test_one_stage(models: Path, layout: str, size: tuple[int, int]) -> None:
    image, people = scene(size)
    found = load(models, layout)(image)
    check(found, people, worst=0.35 * max(1.7, size[0] / 320, size[1] / 192))
    assert found.image_size == size


@SIZES
@pytest.mark.parametrize("layout", TOP_DOWN)
@pytest.mark.parametrize("person", ["rtmdet", "yolo"])
def test_top_down(models: Path, layout: str, person: str, size: tuple[int, int]) -> None:
    image, people = scene(size)
    found = load(models, layout, person)(image)
    check(found, people, worst=0.8 * max(1.0, size[0] / 640), bias=0.2)
    assert found.image_size == size


@pytest.mark.parametrize("person", PEOPLE)
def test_boxes_of_every_person_detector(models: Path, person: str) -> None:
    image, people = scene((640, 360))
    check(load(models, "heatmap", person)(image), people, worst=0.6)


def test_udp(models: Path) -> None:
    """A map whose first and last cells are the first and last pixels: read as the other kind,
    joints far from the middle of the crop are pixels away."""
    factory.heatmap(models / "heatmap.onnx", udp=True)
    image, people = scene((640, 360))
    try:
        check(load(models, "heatmap", "rtmdet", udp=True)(image), people, worst=0.6)
        wrong = in_order(load(models, "heatmap", "rtmdet")(image))
        assert np.linalg.norm(wrong - people, axis=-1).max() > 1.5
    finally:
        factory.heatmap(models / "heatmap.onnx")


@pytest.mark.parametrize(
    ("layout", "person", "wrong"),
    [
        ("rtmo", None, {"channels": "rgb"}),
        ("rtmo", None, {"scale": 0.5}),
        ("rtmo", None, {"std": [255, 255, 255]}),
        ("yolo_pose", None, {"channels": "bgr"}),
        ("yolo_pose", None, {"std": [1, 1, 1]}),
        ("simcc", "rtmdet", {"channels": "bgr"}),
        ("simcc", "rtmdet", {"mean": [0, 0, 0]}),
        ("heatmap", "rtmdet", {"std": [1, 1, 1]}),
    ],
)
def test_wrong_pixels_do_not_pass(models: Path, layout: str, person: Any, wrong: dict) -> None:
    """The networks see colours: with any other normalisation the people are not found."""
    image, people = scene((640, 360))
    found = load(models, layout, person, input=wrong)(image)
    if len(found) == len(people):
        assert np.nanmax(np.linalg.norm(in_order(found) - people, axis=-1)) > 20
    check(load(models, layout, person)(image), people, worst=1.0, bias=0.2)


def test_wrong_pixels_of_the_person_detector_do_not_pass(models: Path) -> None:
    image, _ = scene((640, 360))
    person = {"model": "rtmdet.onnx", "layout": "rtmdet", "input": {"channels": "rgb"}}
    assert len(load(models, "simcc", person)(image)) == 0


@pytest.mark.parametrize(("layout", "person"), [*((n, None) for n in ONE_STAGE), ("simcc", "yolo")])
def test_nobody(models: Path, layout: str, person: Any) -> None:
    found = load(models, layout, person)(np.zeros((90, 120, 3), np.uint8))
    assert (len(found), found.points.shape, found.image_size) == (0, (0, 17, 2), (120, 90))


def test_most_certain_people_first(models: Path) -> None:
    people = factory.figures(TWO, 70.0)
    people[0, :1] = np.nan  # the left one lacks a joint
    image = factory.paint((640, 360), people)
    found = load(models, "rtmo")(image)
    assert found.scores[0] > found.scores[1]
    assert np.nanmean(found.points[0, :, 0]) > 400
    assert found.visibility[1, 0] == 0
    only = load(models, "rtmo", max_people=1)(image)
    assert np.nanmean(only.points[0, :, 0]) > 400
    assert len(load(models, "rtmo", min_score=0.9)(image)) == 1


def test_joint_that_top_down_does_not_see(models: Path) -> None:
    people = factory.figures(TWO[:1], 70.0)
    people[0, 3] = np.nan
    found = load(models, "simcc", "yolo")(factory.paint((640, 360), people))
    assert np.isnan(found.points[0, 3]).all()
    assert found.visibility[0, 3] == 0
    assert found.scores[0] == pytest.approx(16 / 17, abs=0.02)
    assert (
        len(load(models, "simcc", "yolo", min_score=0.97)(factory.paint((640, 360), people))) == 0
    )


def test_joint_outside_the_image_is_not_visible(tmp_path: Path) -> None:
    """Networks may place joints beyond the image: kept where they are, but unseen."""
    factory.one_stage(tmp_path / "rtmo.onnx", "rtmo", shift=-40.0)  # 80 pixels of the image
    people = factory.figures(np.array([[100.0, 180.0]]), 70.0)
    found = load(tmp_path, "rtmo")(factory.paint((640, 360), people))
    np.testing.assert_allclose(found.points[0], people[0] - (80, 0), atol=0.6)
    outside = people[0, :, 0] - 80 < -0.5
    assert 0 < outside.sum() < 17
    np.testing.assert_array_equal(found.visibility[0] > 0, ~outside)


def test_track_follows_one_person(models: Path) -> None:
    detector = load(models, "simcc", "track", input={})
    errors = []
    for step in range(6):
        people = factory.figures(np.array([[200.0 + 8 * step, 180.0]]), 80.0)
        found = detector(factory.paint((640, 360), people, 9.0))
        assert len(found) == 1
        errors.append(np.linalg.norm(found.points[0] - people[0], axis=-1).max())
    # The first image is seen as a whole, the later ones through a closer crop.
    assert max(errors[1:]) < 1.2 < errors[0]


def test_track_loses_and_finds_again(models: Path) -> None:
    detector = load(models, "simcc", "track")
    here = factory.paint((640, 360), factory.figures(TWO[:1], 80.0), 9.0)
    there = factory.paint((640, 360), factory.figures(TWO[1:], 80.0), 9.0)
    assert len(detector(here)) == 1
    assert len(detector(np.zeros_like(here))) == 0
    assert detector(there).points[0, :, 0].mean() > 350
    # Gone from where it was and somewhere else at once: the same image is searched again.
    assert detector(here).points[0, :, 0].mean() < 250


def test_reset_looks_at_the_whole_image_again(models: Path) -> None:
    detector = load(models, "simcc", "track")
    picture = factory.paint((640, 360), factory.figures(TWO[:1], 80.0), 9.0)
    first, followed = detector(picture), detector(picture)
    assert abs(first.points - followed.points).max() > 0.5  # from afar, and from close by
    detector.reset()
    np.testing.assert_array_equal(detector(picture).points, first.points)


@pytest.mark.parametrize("batch", ["N", 1, 2, 4])
def test_batch_of_the_file_does_not_matter(models: Path, tmp_path: Path, batch: int | str) -> None:
    """Three people at once, in turns, or in batches that are filled up."""
    factory.simcc(tmp_path / "simcc.onnx", batch=batch)
    factory.one_stage(tmp_path / "rtmdet.onnx", "rtmdet")
    middles = np.array([[110.0, 180.0], [320.0, 180.0], [530.0, 180.0]])
    people = factory.figures(middles, 60.0)
    image = factory.paint((640, 360), people)
    found = load(tmp_path, "simcc", "rtmdet")(image)
    check(found, people, worst=0.8, bias=0.25)
    free = load(models, "simcc", "rtmdet")(image)
    np.testing.assert_allclose(found.points, free.points, atol=1e-4)


def test_free_batch_that_is_fixed_inside(tmp_path: Path) -> None:
    """Exporters name the batch "N" also where a reshape inside holds it at 1."""
    factory.simcc(tmp_path / "simcc.onnx", fixed_inside=True)
    factory.one_stage(tmp_path / "rtmdet.onnx", "rtmdet")
    image, people = scene((640, 360))
    check(load(tmp_path, "simcc", "rtmdet")(image), people, worst=0.8, bias=0.2)


def test_outputs_in_another_order(tmp_path: Path) -> None:
    path = factory.simcc(tmp_path / "simcc.onnx")
    model = onnx.load(path)
    model.graph.output.insert(0, model.graph.output.pop())
    onnx.save(model, path)
    factory.one_stage(tmp_path / "yolo.onnx", "yolo")
    image, people = scene((640, 360))
    check(load(tmp_path, "simcc", "yolo")(image), people, worst=0.8, bias=0.2)


@pytest.mark.parametrize("ratio", [1.0, 2.0, 4.0])
def test_bins_per_pixel_are_read_off(tmp_path: Path, ratio: float) -> None:
    factory.simcc(tmp_path / "simcc.onnx", ratio=ratio)
    factory.one_stage(tmp_path / "yolo.onnx", "yolo")
    image, people = scene((640, 360))
    check(load(tmp_path, "simcc", "yolo")(image), people, worst=2.0 / ratio + 0.4, bias=0.4 / ratio)


def test_half_precision(tmp_path: Path) -> None:
    """Inputs and outputs in float16, as exported for GPUs."""
    model = onnx.load(factory.one_stage(tmp_path / "rtmo.onnx", "rtmo"))
    half, graph = onnx.TensorProto.FLOAT16, model.graph
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.elem_type = half
    for node in graph.node:
        node.input[:] = ["whole" if name == "input" else name for name in node.input]
        if node.output[0] in ("dets", "keypoints"):
            node.op_type = "Cast"
            node.attribute.append(onnx.helper.make_attribute("to", half))
    graph.node.insert(0, onnx.helper.make_node("Cast", ["input"], ["whole"], to=1))
    onnx.save(model, tmp_path / "rtmo.onnx")
    image, people = scene((640, 360))
    check(load(tmp_path, "rtmo")(image), people, worst=0.8)


def test_several_classes(tmp_path: Path) -> None:
    factory.one_stage(tmp_path / "yolo_pose.onnx", "yolo_pose", classes=3, repeat=10)
    image, people = scene((640, 360))
    check(load(tmp_path, "yolo_pose")(image), people, worst=0.6)


def test_another_skeleton(tmp_path: Path) -> None:
    factory.simcc(tmp_path / "simcc.onnx", joints=26, size=(144, 192))
    factory.one_stage(tmp_path / "yolo.onnx", "yolo", joints=26)
    people = factory.figures(TWO, 60.0, joints=26)
    found = load(tmp_path, "simcc", "yolo", skeleton="halpe26")(factory.paint((640, 360), people))
    assert found.points.shape == (2, 26, 2)
    np.testing.assert_allclose(in_order(found), people, atol=1.0)
    assert found.to_skeleton("body13").visibility.min() > 0.8


def test_facts(models: Path) -> None:
    detector = load(models, "simcc", "yolo", name="mine")
    assert (detector.name, detector.backend) == ("mine", "onnxruntime-cpu")
    assert detector.model == "yolo.onnx + simcc.onnx"
    detector = load(models, "rtmo")
    assert (detector.name, detector.model) == ("detector_rtmo", "rtmo.onnx")


def test_not_an_image(models: Path) -> None:
    for detector in (load(models, "rtmo"), load(models, "simcc", "yolo")):
        with pytest.raises(VipeError, match=r"\(H, W, 3\) uint8 BGR needed"):
            detector(np.zeros((4, 4)))


def test_threads_do_not_spin(models: Path) -> None:
    path = models / "threads.yaml"
    path.write_text(yaml.safe_dump({"model": "rtmo.onnx", "layout": "rtmo", "skeleton": "coco17"}))
    detector: Any = detectors.load(path, threads=3)
    options = detector._network._session.get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (3, 1)
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
