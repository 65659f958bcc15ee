"""Wait until nodes are active, then end: for launch files that must not start something before.

    python -m vipe_ros.wait_until_active /vipe_node /keypoints_node

Exit status: 0 when all of them are active; 1 when interrupted before.
"""

from __future__ import annotations

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


def wait_for(node: Node, name: str) -> None:
    """Return when the lifecycle node of this full name is active."""
    client = node.create_client(GetState, f"{name}/get_state")
    while rclpy.ok():
        if not client.wait_for_service(_ANSWER_S):
            continue
        future = client.call_async(GetState.Request())
        rclpy.spin_until_future_complete(node, future, timeout_sec=_ANSWER_S)
        answer = future.result() if future.done() else None
        if answer is not None and answer.current_state.id == State.PRIMARY_STATE_ACTIVE:
            break
        client.remove_pending_request(future)
        time.sleep(_PAUSE_S)
    node.destroy_client(client)


def main(names: Sequence[str]) -> int:
    rclpy.init()
    try:
        node = rclpy.create_node(f"wait_until_active_{os.getpid()}")
        node.get_logger().info(f"waiting for {', '.join(names)}")
        for name in names:
            wait_for(node, name)
        return 0 if rclpy.ok() else 1
    except (KeyboardInterrupt, ExternalShutdownException):
        return 1
    finally:
        rclpy.try_shutdown()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
