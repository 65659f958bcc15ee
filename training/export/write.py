"""From a checkpoint to the one file that goes to the robot."""

from __future__ import annotations

import shlex
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

from vipe_core import model_file
from vipe_core.errors import VipeError
from vipe_core.files import atomic
from vipe_core.model_file.metadata import ModelMetadata
from vipe_core.skeletons import BODY13
from vipe_training.config import build, load, overrides
from vipe_training.export.calibration import fit_sigmoid, fit_std_scale
from vipe_training.export.graph import Graph, to_onnx
from vipe_training.export.half import round_to_half, store_half
from vipe_training.export.parity import PARITY, of_file, of_torch, parity
from vipe_training.export.precision import in_precision
from vipe_training.loop import checkpoint
from vipe_training.loop.train import RunConfig, make_system
from vipe_training.loop.validation import Validation
from vipe_training.models import System

_CALIBRATION_POSES = 400
_CONFIGS = Path(__file__).parent.parent / "configs"
_LICENCE = (
    "Apache-2.0 weights; trained on CMU motion capture (free for research and for inclusion "
    "in products; the data itself may not be resold)"
)


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
) -> float:
    """Write the model file of a trained system, in fp32.

    The graph must agree with torch within 1e-4, beyond what float32 leaves open, on thousands
    of poses, hidden points, huge offsets and degenerate bodies among them; otherwise there is
    no file.

    Args:
        trained: the system; with ``half`` its weights are rounded.
        out: file to write.
        version: of the model.
        metrics: figures to put into the file.
        half: store the weight matrices as float16, which halves the file.

    Returns:
        the largest difference from torch; see :func:`vipe_training.export.parity.parity`.

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
        command=_command(config, half),
        seed=config.seed,
    )
    with atomic(out) as trial:
        model_file.write(trial, data, metadata)
        error = parity(of_torch(graph), trial)
        _hold(out, error, PARITY["fp32"], "the graph differs from torch")
    return error


def convert(source: Path, out: Path, precision: str, metrics: dict[str, float]) -> float:
    """Write a model file in fp32 again, with its matrix products in another precision.

    In fp16 it keeps the check vectors of the source: they say what is right. In int8 it has its
    own, from which another runtime may differ far less than int8 differs from fp32.

    Args:
        source: a model file in fp32.
        out: file to write.
        precision: fp16 or int8.
        metrics: figures to put into the file.

    Returns:
        the largest difference from ``source``; see
        :func:`vipe_training.export.parity.parity`.

    Raises:
        VipeError: the source is not in order or not in fp32, the difference is over the limit
            of the precision, or the file cannot be written.
    """
    opened = model_file.read(source)
    metadata = opened.metadata
    if metadata.precision != "fp32":
        raise VipeError(f"model {source} computes in {metadata.precision}: start from fp32")
    data = in_precision(source.read_bytes(), precision, metadata)
    command = f"{metadata.command} --precision {precision}"
    metadata = replace(metadata, precision=precision, metrics=metrics, command=command)
    with atomic(out) as trial:
        check = opened.check if precision == "fp16" else None
        model_file.write(trial, data, metadata, check)
        error = parity(of_file(source), trial)
        _hold(out, error, PARITY[precision], f"the graph in {precision} differs from fp32")
    return error


def _hold(out: Path, error: float, limit: float, what: str) -> None:
    if not error <= limit:
        raise VipeError(f"{out.name}: {what} by {error:.1e}, the limit is {limit:g}; not written")


def _calibrate(trained: Trained) -> tuple[float, float, float]:
    """Slope and offset of the matching sigmoid, and the factor on the joint stds.

    What a system has no use for is 1, 0 and 1.
    """
    system, config = trained.system, trained.config
    step = config.batch.frame_step
    validation = Validation(config.data, config.seed, _CALIBRATION_POSES, system.frames, step)
    a, b = fit_sigmoid(system, validation) if "embedding" in system.task else (1.0, 0.0)
    return a, b, fit_std_scale(system, validation) if "pose" in system.task else 1.0


def _training_data(config: RunConfig) -> str:
    text = f"CMU motion capture ({', '.join(Path(name).name for name in config.data.train)})"
    if config.data.leave_out:
        text += f" without {', '.join(config.data.leave_out)}"
    return text + ", rendered through random cameras"


def _command(config: RunConfig, half: bool) -> str:
    """What a user types to make the file again."""
    shipped = _CONFIGS / f"{config.name}.yaml"
    words = overrides(load(RunConfig, shipped), config) if shipped.is_file() else []
    train = shlex.join(["vipe", "train", config.name, *words])
    export = f"vipe export runs/{config.name}/best.safetensors" + (" --half" if half else "")
    return f"{train} && {export}"


def _git_commit() -> str:
    result = subprocess.run(
        ["git", "rev-parse", "HEAD"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return result.stdout.strip() if result.returncode == 0 else "unknown"
