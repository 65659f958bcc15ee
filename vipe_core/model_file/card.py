"""What a model file says about itself, for people to read."""

from __future__ import annotations

import os
from pathlib import Path

from vipe_core import model_file
from vipe_core.model_file.metadata import ModelMetadata
from vipe_core.model_file.signature import input_shape


def card(path: str | os.PathLike[str]) -> str:
    """Markdown out of the file's own metadata.

    Raises:
        VipeError: a file that is not in order; see :func:`model_file.open_session`.
    """
    data = model_file.read_bytes(path)
    opened = model_file.read(path, data)
    meta = opened.metadata
    rows = {
        "file": f"`{Path(path).name}`, {len(data) / 1e6:.1f} MB, "
        f"fingerprint `{model_file.fingerprint_of(data)}`, format {meta.format_version}",
        "task": meta.task,
        "input": _inputs(meta),
        "output": ", ".join(
            f"`{name}` {_shape(value.shape[1:])}" for name, value in opened.check.outputs.items()
        ),
        "precision": f"matrix products in {meta.precision}",
        "matching": _matching(meta),
        "check": f"{len(opened.check.points)} poses with their outputs inside; checksum fits",
        "training data": meta.training_data,
        "licence": meta.licence,
        "made by": f"`{meta.command}`, seed {meta.seed}, commit `{meta.git_commit[:12]}`",
    }
    lines = [f"# {meta.name} {meta.version}", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {text} |" for name, text in rows.items()]
    if meta.metrics:
        lines += ["", "| measured | |", "|---|---|"]
        lines += [f"| {name} | {value:.4g} |" for name, value in meta.metrics.items()]
    return "\n".join(lines) + "\n"


def _inputs(meta: ModelMetadata) -> str:
    shape = input_shape(meta)
    said = f"`keypoints` {_shape((*shape, 2))} raw pixels and `visibility` {_shape(shape)}"
    if meta.frames > 1:
        said += f", frames {meta.frame_step:g} s apart"
    return f"{said}; skeleton `{meta.skeleton_2d}`"


def _shape(sizes: tuple[int, ...]) -> str:
    return f"(N, {', '.join(map(str, sizes))})"


def _matching(meta: ModelMetadata) -> str:
    if not meta.has_embedding:
        return "no embedding"
    a, b = meta.sigmoid_a, meta.sigmoid_b
    return f"sigmoid(-a d + b), a = {a:.4f}, b = {b:.4f}; a match is NP-MPJPE <= {meta.kappa}"
