"""The base of every node: parameters, lifecycle, guarded inputs, diagnostics.

A node fills in :meth:`BaseNode.configure` (load what it needs, declare outputs),
:meth:`BaseNode.activate` (declare inputs) and :meth:`BaseNode.release`. Bad data never
ends it: see :meth:`BaseNode.guard`.
"""

from __future__ import annotations

import difflib
import time
import traceback
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import fields
from functools import partial
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import SetParametersResult
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.clock import Clock, ClockType  # pyright: ignore[reportPrivateImportUsage]
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.subscription import Subscription

from vipe_core.errors import VipeError
from vipe_ros import parameters
from vipe_ros.diagnostics import Report

DIAGNOSTICS_PERIOD_S = 1.0
_MOST_TEXT, _MOST_TRACE = 500, 4000  # characters
RCLError = rclpy_implementation.RCLError
# From Iron on a callback with two parameters is also told where a message comes from.
TELLS_INFO = hasattr(Subscription, "CallbackType")


class BaseNode(LifecycleNode):
    """A lifecycle node that survives its input.

    Attributes:
        settings: the parameters as read when the node was last configured.
        report: counts since then.
        finished: the process may end, with status ``exit_status``.
        steady: a clock that goes on when simulated time stands still.
    """

    parameters_type: type[Any] = parameters.NodeParameters

    def __init__(self, name: str, **kwargs: Any) -> None:
        super().__init__(name, **kwargs)
        self.settings = parameters.declare(self, self.parameters_type)
        self.add_on_set_parameters_callback(self._on_set_parameters)
        self.report = Report()
        self.finished = False
        self.exit_status = 0
        self._inputs: list[Any] = []
        self._side_inputs: list[Any] = []
        self._outputs: list[Any] = []
        self._heard: float | None = None
        self._stale = False
        # A request that waits for its answer holds up nothing else.
        self._requests = ReentrantCallbackGroup()
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        # In Jazzy a request for a transition that the state does not have ends the process.
        service = getattr(self, "_service_change_state", None)
        if service is not None:
            service.callback = partial(_change_state, service.callback)
        self.steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(DIAGNOSTICS_PERIOD_S, self.publish_diagnostics, clock=self.steady)

    # What a node fills in.

    def configure(self) -> None:
        """Load resources from ``settings`` and declare outputs; raise VipeError to refuse."""

    def activate(self) -> None:
        """Declare inputs."""

    def deactivate(self) -> None:
        """Let go of what activate opened, inputs aside. Called also when nothing was."""

    def release(self) -> None:
        """Let go of what configure loaded. Called also after a configure that failed."""

    def silent(self) -> None:
        """Nothing has come for ``stale_after``; called once each time."""

    def apply(self) -> None:
        """Take over live parameters: ``settings`` has just changed, in any state."""

    def warn_of_unknown_parameters(self) -> None:
        """Parameters given at start that the node does not have: nobody would ever miss them."""
        known = {entry.name for entry in fields(self.parameters_type)} | {"use_sim_time"}
        for name in self._parameter_overrides:
            if name not in known and not name.startswith("qos_overrides."):
                alike = difflib.get_close_matches(name, known, 1)
                meant = f"; did you mean {alike[0]}?" if alike else ""
                self.get_logger().warning(f"there is no parameter {name}{meant}")

    def _on_set_parameters(self, given: Sequence[Any]) -> SetParametersResult:
        """Take live parameters over at once; refuse values that are no choice."""
        values = {entry.name: entry.value for entry in given}
        try:
            self.settings, later = parameters.changed(self.settings, values)
        except VipeError as error:
            return SetParametersResult(successful=False, reason=str(error))
        if later and self._outputs:  # configured
            names = ", ".join(later)
            self.get_logger().info(f"{names}: read when the node is configured next")
        self.guard(self.apply)
        return SetParametersResult(successful=True)

    # Lifecycle.

    def on_configure(self, state: Any) -> TransitionCallbackReturn:
        self.report = Report()
        try:
            self.settings = parameters.read(self, self.parameters_type)
            self.configure()
        except Exception as error:  # rclpy would swallow it without a word
            self._fail("configure", error)
            self._let_go()
            return TransitionCallbackReturn.FAILURE
        return super().on_configure(state)

    def on_activate(self, state: Any) -> TransitionCallbackReturn:
        result = super().on_activate(state)
        self._heard, self._stale = time.monotonic(), False
        self.report.failure = ""
        try:
            self.activate()
        except Exception as error:
            self._fail("activate", error)
            self.on_deactivate(state)
            return TransitionCallbackReturn.FAILURE
        return result

    def _fail(self, what: str, error: Exception) -> None:
        self.report.failure = _cut(f"cannot {what}: {error}")
        detail = "" if isinstance(error, VipeError) else f"\n{traceback.format_exc()}"
        if self.context.ok():
            self.get_logger().error(self.report.failure + detail)

    def on_deactivate(self, state: Any) -> TransitionCallbackReturn:
        self.deactivate()
        self._close_inputs()
        return super().on_deactivate(state)

    def on_cleanup(self, state: Any) -> TransitionCallbackReturn:
        self._let_go()
        return super().on_cleanup(state)

    def on_shutdown(self, state: Any) -> TransitionCallbackReturn:
        self._let_go()
        return super().on_shutdown(state)

    def on_error(self, state: Any) -> TransitionCallbackReturn:
        """A transition raised: let go of everything, and be ready to be configured anew."""
        self._let_go()
        return TransitionCallbackReturn.SUCCESS

    def autostart(self) -> bool:
        """Configure and activate, when the parameter says so; False when that failed."""
        success = TransitionCallbackReturn.SUCCESS
        if not self.settings.autostart:
            return True
        return self.trigger_configure() == success and self.trigger_activate() == success

    def _close_inputs(self) -> None:
        for subscription in (*self._inputs, *self._side_inputs):
            self.destroy_subscription(subscription)
        self._inputs.clear()
        self._side_inputs.clear()

    def _let_go(self) -> None:
        self.deactivate()  # a shutdown comes in any state
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
        publisher = self.create_lifecycle_publisher(
            kind, topic, profile, qos_overriding_options=self._overriding(topic)
        )
        self._outputs.append(publisher)
        number, label = self._state_machine.current_state
        if label == "active":  # only those that were there went along
            publisher.on_activate(LifecycleState(state_id=number, label=label))
        return publisher

    def remove_output(self, publisher: Any) -> None:
        """Take one away before cleanup."""
        self._outputs.remove(publisher)
        self.destroy_lifecycle_publisher(publisher)

    def add_input(self, kind: type, topic: str, callback: Callable[[Any], None]) -> Any:
        """A guarded subscription that lives until deactivation: what the node works on.

        Its messages are counted, their losses and their silence too; one without a header has
        no age.
        """

        # rclpy passes the info only to who has no default for it, and Humble to nobody.
        def receive(message: Any, info: Any) -> None:
            self.guard(self._take, callback, message, info)

        self.report.listen()
        given = receive if TELLS_INFO else partial(receive, info={})
        subscription = self._subscribe(kind, topic, given)
        self._inputs.append(subscription)
        return subscription

    def add_side_input(self, kind: type, topic: str, callback: Callable[[Any], None]) -> Any:
        """A guarded subscription to what the node can do without: not counted, never stale."""

        def receive(message: Any) -> None:
            self.guard(callback, message)

        subscription = self._subscribe(kind, topic, receive)
        self._side_inputs.append(subscription)
        return subscription

    def add_service(self, kind: Any, name: str, answer: Callable[[Any], Awaitable[Any]]) -> None:
        """A guarded service, there in every state, answered while the node is active.

        Args:
            kind: its response has ``success`` and ``message``: what ``answer`` raises goes there.
            answer: coroutine function from the request to the response.
        """

        async def respond(request: Any, _: Any) -> Any:
            try:
                self._check_active()
                return await answer(request)
            except VipeError as error:
                return kind.Response(success=False, message=" ".join(str(error).split()))
            except Exception as error:  # a fault of ours: said and counted as in guard
                self._internal_error(error)
                return kind.Response(success=False, message=_cut(f"internal error: {error!r}"))

        self.create_service(kind, name, respond, callback_group=self._requests)

    def _check_active(self) -> None:
        state = self._state_machine.current_state[1]
        if state != "active":
            raise VipeError(f"{self.get_name()} is {state}: activate it first")

    def remove_input(self, subscription: Any) -> None:
        """Take one away before deactivation."""
        for group in (self._inputs, self._side_inputs):
            if subscription in group:
                group.remove(subscription)
                self.destroy_subscription(subscription)

    def _subscribe(self, kind: type, topic: str, receive: Callable[..., None]) -> Any:
        reliable = self.settings.input_reliability == "reliable"
        profile = QoSProfile(
            depth=self.settings.input_depth,
            reliability=(ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT),
        )
        return self.create_subscription(
            kind, topic, receive, profile, qos_overriding_options=self._overriding(topic)
        )

    def _overriding(self, topic: str) -> QoSOverridingOptions | None:
        """What the parameters ``qos_overrides.<topic>...`` given at start say of a topic.

        None where there are none: rclpy would declare them, read-only and for good, and the
        values that they have then would outlive a change of ours.
        """
        given = [name for name in self._parameter_overrides if name.startswith("qos_overrides.")]
        if not given:
            return None
        prefix = f"qos_overrides.{self.resolve_topic_name(topic)}."
        of_this = any(name.startswith(prefix) for name in given)
        return QoSOverridingOptions.with_default_policies() if of_this else None

    def _take(self, callback: Callable[[Any], None], message: Any, info: Any) -> None:
        self._heard, self._stale = time.monotonic(), False
        self.report.received(self._heard)
        sender = (info.get("publisher_gid") or {}).get("data", b"")
        self.report.sequence(sender, info.get("publication_sequence_number"))
        if hasattr(message, "header"):
            self._age("input", message.header.stamp)
        callback(message)

    def guard(self, callback: Callable[..., object], *args: Any) -> None:
        """Call; whatever it raises is counted by kind and said once per kind."""
        try:
            callback(*args)
        except VipeError as error:
            self.reject(getattr(error, "kind", "unusable input"), str(error))
        except Exception as error:
            self._internal_error(error)

    def _internal_error(self, error: Exception) -> None:
        """A fault of ours, just caught: the robot goes on, the trace is logged."""
        if self.context.ok():  # else it was told to stop in the middle of it
            kind = f"internal error {type(error).__name__}"
            self.reject(kind, f"{_cut(str(error))}\n{traceback.format_exc()[-_MOST_TRACE:]}")

    def reject(self, kind: str, message: str) -> None:
        """Count something that could not be used; say the first of each kind."""
        if self.report.error(kind):
            said = _cut(message)
            self.get_logger().warning(f"{kind}: {said} (said once, counted in /diagnostics)")

    def publish(self, publisher: Any, message: Any) -> None:
        """Publish and count, and time from the stamp of the message to now."""
        publisher.publish(message)
        topic = publisher.topic_name.rpartition("/")[2]
        self.report.counts[f"published {topic}"] += 1
        self._age(f"to {topic}", message.header.stamp)

    def _age(self, stage: str, stamp: Any) -> None:
        now = self.get_clock().now().nanoseconds
        if now and (stamp.sec or stamp.nanosec):  # no clock yet, or no stamp: no age
            self.report.latency(stage, 1e-9 * (now - stamp.sec * 10**9 - stamp.nanosec))

    # Diagnostics.

    def publish_diagnostics(self) -> None:
        """Once a second, in every state."""
        silence = self._silence()
        if silence is not None and not self._stale:
            self._stale = True
            topics = ", ".join(subscription.topic_name for subscription in self._inputs)
            kind = "input stopped" if self.report.counts["received"] else "no input yet"
            self.reject(kind, f"nothing on {topics} for {silence:.1f} s")
            self.guard(self.silent)
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


def _cut(text: str) -> str:
    """What others sent may be long, and is logged and told every second."""
    return text if len(text) <= _MOST_TEXT else f"{text[:_MOST_TEXT]}..."


def _change_state(change: Callable[[Any, Any], Any], request: Any, response: Any) -> Any:
    """The answer of ``change``, "no success" where it raises."""
    try:
        return change(request, response)
    except RCLError:
        response.success = False
        return response
