"""Scores during training, on people who are not trained on."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from vipe_training.datasets import join, load_motion
from vipe_training.evaluate import protocol
from vipe_training.evaluate.coders import EmbeddingCoder
from vipe_training.evaluate.metrics.lifting import evaluate_lifting
from vipe_training.evaluate.metrics.retrieval import hit_at_k
from vipe_training.features import encode_input
from vipe_training.loop.run_config import DataConfig
from vipe_training.models import Heads, System


class Validation:
    """Hit@1 and lifting error through eight noisy novel cameras.

    The people are those of the validation files and those whom training leaves out.

    Args:
        data: which files, and whom training leaves out.
        seed: of the pose selection and of the cameras.
        poses: how many to measure on; fewer where there are not that many different ones.
        frames, step: windows for a system that takes them.

    Raises:
        VipeError: unreadable files, or no usable pose.
    """

    def __init__(
        self, data: DataConfig, seed: int, poses: int = 600, frames: int = 1, step: float = 0.08
    ) -> None:
        motion = load_motion(data.validate)
        if data.leave_out:
            people = load_motion(data.train)
            left_out = people.select(np.isin(people.subject, data.leave_out))
            motion = join([part for part in (motion, left_out) if len(part)])
        self.joints = protocol.choose(motion, poses, seed, frames, step)
        self.matches = protocol.match_matrix(self.joints)
        self.points = protocol.render(self.joints, protocol.novel8(seed + 1), 0.02, seed)

    def scores(self, model: System) -> dict[str, float]:
        """``val_hit1`` in percent of a model that embeds, ``val_mm`` of one that lifts."""
        scores = {}
        if "embedding" in model.task:
            scores["val_hit1"] = self._hit1(model)
        if "pose" in model.task:
            scores["val_mm"] = self._millimetres(model)
        return scores

    def _hit1(self, model: System) -> float:
        def embed(points: np.ndarray, visibility: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            mean, std = infer(model, points, visibility).embedding()
            return mean.numpy(), std.numpy() ** 2

        coded = [embed(view, np.ones(view.shape[:-1])) for view in self.points]
        return float(hit_at_k(EmbeddingCoder(embed), coded, coded, self.matches)[0])

    def _millimetres(self, model: System) -> float:
        def lift(points: np.ndarray, visibility: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            joints, std = infer(model, points, visibility).pose()
            return joints.numpy(), std.numpy()

        return evaluate_lifting(lift, self.joints)["mpjpe"]


def merit(scores: dict[str, float]) -> float:
    """What chooses the best checkpoint, more is better: Hit@1, or, of a system that only
    lifts, the error's negative."""
    return scores["val_hit1"] if "val_hit1" in scores else -scores["val_mm"]


@torch.no_grad()
def infer(model: System, points: np.ndarray, visibility: np.ndarray) -> Heads:
    """Heads on the CPU for points (N, [T,] 13, 2) and visibility (N, [T,] 13)."""
    device = next(model.parameters()).device
    lead = points.shape[:-2]
    features = encode_input(
        torch.as_tensor(points, dtype=torch.float32).reshape(-1, *points.shape[-2:]),
        torch.as_tensor(visibility).reshape(-1, visibility.shape[-1]),
    )
    return model.heads(features.reshape(*lead, -1).to(device)).map(Tensor.cpu)
