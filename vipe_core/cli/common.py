"""What the verbs share: argument errors, keypoints through a model, progress."""

from __future__ import annotations

import argparse
import inspect
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, NoReturn

import numpy as np

from vipe_core import files, keypoint_file, model_file, runtime
from vipe_core.bodies import Estimates
from vipe_core.errors import VipeError
from vipe_core.estimate import estimate
from vipe_core.keypoint_file import KeypointFile

if TYPE_CHECKING:
    from tqdm import tqdm


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are one line, like every other error of ``vipe``."""

    def __init__(self, verb: str, description: str | None, example: str) -> None:
        """
        Args:
            verb: name after ``vipe``.
            description: docstring of the verb's function.
            example: a command line to show, without the leading ``vipe``.
        """
        super().__init__(
            prog=f"vipe {verb}",
            description=inspect.cleandoc(description or ""),
            epilog=f"example: vipe {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    def error(self, message: str) -> NoReturn:
        raise VipeError(f"{message} (see {self.prog} --help)")

    def add_files(self, output: str) -> None:
        """IN.npz and OUT.npz (``output`` says what it is), and --model."""
        self.add_argument("input", metavar="IN.npz", type=Path, help="keypoint file")
        self.add_argument("output", metavar="OUT.npz", type=Path, help=output)
        self.add_model()

    def add_model(self) -> None:
        """The option --model."""
        self.add_argument(
            "--model",
            metavar="FILE.onnx",
            type=Path,
            help="model file (default: $VIPE_MODEL, else the one that came with vipe)",
        )


class Estimated(NamedTuple):
    """A keypoint file and what a model says of it; see :func:`vipe_core.estimate.estimate`."""

    keypoints: KeypointFile
    model: runtime.Model
    estimates: Estimates
    missing: np.ndarray


def load_model(path: Path | None) -> runtime.Model:
    """The model named on the command line, or the default one."""
    return runtime.load(path or model_file.default_path())


def estimate_file(args: argparse.Namespace) -> Estimated:
    """Run the arguments of :meth:`Parser.add_files`, with a bar.

    Raises:
        VipeError: an input that is missing or damaged or has no frames, an output that
            cannot be written, a skeleton that does not fit the model, no frame rate for a
            model that looks at several frames.
    """
    files.check_writable(args.output, args.input)
    keypoints = keypoint_file.read(args.input)
    if keypoints.points.size == 0:
        raise VipeError(
            f"keypoint file {args.input}: no frames (points have {keypoints.points.shape})"
        )
    model = load_model(args.model)
    stamps = None
    if model.metadata.frames > 1:
        stamps = _stamps(keypoints, args.input, model)
    with progress(keypoints.visibility[..., 0].size, "pose") as bar:
        found = estimate(
            model, keypoints.points, keypoints.visibility, keypoints.skeleton, bar.update, stamps
        )
    return Estimated(keypoints, model, *found)


def _stamps(keypoints: KeypointFile, path: Path, model: runtime.Model) -> np.ndarray:
    info = model.metadata
    if keypoints.fps is None and keypoints.stamp is None:
        raise VipeError(
            f"keypoint file {path} has neither fps nor stamp: model {info.name} looks at "
            f"{info.frames} frames {info.frame_step:g} s apart and must know when each was"
        )
    return keypoints.stamps()


def note_missing(verb: str, missing: np.ndarray) -> None:
    """Say how many rows are NaN, when any is."""
    if missing.any():
        note(verb, f"no person in {missing.sum()} of {missing.size} rows: they are NaN")


def progress(total: int, unit: str) -> tqdm:
    """A bar on stderr; silent when that is not a terminal."""
    from tqdm import tqdm

    return tqdm(total=total, unit=unit, disable=None, leave=False)


def note(verb: str, message: str) -> None:
    """One line on stderr that is no error."""
    print(f"vipe {verb}: {message}", file=sys.stderr)
