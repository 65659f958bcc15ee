"""The parameters of every node, declared once.

A frozen dataclass per node is the single source: it declares the ROS parameters with
description and range, reads them back, and prints the table of the README:

    python -m vipe_ros.parameters

Values are read when a node is configured: set one on a running node, then deactivate,
clean up, configure and activate it again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import TYPE_CHECKING, Any, TypeVar

from vipe_core.errors import VipeError

if TYPE_CHECKING:
    from rclpy.node import Node

RELIABILITIES = ("best_effort", "reliable")


def parameter(
    default: Any,
    description: str,
    low: float | None = None,
    high: float | None = None,
    choices: Sequence[str] = (),
) -> Any:
    """A dataclass field that is a ROS parameter.

    Args:
        default: its type is the type of the parameter; a tuple is an array of strings.
        description: one sentence, with the unit.
        low, high: inclusive range of a number; both or none.
        choices: the strings allowed.
    """
    metadata = {"description": description, "low": low, "high": high, "choices": tuple(choices)}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class NodeParameters:
    """What every node has."""

    autostart: bool = parameter(True, "Configure and activate without being asked.")
    output_depth: int = parameter(
        5, "Messages kept for a slow subscriber, per output (reliable).", 1, 1000
    )


@dataclass(frozen=True)
class InputParameters(NodeParameters):
    """What every node with an input has."""

    input_reliability: str = parameter(
        "best_effort", "Best effort keeps up with the present, reliable loses nothing.",
        choices=RELIABILITIES,
    )  # fmt: skip
    input_depth: int = parameter(1, "Messages of the input that may wait; 1: latest wins.", 1, 1000)
    stale_after: float = parameter(
        2.0, "Seconds without input after which diagnostics call it stale.", 0.1, 3600.0
    )


@dataclass(frozen=True)
class KeypointsParameters(InputParameters):
    """keypoints_node: camera image -> bodies_2d."""

    image_transport: str = parameter(
        "raw", "raw reads `image`, compressed reads `image/compressed`.",
        choices=("raw", "compressed"),
    )  # fmt: skip
    variant: str = parameter(
        "full", "BlazePose landmark network.", choices=("lite", "full", "heavy")
    )
    assets_dir: str = parameter("", "Folder of the detector's files; empty: that of `vipe fetch`.")
    threads: int = parameter(2, "CPU threads of the detector.", 1, 64)


@dataclass(frozen=True)
class VipeParameters(InputParameters):
    """vipe_node: bodies_2d -> embeddings, bodies_3d, markers."""

    model: str = parameter("", "Path of the model file; empty: the one that ships with VIPE.")
    backend: str = parameter("auto", "What runs the model: auto or the name of a backend.")
    height: float = parameter(1.7, "Assumed stature of every person in metres.", 0.3, 2.6)
    min_joints: int = parameter(
        4, "A body with fewer of the 13 joints visible is left out and counted.", 2, 13
    )


@dataclass(frozen=True)
class ActionParameters(InputParameters):
    """action_node: embeddings -> actions."""

    model: str = parameter("", "Path of the model file, the same as vipe_node's.")
    backend: str = parameter("auto", "What runs the model on the examples.")
    examples_dir: str = parameter("", "Folder of labelled keypoint files, the examples.")
    forget_after: float = parameter(
        0.5, "Seconds out of sight after which a person starts anew.", 0.01, 3600.0
    )


@dataclass(frozen=True)
class VideoParameters(NodeParameters):
    """video_node: a video file as a camera."""

    video: str = parameter("", "Path of the video file.")
    width: int = parameter(0, "Scale images down to this width in pixels; 0: do not.", 0, 16384)
    rate: float = parameter(0.0, "Images per second; 0: the file's own.", 0.0, 1000.0)
    frame_id: str = parameter("camera_optical_frame", "Frame of the images.")
    output_reliability: str = parameter(
        "reliable", "Reliability of the images offered.", choices=RELIABILITIES
    )
    wait_for_subscribers: int = parameter(
        1, "Start when this many subscribers of the images are matched.", 0, 1000
    )
    wait_for_topics: tuple[str, ...] = parameter(
        (), "Start when each of these topics has a subscriber; `name:2` wants two."
    )
    exit_at_end: bool = parameter(False, "End the process when the video has ended.")


NODES: dict[str, type[NodeParameters]] = {
    "keypoints_node": KeypointsParameters,
    "vipe_node": VipeParameters,
    "action_node": ActionParameters,
    "video_node": VideoParameters,
}
Parameters = TypeVar("Parameters", bound=NodeParameters)


def declare(node: Node, kind: type[Parameters]) -> Parameters:
    """Declare every parameter of ``kind`` on the node and return the values given.

    Raises:
        VipeError: a value given at start has the wrong type or is out of range.
    """
    from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException

    for entry in fields(kind):
        default: Any = entry.default
        if isinstance(default, tuple):
            default = list(default) or [""]  # an empty list would be declared as bytes
        try:
            node.declare_parameter(entry.name, default, _descriptor(entry))
        except (InvalidParameterTypeException, InvalidParameterValueException) as error:
            raise VipeError(f"parameter {entry.name} of {node.get_name()}: {error}") from None
    return read(node, kind)


def read(node: Node, kind: type[Parameters]) -> Parameters:
    """The present values.

    Raises:
        VipeError: a string that is not one of its choices.
    """
    values = {entry.name: node.get_parameter(entry.name).value for entry in fields(kind)}
    for entry in fields(kind):
        if isinstance(entry.default, tuple):
            values[entry.name] = tuple(text for text in values[entry.name] if text)
        choices = entry.metadata["choices"]
        if choices and values[entry.name] not in choices:
            known = ", ".join(choices)
            raise VipeError(f"parameter {entry.name} is {values[entry.name]!r}; known: {known}")
    return kind(**values)


def _descriptor(entry: Field) -> Any:
    from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor

    given = entry.metadata
    result = ParameterDescriptor(description=given["description"])
    if given["choices"]:
        result.additional_constraints = f"one of: {', '.join(given['choices'])}"
    if given["low"] is not None and isinstance(entry.default, float):
        result.floating_point_range = [
            FloatingPointRange(from_value=given["low"], to_value=given["high"])
        ]
    elif given["low"] is not None:
        result.integer_range = [IntegerRange(from_value=given["low"], to_value=given["high"])]
    return result


def table(kinds: dict[str, type[NodeParameters]] | None = None) -> str:
    """Markdown: a table per node."""
    parts = []
    for name, kind in (kinds or NODES).items():
        rows = [_row(entry) for entry in fields(kind)]
        head = f"**{name}**\n\n| parameter | type | default | meaning |\n|---|---|---|---|"
        parts.append("\n".join((head, *rows)))
    return "\n\n".join(parts)


def _row(entry: Field) -> str:
    assert entry.default is not MISSING
    given, default = entry.metadata, entry.default
    text = given["description"]
    if given["choices"]:
        text += f" One of {', '.join(given['choices'])}."
    if given["low"] is not None:
        text += f" From {given['low']} to {given['high']}."
    if isinstance(default, tuple):
        return f"| `{entry.name}` | string[] | `{list(default)}` | {text} |"
    shown = str(default).lower() if isinstance(default, bool) else repr(default).replace("'", '"')
    kind = {str: "string", float: "double"}.get(type(default), type(default).__name__)
    return f"| `{entry.name}` | {kind} | `{shown}` | {text} |"


if __name__ == "__main__":
    print(table())
