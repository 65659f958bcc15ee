"""The baseline of the training benchmark is the same loss as ours, only written plainly."""

from __future__ import annotations

import pytest
import torch

from benchmarks.training import PlainPrVipe
from vipe_training.loop.train import make_source, make_system
from vipe_training.models import PrVipe

from .test_train import config


def test_the_plain_loss_is_ours_when_ours_labels_and_ranks_all_pairs(data):
    model = {"width": 32, "blocks": 1, "dropout": 0.0, "samples": 6, "mining_samples": 6}
    settings = config("pr_vipe", model=model | {"candidates": 0})
    batch = make_source(settings, "cpu").draw(torch.Generator().manual_seed(0))
    system = make_system(settings)
    results = []
    for kind in (PrVipe, PlainPrVipe):
        system.__class__ = kind
        system.zero_grad()
        loss, metrics = system(batch, 0.5, torch.Generator().manual_seed(1))
        loss.backward()
        gradients = [weight.grad.clone() for weight in system.parameters()]
        results.append((loss.detach(), metrics["active"], gradients))
    (ours, active, ours_gradients), (plain, plain_active, plain_gradients) = results
    assert active == plain_active > 0.2
    assert ours.item() == pytest.approx(plain.item(), rel=1e-5)
    for a, b in zip(ours_gradients, plain_gradients, strict=True):
        torch.testing.assert_close(a, b, rtol=2e-3, atol=1e-5)
