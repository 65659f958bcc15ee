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

The metadata is the JSON of :class:`ModelMetadata` under the key ``vipe`` of the file's
``metadata_props``. Reading needs onnxruntime only; writing needs the onnx package, which
the trainer has and a robot does not.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from vipe_core import files, skeletons
from vipe_core.errors import VipeError

if TYPE_CHECKING:
    import onnx
    import onnxruntime

FORMAT_VERSION = 1
MAX_BYTES = 500_000_000
METADATA_KEY = "vipe"
TASKS = ("embedding", "pose", "embedding+pose")
OPTIONAL_OUTPUTS = ("mean", "variance", "mirror_mean", "mirror_variance")


@dataclass(frozen=True, kw_only=True)
class ModelMetadata:
    """What a model says about itself. Every instance has passed :meth:`check`.

    Attributes:
        name, version: of the model, not of the software.
        task: one of :data:`TASKS`.
        skeleton_2d: skeleton of the input.
        skeleton_3d: "joints17", or None when the task has no pose.
        embedding_size: D of ``mean``; 0 for a pose model without it.
        sigmoid_a, sigmoid_b: slope (> 0) and offset of the match probability of ``mean``.
        kappa: NP-MPJPE below which two poses count as a match.
        training_data, licence: what the weights were learnt from, and may be used for.
        metrics: measured figures by name.
        git_commit, command, seed: how to make the model again.
        format_version: of the file format.
    """

    name: str
    version: str
    task: str
    skeleton_2d: str = "body13"
    skeleton_3d: str | None = None
    embedding_size: int
    sigmoid_a: float
    sigmoid_b: float
    kappa: float
    training_data: str
    licence: str
    metrics: dict[str, float]
    git_commit: str
    command: str
    seed: int
    format_version: int = FORMAT_VERSION

    def __post_init__(self) -> None:
        self.check()

    @property
    def has_embedding(self) -> bool:
        return "embedding" in self.task

    @property
    def has_pose(self) -> bool:
        return "pose" in self.task

    def check(self) -> None:
        """Raises VipeError naming the first field that is wrong, and why."""
        for name, (fits, kind) in _KINDS.items():
            value = getattr(self, name)
            if not fits(value):
                raise VipeError(f"metadata field {name} must be {kind}, not {value!r}")
        skeletons.get(self.skeleton_2d)
        if self.has_pose and self.skeleton_3d is None:
            raise VipeError(f"metadata field skeleton_3d is null but the task is {self.task!r}")
        if self.has_embedding and not self.embedding_size:
            raise VipeError(f"metadata field embedding_size is 0 but the task is {self.task!r}")

    def to_json(self) -> str:
        """The text that the file holds."""
        return json.dumps(asdict(self), allow_nan=False, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> ModelMetadata:
        """Parse and check. Unknown keys are ignored: a newer writer that adds what an old
        reader may not ignore raises ``format_version``.

        Raises:
            VipeError: not JSON, a newer format, a missing or ill-typed field.
        """
        try:
            values = json.loads(text)
        except ValueError as error:
            raise VipeError(f"the metadata is not JSON: {error}") from None
        if not isinstance(values, dict):
            raise VipeError("the metadata is not a JSON object")
        _check_format(values.get("format_version"))
        names = [field.name for field in fields(cls)]
        if lacking := [name for name in names if name not in values]:
            raise VipeError(f"the metadata lacks the field {', '.join(lacking)}")
        return cls(**{name: values[name] for name in names})


class Signature(NamedTuple):
    """Names of inputs and outputs with (type, shape); a dynamic axis is a string or None."""

    inputs: Mapping[str, tuple[str, tuple]]
    outputs: Mapping[str, tuple[str, tuple]]


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
        signature = _signature(session)
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
        raise VipeError("reading a model needs onnxruntime: pip install 'vipe[onnx]'") from None
    return onnxruntime


def check_signature(signature: Signature, metadata: ModelMetadata) -> None:
    """Raises VipeError when inputs or outputs are not those that the metadata promises."""
    joints = len(skeletons.get(metadata.skeleton_2d))
    inputs = {"keypoints": (joints, 2), "visibility": (joints,)}
    _check_names("inputs", signature.inputs, inputs, inputs)
    outputs = _output_shapes(metadata)
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


def check_outputs(outputs: Mapping[str, np.ndarray], metadata: ModelMetadata) -> None:
    """Raises VipeError when what a run gave has not the shapes that the metadata promises.

    A graph may declare a size as unknown; then only running it tells.
    """
    expected = _output_shapes(metadata)
    for name, value in outputs.items():
        _check_shape(name, "tensor(float)", ("N", *value.shape[1:]), expected[name])


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


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _name(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _size(value: Any) -> bool:
    return _integer(value) and value >= 0


def _number(value: Any) -> bool:
    return (isinstance(value, float) or _integer(value)) and math.isfinite(value)


def _metrics(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    return all(map(_text, value)) and all(map(_number, value.values()))


_KINDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "format_version": (lambda v: _integer(v) and v >= 1, "an integer from 1"),
    "name": (_name, "a non-empty string"),
    "version": (_name, "a non-empty string"),
    "task": (lambda v: _text(v) and v in TASKS, f"one of {', '.join(TASKS)}"),
    "skeleton_2d": (_name, "the name of a skeleton"),
    "skeleton_3d": (lambda v: v in (None, "joints17"), "joints17 or null"),
    "embedding_size": (_size, "an integer from 0"),
    "sigmoid_a": (lambda v: _number(v) and v > 0, "a number over 0"),
    "sigmoid_b": (_number, "a number"),
    "kappa": (lambda v: _number(v) and v > 0, "a number over 0"),
    "training_data": (_text, "a string"),
    "licence": (_text, "a string"),
    "metrics": (_metrics, "an object of finite numbers"),
    "git_commit": (_text, "a string"),
    "command": (_text, "a string"),
    "seed": (_integer, "an integer"),
}


def _check_format(version: Any) -> None:
    """A format newer than this software is said as such, before any field is looked at."""
    if _integer(version) and version > FORMAT_VERSION:
        raise VipeError(
            f"file format {version} is newer than this software reads "
            f"({FORMAT_VERSION}); update vipe"
        )
    if version is None:
        raise VipeError("the metadata lacks the field format_version")


def _with_metadata(model: bytes | onnx.ModelProto, metadata: ModelMetadata) -> bytes:
    """Serialised copy of the model, with the metadata in it and nothing of it outside."""
    try:
        import onnx
    except ModuleNotFoundError:
        raise VipeError("writing a model needs onnx: pip install 'vipe[train]'") from None
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


def _signature(session: onnxruntime.InferenceSession) -> Signature:
    return Signature(
        {value.name: (value.type, tuple(value.shape)) for value in session.get_inputs()},
        {value.name: (value.type, tuple(value.shape)) for value in session.get_outputs()},
    )


def _output_shapes(metadata: ModelMetadata) -> dict[str, tuple[int, ...]]:
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
