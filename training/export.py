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
from vipe_core.skeletons import BODY13
from vipe_training import checkpoint
from vipe_training.calibration import fit_sigmoid
from vipe_training.config import build
from vipe_training.features import encode_input, mirror_features
from vipe_training.models import System
from vipe_training.train import RunConfig, make_system

OPSET = 17
PARITY = 1e-4
_LICENCE = (
    "Apache-2.0 weights; trained on CMU motion capture (free for research and for inclusion "
    "in products; the data itself may not be resold)"
)


class Graph(nn.Module):
    """Raw keypoints to every output: normalisation, mask, mirrored twin and heads."""

    def __init__(self, system: System) -> None:
        super().__init__()
        self.system = system

    def forward(self, keypoints: Tensor, visibility: Tensor) -> tuple[Tensor, ...]:
        features = encode_input(keypoints, visibility)  # (N, 39)
        # A person and the mirrored twin lie in neighbouring rows of one pass.
        both = torch.stack([features, mirror_features(features)], 1).flatten(0, 1)  # (2N, 39)
        heads = self.system.heads(both)

        def own(value: Tensor) -> Tensor:
            return value.reshape(-1, 2, *value.shape[1:])[:, 0]

        def twin(value: Tensor) -> Tensor:
            return value.reshape(-1, 2, *value.shape[1:])[:, 1]

        variance = heads.std * heads.std
        outputs = (own(heads.mean), own(variance), twin(heads.mean), twin(variance))
        if heads.joints is None:
            return outputs
        joints, joint_std = heads.pose()
        return *outputs, own(joints), own(joint_std)


OUTPUTS = ("mean", "variance", "mirror_mean", "mirror_variance", "joints", "std")


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


def export(trained: Trained, out: Path, version: str, metrics: dict[str, float]) -> Path:
    """Write the model file of a trained system.

    The graph must agree with torch within 1e-4 on thousands of poses, hidden points, huge
    offsets and degenerate bodies among them; otherwise there is no file.

    Raises:
        VipeError: parity fails, or the file cannot be written.
    """
    system, config = trained.system, trained.config
    data = to_onnx(system)
    a, b = system.sigmoid() or fit_sigmoid(system, config.data.validate, config.seed)
    metadata = ModelMetadata(
        name=config.name,
        version=version,
        task=system.task,
        skeleton_2d=BODY13.name,
        skeleton_3d="joints17" if "pose" in system.task else None,
        embedding_size=system.embedding_size,
        sigmoid_a=a,
        sigmoid_b=b,
        kappa=0.1,
        training_data=_training_data(config),
        licence=_LICENCE,
        metrics=metrics,
        git_commit=_git_commit(),
        command=f"vipe train {config.name} && vipe export runs/{config.name}/best.safetensors",
        seed=config.seed,
    )
    with atomic(out) as trial:
        model_file.write(trial, data, metadata)
        error = parity(system, trial)
        if not error <= PARITY:
            raise VipeError(f"{out.name}: the graph differs from torch by {error:.1e}; not written")
    return out


def to_onnx(system: System) -> bytes:
    """The ONNX graph of a system, opset 17, dynamic batch, weights inside."""
    names = OUTPUTS if "pose" in system.task else OUTPUTS[:4]
    points = torch.rand(3, len(BODY13), 2) * 100
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # The tracing exporter is deprecated, but the new one needs onnxscript and writes a
        # fixed batch here; what it warns of is checked by the parity test instead.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Graph(system).eval(),  # the exporter would else leave the system in training mode
            (points, torch.ones(3, len(BODY13))),
            str(Path(folder) / "graph.onnx"),
            dynamo=False,
            opset_version=OPSET,
            input_names=["keypoints", "visibility"],
            output_names=list(names),
            dynamic_axes={name: {0: "batch"} for name in ("keypoints", "visibility", *names)},
        )
        return (Path(folder) / "graph.onnx").read_bytes()


def parity(system: System, path: Path, count: int = 10_000) -> float:
    """Largest difference between the model file and torch, on hard inputs; relative where
    a value exceeds 1."""
    points, visibility = hard_inputs(count)
    estimates = runtime.load(path)(points, visibility)
    with torch.no_grad():
        outputs = Graph(system).eval()(torch.from_numpy(points), torch.from_numpy(visibility))
    differences = [
        (
            np.abs(getattr(estimates, name) - output.numpy()) / output.abs().clamp_min(1).numpy()
        ).max()
        for name, output in zip(OUTPUTS, outputs, strict=False)
    ]
    return float(np.max(differences))


def hard_inputs(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints (N, 13, 2) and visibility (N, 13), float32: usual, and as bad as they come."""
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
