"""Do something whenever a person does an action: recognised actions in, a service call out.

    python examples/react_to_action.py --ros-args -p label:=wave -p service:=/say_hello

Each time that somebody does it, once: calls the service (std_srvs/Trigger), if one is given, and
publishes "LABEL by TRACK_ID" (std_msgs/String) on `reaction`.
"""

from __future__ import annotations

import argparse
import signal
import sys

import rclpy
from builtin_interfaces.msg import Time
from rcl_interfaces.msg import FloatingPointRange, ParameterDescriptor
from rclpy.exceptions import ParameterException
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rclpy.task import Future
from rclpy.utilities import remove_ros_args
from std_msgs.msg import String
from std_srvs.srv import Trigger
from vipe_msgs.msg import Action, Actions

from vipe_core.errors import VipeError

UNKNOWN = "unknown"  # what action_node says when no example fits
MOST_PEOPLE = 100  # remembered


class ReactToAction(Node):
    def __init__(self) -> None:
        super().__init__("react_to_action")
        limits = [FloatingPointRange(from_value=0.0, to_value=1.0)]
        about = ParameterDescriptor(description="least probability", floating_point_range=limits)
        self.declare_parameter("threshold", 0.7, about)
        self.label = self.declare_parameter("label", "").value
        service = self.declare_parameter("service", "").value
        if self.label in ("", UNKNOWN):
            raise VipeError("give the action to react to, for example -p label:=wave")
        self.client = self.create_client(Trigger, service) if service else None
        self.reaction = self.create_publisher(String, "reaction", 5)
        self.last: dict[str, tuple[float, float]] = {}  # by person: when it was last done
        self.create_subscription(Actions, "actions", self.on_actions, 5)
        self.get_logger().info(f"waiting for {self.label}")

    def on_actions(self, message: Actions) -> None:
        for action in message.actions:
            if self.label not in action.labels:
                known = ", ".join(label for label in action.labels if label != UNKNOWN)
                self.get_logger().warning(
                    f"nobody taught {self.label!r} to action_node; it knows: {known}", once=True
                )
            if action.label == self.label and self.is_new(action):
                self.react(action)

    def is_new(self, action: Action) -> bool:
        """Whether this is certain enough and was not reacted to yet."""
        span = seconds(action.start), seconds(action.end)
        last = self.last.get(action.track_id)
        new = last is None or not is_same(last, span)
        if new and action.probability < self.get_parameter("threshold").value:
            return False
        self.last.pop(action.track_id, None)
        self.last[action.track_id] = span  # at the end: the latest
        if len(self.last) > MOST_PEOPLE:
            del self.last[next(iter(self.last))]
        return new

    def react(self, action: Action) -> None:
        start, end = seconds(action.start), seconds(action.end)
        self.get_logger().info(
            f"{action.label} by person {action.track_id} from {start:.2f} to {end:.2f} s, "
            f"probability {action.probability:.2f}"
        )
        self.reaction.publish(String(data=f"{action.label} by {action.track_id}"))
        if self.client is not None and self.client.service_is_ready():
            self.client.call_async(Trigger.Request()).add_done_callback(self.on_answer)
        elif self.client is not None:
            self.get_logger().error(f"no service {self.client.srv_name}: is its node running?")

    def on_answer(self, future: Future) -> None:
        if (answer := future.result()) is not None:
            text = "done" if answer.success else "refused"
            self.get_logger().info(f"the service says: {text}. {answer.message}")


def is_same(last: tuple[float, float], span: tuple[float, float]) -> bool:
    """Whether two (start, end) tell of one occurrence.

    It is told again from image to image, while its start and end may still move a little. The
    next one has another start, and most of it comes after the end of the last.
    """
    if span[1] < last[0]:
        return False  # time went back: a recording starts anew
    return span[0] == last[0] or sum(span) < 2 * last[1]


def seconds(stamp: Time) -> float:
    return stamp.sec + 1e-9 * stamp.nanosec


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args(remove_ros_args(sys.argv)[1:])
    signals: list[int] = []  # a flag, no exception: that might come in the middle of a message
    for kind in (signal.SIGINT, signal.SIGTERM):
        signal.signal(kind, lambda number, _: signals.append(number))
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    try:
        node = ReactToAction()
        while not signals:
            rclpy.spin_once(node, timeout_sec=0.1)
    except (ParameterException, VipeError) as error:
        print(f"react_to_action: {error}", file=sys.stderr)
        return 2
    finally:
        rclpy.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
