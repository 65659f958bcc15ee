"""Scores during training, on people who are not trained on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from vipe_training.datasets import load_motion
from vipe_training.evaluate import protocol
from vipe_training.evaluate.lifting import evaluate_lifting
from vipe_training.evaluate.retrieval import hit_at_k
from vipe_training.features import encode_input
from vipe_training.models import Heads, System

_NATIVE = "mocap/cmu_mocap_native.npz"


class Validation:
    """Hit@1 and lifting error through eight noisy novel cameras.

    Args:
        names: validation motion files.
        left_out: subjects whom training leaves out of the training files; those of them
            who have their own bones join the validation.
        seed: of the pose selection and of the cameras.
        poses: how many to measure on; fewer where there are not that many different ones.
    """

    def __init__(
        self, names: Sequence[str], left_out: Sequence[str], seed: int, poses: int = 600
    ) -> None:
        joints = load_motion(names).joints
        if left_out:
            people = load_motion([_NATIVE])
            joints = np.concatenate([joints, people.joints[np.isin(people.subject, left_out)]])
        self.joints = joints[protocol.select_poses(joints, poses, seed)]
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
        coded = []
        for view in self.points:
            mean, std = infer(model, view, np.ones(view.shape[:2])).embedding()
            coded.append((mean.numpy(), std.numpy() ** 2))
        return float(hit_at_k(coded, coded, self.matches)[0])

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
    """Heads on the CPU for points (N, 13, 2) and visibility (N, 13)."""
    device = next(model.parameters()).device
    features = encode_input(
        torch.as_tensor(points, dtype=torch.float32), torch.as_tensor(visibility)
    )
    return model.heads(features.to(device)).map(Tensor.cpu)
