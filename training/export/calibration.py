"""What training leaves open: the matching sigmoid, and how wide the joints' intervals are.

Both are fitted on validation people, whom training never saw.
"""

from __future__ import annotations

import numpy as np
import torch

from vipe_core.embedding import pairwise_likelihood_distance
from vipe_core.geometry import stature, to_body_frame
from vipe_training.evaluate import protocol
from vipe_training.loop.validation import Validation, infer
from vipe_training.losses import squeezed_sigmoid
from vipe_training.models import System

_BINS = 2000
# Share of coordinates inside the interval that a Gaussian fills to 90 %. One point more,
# because people of another laboratory are farther from training than those of validation.
_COVERAGE = 0.91
_HALF_WIDTH = 1.6449


def fit_sigmoid(system: System, validation: Validation) -> tuple[float, float]:
    """Slope a and offset b of the matching sigmoid by maximum likelihood.

    The pairs are two noisy novel views of validation poses; matches (NP-MPJPE at most 0.1,
    in every frame of a window) and others weigh the same, so the probability answers
    "match or not, at even odds".

    Args:
        system: one that embeds. What Pr-VIPE learns for its sampled Euclidean distances does
            not fit the likelihood distance, so it is fitted anew like the others.
        validation: poses and views.
    """
    coded = []
    for view in validation.points:
        mean, std = infer(system, view, np.ones(view.shape[:-1])).embedding()
        coded.append((mean.numpy(), std.numpy() ** 2))
    distance = np.stack(
        [pairwise_likelihood_distance(*coded[i], *coded[i + 1]) for i in range(0, len(coded), 2)]
    )
    match = np.broadcast_to(validation.matches, distance.shape)
    return fit(distance.ravel(), match.ravel())


def fit_std_scale(system: System, validation: Validation) -> float:
    """The factor on the joint standard deviations with which 90 % intervals hold.

    Args:
        system: one that lifts.
        validation: poses and views.
    """
    truth = to_body_frame(protocol.middle(validation.joints), "joints17")
    truth = truth / stature(truth)[:, None, None]
    standard = []
    for view in validation.points:
        joints, std = infer(system, view, np.ones(view.shape[:-1])).pose()
        error = np.abs(joints.numpy() - truth)[:, 1:]  # the pelvis is the origin
        standard.append(error / std.numpy()[:, 1:, None])
    return float(np.quantile(np.stack(standard), _COVERAGE)) / _HALF_WIDTH


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
