"""The exported graph: raw keypoints in, every output out."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from vipe_core.skeletons import BODY13, JOINTS17
from vipe_training.features import FEATURES, encode_input, mirror_features
from vipe_training.models import System

OPSET = 17


class Graph(nn.Module):
    """Raw keypoints to every output: normalisation, mask, mirrored twin and heads.

    ``std_scale`` multiplies the joint standard deviations; see
    :func:`vipe_training.export.calibration.fit_std_scale`.
    """

    def __init__(self, system: System, std_scale: float = 1.0) -> None:
        super().__init__()
        self.system = system
        self.std_scale = std_scale

    def forward(self, keypoints: Tensor, visibility: Tensor) -> tuple[Tensor, ...]:
        joints = len(BODY13)
        features = encode_input(keypoints.reshape(-1, joints, 2), visibility.reshape(-1, joints))
        if "embedding" not in self.system.task:
            joints, joint_std = self.system.heads(self._windows(features)).pose()
            return joints, self.std_scale * joint_std
        # A person and the mirrored twin lie in neighbouring rows of one pass.
        own, twin = (self._windows(f) for f in (features, mirror_features(features)))
        heads = self.system.heads(torch.stack([own, twin], 1).flatten(0, 1))  # 2N rows
        mean, std = (_pairs(v) for v in heads.embedding())  # (N, 2, D)
        variance = std * std
        outputs = (mean[:, 0], variance[:, 0], mean[:, 1], variance[:, 1])
        if heads.joints is None:
            return outputs
        joints, joint_std = (_pairs(v) for v in heads.pose())  # (N, 2, 17, 3), (N, 2, 17)
        joint_std = self.std_scale * joint_std
        if not self.system.averages_twin:
            return *outputs, joints[:, 0], joint_std[:, 0]
        mirror = list(JOINTS17.mirror)
        back = joints[:, 1, mirror] * joints.new_tensor([1.0, -1.0, 1.0])  # left is +y
        joint_std = (joint_std[:, 0] + joint_std[:, 1, mirror]) / 2
        return *outputs, (joints[:, 0] + back) / 2, joint_std

    def _windows(self, features: Tensor) -> Tensor:
        """(N, T, 39) for a system that takes windows; (N, 39) as it is for the others."""
        frames = self.system.frames
        return features if frames == 1 else features.reshape(-1, frames, FEATURES)


def _pairs(value: Tensor) -> Tensor:
    return value.reshape(-1, 2, *value.shape[1:])


def output_names(system: System) -> tuple[str, ...]:
    """Outputs of the graph of a system, in order."""
    embedding = ("mean", "variance", "mirror_mean", "mirror_variance")
    names = embedding if "embedding" in system.task else ()
    return (*names, "joints", "std") if "pose" in system.task else names


def to_onnx(graph: Graph) -> bytes:
    """The ONNX graph in evaluation mode, opset 17, dynamic batch, weights inside."""
    system = graph.system
    names = output_names(system)
    shape = (3, *([system.frames] if system.frames > 1 else []), len(BODY13))
    points = torch.rand(*shape, 2) * 100
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # The tracing exporter is deprecated, but the new one needs onnxscript and writes a
        # fixed batch here; what it warns of is checked by the parity test instead.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            graph,  # in evaluation mode; else the exporter leaves the system training
            (points, torch.ones(shape)),
            str(Path(folder) / "graph.onnx"),
            dynamo=False,
            opset_version=OPSET,
            input_names=["keypoints", "visibility"],
            output_names=list(names),
            dynamic_axes={name: {0: "batch"} for name in ("keypoints", "visibility", *names)},
        )
        return (Path(folder) / "graph.onnx").read_bytes()
