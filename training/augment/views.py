"""From people to what a detector would say: a camera, noise, missing points.

B is the batch, V the number of views of each person, T the frames of a window.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from vipe_core.skeletons import BODY13, JOINTS17
from vipe_training.augment.cameras import CameraConfig, draw_cameras, project, unit_length
from vipe_training.augment.noise import NoiseConfig, add_noise
from vipe_training.augment.occlusion import OcclusionConfig, draw_visible

BODY13_IN_JOINTS17 = JOINTS17.indices(*BODY13.joints)


@dataclass(frozen=True)
class ViewConfig:
    """What a view of a person looks like."""

    camera: CameraConfig = field(default_factory=CameraConfig)
    noise: NoiseConfig = field(default_factory=NoiseConfig)
    occlusion: OcclusionConfig = field(default_factory=OcclusionConfig)


class Views(NamedTuple):
    """Detections of B people in V views over T frames.

    Attributes:
        points: (B, V, T, 13, 2), image units (focal length 1), x right, y down.
        visible: (B, V, T, 13) bool.
        to_camera: (B, V, T, 3, 3), body axes to camera axes (x right, y down, z forward).
    """

    points: Tensor
    visible: Tensor
    to_camera: Tensor

    def where(self, take: Tensor, other: Views) -> Views:
        """These views where ``take`` (B, V) is true, else the ``other`` ones."""
        return Views(
            *(
                torch.where(take.reshape(*take.shape, *[1] * (a.ndim - 2)), a, b)
                for a, b in zip(self, other, strict=True)
            )
        )


def draw_views(
    joints: Tensor,
    rotation: Tensor,
    views: int,
    config: ViewConfig,
    generator: torch.Generator,
) -> Views:
    """Detections of every person from random cameras.

    Args:
        joints: (B, T, 17, 3) canonical, statures.
        rotation: (B, T, 3, 3) body axes in a y-up world, as columns.
        views: V.
    """
    to_camera = draw_cameras(rotation, views, config.camera, generator)
    size = unit_length(joints[:, joints.shape[1] // 2], config.camera)
    landmarks = joints[:, :, BODY13_IN_JOINTS17]
    points = project(landmarks, size, to_camera, config.camera, generator)
    points = add_noise(points, config.noise, generator)
    visible = draw_visible(len(joints), views, config.occlusion, generator).to(points.device)
    visible = visible[:, :, None].expand(points.shape[:-1])
    return Views(points, visible, to_camera)
