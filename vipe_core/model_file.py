"""The model file: one ONNX graph with what must be known about it inside.

Inputs ``keypoints`` (N, J, 2) float32 raw pixels (NaN, or beyond 1e8: missing) and ``visibility``
(N, J) float32 in 0..1, J joints of ``skeleton_2d``. Outputs by task, all float32:

========================  ==============================================================
``embedding``             ``mean``, ``variance`` (N, D)
``pose``                  ``joints`` (N, 17, 3), ``std`` (N, 17), body frame, in statures
``embedding+pose``        all four
optional with any         ``mirror_mean`` + ``mirror_variance`` (N, D); for ``pose`` also
                          ``mean`` + ``variance``
========================  ==============================================================

The file's ``metadata_props`` hold the JSON of :class:`vipe_core.model_metadata.ModelMetadata`
(key ``vipe``), check vectors (``vipe_check``, :mod:`vipe_core.model_check`) and, last of all,
the checksum of everything before it (:mod:`vipe_core.model_seal`). Reading needs onnxruntime
only; writing needs the onnx package, which the trainer has and a robot need not have.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from vipe_core import files, model_seal
from vipe_core.errors import VipeError
from vipe_core.model_check import CheckVectors, example_inputs
from vipe_core.model_metadata import ModelMetadata
from vipe_core.model_seal import Seal
from vipe_core.model_signature import check_outputs, check_signature, signature_of

if TYPE_CHECKING:
    import onnx
    import onnxruntime

MAX_BYTES = 500_000_000
METADATA_KEY, CHECK_KEY = "vipe", "vipe_check"
_OWN_KEYS = (METADATA_KEY, CHECK_KEY, model_seal.KEY)


class Opened(NamedTuple):
    """A model file that has passed every check, ready to run."""

    session: onnxruntime.InferenceSession
    metadata: ModelMetadata
    check: CheckVectors


def write(
    path: str | os.PathLike[str],
    model: bytes | onnx.ModelProto,
    metadata: ModelMetadata,
    check: CheckVectors | None = None,
) -> None:
    """Put ``metadata`` and check vectors into the ONNX model and write the file, all or nothing.

    What is written has passed the checks of :func:`open_session`.

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
    entries = {METADATA_KEY: metadata.to_json()}
    session, _ = _session(path, _with_entries(copy, entries), _plain_options())
    check = check or _measured(path, session, metadata)
    entries[CHECK_KEY] = check.encode()
    data = model_seal.sealed(_with_entries(copy, entries))
    if len(data) > MAX_BYTES:
        raise VipeError(f"model {path} would be {len(data):,} bytes, the limit is {MAX_BYTES:,}")
    files.write_atomically(path, data)


def read(path: str | os.PathLike[str], data: bytes | None = None) -> Opened:
    """A model file, the whole of it checked, in a session that is not made for speed.

    Args:
        path: the file.
        data: its content, where that was read already.

    Raises:
        VipeError: see :func:`read_bytes` and :func:`open_session`.
    """
    return open_session(path, read_bytes(path) if data is None else data, _plain_options())


def read_metadata(path: str | os.PathLike[str]) -> ModelMetadata:
    """Metadata of a model file; VipeError as :func:`read`."""
    return read(path).metadata


def open_session(
    path: str | os.PathLike[str],
    data: bytes,
    options: onnxruntime.SessionOptions,
    providers: Sequence[str | tuple[str, dict]] = ("CPUExecutionProvider",),
) -> Opened:
    """A session over a model's bytes, everything checked.

    Args:
        path: where the bytes are from, for messages only.
        data: content of the file, see :func:`read_bytes`.
        options: session options; their log level is raised, errors come as VipeError.
        providers: what onnxruntime may run the graph on, the best first.

    Raises:
        VipeError: not ONNX or truncated, changed after it was written, no or wrong metadata,
            another format, an operator set that onnxruntime does not know, an unknown
            skeleton, inputs or outputs that do not fit the metadata, no check vectors.
    """
    seal = model_seal.check(data)
    if seal is Seal.WRONG:
        raise VipeError(
            f"model {path} is damaged or was changed after it was written: its checksum does "
            "not fit; copy it again"
        )
    session, metadata = _session(path, data, options, providers)
    if seal is Seal.NONE:
        raise VipeError(
            f"model {path} was changed after it was written: no checksum stands at its end; "
            "export it anew with `vipe export`"
        )
    text = session.get_modelmeta().custom_metadata_map.get(CHECK_KEY)
    if text is None:
        raise VipeError(f"model {path} has no check vectors; export it anew with `vipe export`")
    try:
        return Opened(session, metadata, CheckVectors.decode(text, metadata))
    except VipeError as error:
        raise VipeError(f"model {path}: {error}") from None


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


def _plain_options() -> onnxruntime.SessionOptions:
    """Quick to open, and nothing is rearranged: for reading, and for what is right."""
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    return options


def _session(
    path: str | os.PathLike[str],
    data: bytes,
    options: onnxruntime.SessionOptions,
    providers: Sequence[str | tuple[str, dict]] = ("CPUExecutionProvider",),
) -> tuple[onnxruntime.InferenceSession, ModelMetadata]:
    """Session and metadata; what is wrong with either is a VipeError that names the file."""
    onnxruntime = import_onnxruntime()
    options.log_severity_level = 4  # onnxruntime would print what the VipeError says
    try:
        # With its fallback, onnxruntime prints to stdout and tries the same thing again.
        session = onnxruntime.InferenceSession(
            data, options, providers=list(providers), enable_fallback=0
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


def _measured(
    path: str | os.PathLike[str], session: onnxruntime.InferenceSession, metadata: ModelMetadata
) -> CheckVectors:
    """Check vectors as the session gives them."""
    points, visibility = example_inputs(metadata)
    outputs = run_session(path, session, points, visibility)
    try:
        check_outputs(outputs, metadata)
    except VipeError as error:
        raise VipeError(f"model {path}: {error}") from None
    for name, value in outputs.items():
        if not np.isfinite(value).all():
            raise VipeError(f"model {path} gives a {name} that is not finite for ordinary people")
    return CheckVectors(points, visibility, outputs)


def run_session(
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


# "/src/file.h:46 void f(int, ...) " before what onnxruntime has to say.
_CPP_PLACE = re.compile(r"^/\S+:\d+ .*?\) (?=[A-Z])")


def _why_no_session(path: str | os.PathLike[str], error: Exception) -> str:
    said = " ".join(str(error).split())
    if "INVALID_PROTOBUF" in said or "No graph was found" in said:
        return f"{path} is not an ONNX file, or it is truncated"
    reason = _CPP_PLACE.sub("", said.rpartition(" : ")[2]) or type(error).__name__
    return f"{path} cannot be loaded by onnxruntime: {reason[:300]}"
