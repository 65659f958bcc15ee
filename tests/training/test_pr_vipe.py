"""Pr-VIPE's loss against loops over its formulas, and its variants."""

from __future__ import annotations

import math

import pytest
import torch

from tests.training.systems import small
from vipe_core.errors import VipeError
from vipe_training.augment.batch import BatchSource
from vipe_training.datasets import load_motion
from vipe_training.loop.train import make_system
from vipe_training.mining import JOINTS16, normalize_3d, np_mpjpe, visible_joints
from vipe_training.models import PrVipe, PrVipeConfig
from vipe_training.models.layers import WindowTrunk, he_normal_

EXACT = ("model.mining_samples=20", "model.candidates=0", "model.dropout=0")


def drawn(name: str, *words: str) -> tuple[PrVipe, object]:
    """A system and a batch for it."""
    config = small(name, "batch.poses=16", *words)
    torch.manual_seed(0)
    system = make_system(config)
    source = BatchSource(load_motion(config.data.train), config.batch)
    return system, source.draw(torch.Generator().manual_seed(0))


def distances(system: PrVipe, batch, seed: int) -> torch.Tensor:
    """D of every anchor with every positive, (B, B), by loops over pairs and samples."""
    mean, std = system.batch_heads(batch.features).embedding()
    mean, std = (v.reshape(16, 2, -1) for v in (mean, std))
    if system.config.kind == "point":
        z = mean[:, :, None]
    else:
        noise = torch.randn(
            16, 2, 20, mean.shape[-1], generator=torch.Generator().manual_seed(seed)
        )
        z = mean[:, :, None] + std[:, :, None] * noise
    table = torch.empty(16, 16)
    for i in range(16):
        for j in range(16):
            gap = torch.cdist(z[i, 0], z[j, 1])
            if system.match is None:
                table[i, j] = gap.square().mean()
            else:
                p = 0.9 * torch.sigmoid(system.match.b - system.match.a * gap) + 0.05
                table[i, j] = -p.mean().log()
    return table


def errors(batch, joints: list[int], masked: bool) -> torch.Tensor:
    """NP-MPJPE label distances (B, B), the largest over the frames of a window."""
    pose = normalize_3d(batch.joints)[..., joints, :]
    seen = visible_joints(batch.visible)[..., joints]
    table = torch.empty(16, 16)
    for i in range(16):
        for j in range(16):
            both = seen[i, 0] & seen[j, 1] if masked else torch.ones_like(seen[i, 0])
            table[i, j] = np_mpjpe(pose[i], pose[j], both.float()).max()
    return table


@pytest.mark.parametrize(
    ("name", "masked"),
    [
        ("pr_vipe", False),
        ("vipe_point", False),
        ("l2_vipe", False),
        ("pr_vipe_temporal", False),
        ("pr_vipe_occlusion_independent", True),
        ("pr_vipe_occlusion_structured", True),
    ],
)
def test_the_loss_is_the_written_formula(name, masked, data):
    system, batch = drawn(name, *EXACT)
    loss, metrics = system.loss(batch, 0.0, torch.Generator().manual_seed(7))
    with torch.no_grad():
        d = distances(system, batch, seed=7)
    joints = list(range(17)) if system.config.label_joints == 17 else JOINTS16
    label = errors(batch, joints, masked)
    margin = 0.2 if name == "l2_vipe" else math.log(2)
    terms = []
    for i in range(16):
        allowed = [d[i, j] for j in range(16) if label[i, j] >= 0.1 and d[i, j] > d[i, i]]
        terms.append(max(0.0, float(d[i, i] + margin - min(allowed))) if allowed else 0.0)
    active = [t for t in terms if t > 0]
    expected = sum(active) / max(1, len(active))
    assert metrics["triplet"].item() == pytest.approx(expected, rel=1e-3)
    if name != "l2_vipe":
        expected += 0.005 * d.diagonal().mean().item()
    if system.config.kind == "gaussian":
        mean, std = system.batch_heads(batch.features).embedding()
        kl = 0.5 * (std**2 + mean**2 - 1 - 2 * std.log()).sum(1).mean()
        expected += 0.001 * kl.item()
    assert loss.item() == pytest.approx(expected, rel=1e-3)


