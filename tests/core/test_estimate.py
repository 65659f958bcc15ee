"""People who may be missing, in any skeleton, through a real model."""

from __future__ import annotations

import numpy as np
import pytest

from tests.model_factory import make_model
from vipe_core import runtime, skeletons
from vipe_core.errors import VipeError
from vipe_core.estimate import estimate


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> runtime.Model:
    return runtime.load(make_model(tmp_path_factory.mktemp("model") / "model.onnx"))


def people(*lead: int, skeleton: str = "body13") -> tuple[np.ndarray, np.ndarray]:
    joints = len(skeletons.get(skeleton))
    points = np.random.default_rng(0).normal(300, 80, (*lead, joints, 2)).astype(np.float32)
    return points, np.ones((*lead, joints), np.float32)


@pytest.mark.parametrize("lead", [(), (6,), (6, 3), (0,), (4, 0)])
def test_leading_axes_are_kept(model, lead):
    found, missing = estimate(model, *people(*lead), "body13")
    assert found.mean.shape == (*lead, 16)
    assert found.joints.shape == (*lead, 17, 3)
    assert missing.shape == lead
    assert not missing.any()
    assert np.isfinite(found.mean).all()


@pytest.mark.parametrize("skeleton", [n for n in skeletons.SKELETONS if n != "body13"])
def test_every_skeleton_gives_what_its_body13_gives(model, skeleton):
    points, visibility = people(3, skeleton=skeleton)
    found, _ = estimate(model, points, visibility, skeleton)
    expected = model(skeletons.convert(points, skeleton, "body13"))
    np.testing.assert_allclose(found.mean, expected.mean, atol=1e-6)


def test_a_missing_person_is_nan_and_the_others_are_untouched(model):
    points, visibility = people(5, 2)
    whole, _ = estimate(model, points, visibility, "body13")
    points[3, 1], visibility[3, 1] = np.nan, 0
    found, missing = estimate(model, points, visibility, "body13")
    assert np.argwhere(missing).tolist() == [[3, 1]]
    for name in ("mean", "variance", "joints", "std"):
        value = getattr(found, name)
        assert np.isnan(value[3, 1]).all()
        np.testing.assert_allclose(value[~missing], getattr(whole, name)[~missing], atol=1e-6)


@pytest.mark.parametrize("how", ["absent", "hidden", "negative", "nan", "far"])
def test_fewer_than_four_visible_joints_are_no_person(model, how):
    points, visibility = people(2)
    if how == "absent":
        points[0, 3:] = np.nan
    elif how == "far":
        points[0, 3:] = 1e30
    else:
        visibility[0, 3:] = {"hidden": 0.2, "negative": -1, "nan": np.nan}[how]
    found, missing = estimate(model, points, visibility, "body13")
    assert missing.tolist() == [True, False]
    assert np.isnan(found.mean[0]).all()
    assert np.isfinite(found.mean[1]).all()


def test_four_visible_joints_are_a_person(model):
    points, visibility = people(1)
    points[0, 4:] = np.nan
    found, missing = estimate(model, points, visibility, "body13")
    assert not missing.any()
    assert np.isfinite(found.mean).all()


def test_nobody_at_all(model):
    points, visibility = people(4)
    found, missing = estimate(model, points * np.nan, visibility, "body13")
    assert missing.all()
    assert np.isnan(found.mean).all()
    assert found.joints.shape == (4, 17, 3)


def test_heads_that_the_model_lacks_stay_none(tmp_path):
    model = runtime.load(make_model(tmp_path / "model.onnx", "pose"))
    found, _ = estimate(model, *people(2), "body13")
    assert found.mean is None
    assert found.joints.shape == (2, 17, 3)


def test_progress_adds_up(model, monkeypatch):
    monkeypatch.setattr("vipe_core.estimate.BLOCK", 4)
    points, visibility = people(10)
    points[0] = np.nan
    done: list[int] = []
    estimate(model, points, visibility, "body13", done.append)
    assert done == [4, 4, 1]


def test_a_model_whose_joints_the_file_lacks(tmp_path):
    model = runtime.load(make_model(tmp_path / "model.onnx", skeleton_2d="halpe26"))
    with pytest.raises(VipeError, match=r"takes halpe26, .* made from coco17: it has no head"):
        estimate(model, *people(2, skeleton="coco17"), "coco17")


def test_unknown_skeleton(model):
    with pytest.raises(VipeError, match="unknown skeleton 'octopus8'"):
        estimate(model, *people(2), "octopus8")
