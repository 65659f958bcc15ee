"""Training batches: recorded poses -> new people -> views -> features."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from vipe_training.augment.people import PeopleConfig, bone_lengths, draw_people
from vipe_training.augment.views import ViewConfig, draw_views
from vipe_training.datasets import MotionSet, windows
from vipe_training.features import encode_input

_ALIKE = 0.05  # statures, root mean square over joints: poses this close are of one kind
_SAMPLE = 4000  # poses among which the like are counted


@dataclass(frozen=True)
class BatchConfig:
    """What one training batch is made of.

    Attributes:
        poses: poses per batch, each seen in two views.
        frames: T, frames of a window; 1 for single poses, else odd.
        frame_step: seconds between the frames of a window; the nearest recorded frames
            are taken.
        balance: how strongly rare poses are preferred: a pose is drawn in proportion to
            the number of poses like it to the power of minus this; 0 as recorded.
        people: how recorded poses become new people.
        views: what a view looks like.
        other_views: a second kind of view (simulated detections beside plain
            projections, say).
        other_share: probability that a view is of the second kind.
    """

    poses: int = 256
    frames: int = 1
    frame_step: float = 0.08
    balance: float = 0.0
    people: PeopleConfig = field(default_factory=PeopleConfig)
    views: ViewConfig = field(default_factory=ViewConfig)
    other_views: ViewConfig | None = None
    other_share: float = 0.5


@dataclass(frozen=True)
class Batch:
    """B poses in V views; the window axis T is there when a window has several frames.

    Attributes:
        features: (B, V, [T,] 39) network input.
        visible: (B, V, [T,] 13) bool.
        joints: (B, [T,] 17, 3) canonical, statures.
        points: (B, V, [T,] 13, 2) detections before normalisation: image units (focal
            length 1), x right, y down.
        to_camera: (B, V, [T,] 3, 3): ``joints @ to_camera.transpose(-1, -2)`` is the pose
            about the pelvis in camera axes (x right, y down, z forward).
    """

    features: Tensor
    visible: Tensor
    joints: Tensor
    points: Tensor
    to_camera: Tensor

    @property
    def pose(self) -> Tensor:
        """(B, 17, 3) canonical joints of the middle frame."""
        return self.joints if self.joints.ndim == 3 else self.joints[:, self.joints.shape[1] // 2]


class BatchSource:
    """Draws batches from a motion set held in memory.

    Raises:
        VipeError: an even window, or no clip long enough for one.
    """

    def __init__(self, motion: MotionSet, config: BatchConfig, device: str = "cpu") -> None:
        joints, rotation = motion.canonical()
        self.config = config
        self.joints = torch.from_numpy(joints).to(device)
        self.rotation = torch.from_numpy(rotation).to(device)
        self.windows = torch.from_numpy(windows(motion, config.frames, config.frame_step))
        self.windows = self.windows.to(device)
        middle = self.joints[self.windows[:, config.frames // 2]]
        self.shares = cumulative_shares(middle, config.balance)
        self.donors = _donors(self.joints, motion.subject)

    def draw(self, generator: torch.Generator) -> Batch:
        """One batch; the generator alone decides which."""
        config = self.config
        u = torch.rand(config.poses, generator=generator, device=self.joints.device)
        index = torch.searchsorted(self.shares, u.to(self.shares.dtype))
        rows = self.windows[index.clamp_max(len(self.windows) - 1)]  # (B, T)
        joints, rotation = draw_people(
            self.joints[rows], self.rotation[rows], self.donors, config.people, generator
        )
        views = draw_views(joints, rotation, 2, config.views, generator)
        if config.other_views is not None:
            other = draw_views(joints, rotation, 2, config.other_views, generator)
            take = torch.rand(config.poses, 2, generator=generator, device=joints.device)
            views = other.where(take < config.other_share, views)
        points, visible, to_camera = views
        batch = (view_features(points, visible), visible, joints, points, to_camera)
        if config.frames > 1:
            return Batch(*batch)
        return Batch(*(v[:, 0] if v is joints else v[:, :, 0] for v in batch))


def cumulative_shares(joints: Tensor, balance: float) -> Tensor:
    """(N,) float64: where in 0..1 the share of each pose ends, when drawing one.

    Recordings hold thousands of frames of people who stand and walk, and a few of a
    cartwheel. How common a pose is, is counted among a sample of all.

    Args:
        joints: (N, 17, 3) canonical, statures.
        balance: see :class:`BatchConfig`.
    """
    weight = torch.ones(len(joints), dtype=torch.float64, device=joints.device)
    if balance:
        flat = joints.flatten(1)
        sample = flat[:: max(1, len(flat) // _SAMPLE)]
        near = _ALIKE * joints.shape[1] ** 0.5
        common = [(torch.cdist(part, sample) < near).sum(1) for part in flat.split(4096)]
        weight = (1 + torch.cat(common).double()) ** -balance
    return weight.cumsum(0) / weight.sum()


def view_features(points: Tensor, visible: Tensor) -> Tensor:
    """(..., 39) features of points (..., 13, 2); a hidden point has no coordinates."""
    points = points.masked_fill(~visible[..., None], torch.nan)
    lead = visible.shape[:-1]
    flat = encode_input(
        points.reshape(-1, *points.shape[-2:]), visible.reshape(-1, visible.shape[-1]).float()
    )
    return flat.reshape(*lead, -1)


def _donors(joints: Tensor, subject: np.ndarray) -> Tensor:
    """(S, 17) mean bone lengths of each subject."""
    lengths = bone_lengths(joints)
    return torch.stack(
        [lengths[torch.from_numpy(subject == s)].mean(0) for s in np.unique(subject)]
    )
