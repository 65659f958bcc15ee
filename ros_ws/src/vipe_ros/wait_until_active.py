"""Wait until nodes are active, then end: for launch files that must not start something before.

    python -m vipe_ros.wait_until_active /vipe_node /keypoints_node

Exit status: 0 when all of them are active; 1 when interrupted before, or when a node has
answered for a while that it is not on its way: one that could not be configured never will be.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Sequence

import rclpy
from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import GetState
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node

_ANSWER_S = 1.0  # a node that loads its model answers late
_PAUSE_S = 0.1
_PATIENCE_S = 5.0  # unconfigured for longer, and it is not by a start that takes its time


def wait_for(node: Node, name: str) -> bool:
    """Wait for the lifecycle node of this full name; whether it is active."""
    client = node.create_client(GetState, f"{name}/get_state")
    idle_since = math.inf
    while rclpy.ok():
        if not client.wait_for_service(_ANSWER_S):
            continue
        future = client.call_async(GetState.Request())
        rclpy.spin_until_future_complete(node, future, timeout_sec=_ANSWER_S)
        answer = future.result() if future.done() else None
        client.remove_pending_request(future)
        state = None if answer is None else answer.current_state.id
        if state == State.PRIMARY_STATE_ACTIVE:
            return True
        if state == State.PRIMARY_STATE_UNCONFIGURED:
            idle_since = min(idle_since, time.monotonic())
        else:
            idle_since = math.inf
        if state == State.PRIMARY_STATE_FINALIZED or time.monotonic() - idle_since > _PATIENCE_S:
            node.get_logger().error(f"{name} does not become active: see what it said")
            return False
        time.sleep(_PAUSE_S)
    return False


def main(names: Sequence[str]) -> int:
    rclpy.init()
    try:
        node = rclpy.create_node(f"wait_until_active_{os.getpid()}")
        node.get_logger().info(f"waiting for {', '.join(names)}")
        return 0 if all(wait_for(node, name) for name in names) else 1
    except (KeyboardInterrupt, ExternalShutdownException):
        return 1
    finally:
        rclpy.try_shutdown()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
