"""From a distance between embeddings to the probability of a match."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from vipe_core.embedding import expected_distance
from vipe_training.datasets import load_motion
from vipe_training.evaluate import protocol
from vipe_training.losses import squeezed_sigmoid
from vipe_training.models import System
from vipe_training.validation import infer

_POSES = 400


def fit_sigmoid(system: System, names: Sequence[str], seed: int) -> tuple[float, float]:
    """Slope a and offset b of the matching sigmoid by maximum likelihood.

    The pairs are two noisy novel views of validation poses; matches (NP-MPJPE at most 0.1)
    and others weigh the same, so the probability answers "match or not, at even odds".

    Args:
        system: a system whose training leaves the sigmoid open.
        names: validation motion files.
        seed: of poses and cameras.
    """
    joints = load_motion(names).joints
    joints = joints[protocol.select_poses(joints, _POSES, seed)]
    matches = protocol.match_matrix(joints)
    points = protocol.render(joints, protocol.novel8(seed + 1), 0.02, seed)
    coded = []
    for view in points:
        heads = infer(system, view, np.ones(view.shape[:2]))
        coded.append((heads.mean.numpy(), heads.std.numpy() ** 2))
    distance = np.stack(
        [expected_distance(*coded[i], *coded[i + 1]) for i in range(0, len(coded), 2)]
    )
    return fit(distance.ravel(), np.broadcast_to(matches, distance.shape).ravel())


def fit(distance: np.ndarray, match: np.ndarray) -> tuple[float, float]:
    """Slope a > 0 and offset b of ``sigmoid(-a * distance + b)``, classes balanced."""
    x, y = torch.from_numpy(distance).double(), torch.from_numpy(match)
    weight = torch.where(y, 0.5 / y.sum(), 0.5 / (~y).sum())
    scale = float(x.median())
    raw = torch.tensor([0.0, 1.0], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([raw], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        p = squeezed_sigmoid(raw[1] - raw[0].exp() * x / scale)
        loss = -(weight * torch.where(y, p, 1 - p).log()).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    log_a, b = raw.detach().tolist()
    return float(np.exp(log_a)) / scale, b
