"""The process of a node: from its command line to its exit status."""

from __future__ import annotations

import inspect
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import partial
from threading import Event
from typing import TYPE_CHECKING, Any

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.utilities import remove_ros_args

from vipe_core.errors import VipeError
from vipe_ros import parameters

if TYPE_CHECKING:
    from vipe_ros.node import BaseNode


def run(*kinds: Callable[[], BaseNode], args: Sequence[str] | None = None) -> int:
    """Run nodes in one process until it is told to stop; the exit status.

    0 after SIGINT, SIGTERM, a node that has finished, or ``--help``; 2 when a node cannot be made.
    """
    words = remove_ros_args(sys.argv if args is None else ["", *args])[1:]
    if words:
        return _told(kinds, words)
    serving = Event()
    # Before init: rclpy's own handler, which shuts down, calls this one afterwards.
    signal.signal(signal.SIGINT, partial(_interrupt, serving))
    try:
        rclpy.init(args=None if args is None else list(args))
    except RuntimeError as error:  # rcl has already said more
        print(f"error: {str(error).splitlines()[0]}", file=sys.stderr)
        return 2
    nodes: list[BaseNode] = []
    try:
        nodes.extend(kind() for kind in kinds)
        spin(nodes, serving)
    except VipeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except Exception:
        if rclpy.ok():  # else it is only the echo of a shutdown
            raise
    finally:
        serving.set()  # a second signal while leaving changes nothing
        for node in nodes:
            node.destroy_node()
        rclpy.try_shutdown()
    return max((node.exit_status for node in nodes), default=0)


def _told(kinds: Sequence[Callable[[], BaseNode]], words: Sequence[str]) -> int:
    """Help, or what is wrong with words that ROS does not take."""
    if {"-h", "--help"} & set(words):
        print("\n\n".join(_help(kind) for kind in kinds))
        return 0
    print(f"error: {words[0]!r}: write --ros-args -p parameter:=value", file=sys.stderr)
    return 2


def _help(kind: Any) -> str:
    name = kind.__module__.rpartition(".")[2]
    if name == "__main__":  # python -m
        name = next(n for n, k in parameters.NODES.items() if k is kind.parameters_type)
    rows = [
        f"  {entry.name:<20} {entry.metadata['description']} Default: {entry.default!r}."
        for entry in fields(kind.parameters_type)
    ]
    usage = f"ros2 run vipe {name} --ros-args -p parameter:=value -r topic:=other"
    return "\n".join((inspect.cleandoc(kind.__doc__ or ""), "", usage, "", *rows))


def _interrupt(serving: Event, *_: object) -> None:
    """SIGINT breaks off a start. Later it must not: raised while rclpy converts a message, a
    KeyboardInterrupt becomes an error of the message."""
    if not serving.is_set():
        raise KeyboardInterrupt


def spin(nodes: Sequence[BaseNode], serving: Event) -> None:
    """Start the nodes, then set ``serving`` and serve them until shutdown or until one has
    finished."""
    executor = SingleThreadedExecutor()
    if len(nodes) == 1:  # else a parameter given to all of them is one of some
        nodes[0].warn_of_unknown_parameters()
    for node in nodes:
        executor.add_node(node)
        node.autostart()
    serving.set()
    # A race of rclpy, a SIGTERM just before it waits that does not wake it, costs a second at
    # most: then the timer of the diagnostics does. A time limit would make a timer at every turn.
    while rclpy.ok() and not any(node.finished for node in nodes):
        executor.spin_once()
