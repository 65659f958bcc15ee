"""Reading a model file: what is wrong with it becomes one line."""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

from vipe_core.errors import VipeError
from vipe_core.model_file.check import CheckVectors
from vipe_core.model_file.metadata import ModelMetadata
from vipe_core.model_file.seal import Seal
from vipe_core.model_file.seal import check as check_seal
from vipe_core.model_file.signature import check_signature, signature_of

if TYPE_CHECKING:
    import onnxruntime

MAX_BYTES = 500_000_000
METADATA_KEY, CHECK_KEY = "vipe", "vipe_check"


class Opened(NamedTuple):
    """A model file that has passed every check, ready to run."""

    session: onnxruntime.InferenceSession
    metadata: ModelMetadata
    check: CheckVectors


def read(path: str | os.PathLike[str], data: bytes | None = None) -> Opened:
    """A model file, the whole of it checked, in a session that is not made for speed.

    Args:
        path: the file.
        data: its content, where that was read already.

    Raises:
        VipeError: see :func:`read_bytes` and :func:`open_session`.
    """
    return open_session(path, read_bytes(path) if data is None else data, plain_options())


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
    seal = check_seal(data)
    if seal is Seal.WRONG:
        raise VipeError(
            f"model {path} is damaged or was changed after it was written: its checksum does "
            "not fit; copy it again"
        )
    session, metadata = open_unchecked(path, data, options, providers)
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
    package = Path(__file__).resolve().parents[1]  # vipe_core
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


def plain_options() -> onnxruntime.SessionOptions:
    """Quick to open, and nothing is rearranged: for reading, and for what is right."""
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    return options


def open_unchecked(
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


# "/src/file.h:46 void f(int, ...) " before what onnxruntime has to say.
_CPP_PLACE = re.compile(r"^/\S+:\d+ .*?\) (?=[A-Z])")


def _why_no_session(path: str | os.PathLike[str], error: Exception) -> str:
    said = " ".join(str(error).split())
    if "INVALID_PROTOBUF" in said or "No graph was found" in said:
        return f"{path} is not an ONNX file, or it is truncated or changed"
    if "CUDA failure" in said:
        return f"{path} cannot be loaded: {said[said.index('CUDA failure') :][:300]}"
    reason = _CPP_PLACE.sub("", said.rpartition(" : ")[2]) or type(error).__name__
    return f"{path} cannot be loaded by onnxruntime: {reason[:300]}"