def test_cheap_mining_chooses_much_as_exact_mining_does(data):
    system, batch = drawn("pr_vipe", *EXACT)
    exact, _ = system.loss(batch, 0.0, torch.Generator().manual_seed(7))
    for words in (["model.mining_samples=5"], ["model.mining_samples=0"]):
        cheap, _ = drawn("pr_vipe", "model.dropout=0", *words)
        loss, _ = cheap.loss(batch, 0.0, torch.Generator().manual_seed(7))
        assert loss.item() == pytest.approx(exact.item(), rel=0.1)


# Half of the anchors are whole by rule; of the others some are whole by chance.
@pytest.mark.parametrize(("kind", "most"), [("independent", 0.7), ("structured", 0.95)])
def test_only_anchors_lose_points_and_never_the_torso(kind, most, data):
    config = small(f"pr_vipe_occlusion_{kind}", "batch.poses=250")
    source = BatchSource(load_motion(config.data.train), config.batch)
    visible = source.draw(torch.Generator().manual_seed(0)).visible
    assert visible[:, 1].all()
    whole = visible[:, 0].all(-1).float().mean().item()
    assert 0.4 < whole < most
    assert visible[..., [1, 2, 7, 8]].all()


def test_points_have_no_variance_and_normalised_ones_length_one():
    torch.manual_seed(0)
    for name in ("vipe_point", "l2_vipe"):
        system = make_system(small(name)).eval()
        mean, std = system.heads(torch.randn(9, 39)).embedding()
        assert (std == 0).all()
        length = mean.norm(dim=1)
        assert torch.allclose(length, torch.ones(9), atol=1e-5) == (name == "l2_vipe")


def test_coinciding_points_have_finite_gradients(data):
    system, batch = drawn("vipe_point", "model.dropout=0")
    with torch.no_grad():
        system.embedding.mean.weight.zero_()  # every pose in one place
    loss, _ = system.loss(batch, 0.0, torch.Generator())
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in system.parameters() if p.grad is not None)


def test_frames_of_a_window_share_the_trunk_and_keep_their_order():
    torch.manual_seed(0)
    trunk = WindowTrunk(39, 7, 24, 1, 1, 0.0).eval()
    x = torch.randn(5, 7, 39)
    each = torch.cat([trunk.frame(x[:, t]) for t in range(7)], 1)
    torch.testing.assert_close(trunk(x), trunk.window(each))
    assert not torch.allclose(trunk(x.flip(1)), trunk(x))


def test_weights_and_biases_start_he_normal():
    torch.manual_seed(0)
    linear = he_normal_(torch.nn.Linear(200, 4000))
    for values, inputs in ((linear.weight, 200), (linear.bias, 4000)):
        std = (2 / inputs) ** 0.5
        assert values.std().item() == pytest.approx(std, rel=0.03)
        assert values.abs().max() <= 2 * std / 0.8796 + 1e-6


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "box"}, "model.kind is 'box'; known: gaussian, point"),
        ({"kernel": "l1"}, "model.kernel is 'l1'"),
        ({"label_joints": 13}, "model.label_joints is 13; known: 17, 16"),
        ({"normalized": True}, "are for kind: point"),
        ({"kernel": "squared_l2"}, "are for kind: point"),
        ({"frames": 4}, "model.frames is 4: it must be odd"),
        ({"mining_samples": 21}, r"must lie in 0\.\.20"),
    ],
)
def test_settings_that_make_no_sense(settings, message):
    with pytest.raises(VipeError, match=message):
        PrVipe(PrVipeConfig(width=8, **settings))


def test_a_batch_of_other_windows(data):
    _, batch = drawn("pr_vipe_temporal")
    single, _ = drawn("pr_vipe")
    with pytest.raises(VipeError, match=r"batch\.frames is 7, but this system looks at 1"):
        single.loss(batch, 0.0, torch.Generator())
