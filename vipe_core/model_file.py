"""The model file: one ONNX graph with what must be known about it inside.

Inputs ``keypoints`` (N, J, 2) float32 raw pixels (NaN = missing) and ``visibility``
(N, J) float32 in 0..1, J joints of ``skeleton_2d``. Outputs by task, all float32:

========================  ==============================================================
``embedding``             ``mean``, ``variance`` (N, D)
``pose``                  ``joints`` (N, 17, 3), ``std`` (N, 17), body frame, in statures
``embedding+pose``        all four
optional with any         ``mirror_mean`` + ``mirror_variance`` (N, D); for ``pose`` also
                          ``mean`` + ``variance``
========================  ==============================================================

The metadata is the JSON of :class:`vipe_core.model_metadata.ModelMetadata` under the key
``vipe`` of the file's ``metadata_props``. Reading needs onnxruntime only; writing needs the
onnx package, which the trainer has and a robot does not.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from vipe_core import files
from vipe_core.errors import VipeError
from vipe_core.model_metadata import ModelMetadata
from vipe_core.model_signature import check_signature, signature_of

if TYPE_CHECKING:
    import onnx
    import onnxruntime

MAX_BYTES = 500_000_000
METADATA_KEY = "vipe"


def write(
    path: str | os.PathLike[str], model: bytes | onnx.ModelProto, metadata: ModelMetadata
) -> None:
    """Put ``metadata`` into the ONNX model and write the file, all or nothing.

    What is written has passed the checks of :func:`read_metadata`.

    Args:
        path: file to write; an existing one is replaced.
        model: serialised ONNX model, or the ModelProto itself (left unchanged). Weights
            must be inside.
        metadata: what to embed; it must fit the graph.

    Raises:
        VipeError: the onnx package is missing, the model is not ONNX or does not fit the
            metadata, or the file cannot be written.
    """
    data = _with_metadata(model, metadata)
    if len(data) > MAX_BYTES:
        raise VipeError(f"model {path} would be {len(data):,} bytes, the limit is {MAX_BYTES:,}")
    _metadata_of(path, data)
    files.write_atomically(path, data)


def read_metadata(path: str | os.PathLike[str]) -> ModelMetadata:
    """Metadata of a model file, the whole file checked.

    Raises:
        VipeError: see :func:`open_session`.
    """
    return _metadata_of(path, read_bytes(path))


def open_session(
    path: str | os.PathLike[str], data: bytes, options: onnxruntime.SessionOptions
) -> tuple[onnxruntime.InferenceSession, ModelMetadata]:
    """A CPU session over a model's bytes, and its metadata, everything checked.

    Args:
        path: where the bytes are from, for messages only.
        data: content of the file, see :func:`read_bytes`.
        options: session options; their log level is raised, errors come as VipeError.

    Raises:
        VipeError: not ONNX or truncated, no or wrong metadata, a newer format, an unknown
            skeleton, inputs or outputs that do not fit the metadata.
    """
    onnxruntime = import_onnxruntime()
    options.log_severity_level = 4  # onnxruntime would print what the VipeError says
    try:
        # With its fallback, onnxruntime prints to stdout and tries the same thing again.
        session = onnxruntime.InferenceSession(
            data, options, providers=["CPUExecutionProvider"], enable_fallback=0
        )
        signature = signature_of(session)
        text = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    except UnicodeDecodeError:
        raise VipeError(f"{path} is a damaged ONNX file: a name in it is not text") from None
    except Exception as error:  # its exception types have no public base but Exception
        raise VipeError(_why_no_session(path, error)) from None
    if text is None:
        raise VipeError(
            f"{path} is ONNX but no VIPE model: it has no metadata {METADATA_KEY!r}; "
            "export it with `vipe export`"
        )
    try:
        metadata = ModelMetadata.from_json(text)
        check_signature(signature, metadata)
    except VipeError as error:
        raise VipeError(f"model {path}: {error}") from None
    return session, metadata


def import_onnxruntime() -> ModuleType:
    """The onnxruntime package; VipeError saying how to install it."""
    try:
        import onnxruntime
    except ModuleNotFoundError:
        raise VipeError("reading a model needs onnxruntime: pip install -e '.[onnx]'") from None
    return onnxruntime


def default_path() -> Path:
    """The model used when none is named.

    ``$VIPE_MODEL``, else ``models/vipe.onnx`` of the source tree, else
    ``share/vipe/models/vipe.onnx`` of the prefix this package is installed in.

    Raises:
        VipeError: there is none.
    """
    if named := os.environ.get("VIPE_MODEL"):
        return Path(named).expanduser()
    package = Path(__file__).resolve().parent
    prefixes = dict.fromkeys((*package.parents, Path(sys.prefix)))
    places = [package.parent / "models", *(prefix / "share/vipe/models" for prefix in prefixes)]
    for place in places:
        if (place / "vipe.onnx").is_file():
            return place / "vipe.onnx"
    raise VipeError(
        "no model: VIPE_MODEL is not set and neither "
        f"{places[0] / 'vipe.onnx'} nor share/vipe/models/vipe.onnx of the installation exists"
    )


def fingerprint(path: str | os.PathLike[str]) -> str:
    """First 12 hexadecimal digits of the file's SHA-256; VipeError as :func:`read_bytes`."""
    return fingerprint_of(read_bytes(path))


def fingerprint_of(data: bytes) -> str:
    """:func:`fingerprint` of a file's content."""
    return hashlib.sha256(data).hexdigest()[:12]


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """Content of a model file.

    Raises:
        VipeError: missing, not a file, empty, over :data:`MAX_BYTES`, or not readable.
    """
    path = Path(path)
    if not path.exists():
        raise VipeError(f"model {path} does not exist")
    if not path.is_file():
        raise VipeError(f"model {path} is not a file")
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise VipeError(f"model {path} is {size:,} bytes, over the limit of {MAX_BYTES:,}")
    if size == 0:
        raise VipeError(f"model {path} is empty")
    try:
        return path.read_bytes()
    except OSError as error:
        raise VipeError(f"model {path} cannot be read: {error.strerror}") from None


def _metadata_of(path: str | os.PathLike[str], data: bytes) -> ModelMetadata:
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    return open_session(path, data, options)[1]


def _with_metadata(model: bytes | onnx.ModelProto, metadata: ModelMetadata) -> bytes:
    """Serialised copy of the model, with the metadata in it and nothing of it outside."""
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
    others = [(p.key, p.value) for p in copy.metadata_props if p.key != METADATA_KEY]
    del copy.metadata_props[:]
    for key, value in (*others, (METADATA_KEY, metadata.to_json())):
        copy.metadata_props.add(key=key, value=value)
    return copy.SerializeToString()


# "/src/file.h:46 void f(int, ...) " before what onnxruntime has to say.
_CPP_PLACE = re.compile(r"^/\S+:\d+ .*?\) (?=[A-Z])")


def _why_no_session(path: str | os.PathLike[str], error: Exception) -> str:
    said = " ".join(str(error).split())
    if "INVALID_PROTOBUF" in said or "No graph was found" in said:
        return f"{path} is not an ONNX file, or it is truncated"
    reason = _CPP_PLACE.sub("", said.rpartition(" : ")[2]) or type(error).__name__
    return f"{path} cannot be loaded by onnxruntime: {reason[:300]}"
