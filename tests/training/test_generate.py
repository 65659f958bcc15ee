"""Poses out of V-VIPE's latent space, by the model and by the verb; the paper's ablations."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.bodies import random_people
from tests.cli import error_line, vipe
from tests.training.systems import save, small, untrained
from vipe_core import files, keypoint_file
from vipe_core.errors import VipeError
from vipe_core.geometry import stature, to_body_frame
from vipe_core.keypoint_file import KeypointFile
from vipe_training.augment.batch import BatchSource
from vipe_training.datasets import load_motion
from vipe_training.evaluate.protocol import chest4, render
from vipe_training.export.write import Trained
from vipe_training.loop.train import make_system
from vipe_training.models import VVipe


@pytest.fixture(scope="module")
def system() -> VVipe:
    return untrained("v_vipe").system


@pytest.fixture(scope="module")
def checkpoint(system, tmp_path_factory):
    made = Trained(system, small("v_vipe"), 1, {})
    return save(made, tmp_path_factory.mktemp("run") / "best.safetensors")


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A keypoint file whose first frame shows nobody, and a file of 3D poses."""
    folder = tmp_path_factory.mktemp("clips")
    people = random_people(3)
    points = render(people, chest4()[:1])[0].astype(np.float32)
    points[0] = np.nan
    keypoint_file.write(
        folder / "clip.npz", KeypointFile(points, np.ones(points.shape[:-1]), "body13")
    )
    files.write_npz(folder / "lifted.npz", joints=to_body_frame(people, "joints17"))
    return folder


def test_noise_has_the_asked_size_and_no_noise_is_the_pose(system, generator):
    latent = torch.randn(32)
    still = system.around(latent, 0.0, 3, generator)
    torch.testing.assert_close(still, latent.expand(3, -1))
    cloud = system.around(latent, 0.5, 4000, generator)
    assert (cloud - latent).std().item() == pytest.approx(0.5, rel=0.02)
    assert cloud.mean(0).sub(latent).abs().max() < 0.05


def test_the_way_between_is_straight_and_has_both_ends(system):
    start, end = torch.randn(2, 32)
    way = system.between(start, end, 5)
    torch.testing.assert_close(way[0], start)
    torch.testing.assert_close(way[-1], end)
    torch.testing.assert_close(way[2], (start + end) / 2)


def test_what_is_generated_stands_in_the_body_frame(system, generator):
    with torch.no_grad():
        joints = system.generate(torch.randn(20, 32, generator=generator)).numpy()
    np.testing.assert_allclose(stature(joints), 1, atol=1e-4)
    np.testing.assert_allclose(to_body_frame(joints, "joints17"), joints, atol=1e-4)


def test_verb_from_the_prior(checkpoint, tmp_path):
    done = vipe("generate", checkpoint, tmp_path / "out.npz", "-n", 5, "--height", 2.0)
    assert done.returncode == 0, done.stderr
    out = np.load(tmp_path / "out.npz")
    assert out["joints"].shape == (5, 17, 3)
    assert out["latent"].shape == (5, 32)
    assert str(out["skeleton"]) == "joints17"
    np.testing.assert_allclose(stature(out["joints"]), 2.0, atol=1e-3)


def test_verb_around_a_seen_pose_and_around_a_3d_pose(system, checkpoint, clip, tmp_path):
    words = ("--noise", 0, "-n", 2)
    done = vipe("generate", checkpoint, tmp_path / "a.npz", "--from", clip / "clip.npz", *words)
    assert done.returncode == 0, done.stderr
    seen = np.load(tmp_path / "a.npz")["latent"]
    np.testing.assert_allclose(seen[0], seen[1])
    done = vipe("generate", checkpoint, tmp_path / "b.npz", "--from", clip / "lifted.npz", *words)
    assert done.returncode == 0, done.stderr
    joints = to_body_frame(random_people(3)[:1], "joints17")
    joints = torch.from_numpy(joints / stature(joints)[:, None, None]).float()
    with torch.no_grad():
        expected = system.encode(joints)[0].numpy()
    np.testing.assert_allclose(np.load(tmp_path / "b.npz")["latent"][0], expected, atol=1e-4)


def test_verb_between_two_poses(checkpoint, clip, tmp_path):
    ends = ("--from", clip / "lifted.npz", "--to", clip / "clip.npz", "--steps", 4)
    done = vipe("generate", checkpoint, tmp_path / "out.npz", *ends)
    assert done.returncode == 0, done.stderr
    latent = np.load(tmp_path / "out.npz")["latent"]
    assert latent.shape == (4, 32)
    step = np.broadcast_to((latent[3] - latent[0]) / 3, (3, 32))
    np.testing.assert_allclose(np.diff(latent, axis=0), step, atol=1e-4)


