"""From a distance between embeddings to the probability of a match."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from vipe_core.embedding import pairwise_likelihood_distance
from vipe_training.datasets import load_motion
from vipe_training.evaluate import protocol
from vipe_training.losses import squeezed_sigmoid
from vipe_training.models import System
from vipe_training.validation import infer

_POSES = 400
_BINS = 2000


def fit_sigmoid(
    system: System, names: Sequence[str], seed: int, frame_step: float = 0.08
) -> tuple[float, float]:
    """Slope a and offset b of the matching sigmoid by maximum likelihood.

    The pairs are two noisy novel views of validation poses; matches (NP-MPJPE at most 0.1,
    in every frame of a window) and others weigh the same, so the probability answers
    "match or not, at even odds".

    Args:
        system: a system whose training leaves the sigmoid open.
        names: validation motion files.
        seed: of poses and cameras.
        frame_step: seconds between the frames of a system that takes windows.
    """
    joints = protocol.choose(load_motion(names), _POSES, seed, system.frames, frame_step)
    matches = protocol.match_matrix(joints)
    coded = []
    for view in protocol.render(joints, protocol.novel8(seed + 1), 0.02, seed):
        mean, std = infer(system, view, np.ones(view.shape[:-1])).embedding()
        coded.append((mean.numpy(), std.numpy() ** 2))
    distance = np.stack(
        [pairwise_likelihood_distance(*coded[i], *coded[i + 1]) for i in range(0, len(coded), 2)]
    )
    return fit(distance.ravel(), np.broadcast_to(matches, distance.shape).ravel())


def fit(distance: np.ndarray, match: np.ndarray) -> tuple[float, float]:
    """Slope a > 0 and offset b of ``sigmoid(-a * distance + b)``, classes balanced.

    Args:
        distance: (N,).
        match: (N,) bool.
    """
    # Neighbouring distances share a bin, so the cost does not grow with the number of pairs.
    order = np.argsort(distance)
    bins = np.array_split(order, min(_BINS, len(order)))
    x = torch.tensor([distance[rows].mean() for rows in bins], dtype=torch.float64)
    right = torch.tensor([match[rows].sum() for rows in bins], dtype=torch.float64)
    wrong = torch.tensor([len(rows) for rows in bins], dtype=torch.float64) - right
    right, wrong = right / (2 * right.sum()), wrong / (2 * wrong.sum())
    scale = float(x.median())
    raw = torch.tensor([0.0, 1.0], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([raw], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        p = squeezed_sigmoid(raw[1] - raw[0].exp() * x / scale)
        loss = -(right * p.log() + wrong * (1 - p).log()).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    log_a, b = raw.detach().tolist()
    return float(np.exp(log_a)) / scale, b
