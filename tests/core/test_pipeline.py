"""From the people in an image to what is known of them: that the parts work together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from tests.bodies import standing
from vipe_core import model_file, runtime, skeletons
from vipe_core.bodies import Bodies2D
from vipe_core.errors import VipeError
from vipe_core.geometry import Camera, project
from vipe_core.geometry.lens import Lens
from vipe_core.pipeline import Options, Pipeline
from vipe_core.runtime import Model

# Four metres in front of the person, a little to the side.
CAMERA = Camera.look_at([0.8, 1.2, 4], [0, 0.95, 0], [0, 1, 0], focal=600, size=(640, 480))
LENS = Lens(np.array([[600.0, 0, 320], [0, 600, 240], [0, 0, 1]]), np.zeros(0), size=(640, 480))


@pytest.fixture(scope="module")
def model() -> Model:
    return runtime.load(model_file.default_path(), "onnxruntime-cpu")


def people(*shifts: float, ids: Sequence[str] | None = None, skeleton: str = "body13") -> Bodies2D:
    """Standing people, each so many pixels to the right."""
    seen = project(skeletons.convert(standing(), "joints17", "body13"), CAMERA)
    points = seen + np.reshape(shifts, (-1, 1, 1)) * [1, 0]
    given = Bodies2D.from_arrays(points, None, "body13", ids, None, (640, 480))
    if skeleton == "body13":
        return given
    kind = skeletons.get(skeleton)
    full = np.full((len(shifts), len(kind), 2), np.nan)
    full[:, kind.indices(*skeletons.BODY13.joints)] = points
    return Bodies2D.from_arrays(full, None, skeleton, ids, None, (640, 480))


def test_everybody_is_named_and_placed(model: Model) -> None:
    scene = Pipeline(model)(people(0, 200), 1.0, LENS)
    assert len(set(scene.people.track_ids)) == 2
    assert scene.placements is not None
    assert scene.joints is not None
    assert scene.placements.placed.all()
    assert (scene.placements.translation[:, 2] > 2).all()
    np.testing.assert_allclose(scene.joints, scene.estimates.joints * 1.7, rtol=1e-6)


def test_nobody(model: Model) -> None:
    scene = Pipeline(model)(people(0).select(np.array([False])), 1.0, LENS)
    assert len(scene.people) == len(scene.placements) == 0


def test_without_a_lens_nobody_is_placed(model: Model) -> None:
    scene = Pipeline(model)(people(0, 200), 1.0)
    assert scene.placements.source == ("", "")
    assert not scene.placements.placed.any()
    assert np.isnan(scene.placements.translation).all()
    assert Pipeline(model, Options(placement="none"))(people(0), 1.0, LENS).placements.source == (
        "",
    )


def test_too_few_joints(model: Model) -> None:
    given = people(0, 200, ids="ab")
    given.visibility[0, 3:] = 0
    scene = Pipeline(model, Options(min_joints=5))(given, 1.0, LENS)
    assert scene.people.track_ids == scene.body13.track_ids == ("b",)
    assert scene.too_few == (3,)


@pytest.mark.parametrize(("tracking", "kept"), [("auto", True), ("never", True), ("always", False)])
def test_names_of_the_source(model: Model, tracking: str, kept: bool) -> None:
    scene = Pipeline(model, Options(tracking=tracking))(people(0, 200, ids="ab"), 1.0)
    assert (scene.people.track_ids == ("a", "b")) == kept
    assert all(scene.people.track_ids)


def test_who_has_no_name_gets_none_when_nobody_tracks(model: Model) -> None:
    scene = Pipeline(model, Options(tracking="never"))(people(0), 1.0)
    assert scene.people.track_ids == ("",)


def test_swapped_sides_are_exchanged_in_the_skeleton_of_the_source(model: Model) -> None:
    pipeline, given = Pipeline(model), people(0, skeleton="coco17")
    for frame in range(15):
        pipeline(given, frame / 30, LENS)
    mirror = list(skeletons.get("coco17").mirror)
    swapped = replace(given, points=given.points[:, mirror], visibility=given.visibility[:, mirror])
    scene = pipeline(swapped, 15 / 30, LENS)
    assert scene.swapped.tolist() == [True]
    np.testing.assert_array_equal(scene.people.points, given.points)
    np.testing.assert_array_equal(scene.people.visibility, given.visibility)
    expected = model(given.to_skeleton("body13").points, given.to_skeleton("body13").visibility)
    np.testing.assert_allclose(scene.estimates.mean, expected.mean, atol=1e-5)
    off = Pipeline(model, Options(repair_swaps=False))
    for frame in range(15):
        off(given, frame / 30, LENS)
    np.testing.assert_array_equal(off(swapped, 15 / 30, LENS).people.points, swapped.points)


def test_options_change_while_it_runs(model: Model) -> None:
    pipeline = Pipeline(model)
    before = pipeline(people(0), 1.0, LENS)
    pipeline.options = replace(pipeline.options, height=1.7 / 2)
    after = pipeline(people(0), 1.1, LENS)
    np.testing.assert_allclose(after.joints, before.joints / 2, rtol=1e-5)
    np.testing.assert_allclose(
        after.placements.translation, before.placements.translation / 2, rtol=1e-3
    )
    assert after.people.track_ids == before.people.track_ids


def test_smoothing_makes_late_what_moves(model: Model) -> None:
    plain, smooth = Pipeline(model), Pipeline(model, Options(smoothing=1.0, smoothing_beta=0.0))
    for frame in range(10):
        shift = 0.0 if frame < 9 else 60.0
        now, late = (p(people(shift), frame / 30, LENS) for p in (plain, smooth))
    x_now, x_late = (s.placements.translation[0, 0] for s in (now, late))
    x_before = plain(people(0), 10 / 30, LENS).placements.translation[0, 0]
    assert x_before < x_late < x_now
    assert smooth.delay_s == pytest.approx(1 / (2 * np.pi), rel=0.01)
    assert plain.delay_s == 0


def test_a_stamp_that_is_no_number(model: Model) -> None:
    with pytest.raises(VipeError, match="stamp"):
        Pipeline(model)(people(0), float("nan"), LENS)


def test_an_id_that_comes_twice_counts_for_the_first(model: Model) -> None:
    names = Pipeline(model)(people(0, 200, 400, ids=["a", "a", ""]), 1.0).people.track_ids
    assert names[0] == "a"
    assert len(set(names)) == 3
    assert all(names)


def test_of_too_many_people_the_least_certain_are_left_out(model: Model) -> None:
    given = people(*range(0, 60, 20), ids="abc")
    given.scores[:] = 0.5, 0.9, 0.7
    scene = Pipeline(model, Options(max_people=2))(given, 1.0)
    assert scene.people.track_ids == ("b", "c")
    assert scene.too_many == 1


def test_a_lens_of_another_image_costs_the_placement_only(model: Model) -> None:
    scene = Pipeline(model)(people(0), 1.0, replace(LENS, size=(100, 480)))
    assert "100x480" in scene.problem
    assert not scene.placements.placed.any()
    assert scene.estimates.mean is not None


def test_a_depth_image_of_another_shape_costs_the_depth_only(model: Model) -> None:
    scene = Pipeline(model, Options(placement="depth"))(people(0), 1.0, LENS, np.ones((480, 100)))
    assert scene.problem
    assert scene.placements.source == ("height",)


@pytest.mark.parametrize("noise_px", [0.0, 0.1, 1.0])
def test_somebody_who_stands_still_is_placed_in_every_image(model: Model, noise_px: float) -> None:
    pipeline, rng = Pipeline(model), np.random.default_rng(0)
    for frame in range(60):
        shifts = np.linspace(-200, 150, 8)  # eight people at eight places
        given = people(*shifts)
        given.points[:] += rng.normal(0, noise_px, given.points.shape)
        assert pipeline(given, frame / 30, LENS).placements.placed.all()


@pytest.mark.parametrize("size_px", [0.0, 1.0, 10.0])
def test_a_body_of_a_few_pixels_is_not_placed(model: Model, size_px: float) -> None:
    rng = np.random.default_rng(0)
    for frame in range(20):
        given = people(0)
        given.points[:] = 300 + rng.uniform(-size_px / 2, size_px / 2, given.points.shape)
        assert not Pipeline(model)(given, frame / 30, LENS).placements.placed.any()
