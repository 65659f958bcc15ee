"""Inputs and outputs that a model graph must have, by what its metadata promises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from vipe_core import skeletons
from vipe_core.errors import VipeError
from vipe_core.model_file.metadata import ModelMetadata

if TYPE_CHECKING:
    import onnxruntime

OPTIONAL_OUTPUTS = ("mean", "variance", "mirror_mean", "mirror_variance")


class Signature(NamedTuple):
    """Names of inputs and outputs with (type, shape); a dynamic axis is a string or None."""

    inputs: Mapping[str, tuple[str, tuple]]
    outputs: Mapping[str, tuple[str, tuple]]


def signature_of(session: onnxruntime.InferenceSession) -> Signature:
    """The signature of a loaded graph."""
    return Signature(
        {value.name: (value.type, tuple(value.shape)) for value in session.get_inputs()},
        {value.name: (value.type, tuple(value.shape)) for value in session.get_outputs()},
    )


def check_signature(signature: Signature, metadata: ModelMetadata) -> None:
    """Raises VipeError when inputs or outputs are not those that the metadata promises."""
    shape = input_shape(metadata)
    inputs = {"keypoints": (*shape, 2), "visibility": shape}
    _check_names("inputs", signature.inputs, inputs, inputs)
    outputs = output_shapes(metadata)
    required = {name: shape for name, shape in outputs.items() if name not in OPTIONAL_OUTPUTS}
    if metadata.has_embedding:
        required |= {name: outputs[name] for name in ("mean", "variance")}
    _check_names("outputs", signature.outputs, required, outputs)
    for pair in (("mean", "variance"), ("mirror_mean", "mirror_variance")):
        here = [name for name in pair if name in signature.outputs]
        if len(here) == 1:
            raise VipeError(f"output {here[0]} stands alone, {' and '.join(pair)} belong together")
    for name, (kind, shape) in {**signature.inputs, **signature.outputs}.items():
        _check_shape(name, kind, shape, {**inputs, **outputs}[name])


def input_shape(metadata: ModelMetadata) -> tuple[int, ...]:
    """Shape of ``visibility`` behind the batch axis: (J,), or (T, J) for windows of frames."""
    joints = len(skeletons.get(metadata.skeleton_2d))
    return (joints,) if metadata.frames == 1 else (metadata.frames, joints)


def check_outputs(outputs: Mapping[str, np.ndarray], metadata: ModelMetadata) -> None:
    """Raises VipeError when what a run gave has not the shapes that the metadata promises.

    A graph may declare a size as unknown; then only running it tells.
    """
    expected = output_shapes(metadata)
    for name, value in outputs.items():
        _check_shape(name, "tensor(float)", ("N", *value.shape[1:]), expected[name])


def output_shapes(metadata: ModelMetadata) -> dict[str, tuple[int, ...]]:
    """Every output the metadata allows, with its shape behind the batch axis."""
    shapes: dict[str, tuple[int, ...]] = {}
    if metadata.embedding_size:
        shapes |= dict.fromkeys(OPTIONAL_OUTPUTS, (metadata.embedding_size,))
    if metadata.has_pose:
        shapes |= {"joints": (17, 3), "std": (17,)}
    return shapes


def _check_names(
    what: str, found: Mapping[str, Any], required: Mapping[str, Any], allowed: Mapping[str, Any]
) -> None:
    lacking = sorted(required.keys() - found.keys())
    if lacking:
        raise VipeError(f"the graph lacks the {what} {', '.join(lacking)}; it has {_list(found)}")
    surplus = sorted(found.keys() - allowed.keys())
    if surplus:
        raise VipeError(f"the graph has unknown {what} {', '.join(surplus)}")


def _check_shape(name: str, kind: str, shape: tuple, expected: tuple[int, ...]) -> None:
    if kind != "tensor(float)":
        raise VipeError(f"{name} is {kind}, it must be tensor(float)")
    wanted = f"(N, {', '.join(map(str, expected))})"
    # A size that the exporter could not infer is a name or None: see check_outputs.
    fits = len(shape) == 1 + len(expected) and all(
        not isinstance(have, int) or have == want
        for have, want in zip(shape[1:], expected, strict=True)
    )
    if not fits or isinstance(shape[0], int):
        raise VipeError(f"{name} has shape {_shape_text(shape)}, the metadata needs {wanted}")


def _shape_text(shape: tuple) -> str:
    return f"({', '.join(str(size) if size is not None else '?' for size in shape)})"


def _list(names: Mapping[str, Any]) -> str:
    return ", ".join(names) or "none"
