"""SemGCN: lifting by graph convolutions over the skeleton."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vipe_core.skeletons import BODY13, JOINTS17
from vipe_training.augment.people import PARENTS
from vipe_training.models.lifting import Lifter

_JOINTS = len(JOINTS17)
_SHOULDERS = BODY13.indices("left_shoulder", "right_shoulder")
_HIPS = BODY13.indices("left_hip", "right_hip")
# The 2D points whose mean stands in for a node that no detector gives.
_DERIVED = {
    "pelvis": _HIPS,
    "spine": [*_SHOULDERS, *_HIPS],
    "neck": _SHOULDERS,
    "head": BODY13.indices("nose"),
}


@dataclass(frozen=True)
class SemGcnConfig:
    """Network.

    Attributes:
        width: channels per node.
        blocks: residual blocks of two graph convolutions.
        dropout: behind each convolution.
        non_local: a non-local layer before the first and behind each residual block.
        bone_weight: of the error of the bone vectors beside that of the joints.
    """

    width: int = 128
    blocks: int = 4
    dropout: float = 0.0
    non_local: bool = True
    bone_weight: float = 1.0


class SemanticConv(nn.Module):
    """Graph convolution that learns how much each neighbour weighs.

    y = (A * I) x W_self + (A * (1 - I)) x W_neighbours + b, where A is the row-wise softmax
    of a learned weight per edge (self-loops included) and zero where there is no edge.
    Source: Zhao et al. 2019, equations 2-3, with one mask for all channels.
    """

    edges: Tensor

    def __init__(self, inputs: int, outputs: int, adjacency: Tensor) -> None:
        super().__init__()
        self.own = nn.Linear(inputs, outputs)
        self.neighbours = nn.Linear(inputs, outputs, bias=False)
        self.register_buffer("edges", adjacency, persistent=False)
        self.mask = nn.Parameter(torch.zeros(adjacency.shape))

    def weights(self) -> Tensor:
        """A (nodes, nodes); rows sum to 1."""
        return self.mask.masked_fill(~self.edges, -torch.inf).softmax(1)

    def forward(self, x: Tensor) -> Tensor:  # (N, nodes, inputs) -> (N, nodes, outputs)
        weights = self.weights()
        loops = torch.eye(len(weights), dtype=weights.dtype, device=weights.device)
        share = (weights * loops).sum(1, keepdim=True)  # (nodes, 1)
        # W_self carries the bias once for the whole layer.
        own = F.linear(x, self.own.weight) * share
        return own + (weights * (1 - loops)) @ self.neighbours(x) + self.own.bias


class GraphLayer(nn.Module):
    """Graph convolution - BN over channels - ReLU - dropout."""

    def __init__(self, inputs: int, outputs: int, adjacency: Tensor, dropout: float) -> None:
        super().__init__()
        self.conv = SemanticConv(inputs, outputs, adjacency)
        self.norm = nn.BatchNorm1d(outputs)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:  # (N, nodes, inputs) -> (N, nodes, outputs)
        x = self.conv(x)
        nodes, channels = x.shape[1:]
        x = self.norm(x.reshape(-1, channels)).reshape(-1, nodes, channels)
        return self.dropout(F.relu(x))


class NonLocal(nn.Module):
    """x + BN(softmax(q k^T) v): every node sees every other one.

    The norm starts at zero, so the layer starts as the identity. Source: Wang et al. 2018
    (embedded Gaussian), as used in SemGCN.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        inner = max(1, width // 2)
        self.query = nn.Linear(width, inner)
        self.key = nn.Linear(width, inner)
        self.value = nn.Linear(width, inner)
        self.output = nn.Linear(inner, width)
        self.norm = nn.BatchNorm1d(width)
        nn.init.zeros_(self.norm.weight)

    def forward(self, x: Tensor) -> Tensor:  # (N, nodes, width)
        weights = (self.query(x) @ self.key(x).transpose(1, 2)).softmax(-1)  # (N, nodes, nodes)
        y = self.output(weights @ self.value(x))
        nodes, width = y.shape[1:]
        return x + self.norm(y.reshape(-1, width)).reshape(-1, nodes, width)


class SemGcn(Lifter):
    """Semantic graph convolutions on the 17 joints, squared error in camera axes.

    13 nodes are detected points; pelvis, spine and neck lie between some of them, and the
    nose stands in for the head. A node also says whether it is visible. Source: "Semantic
    graph convolutional networks for 3D human pose regression", Zhao et al. 2019.
    """

    def __init__(self, config: SemGcnConfig) -> None:
        super().__init__(_JOINTS * config.width)
        self.config = config
        graph = adjacency()
        width, dropout = config.width, config.dropout
        self.first = GraphLayer(3, width, graph, dropout)
        self.attend = self._non_local()
        self.blocks = nn.ModuleList(
            nn.Sequential(
                GraphLayer(width, width, graph, dropout), GraphLayer(width, width, graph, dropout)
            )
            for _ in range(config.blocks)
        )
        self.attends = nn.ModuleList(self._non_local() for _ in range(config.blocks))
        self.output = SemanticConv(width, 3, graph)

    def _non_local(self) -> nn.Module:
        return NonLocal(self.config.width) if self.config.non_local else nn.Identity()

    def predict(self, features: Tensor) -> tuple[Tensor, Tensor]:
        x = self.attend(self.first(graph_input(features)))  # (N, 17, W)
        for block, attend in zip(self.blocks, self.attends, strict=True):
            x = attend(x + block(x))
        joints = self.output(x)
        return joints - joints[:, :1], x.flatten(1)

    def pose_loss(self, predicted: Tensor, target: Tensor) -> Tensor:
        loss = squared_error(predicted, target)
        if self.config.bone_weight:
            bones = squared_error(bone_vectors(predicted), bone_vectors(target))
            loss = loss + self.config.bone_weight * bones
        # In hundredths of the stature the numbers are of the size that the spread's loss has.
        return 100 * loss


def adjacency() -> Tensor:
    """(17, 17) bool: the bones of joints17 both ways, and every node with itself."""
    graph = torch.eye(_JOINTS, dtype=torch.bool)
    for joint, parent in enumerate(PARENTS):
        if parent >= 0:
            graph[joint, parent] = graph[parent, joint] = True
    return graph


def graph_input(features: Tensor) -> Tensor:
    """(N, 17, 3) x, y and visibility per node, of features (N, 39).

    A derived node is visible where all the points that it is made from are; hidden nodes
    are at the origin.
    """
    points = features[:, : 2 * len(BODY13)].reshape(-1, len(BODY13), 2)
    seen = features[:, 2 * len(BODY13) :]
    nodes = []
    for joint in JOINTS17.joints:
        sources = _DERIVED.get(joint) or BODY13.indices(joint)
        visible = seen[:, sources].prod(1, keepdim=True)
        nodes.append(torch.cat([points[:, sources].mean(1) * visible, visible], 1))
    return torch.stack(nodes, 1)


def squared_error(a: Tensor, b: Tensor) -> Tensor:
    """Mean over rows and joints of the squared distance of (N, J, 3)."""
    return ((a - b) ** 2).sum(-1).mean()


def bone_vectors(joints: Tensor) -> Tensor:
    """(N, 16, 3) from each joint's parent to the joint, of (N, 17, 3)."""
    return joints[:, 1:] - joints[:, list(PARENTS[1:])]
