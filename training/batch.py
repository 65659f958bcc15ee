"""Training batches: recorded poses -> new people -> views -> features."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from vipe_training.datasets import MotionSet
from vipe_training.features import encode_input
from vipe_training.people import PeopleConfig, bone_lengths, draw_people
from vipe_training.views import ViewConfig, draw_views


@dataclass(frozen=True)
class BatchConfig:
    """What one training batch is made of.

    Attributes:
        poses: poses per batch, each seen in two views.
        people: how recorded poses become new people.
        views: what a view looks like.
        other_views: a second kind of view (simulated detections beside plain
            projections, say).
        other_share: probability that a view is of the second kind.
    """

    poses: int = 256
    people: PeopleConfig = field(default_factory=PeopleConfig)
    views: ViewConfig = field(default_factory=ViewConfig)
    other_views: ViewConfig | None = None
    other_share: float = 0.5


@dataclass(frozen=True)
class Batch:
    """B poses in V views.

    Attributes:
        features: (B, V, 39) network input.
        visible: (B, V, 13) bool.
        joints: (B, 17, 3) canonical, statures.
    """

    features: Tensor
    visible: Tensor
    joints: Tensor


class BatchSource:
    """Draws batches from a motion set held in memory."""

    def __init__(self, motion: MotionSet, config: BatchConfig, device: str = "cpu") -> None:
        joints, rotation = motion.canonical()
        self.config = config
        self.joints = torch.from_numpy(joints).to(device)
        self.rotation = torch.from_numpy(rotation).to(device)
        self.donors = _donors(self.joints, motion.subject)

    def draw(self, generator: torch.Generator) -> Batch:
        """One batch; the generator alone decides which."""
        config = self.config
        index = torch.randint(
            len(self.joints), (config.poses,), generator=generator, device=self.joints.device
        )
        joints, rotation = draw_people(
            self.joints[index], self.rotation[index], self.donors, config.people, generator
        )
        points, visible = draw_views(joints, rotation, 2, config.views, generator)
        if config.other_views is not None:
            other = draw_views(joints, rotation, 2, config.other_views, generator)
            take = torch.rand(config.poses, 2, generator=generator, device=joints.device)
            take = take < config.other_share
            points = torch.where(take[..., None, None], other[0], points)
            visible = torch.where(take[..., None], other[1], visible)
        return Batch(view_features(points, visible), visible, joints)


def view_features(points: Tensor, visible: Tensor) -> Tensor:
    """(B, V, 39) features of points (B, V, 13, 2); a hidden point has no coordinates."""
    points = points.masked_fill(~visible[..., None], torch.nan)
    flat = encode_input(points.flatten(0, 1), visible.flatten(0, 1).to(points.dtype))
    return flat.reshape(*visible.shape[:2], -1)


def _donors(joints: Tensor, subject: np.ndarray) -> Tensor:
    """(S, 17) mean bone lengths of each subject."""
    lengths = bone_lengths(joints)
    return torch.stack(
        [lengths[torch.from_numpy(subject == s)].mean(0) for s in np.unique(subject)]
    )
