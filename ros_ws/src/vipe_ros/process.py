"""The process of a node: from its command line to its exit status."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor

from vipe_core.errors import VipeError

if TYPE_CHECKING:
    from vipe_ros.node import BaseNode


def run(*kinds: Callable[[], BaseNode], args: Sequence[str] | None = None) -> int:
    """Run nodes in one process until it is told to stop; the exit status.

    0 after SIGINT, SIGTERM or a node that has finished; 2 when a node cannot be made.
    """
    try:
        rclpy.init(args=None if args is None else list(args))
    except RuntimeError as error:  # rcl has already said more
        print(f"error: {str(error).splitlines()[0]}", file=sys.stderr)
        return 2
    nodes: list[BaseNode] = []
    try:
        nodes.extend(kind() for kind in kinds)
        spin(nodes)
    except VipeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except Exception:
        if rclpy.ok():  # else it is only the echo of a shutdown
            raise
    finally:
        # A second signal while leaving changes nothing.
        with suppress(KeyboardInterrupt):
            for node in nodes:
                node.destroy_node()
            rclpy.try_shutdown()
    return max((node.exit_status for node in nodes), default=0)


def spin(nodes: Sequence[BaseNode]) -> None:
    """Start the nodes and serve them until shutdown or until one has finished."""
    executor = SingleThreadedExecutor()
    for node in nodes:
        executor.add_node(node)
        node.autostart()
    # The time limit closes a race of rclpy: a SIGTERM just before it waits does not wake it.
    while rclpy.ok() and not any(node.finished for node in nodes):
        executor.spin_once(timeout_sec=1.0)
