"""The trainable likelihood distance against loops and numerical integration."""

from __future__ import annotations

import math

import numpy as np
import torch

from vipe_training.kernels import likelihood_distance


def gaussians(count: int, generator, size: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    mean = torch.randn(count, size, generator=generator, dtype=torch.float64)
    return mean, torch.rand(count, size, generator=generator, dtype=torch.float64) * 2


def test_is_the_written_formula(generator):
    a, b = gaussians(70, generator), gaussians(40, generator)
    distance = likelihood_distance(*a, *b)
    for i, j in ((0, 0), (35, 7), (69, 39)):
        squared = 0.0
        for d in range(3):
            v = 1 + float(a[1][i, d]) ** 2 + float(b[1][j, d]) ** 2
            squared += float(a[0][i, d] - b[0][j, d]) ** 2 / v + math.log(v)
        assert math.isclose(float(distance[i, j]), math.sqrt(squared), rel_tol=1e-9)


def test_is_the_expected_kernel():
    a, b = (0.3, 0.7), (-1.1, 1.4)
    rng = np.random.default_rng(0)
    gap = rng.normal(*a, 400_000) - rng.normal(*b, 400_000)
    expected = -2 * math.log(np.exp(-(gap**2) / 2).mean())
    ours = likelihood_distance(*(torch.tensor([[v]]) for v in (*a, *b))) ** 2
    assert math.isclose(float(ours), expected, rel_tol=0.01)


def test_certain_embeddings_are_at_their_euclidean_distance(generator):
    mean, _ = gaussians(20, generator)
    zero = torch.zeros_like(mean)
    distance = likelihood_distance(mean[:10], zero[:10], mean[10:], zero[10:])
    torch.testing.assert_close(distance, torch.cdist(mean[:10], mean[10:]))


def test_gradients(generator):
    inputs = [v.requires_grad_() for _ in range(2) for v in gaussians(40, generator, 2)]
    assert torch.autograd.gradcheck(likelihood_distance, inputs)
