"""The baseline of the nodes: a bare rclpy node that sends back what it gets."""

from __future__ import annotations

import sys

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.qos import QoSProfile, ReliabilityPolicy
from vipe_msgs.msg import Bodies2D


def main() -> None:
    """Echo ``echo_in`` on ``echo_out``, with the QoS of our nodes, until interrupted."""
    rclpy.init(args=sys.argv)
    node = rclpy.create_node("echo")
    publisher = node.create_publisher(Bodies2D, "echo_out", 5)
    newest = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    node.create_subscription(Bodies2D, "echo_in", publisher.publish, newest)
    try:
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