def test_mistakes_are_one_line(checkpoint, clip, tmp_path):
    out = tmp_path / "out.npz"
    assert "--to needs --from" in error_line("generate", checkpoint, out, "--to", clip / "clip.npz")
    assert "at least 1" in error_line("generate", checkpoint, out, "-n", 0)
    assert "metres between" in error_line("generate", checkpoint, out, "--height", 170)
    assert "no checkpoint" in error_line("generate", tmp_path / "none", out)
    other = save(untrained("vipe"), tmp_path / "vipe.safetensors")
    assert "is no V-VIPE" in error_line("generate", other, out)
    empty = tmp_path / "empty.npz"
    points = np.full((2, 13, 2), np.nan)
    keypoint_file.write(empty, KeypointFile(points, np.zeros((2, 13)), "body13"))
    assert "shows nobody" in error_line("generate", checkpoint, out, "--from", empty)
    files.write_npz(empty, joints=np.full((2, 17, 3), np.nan))
    assert "shows nobody" in error_line("generate", checkpoint, out, "--from", empty)
    files.write_npz(empty, joints=np.zeros((2, 16, 3)))
    assert "(T, 17, 3) needed" in error_line("generate", checkpoint, out, "--from", empty)


class TestAblations:
    def step(self, data, generator, progress: float, *words: str) -> tuple[VVipe, VVipe]:
        """A system before and after one step."""
        config = small("v_vipe", *words)
        source = BatchSource(load_motion(config.data.train), config.batch)
        torch.manual_seed(0)
        system = make_system(config)
        torch.manual_seed(0)
        before = make_system(config)
        loss, _ = system.loss(source.draw(generator), progress, generator)
        loss.backward()
        parameters = [p for p in system.parameters() if p.grad is not None]
        torch.optim.SGD(parameters, 0.1).step()
        return before, system

    def moved(self, pair, part: str) -> bool:
        before, after = (dict(getattr(s, part).named_parameters()) for s in pair)
        return any(not torch.equal(before[name], after[name]) for name in before)

    def test_frozen_decoder(self, data, generator):
        pair = self.step(data, generator, 0.9)
        assert self.moved(pair, "trunk_2d")
        assert not self.moved(pair, "decoder")
        assert not self.moved(pair, "encoder_3d")

    def test_decoder_that_learns_on(self, data, generator):
        pair = self.step(data, generator, 0.9, "model.freeze_decoder=false")
        assert self.moved(pair, "decoder")
        assert not self.moved(pair, "encoder_3d")

    def test_pretraining(self, data, generator):
        pair = self.step(data, generator, 0.0)
        assert self.moved(pair, "encoder_3d")
        assert not self.moved(pair, "trunk_2d")

    def test_without_pretraining_all_parts_learn_at_once(self, data, generator):
        pair = self.step(data, generator, 0.0, "model.pretrain=0")
        for part in ("encoder_3d", "decoder", "trunk_2d", "latent_2d"):
            assert self.moved(pair, part), part

    def test_without_the_triplet_loss(self, data, generator):
        config = small("v_vipe", "model.triplet_weight=0", "model.kl_weight=0")
        batch = BatchSource(load_motion(config.data.train), config.batch).draw(generator)
        system = make_system(config)
        loss, metrics = system.loss(batch, 0.0, generator)
        weight = system.config.pose_weight
        assert loss.item() == pytest.approx(weight * metrics["reconstruction"].item(), rel=1e-5)

    def test_without_canonical_poses(self, data, generator):
        pair = self.step(data, generator, 0.0, "model.canonical=false")
        assert self.moved(pair, "encoder_3d")
        _, system = self.step(data, generator, 0.9, "model.canonical=false")
        with torch.no_grad():
            joints, _ = system.eval().heads(torch.randn(5, 39)).pose()
        np.testing.assert_allclose(to_body_frame(joints.numpy(), "joints17"), joints, atol=1e-4)
        with pytest.raises(VipeError, match="camera axes only"):
            system.encode(joints)


def test_windows_are_refused(data, generator):
    config = small("v_vipe", "batch.frames=7")
    batch = BatchSource(load_motion(config.data.train), config.batch).draw(generator)
    with pytest.raises(VipeError, match=r"batch\.frames is 7, but this system looks at 1"):
        make_system(config).loss(batch, 0.0, generator)
