"""Building blocks of the networks."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def he_normal_(linear: nn.Linear) -> nn.Linear:
    """He-normal weights and bias, both cut at two standard deviations.

    This is the start of Pr-VIPE's released code, whose framework counts a bias of n numbers
    as n inputs.
    """
    for parameter, inputs in ((linear.weight, linear.in_features), (linear.bias, len(linear.bias))):
        # Cutting takes 12 % of the spread away; the published start has it put back.
        std = (2 / inputs) ** 0.5 / 0.87962566
        nn.init.trunc_normal_(parameter, std=std, a=-2 * std, b=2 * std)
    return linear


class GaussianHead(nn.Module):
    """Mean and standard deviation (ELU + 1, Pr-VIPE's parametrisation) of an embedding."""

    def __init__(self, width: int, size: int) -> None:
        super().__init__()
        self.mean = nn.Linear(width, size)
        self.spread = nn.Linear(width, size)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:  # (N, W) -> 2 x (N, D)
        # ELU + 1 underflows to exactly 0 far on the negative side; its logarithm is used.
        return self.mean(x), F.elu(self.spread(x)) + 1 + 1e-6


class PointHead(nn.Module):
    """A point: a mean whose standard deviation is zero; of length 1 if asked."""

    def __init__(self, width: int, size: int, normalized: bool = False) -> None:
        super().__init__()
        self.mean = nn.Linear(width, size)
        self.normalized = normalized

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:  # (N, W) -> 2 x (N, D)
        mean = self.mean(x)
        if self.normalized:
            mean = mean / (mean * mean).sum(-1, keepdim=True).clamp_min(1e-12).sqrt()
        return mean, torch.zeros_like(mean)


class MartinezTrunk(nn.Module):
    """Linear - BN - ReLU - dropout, then residual blocks of two such layers.

    Source: Martinez et al. 2017; the trunk of Pr-VIPE (1024 wide, 2 blocks, dropout 0.3).
    """

    def __init__(self, inputs: int, width: int = 1024, blocks: int = 2, dropout: float = 0.3):
        super().__init__()
        self.first = _dense(inputs, width, dropout)
        self.blocks = nn.ModuleList(
            nn.Sequential(_dense(width, width, dropout), _dense(width, width, dropout))
            for _ in range(blocks)
        )

    def forward(self, x: Tensor) -> Tensor:  # (N, inputs) -> (N, width)
        x = self.first(x)
        for block in self.blocks:
            x = x + block(x)
        return x


class WindowTrunk(nn.Module):
    """One trunk for every frame of a window, then a trunk over all of them together.

    The second one is Linear - BN - ReLU - dropout from T x width to width and residual
    blocks. Source: Pr-VIPE section 7 (temporal variant; one residual block).
    """

    def __init__(
        self, inputs: int, frames: int, width: int, blocks: int, joint_blocks: int, dropout: float
    ) -> None:
        super().__init__()
        self.frame = MartinezTrunk(inputs, width, blocks, dropout)
        self.window = MartinezTrunk(frames * width, width, joint_blocks, dropout)

    def forward(self, x: Tensor) -> Tensor:  # (N, T, inputs) -> (N, width)
        frames = x.shape[1]
        each = self.frame(x.flatten(0, 1))  # (N T, width)
        return self.window(each.reshape(-1, frames * each.shape[-1]))


def _dense(inputs: int, outputs: int, dropout: float) -> nn.Sequential:
    linear = he_normal_(nn.Linear(inputs, outputs))
    # TensorFlow's momentum 0.99 is torch's 0.01.
    norm = nn.BatchNorm1d(outputs, eps=1e-3, momentum=0.01)
    return nn.Sequential(linear, norm, nn.ReLU(), nn.Dropout(dropout))


class Standard(nn.Module):
    """Mean and spread of a target, gathered over the first batches and then left alone."""

    BATCHES = 100

    mean: Tensor
    square: Tensor
    count: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("square", torch.ones(size))  # mean of the squares
        self.register_buffer("count", torch.zeros(()))

    @property
    def std(self) -> Tensor:
        """(size,) at least 1e-4."""
        return (self.square - self.mean**2).clamp_min(1e-8).sqrt()

    @torch.no_grad()
    def update(self, values: Tensor) -> None:
        """Take one batch (N, size) into account, if it is among the first ones."""
        share = torch.where(self.count < self.BATCHES, 1 / (self.count + 1), 0.0)
        self.mean.lerp_(values.mean(0), share)
        self.square.lerp_((values * values).mean(0), share)
        self.count += 1

    def undo(self, values: Tensor) -> Tensor:
        """Standardised (N, size) to the target's own unit."""
        return values * self.std + self.mean


class PreNormTrunk(nn.Module):
    """Linear, then pre-norm residual MLP blocks, then a final norm."""

    def __init__(self, inputs: int, width: int, blocks: int, expansion: float = 1.0) -> None:
        super().__init__()
        hidden = int(width * expansion)
        self.first = nn.Linear(inputs, width)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(width),
                nn.Linear(width, hidden),
                nn.GELU(approximate="tanh"),
                nn.Linear(hidden, width),
            )
            for _ in range(blocks)
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:  # (N, inputs) -> (N, width)
        x = self.first(x)
        for block in self.blocks:
            x = x + block(x)
        return self.norm(x)


class MatchSigmoid(nn.Module):
    """Raw parameters of the matching sigmoid: slope a = ELU(raw) + 1 > 0 and offset b.

    Source: Pr-VIPE section 4.2; initial values of the released code.
    """

    def __init__(self, raw_a: float = -0.65, b: float = -0.5) -> None:
        super().__init__()
        self.raw_a = nn.Parameter(torch.tensor(raw_a))
        self.b = nn.Parameter(torch.tensor(b))

    @property
    def a(self) -> Tensor:
        return F.elu(self.raw_a) + 1
