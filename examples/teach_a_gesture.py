"""Teach a gesture by showing it, then say each time that somebody makes it, seen from any side.

    python examples/teach_a_gesture.py wave --seconds 2

After a count-down action_node looks for so many seconds at whoever is before the camera; begin
and end with the gesture. It is kept in action_node's examples file: next time it is known already,
and this script only waits for it, unless ``--another`` shows it once more.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time

import rclpy
from builtin_interfaces.msg import Time
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rclpy.task import Future
from rclpy.utilities import remove_ros_args
from vipe_msgs.msg import Action, Actions
from vipe_msgs.srv import ListExamples, Teach

from vipe_core.actions.checks import LONGEST_S, SHORTEST_S, check_label
from vipe_core.errors import VipeError


class Teacher(Node):
    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__("teach_a_gesture")
        self.options = options
        self.heard = time.monotonic()  # when action_node last said something
        self.last: dict[str, float] = {}  # by person: when the gesture was last at its end
        self.list = self.create_client(ListExamples, f"{options.node}/list")
        self.teach = self.create_client(Teach, f"{options.node}/teach")
        self.create_subscription(Actions, "actions", self.on_actions, 50)

    def lesson(self) -> Teach.Request:
        return Teach.Request(
            command=Teach.Request.RECORD,
            label=self.options.label,
            seconds=self.options.seconds,
            track_id=self.options.track_id,
            another=self.options.another,
        )

    def on_actions(self, message: Actions) -> None:
        self.heard = time.monotonic()
        for action in message.actions:
            if action.label == self.options.label and self.is_new(action):
                tell(
                    f"{action.label} by person {action.track_id} from {seconds(action.start):.2f} "
                    f"to {seconds(action.end):.2f} s, probability {action.probability:.2f}"
                )

    def is_new(self, action: Action) -> bool:
        """The same occurrence is told of in several images, while its end still moves: the next
        one comes later for the most part. Time that goes back is a recording that starts anew."""
        start, end = seconds(action.start), seconds(action.end)
        last, self.last[action.track_id] = self.last.get(action.track_id), end
        return last is None or end < last - 1 or start + end >= 2 * last


def seconds(stamp: Time) -> float:
    return stamp.sec + 1e-9 * stamp.nanosec


def tell(text: str) -> None:
    print(text, flush=True)


class Stop(Exception):
    """Ctrl-C or SIGTERM."""


class Gone(Exception):
    """action_node was there, and says nothing any more."""


def run(node: Teacher, signals: list[int]) -> None:
    """Teach, unless it is known, and wait for the gesture until told to stop.

    Raises:
        VipeError: no action_node, or nothing was learned.
        Gone: action_node has ended meanwhile.
        Stop: told to.
    """
    label, said = node.options.label, answer(node, node.list, ListExamples.Request(), signals)
    if label in said.labels and not node.options.another:
        tell(f"{label!r} is known already (--another teaches it once more)")
    else:
        for count in range(node.options.count_down, 0, -1):
            tell(f"{count} ...")
            end = time.monotonic() + 1
            spin(node, lambda end=end: time.monotonic() > end, signals)
        tell("now!")
        tell(answer(node, node.teach, node.lesson(), signals, node.options.seconds).message)
    tell(f"waiting for {label!r}; Ctrl-C ends")
    spin(node, lambda: False, signals)


def answer(node: Teacher, client, request, signals: list[int], takes_s: float = 0.0):
    """The answer of a service, which takes so long; VipeError when it is not there or refuses,
    Gone when no answer comes although nothing else does."""
    if not client.wait_for_service(node.options.patience):
        name = node.resolve_service_name(client.srv_name)
        raise VipeError(f"no service {name}: is action_node running?")
    future: Future = client.call_async(request)
    node.heard = time.monotonic()

    def answered() -> bool:
        if time.monotonic() - node.heard > takes_s + node.options.patience:
            raise Gone(f"no answer of {node.options.node}, nor any actions: it is gone")
        return future.done()

    spin(node, answered, signals)
    result = future.result()
    if result is None or not result.success:
        raise VipeError(result.message if result is not None else "no answer")
    return result


def spin(node: Teacher, done, signals: list[int]) -> None:
    while not done():
        if signals:
            raise Stop
        rclpy.spin_once(node, timeout_sec=0.1)


def label(text: str) -> str:
    try:
        check_label(text)
    except VipeError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def duration(text: str) -> float:
    value = float(text)
    if not SHORTEST_S <= value <= LONGEST_S:  # NaN neither
        raise argparse.ArgumentTypeError(f"{text}: {SHORTEST_S:g} to {LONGEST_S:g} are needed")
    return value


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("label", type=label, help="name of the gesture")
    parser.add_argument(
        "--seconds", type=duration, default=2.0, help="how long it takes to show it"
    )
    parser.add_argument("--another", action="store_true", help="one more example of a known one")
    parser.add_argument("--track-id", default="", help="who shows it, when several are in view")
    parser.add_argument("--count-down", type=int, default=3, help="seconds; default %(default)s")
    parser.add_argument("--node", default="action_node", help="name of action_node")
    parser.add_argument("--patience", type=float, default=10.0, help="seconds to look for it")
    options = parser.parse_args(remove_ros_args(sys.argv)[1:])
    signals: list[int] = []  # a flag, no exception: that might come in the middle of a message
    for kind in (signal.SIGINT, signal.SIGTERM):
        signal.signal(kind, lambda number, _: signals.append(number))
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    try:
        run(Teacher(options), signals)
    except Stop:
        return 0
    except (VipeError, Gone) as error:
        print(f"teach_a_gesture: {error}", file=sys.stderr)
        return 1 if isinstance(error, Gone) else 2
    finally:
        rclpy.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
