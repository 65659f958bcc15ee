"""The base of every node: parameters, lifecycle, guarded inputs, diagnostics, main loop.

A node fills in :meth:`BaseNode.configure` (load what it needs, declare outputs),
:meth:`BaseNode.activate` (declare inputs) and :meth:`BaseNode.release`. Bad data never
ends it: see :meth:`BaseNode.guard`.
"""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType  # pyright: ignore[reportPrivateImportUsage]
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from vipe_core.errors import VipeError
from vipe_ros import parameters
from vipe_ros.diagnostics import Report

DIAGNOSTICS_PERIOD_S = 1.0
RCLError = rclpy_implementation.RCLError


class BaseNode(LifecycleNode):
    """A lifecycle node that survives its input.

    Attributes:
        settings: the parameters as read when the node was last configured.
        report: counts since then.
        finished: the process may end, with status ``exit_status``.
    """

    parameters_type: type[Any] = parameters.NodeParameters

    def __init__(self, name: str, **kwargs: Any) -> None:
        super().__init__(name, **kwargs)
        self.settings = parameters.declare(self, self.parameters_type)
        self.report = Report()
        self.finished = False
        self.exit_status = 0
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []
        self._heard: float | None = None
        self._stale = False
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        # In Jazzy a request for a transition that the state does not have ends the process.
        service = self._service_change_state
        service.callback = partial(_change_state, service.callback)
        # Steady: it goes on when simulated time stands still.
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(DIAGNOSTICS_PERIOD_S, self.publish_diagnostics, clock=self._steady)

    # What a node fills in.

    def configure(self) -> None:
        """Load resources from ``settings`` and declare outputs; raise VipeError to refuse."""

    def activate(self) -> None:
        """Declare inputs."""

    def release(self) -> None:
        """Let go of what configure loaded. Called also after a configure that failed."""

    # Lifecycle.

    def on_configure(self, state: Any) -> TransitionCallbackReturn:
        self.report = Report()
        try:
            self.settings = parameters.read(self, self.parameters_type)
            self.configure()
        except Exception as error:  # rclpy would swallow it without a word
            self.report.failure = f"cannot configure: {error}"
            expected = isinstance(error, VipeError)
            detail = "" if expected else f"\n{traceback.format_exc()}"
            if self.context.ok():
                self.get_logger().error(self.report.failure + detail)
            self._let_go()
            return TransitionCallbackReturn.FAILURE
        return super().on_configure(state)

    def on_activate(self, state: Any) -> TransitionCallbackReturn:
        result = super().on_activate(state)
        self._heard, self._stale = time.monotonic(), False
        self.activate()
        return result

    def on_deactivate(self, state: Any) -> TransitionCallbackReturn:
        self._close_inputs()
        return super().on_deactivate(state)

    def on_cleanup(self, state: Any) -> TransitionCallbackReturn:
        self._let_go()
        return super().on_cleanup(state)

    def on_shutdown(self, state: Any) -> TransitionCallbackReturn:
        self._let_go()
        return super().on_shutdown(state)

    def autostart(self) -> bool:
        """Configure and activate, when the parameter says so; False when that failed."""
        success = TransitionCallbackReturn.SUCCESS
        if not self.settings.autostart:
            return True
        return self.trigger_configure() == success and self.trigger_activate() == success

    def _close_inputs(self) -> None:
        for subscription in self._inputs:
            self.destroy_subscription(subscription)
        self._inputs.clear()

    def _let_go(self) -> None:
        self._close_inputs()
        for publisher in self._outputs:
            self.destroy_lifecycle_publisher(publisher)
        self._outputs.clear()
        self.release()

    # Inputs and outputs.

    def add_output(self, kind: type, topic: str, latched: bool = False, **qos: Any) -> Any:
        """A publisher that lives until cleanup and speaks while active."""
        if latched:
            qos = {"durability": DurabilityPolicy.TRANSIENT_LOCAL, "depth": 1, **qos}
        profile = QoSProfile(**{"depth": self.settings.output_depth, **qos})
        publisher = self.create_lifecycle_publisher(kind, topic, profile)
        self._outputs.append(publisher)
        return publisher

    def add_input(self, kind: type, topic: str, callback: Callable[[Any], None]) -> None:
        """A guarded subscription that lives until deactivation."""
        reliable = self.settings.input_reliability == "reliable"
        profile = QoSProfile(
            depth=self.settings.input_depth,
            reliability=(ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT),
        )

        def receive(message: Any, info: Any) -> None:  # two parameters: rclpy passes the info
            self.guard(self._take, callback, message, info)

        self.report.listen()
        self._inputs.append(self.create_subscription(kind, topic, receive, profile))

    def _take(self, callback: Callable[[Any], None], message: Any, info: Any) -> None:
        self._heard, self._stale = time.monotonic(), False
        self.report.counts["received"] += 1
        sender = (info.get("publisher_gid") or {}).get("data", b"")
        self.report.sequence(sender, info.get("publication_sequence_number"))
        self._age("input", message.header.stamp)
        callback(message)

    def guard(self, callback: Callable[..., None], *args: Any) -> None:
        """Call; whatever it raises is counted by kind and said once per kind."""
        try:
            callback(*args)
        except VipeError as error:
            self.reject(getattr(error, "kind", "unusable input"), str(error))
        except Exception as error:  # a fault of ours: the robot goes on, the trace is logged
            if not self.context.ok():
                return  # told to stop in the middle of it
            kind = f"internal error {type(error).__name__}"
            self.reject(kind, f"{error}\n{traceback.format_exc()}")

    def reject(self, kind: str, message: str) -> None:
        """Count something that could not be used; say the first of each kind."""
        if self.report.error(kind):
            self.get_logger().warning(f"{kind}: {message} (said once, counted in /diagnostics)")

    def publish(self, publisher: Any, message: Any) -> None:
        """Publish and count, and time from the stamp of the message to now."""
        publisher.publish(message)
        topic = publisher.topic_name.rpartition("/")[2]
        self.report.counts[f"published {topic}"] += 1
        self._age(f"to {topic}", message.header.stamp)

    def _age(self, stage: str, stamp: Any) -> None:
        if stamp.sec or stamp.nanosec:  # no stamp, no age
            sent = stamp.sec * 10**9 + stamp.nanosec
            self.report.latency(stage, 1e-9 * (self.get_clock().now().nanoseconds - sent))

    # Diagnostics.

    def publish_diagnostics(self) -> None:
        """Once a second, in every state."""
        silence = self._silence()
        if silence is not None and not self._stale:
            self._stale = True
            topics = ", ".join(subscription.topic_name for subscription in self._inputs)
            kind = "input stopped" if self.report.counts["received"] else "no input yet"
            self.reject(kind, f"nothing on {topics} for {silence:.1f} s")
        state = self._state_machine.current_state[1]
        status = self.report.status(self.get_fully_qualified_name(), state, silence)
        message = DiagnosticArray(status=[status])
        message.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(message)

    def _silence(self) -> float | None:
        """Seconds without input, when there should be one and that is too long."""
        if not self._inputs or self._heard is None:
            return None
        silence = time.monotonic() - self._heard
        return silence if silence > self.settings.stale_after else None


def _change_state(change: Callable[[Any, Any], Any], request: Any, response: Any) -> Any:
    """The answer of ``change``, "no success" where it raises."""
    try:
        return change(request, response)
    except RCLError:
        response.success = False
        return response


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
