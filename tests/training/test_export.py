"""From checkpoint to model file: parity, metadata, and refusal of a wrong graph."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.bodies import random_people
from tests.training.systems import NAMES, untrained
from vipe_core import runtime
from vipe_core.errors import VipeError
from vipe_core.geometry import mirror_points, stature, to_body_frame
from vipe_core.skeletons import JOINTS17
from vipe_training.augment.batch import view_features
from vipe_training.config import build
from vipe_training.evaluate.protocol import chest4, render
from vipe_training.export import write as module
from vipe_training.export.calibration import fit, fit_std_scale
from vipe_training.export.graph import Graph
from vipe_training.export.parity import hard_inputs, of_torch, parity
from vipe_training.export.write import export, load_trained
from vipe_training.loop.train import RunConfig, train
from vipe_training.loop.validation import Validation, infer

SMALL = {"width": 96, "blocks": 1}


@pytest.fixture(scope="module", params=NAMES)
def exported(request, data_folder, tmp_path_factory):
    made = untrained(request.param)
    path = tmp_path_factory.mktemp("export") / "m.onnx"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIPE_DATA", str(data_folder))
        export(made, path, "1.2.3", {"x": 1.0})
    return made, runtime.load(path)


def seen(model, count: int = 30) -> np.ndarray:
    """Keypoints of people from one camera, as the model takes them: a window stands still."""
    points = render(random_people(count), chest4()[:1])[0].astype(np.float32)
    frames = model.metadata.frames
    return points if frames == 1 else np.repeat(points[:, None], frames, axis=1)


def graph_of(made, model) -> Graph:
    """The exported graph in torch, with the scale of the stds that the file has."""
    graph = Graph(made.system).eval()
    if model.metadata.has_pose:
        points = torch.from_numpy(seen(model))
        with torch.no_grad():
            plain = graph(points, torch.ones(points.shape[:-1]))[-1]
        graph.std_scale = float((torch.from_numpy(model(points.numpy()).std) / plain).median())
    return graph


def main_output(estimates) -> np.ndarray:
    return estimates.joints if estimates.mean is None else estimates.mean


def test_graph_agrees_with_torch_on_hard_inputs(exported):
    made, model = exported
    assert parity(of_torch(graph_of(made, model)), model.path, count=2000) < 1e-4
    points, visibility = hard_inputs(1000, frames=made.system.frames)
    for value in vars(model(points, visibility)).values():
        assert value is None or np.isfinite(value).all()


def test_file_describes_itself(exported):
    made, model = exported
    meta = model.metadata
    assert (meta.name, meta.version, meta.metrics) == (made.config.name, "1.2.3", {"x": 1.0})
    assert meta.task == made.system.task
    assert meta.embedding_size == made.system.embedding_size
    assert meta.frames == made.system.frames
    assert meta.frame_step == (0.08 if meta.frames > 1 else 0)
    assert meta.sigmoid_a > 0
    assert "CMU" in meta.training_data


def test_mirror_outputs_are_the_outputs_of_the_mirrored_person(exported):
    _, model = exported
    points = seen(model)
    one, other = model(points), model(mirror_points(points, "body13", width=1000))
    if not model.metadata.has_embedding:
        assert one.mean is one.mirror_mean is None
        return
    np.testing.assert_allclose(one.mirror_mean, other.mean, atol=1e-4)
    np.testing.assert_allclose(one.mirror_variance, other.variance, atol=1e-4)


def test_an_averaged_pose_is_the_mirrored_pose_of_the_mirrored_person(exported):
    made, model = exported
    if not made.system.averages_twin:
        return
    points = seen(model)
    one, other = model(points), model(mirror_points(points, "body13", width=1000))
    expected = other.joints[:, list(JOINTS17.mirror)] * np.array([1, -1, 1])
    np.testing.assert_allclose(one.joints, expected, atol=1e-4)
    np.testing.assert_allclose(one.std, other.std[:, list(JOINTS17.mirror)], atol=1e-4)
    with torch.no_grad():
        alone = made.system.heads(
            view_features(torch.from_numpy(points), torch.ones(points.shape[:-1], dtype=torch.bool))
        )
    assert np.abs(alone.joints.numpy() - one.joints).max() > 1e-3


def test_batch_position_and_pixel_scale_do_not_matter(exported):
    _, model = exported
    points = seen(model)
    whole = main_output(model(points))
    np.testing.assert_allclose(main_output(model(points[4:5])), whole[4:5], atol=1e-5)
    np.testing.assert_allclose(main_output(model(points * 2.5 + 300)), whole, atol=1e-3)


def test_hidden_points_do_not_matter(exported):
    _, model = exported
    points = seen(model, 10)
    visibility = np.ones(points.shape[:-1], np.float32)
    visibility[..., 6] = 0.2
    before = main_output(model(points, visibility))
    points[..., 6, :] = 1e5
    np.testing.assert_allclose(main_output(model(points, visibility)), before, atol=1e-6)


def test_a_graph_that_differs_is_not_written(data, tmp_path, monkeypatch):
    made = untrained("vipe")
    right = module.to_onnx

    def wrong(graph):
        system = graph.system
        with torch.no_grad():
            system.embedding.mean.bias += 0.01
        try:
            return right(graph)
        finally:
            with torch.no_grad():
                system.embedding.mean.bias -= 0.01

    monkeypatch.setattr(module, "to_onnx", wrong)
    with pytest.raises(
        VipeError, match=r"differs from torch by 1\.0e-02, the limit is 0\.0001; not"
    ):
        export(made, tmp_path / "m.onnx", "1", {})
    assert list(tmp_path.iterdir()) == []


def test_a_graph_that_gives_nan_is_not_written(data, tmp_path, monkeypatch):
    made = untrained("vipe")
    monkeypatch.setattr(module, "_calibrate", lambda trained: (1.0, 0.0, float("nan")))
    with pytest.raises(VipeError, match="gives a std that is not finite"):
        export(made, tmp_path / "m.onnx", "1", {})
    assert list(tmp_path.iterdir()) == []


def test_checkpoint_to_file(data, tmp_path):
    config = build(
        RunConfig,
        {
            "name": "vipe",
            "system": "vipe",
            "model": SMALL,
            "batch": {"poses": 16},
            "steps": 4,
            "validate_every": 2,
            "threads": 1,
        },
    )
    made = load_trained(train(config, tmp_path / "run", progress=False))
    assert made.config == config
    path = tmp_path / "out" / "m.onnx"
    assert export(made, path, "1", made.scores) <= 1e-4
    assert runtime.load(path).metadata.metrics == pytest.approx(made.scores)
    with pytest.raises(VipeError, match="no checkpoint"):
        load_trained(tmp_path / "none.safetensors")


def test_calibration_finds_the_sigmoid_that_made_the_labels():
    rng = np.random.default_rng(0)
    distance = rng.uniform(0, 12, 200_000)
    p = 0.9 / (1 + np.exp(2.0 * distance - 9.0)) + 0.05
    match = rng.random(len(p)) < p
    # Balancing the classes shifts the odds by a constant.
    a, b = fit(distance, match)
    assert a == pytest.approx(2.0, rel=0.15)
    assert 0.5 * (b / a) + 0.5 * 4.5 == pytest.approx(4.5, rel=0.1)


def test_std_scale_makes_the_intervals_hold(data):
    made = untrained("vipe")
    validation = Validation(made.config.data, 0, 30)
    scale = fit_std_scale(made.system, validation)
    inside, count = 0, 0
    for view in validation.points:
        joints, std = infer(made.system, view, np.ones(view.shape[:-1])).pose()
        for person, pose in enumerate(validation.joints):
            body = to_body_frame(pose, "joints17")
            for j in range(1, 17):
                error = np.abs(joints[person, j].numpy() - (body / stature(body))[j])
                inside += int((error <= 1.6449 * scale * float(std[person, j])).sum())
                count += 3
    assert inside / count == pytest.approx(0.91, abs=0.002)


def test_half_files_hold_the_rounded_weights_exactly(data, tmp_path):
    made = untrained("vipe")
    whole, half = tmp_path / "whole.onnx", tmp_path / "half.onnx"
    export(made, whole, "1", {})
    before = made.system.trunk.blocks[0][1].weight.clone()
    export(made, half, "1", {}, half=True)
    after = made.system.trunk.blocks[0][1].weight
    torch.testing.assert_close(after, before.half().float(), rtol=0, atol=0)
    large = [p.numel() for p in made.system.parameters() if p.ndim >= 2 and p.numel() >= 1024]
    saved = whole.stat().st_size - half.stat().st_size
    assert saved > 1.8 * sum(large)  # two bytes each, less what the casts take
    assert parity(of_torch(graph_of(made, runtime.load(half))), half, count=500) < 1e-4
    assert "--half" in runtime.load(half).metadata.command
