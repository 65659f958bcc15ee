"""From a checkpoint to the one file that goes to the robot."""

from __future__ import annotations

import subprocess
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from vipe_core import model_file, runtime
from vipe_core.errors import VipeError
from vipe_core.files import atomic
from vipe_core.model_metadata import ModelMetadata
from vipe_core.skeletons import BODY13, JOINTS17
from vipe_training import checkpoint
from vipe_training.calibration import fit_sigmoid, fit_std_scale
from vipe_training.config import build
from vipe_training.features import FEATURES, encode_input, mirror_features
from vipe_training.half import round_to_half, store_half
from vipe_training.models import System
from vipe_training.train import RunConfig, make_system
from vipe_training.validation import Validation

OPSET = 17
PARITY = 1e-4
_CALIBRATION_POSES = 400
_LICENCE = (
    "Apache-2.0 weights; trained on CMU motion capture (free for research and for inclusion "
    "in products; the data itself may not be resold)"
)


class Graph(nn.Module):
    """Raw keypoints to every output: normalisation, mask, mirrored twin and heads.

    ``std_scale`` multiplies the joint standard deviations; see
    :func:`vipe_training.calibration.fit_std_scale`.
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


@dataclass(frozen=True)
class Trained:
    """A system out of a checkpoint, with the run that made it."""

    system: System
    config: RunConfig
    step: int
    scores: dict[str, float]


def load_trained(path: Path) -> Trained:
    """The system of a ``best.safetensors``; raises VipeError for a file that is not one."""
    weights, header = checkpoint.load_model(path)
    config = build(RunConfig, header["config"], str(path))
    system = make_system(config)
    try:
        system.load_state_dict(weights)
    except RuntimeError as error:
        raise VipeError(f"{path}: {str(error).splitlines()[0]}") from None
    return Trained(system.eval(), config, header["step"], header.get("scores", {}))


def export(
    trained: Trained, out: Path, version: str, metrics: dict[str, float], half: bool = False
) -> Path:
    """Write the model file of a trained system.

    The graph must agree with torch within 1e-4 on thousands of poses, hidden points, huge
    offsets and degenerate bodies among them; otherwise there is no file.

    Args:
        trained: the system; with ``half`` its weights are rounded.
        out: file to write.
        version: of the model.
        metrics: figures to put into the file.
        half: store the weight matrices as float16, which halves the file.

    Raises:
        VipeError: parity fails, or the file cannot be written.
    """
    system, config = trained.system, trained.config
    if half:
        round_to_half(system)
    a, b, std_scale = _calibrate(trained)
    graph = Graph(system, std_scale).eval()
    data = store_half(to_onnx(graph)) if half else to_onnx(graph)
    metadata = ModelMetadata(
        name=config.name,
        version=version,
        task=system.task,
        skeleton_2d=BODY13.name,
        skeleton_3d="joints17" if "pose" in system.task else None,
        frames=system.frames,
        frame_step=config.batch.frame_step if system.frames > 1 else 0.0,
        embedding_size=system.embedding_size,
        sigmoid_a=a,
        sigmoid_b=b,
        kappa=0.1,
        training_data=_training_data(config),
        licence=_LICENCE,
        metrics=metrics,
        git_commit=_git_commit(),
        command=f"vipe train {config.name} && vipe export runs/{config.name}/best.safetensors"
        + (" --half" if half else ""),
        seed=config.seed,
    )
    with atomic(out) as trial:
        model_file.write(trial, data, metadata)
        error = parity(graph, trial)
        if not error <= PARITY:
            raise VipeError(f"{out.name}: the graph differs from torch by {error:.1e}; not written")
    return out


def _calibrate(trained: Trained) -> tuple[float, float, float]:
    """Slope and offset of the matching sigmoid, and the factor on the joint stds.

    What a system has no use for is 1, 0 and 1.
    """
    system, config = trained.system, trained.config
    a, b = system.sigmoid() or (1.0, 0.0)
    fits_sigmoid = "embedding" in system.task and not system.sigmoid()
    if not fits_sigmoid and "pose" not in system.task:
        return a, b, 1.0
    step = config.batch.frame_step
    validation = Validation(config.data, config.seed, _CALIBRATION_POSES, system.frames, step)
    if fits_sigmoid:
        a, b = fit_sigmoid(system, validation)
    return a, b, fit_std_scale(system, validation) if "pose" in system.task else 1.0


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


def parity(graph: Graph, path: Path, count: int = 10_000) -> float:
    """Largest difference between the model file and torch, on hard inputs; relative where
    a value exceeds 1."""
    points, visibility = hard_inputs(count, frames=graph.system.frames)
    estimates = runtime.load(path)(points, visibility)
    with torch.no_grad():
        outputs = graph(torch.from_numpy(points), torch.from_numpy(visibility))
    differences = [
        (
            np.abs(getattr(estimates, name) - output.numpy()) / output.abs().clamp_min(1).numpy()
        ).max()
        for name, output in zip(output_names(graph.system), outputs, strict=True)
    ]
    return float(np.max(differences))


def hard_inputs(count: int, seed: int = 0, frames: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints (N, [T,] 13, 2) and visibility (N, [T,] 13), float32: usual, and as bad as
    they come; the frames of a window are bad in their own ways."""
    if frames > 1:
        points, visibility = hard_inputs(count * frames, seed)
        lead = (count, frames)
        return points.reshape(*lead, *points.shape[1:]), visibility.reshape(*lead, -1)
    rng = np.random.default_rng(seed)
    points = rng.normal(0, 60, (count, len(BODY13), 2)) + rng.uniform(0, 2000, (count, 1, 2))
    kind = rng.integers(0, 10, count)
    points[kind == 1] *= 1e-3
    points[kind == 2] *= 1e3
    points[kind == 3] += 1e5
    points[kind == 4] = points[kind == 4][:, :1]  # all points in one place
    points[(kind == 5)[:, None] & (rng.random((count, len(BODY13))) < 0.3)] = np.nan
    points[kind == 6] = np.nan
    visibility = np.where(kind[:, None] < 5, rng.random((count, len(BODY13))), 1.0)
    return points.astype(np.float32), visibility.astype(np.float32)


def _training_data(config: RunConfig) -> str:
    text = f"CMU motion capture ({', '.join(Path(name).name for name in config.data.train)})"
    if config.data.leave_out:
        text += f" without {', '.join(config.data.leave_out)}"
    return text + ", rendered through random cameras"


def _git_commit() -> str:
    result = subprocess.run(
        ["git", "rev-parse", "HEAD"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return result.stdout.strip() if result.returncode == 0 else "unknown"
