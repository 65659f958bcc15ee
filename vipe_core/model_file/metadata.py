"""What a model file says about itself."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import Any

from vipe_core import skeletons
from vipe_core.errors import VipeError

FORMAT_VERSION = 2
TASKS = ("embedding", "pose", "embedding+pose")
PRECISIONS = ("fp32", "fp16", "int8")


@dataclass(frozen=True, kw_only=True)
class ModelMetadata:
    """What a model says about itself. Every instance has passed :meth:`check`.

    Attributes:
        name, version: of the model, not of the software.
        task: one of :data:`TASKS`.
        skeleton_2d: skeleton of the input.
        skeleton_3d: "joints17", or None when the task has no pose.
        frames: T of the window of frames that the graph takes; 1 for a single-frame model.
            The outputs describe the middle frame, so it is odd.
        frame_step: seconds between the frames of a window; 0 for a single-frame model.
        precision: one of :data:`PRECISIONS`: what the graph's matrix products compute with;
            inputs, outputs and all else are float32.
        embedding_size: D of ``mean``; 0 for a pose model without it.
        sigmoid_a, sigmoid_b: slope (> 0) and offset of the match probability of ``mean``;
            1 and 0 for a pose model without it.
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
    frames: int = 1
    frame_step: float = 0.0
    precision: str = "fp32"
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
        if (self.frames > 1) != (self.frame_step > 0):
            raise VipeError(
                f"metadata field frame_step is {self.frame_step} but frames is {self.frames}"
            )

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
    "frames": (lambda v: _integer(v) and v >= 1 and v % 2 == 1, "an odd integer from 1"),
    "frame_step": (lambda v: _number(v) and v >= 0, "a number from 0"),
    "precision": (lambda v: v in PRECISIONS, f"one of {', '.join(PRECISIONS)}"),
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
    """Another format than this software's is said as such, before any field is looked at."""
    if _integer(version) and 1 <= version < FORMAT_VERSION:
        raise VipeError(
            f"file format {version} is older than this software reads ({FORMAT_VERSION}); "
            "export the model anew with `vipe export`"
        )
    if _integer(version) and version > FORMAT_VERSION:
        raise VipeError(
            f"file format {version} is newer than this software reads "
            f"({FORMAT_VERSION}); update vipe"
        )
    if version is None:
        raise VipeError("the metadata lacks the field format_version")
