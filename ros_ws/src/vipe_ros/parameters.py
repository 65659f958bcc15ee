"""The parameters of every node, declared once.

A frozen dataclass per node is the single source: it declares the ROS parameters with
description and range, reads them back, and prints the table of the README:

    python -m vipe_ros.parameters

The live ones take effect as soon as they are set. The others are read when a node is
configured: set one on a running node, then deactivate, clean up, configure and activate it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields, replace
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
    live: bool = False,
) -> Any:
    """A dataclass field that is a ROS parameter.

    Args:
        default: its type is the type of the parameter; a tuple is an array of strings.
        description: one sentence, with the unit.
        low, high: inclusive range of a number; both or none.
        choices: the strings allowed.
        live: a change takes effect at once, not when the node is configured next.
    """
    metadata = {
        "description": description,
        "low": low,
        "high": high,
        "choices": tuple(choices),
        "live": live,
    }
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
        2.0, "Seconds without input after which diagnostics call it stale.", 0.1, 3600.0,
        live=True,
    )  # fmt: skip


@dataclass(frozen=True)
class KeypointsParameters(InputParameters):
    """keypoints_node: camera image -> bodies_2d."""

    image_transport: str = parameter(
        "raw", "raw reads `image`, compressed reads `image/compressed`.",
        choices=("raw", "compressed"),
    )  # fmt: skip
    detector: str = parameter(
        "", "YAML file of a pose model of your own, see `config/detectors`; empty: BlazePose."
    )
    variant: str = parameter(
        "full", "BlazePose landmark network.", choices=("lite", "full", "heavy")
    )
    assets_dir: str = parameter("", "Folder of BlazePose's files; empty: that of `vipe fetch`.")
    threads: int = parameter(2, "CPU threads of the detector.", 1, 64)


@dataclass(frozen=True)
class VipeParameters(InputParameters):
    """vipe_node: bodies_2d -> embeddings, bodies_3d, markers."""

    model: str = parameter("", "Path of the model file; empty: the one that ships with VIPE.")
    backend: str = parameter("auto", "What runs the model: auto or the name of a backend.")
    threads: int = parameter(
        1, "CPU threads of the model; more pay for crowds, where no detector runs beside it.", 1, 64
    )
    keypoints_type: str = parameter(
        "auto", "Type of `bodies_2d`: auto looks at what is published, else for example "
        "yolo_msgs/msg/DetectionArray.",
    )  # fmt: skip
    min_joints: int = parameter(
        4, "A body with fewer of the 13 joints visible is left out and counted.", 2, 13, live=True
    )
    max_people: int = parameter(
        100,
        "Of more bodies in one image the least certain are left out; 1 saves 40 MB.",
        1,
        1000,
        live=True,
    )
    tracking: str = parameter(
        "auto", "Who names people: auto names those without an id, always replaces the ids of "
        "the source, never leaves them as they come.",
        choices=("auto", "always", "never"),
    )  # fmt: skip
    max_gap: float = parameter(
        1.5, "Seconds out of sight after which a person gets a new id.", 0.0, 60.0
    )
    repair_swaps: bool = parameter(
        True, "Undo left/right swaps of a whole body that the detector made."
    )
    height: float = parameter(
        1.7, "Assumed stature of every person in metres.", 0.3, 2.6, live=True
    )
    height_std: float = parameter(
        0.08, "Standard deviation of that stature in metres: how much people differ.", 0.0, 1.0,
        live=True,
    )  # fmt: skip
    placement: str = parameter(
        "height", "What gives the distance: height (stature, camera_info), depth (also a depth "
        "image on `depth`), none.",
        choices=("height", "depth", "none"),
    )  # fmt: skip
    rectified: bool = parameter(
        False, "The keypoints come from a rectified image: camera_info's P counts, not K and D."
    )
    smoothing: float = parameter(
        0.0, "One-Euro filter on joints and placement: cutoff of a still person in Hz, lower is "
        "smoother and later, 2 is a good start; 0: none.", 0.0, 30.0, live=True,
    )  # fmt: skip
    smoothing_beta: float = parameter(
        4.0,
        "How much movement raises the cutoff, in Hz per m/s and per rad/s.",
        0.0,
        1000.0,
        live=True,
    )
    publish_tf: bool = parameter(
        True, "Publish camera -> `body_<id>` on /tf for people who are placed.", live=True
    )
    joints_tf: bool = parameter(
        False, "Publish `body_<id>` -> `<joint>_<id>` on /tf as well.", live=True
    )
    humans: bool = parameter(False, "Publish REP-155 topics below /humans/bodies; needs hri_msgs.")


@dataclass(frozen=True)
class ActionParameters(InputParameters):
    """action_node: embeddings -> actions."""

    model: str = parameter("", "Path of the model file, the same as vipe_node's.")
    backend: str = parameter("auto", "What runs the model on the examples.")
    examples_file: str = parameter(
        "", "File that keeps what is taught; empty: `$ROS_HOME/vipe/examples.npz`, where ROS_HOME "
        "is by default `~/.ros`.",
    )  # fmt: skip
    examples_dir: str = parameter(
        "", "Folder of recordings of actions, read and never written; empty: none."
    )
    forget_after: float = parameter(
        0.5, "Seconds out of sight after which a person starts anew.", 0.01, 3600.0
    )


@dataclass(frozen=True)
class SearchParameters(InputParameters):
    """search_node: embeddings -> when was this seen."""

    model: str = parameter("", "Path of the model file, the same as vipe_node's.")
    backend: str = parameter("auto", "What runs the model on files that are asked for.")
    index: str = parameter("", "Folder, or address as LanceDB takes it, of the index; made if new.")
    remember: bool = parameter(False, "Also add the people in view to the index.", live=True)
    remember_rate: float = parameter(
        2.0, "Poses per second and person that are added.", 0.01, 100.0, live=True
    )
    source: str = parameter(
        "", "Name of what is added; empty: host, node and the time when it was activated."
    )
    thumbnails: bool = parameter(True, "Add and answer small pictures of the skeletons.", live=True)


@dataclass(frozen=True)
class VideoParameters(NodeParameters):
    """video_node: a video file as a camera."""

    video: str = parameter("", "Path of the video file.")
    width: int = parameter(0, "Scale images down to this width in pixels; 0: do not.", 0, 16384)
    rate: float = parameter(0.0, "Images per second; 0: the file's own.", 0.0, 1000.0)
    frame_id: str = parameter("camera_optical_frame", "Frame of the images.")
    fov: float = parameter(
        0.0, "Horizontal field of view of the lens in degrees; 0: unknown, nobody is placed.",
        0.0, 179.0,
    )  # fmt: skip
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
    "search_node": SearchParameters,
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
    return kind(**{e.name: _value(e, node.get_parameter(e.name).value) for e in fields(kind)})


def changed(settings: Parameters, values: Mapping[str, Any]) -> tuple[Parameters, list[str]]:
    """Settings with new values of the live parameters, and the names of the others.

    Args:
        values: by name of the parameter; names that are not of ``settings`` are left alone.

    Raises:
        VipeError: a string that is not one of its choices.
    """
    known = {entry.name: entry for entry in fields(settings) if entry.name in values}
    read_now = {name: _value(entry, values[name]) for name, entry in known.items()}
    live = {name: value for name, value in read_now.items() if known[name].metadata["live"]}
    later = [n for n, v in read_now.items() if n not in live and v != getattr(settings, n)]
    return replace(settings, **live), later


def _value(entry: Field, value: Any) -> Any:
    """The value as the dataclass has it; VipeError for a string that is no choice."""
    if isinstance(entry.default, tuple):
        return tuple(text for text in value if text)
    choices = entry.metadata["choices"]
    if choices and value not in choices:
        known = ", ".join(choices)
        raise VipeError(f"parameter {entry.name} is {value!r}; known: {known}")
    return value


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


def table() -> str:
    """Markdown: what all nodes have, then a table per node."""
    shared = {"every node": NodeParameters, "every node with an input": InputParameters}
    return "\n\n".join(_table(name, kind) for name, kind in (shared | NODES).items())


def _table(name: str, kind: type[NodeParameters]) -> str:
    """The parameters that a class adds to those of its base."""
    (base,) = kind.__bases__
    inherited = {entry.name for entry in fields(base)} if base is not object else set()
    rows = [_row(entry) for entry in fields(kind) if entry.name not in inherited]
    head = f"**{name}**\n\n| parameter | type | default | meaning |\n|---|---|---|---|"
    return "\n".join((head, *rows))


def _row(entry: Field) -> str:
    assert entry.default is not MISSING
    given, default = entry.metadata, entry.default
    text = given["description"]
    if given["choices"]:
        text += f" One of {', '.join(given['choices'])}."
    if given["low"] is not None:
        text += f" From {given['low']} to {given['high']}."
    if given["live"]:
        text += " **Live.**"
    if isinstance(default, tuple):
        return f"| `{entry.name}` | string[] | `{list(default)}` | {text} |"
    shown = str(default).lower() if isinstance(default, bool) else repr(default).replace("'", '"')
    kind = {str: "string", float: "double"}.get(type(default), type(default).__name__)
    return f"| `{entry.name}` | {kind} | `{shown}` | {text} |"


if __name__ == "__main__":
    print(table())
