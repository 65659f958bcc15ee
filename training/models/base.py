"""What every system offers to the training loop, the evaluation and the export."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vipe_training.batch import Batch


@dataclass
class Heads:
    """Network outputs for N feature rows. A head that the system lacks is None.

    Attributes:
        mean, std: (N, D) Gaussian embedding.
        joints: (N, 17, 3) canonical joints, statures.
        joint_std: (N, 17) standard deviation per joint and axis, statures.
    """

    mean: Tensor
    std: Tensor
    joints: Tensor | None = None
    joint_std: Tensor | None = None

    def map(self, function: Callable[[Tensor], Tensor]) -> Heads:
        """The heads with ``function`` applied to each that is there."""
        pose = (None if v is None else function(v) for v in (self.joints, self.joint_std))
        return Heads(function(self.mean), function(self.std), *pose)

    def pose(self) -> tuple[Tensor, Tensor]:
        """Joints and their standard deviations, of a system that lifts."""
        if self.joints is None or self.joint_std is None:
            raise TypeError("this system does not lift")
        return self.joints, self.joint_std


class System(nn.Module):
    """A trainable system: features to heads, and a loss on a batch."""

    task: str
    mixed_precision = False

    def low_precision(self) -> torch.autocast:
        """Context for the matrix products. Losses stay outside: a distance is a small
        difference of large numbers, and bfloat16 keeps eight bits."""
        device = next(self.parameters()).device.type
        return torch.autocast(device, torch.bfloat16, enabled=self.mixed_precision)

    @property
    def embedding_size(self) -> int:
        """D of the embedding."""
        raise NotImplementedError

    def heads(self, features: Tensor) -> Heads:
        """Heads for features (N, 39)."""
        raise NotImplementedError

    def loss(
        self, batch: Batch, progress: float, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Scalar loss and named metrics; ``progress`` is the share of the run done."""
        raise NotImplementedError

    def normalized_trunk(self) -> nn.Module:
        """The part whose batch statistics are estimated anew for averaged weights."""
        return self

    def inference_parameters(self) -> Iterator[nn.Parameter]:
        """The parameters that the exported graph holds."""
        return self.parameters()

    def sigmoid(self) -> tuple[float, float] | None:
        """Slope and offset of the matching sigmoid if training learns a calibrated one."""
        return None
