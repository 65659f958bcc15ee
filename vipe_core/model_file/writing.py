"""Writing a model file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from vipe_core import files
from vipe_core.errors import VipeError
from vipe_core.model_file import reading, seal
from vipe_core.model_file.check import CheckVectors, example_inputs
from vipe_core.model_file.metadata import ModelMetadata
from vipe_core.model_file.signature import check_outputs

if TYPE_CHECKING:
    import onnx
    import onnxruntime

_OWN_KEYS = (reading.METADATA_KEY, reading.CHECK_KEY, seal.KEY)


def write(
    path: str | os.PathLike[str],
    model: bytes | onnx.ModelProto,
    metadata: ModelMetadata,
    check: CheckVectors | None = None,
) -> None:
    """Put ``metadata`` and check vectors into the ONNX model and write the file, all or nothing.

    What is written has passed the checks of :func:`vipe_core.model_file.open_session`.

    Args:
        path: file to write; an existing one is replaced.
        model: serialised ONNX model, or the ModelProto itself (left unchanged). Weights
            must be inside.
        metadata: what to embed; it must fit the graph.
        check: what the model should give; None takes what it does give, by onnxruntime
            without optimisation.

    Raises:
        VipeError: the onnx package is missing, the model is not ONNX, does not run or does
            not fit the metadata, or the file cannot be written.
    """
    copy = _parsed(model)
    entries = {reading.METADATA_KEY: metadata.to_json()}
    session, _ = reading.open_unchecked(path, _with_entries(copy, entries), reading.plain_options())
    check = check or _measured(path, session, metadata)
    entries[reading.CHECK_KEY] = check.encode()
    data = seal.sealed(_with_entries(copy, entries))
    if len(data) > reading.MAX_BYTES:
        raise VipeError(
            f"model {path} would be {len(data):,} bytes, the limit is {reading.MAX_BYTES:,}"
        )
    files.write_atomically(path, data)


def _measured(
    path: str | os.PathLike[str], session: onnxruntime.InferenceSession, metadata: ModelMetadata
) -> CheckVectors:
    """Check vectors as the session gives them."""
    points, visibility = example_inputs(metadata)
    outputs = _run(path, session, points, visibility)
    try:
        check_outputs(outputs, metadata)
    except VipeError as error:
        raise VipeError(f"model {path}: {error}") from None
    for name, value in outputs.items():
        if not np.isfinite(value).all():
            raise VipeError(f"model {path} gives a {name} that is not finite for ordinary people")
    return CheckVectors(points, visibility, outputs)


def _run(
    path: str | os.PathLike[str],
    session: onnxruntime.InferenceSession,
    points: np.ndarray,
    visibility: np.ndarray,
) -> dict[str, np.ndarray]:
    """Outputs by name; raises VipeError for a graph that loads but does not run."""
    names = [output.name for output in session.get_outputs()]
    try:
        values: Any = session.run(names, {"keypoints": points, "visibility": visibility})
    except Exception as error:  # its exception types have no public base but Exception
        said = " ".join(str(error).split())[:300]
        raise VipeError(f"model {path} loads but does not run: {said}") from None
    return dict(zip(names, values, strict=True))


def _parsed(model: bytes | onnx.ModelProto) -> onnx.ModelProto:
    """A copy of the model, nothing of it outside and no entry of ours in it."""
    try:
        import onnx
    except ModuleNotFoundError:
        raise VipeError("writing a model needs onnx: pip install -e '.[train]'") from None
    from google.protobuf.message import DecodeError
    from onnx.external_data_helper import uses_external_data

    copy = onnx.ModelProto()
    try:
        copy.ParseFromString(model if isinstance(model, bytes) else model.SerializeToString())
    except DecodeError:
        raise VipeError("the bytes to write are not an ONNX model") from None
    if any(uses_external_data(t) for t in copy.graph.initializer):
        raise VipeError("the model keeps weights in other files; save them inside")
    others = [(p.key, p.value) for p in copy.metadata_props if p.key not in _OWN_KEYS]
    del copy.metadata_props[:]
    for key, value in others:
        copy.metadata_props.add(key=key, value=value)
    return copy


def _with_entries(model: onnx.ModelProto, entries: Mapping[str, str]) -> bytes:
    """The model serialised, with more entries in its metadata."""
    count = len(model.metadata_props)
    for key, value in entries.items():
        model.metadata_props.add(key=key, value=value)
    data = model.SerializeToString()
    del model.metadata_props[count:]
    return data
