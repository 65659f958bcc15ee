"""What every system offers to the training loop, the evaluation and the export."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vipe_training import distributed
from vipe_training.augment.batch import Batch


@dataclass
class Heads:
    """Network outputs for N feature rows. A head that the system lacks is None.

    Attributes:
        mean, std: (N, D) Gaussian embedding; None only for the task "pose".
        joints: (N, 17, 3) canonical joints, statures.
        joint_std: (N, 17) standard deviation per joint and axis, statures.
    """

    mean: Tensor | None = None
    std: Tensor | None = None
    joints: Tensor | None = None
    joint_std: Tensor | None = None

    def map(self, function: Callable[[Tensor], Tensor]) -> Heads:
        """The heads with ``function`` applied to each that is there."""
        heads = (self.mean, self.std, self.joints, self.joint_std)
        return Heads(*(None if head is None else function(head) for head in heads))

    def embedding(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation, of a system that embeds."""
        if self.mean is None or self.std is None:
            raise TypeError("this system does not embed")
        return self.mean, self.std

    def pose(self) -> tuple[Tensor, Tensor]:
        """Joints and their standard deviations, of a system that lifts."""
        if self.joints is None or self.joint_std is None:
            raise TypeError("this system does not lift")
        return self.joints, self.joint_std


class System(nn.Module):
    """A trainable system: features to heads, and a loss on a batch.

    Attributes:
        task: ``embedding``, ``pose`` or ``embedding+pose``.
        frames: T, length of the input window; the heads describe its middle frame.
        stages: whether there are steps whose loss leaves some weights alone.
        averages_twin: the model file averages the pose with that of the mirrored twin, turned
            back; the twin is computed for its embedding anyway.
        mixed_precision: run the networks under bfloat16 autocast.
        compiled: a faster :meth:`heads` for training, from ``torch.compile``.
    """

    task: str
    frames: int = 1
    stages: bool = False
    averages_twin = False
    mixed_precision = False
    compiled: Callable[[Tensor], Heads] | None = None

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
        """Heads for features (N, 39), or windows (N, T, 39) where ``frames`` > 1."""
        raise NotImplementedError

    def batch_heads(self, features: Tensor) -> Heads:
        """Heads of a whole batch, for a loss: in float32, whatever the network runs in.

        Each of several processes runs its slice of the poses; all get all heads.

        Args:
            features: (B, V, 39) or (B, V, T, 39).

        Returns:
            heads with B x V rows: pose 0 view 0, pose 0 view 1, pose 1 view 0, ...
        """
        own = distributed.own_slice(features).flatten(0, 1)
        with self.low_precision(), distributed.slicing():
            heads = (self.compiled or self.heads)(own)
        return heads.map(Tensor.float).map(distributed.gather)

    def forward(
        self, batch: Batch, progress: float, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """:meth:`loss` with metrics that carry no gradient; what DistributedDataParallel wraps."""
        loss, metrics = self.loss(batch, progress, generator)
        return loss, {name: value.detach() for name, value in metrics.items()}

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
