"""Building blocks of the networks."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class GaussianHead(nn.Module):
    """Mean and standard deviation (ELU + 1, Pr-VIPE's parametrisation) of an embedding."""

    def __init__(self, width: int, size: int) -> None:
        super().__init__()
        self.mean = nn.Linear(width, size)
        self.spread = nn.Linear(width, size)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:  # (N, W) -> 2 x (N, D)
        # ELU + 1 underflows to exactly 0 far on the negative side; its logarithm is used.
        return self.mean(x), F.elu(self.spread(x)) + 1 + 1e-6


class MartinezTrunk(nn.Module):
    """Linear - BN - ReLU - dropout, then residual blocks of two such layers.

    Source: Martinez et al. 2017; the trunk of Pr-VIPE (1024 wide, 2 blocks, dropout 0.3).
    Weights and biases start He-normal, as in the released code.
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


def _dense(inputs: int, outputs: int, dropout: float) -> nn.Sequential:
    linear = nn.Linear(inputs, outputs)
    nn.init.kaiming_normal_(linear.weight, nonlinearity="relu")
    nn.init.normal_(linear.bias, std=(2 / inputs) ** 0.5)
    # TensorFlow's momentum 0.99 is torch's 0.01.
    norm = nn.BatchNorm1d(outputs, eps=1e-3, momentum=0.01)
    return nn.Sequential(linear, norm, nn.ReLU(), nn.Dropout(dropout))


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
