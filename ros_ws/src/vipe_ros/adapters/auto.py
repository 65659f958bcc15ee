"""The type of a topic, from whoever publishes it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from rclpy.clock import Clock, ClockType  # pyright: ignore[reportPrivateImportUsage]
from rclpy.impl.implementation_singleton import rclpy_implementation

from vipe_ros.adapters.link import Link, Source
from vipe_ros.errors import InputError

PERIOD_S = 0.25
RCLError = rclpy_implementation.RCLError


class Auto:
    """Listens for a first type, and for another as soon as that is what is published.

    Args:
        link: to the node.
        first: type to listen for while nobody publishes.
        start: the source for a type; raises InputError for one that cannot be read.
    """

    def __init__(self, link: Link, first: str, start: Callable[[str, Link], Source]) -> None:
        self._link, self._start = link, start
        self._type, self._source = first, start(first, link)
        self._published: set[str] = set()
        node = link.node
        node.guard(self._look)
        # Steady: publishers come and go also while simulated time stands still.
        clock = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = node.create_timer(PERIOD_S, partial(node.guard, self._look), clock=clock)

    def close(self) -> None:
        self._link.node.destroy_timer(self._timer)
        self._source.close()

    def _look(self) -> None:
        """Each change in what is published is acted upon once."""
        endpoints = self._link.node.get_publishers_info_by_topic(self._link.topic)
        published = {endpoint.topic_type for endpoint in endpoints}
        if published == self._published:
            return
        self._published = published
        if len(published) > 1:
            raise InputError(
                "several keypoints types",
                f"{self._topic()} is published as {' and '.join(sorted(published))}, {self._type} "
                "is read; stop the others or set keypoints_type",
            )
        for name in published - {self._type}:
            self._change(name)

    def _change(self, name: str) -> None:
        node = self._link.node
        self._source.close()
        try:
            self._source = self._start(name, self._link)
        except (InputError, RCLError) as error:
            self._source = self._start(self._type, self._link)
            if isinstance(error, InputError):
                raise
            raise InputError(
                "keypoints type in use",
                f"{self._topic()} is now {name}, but another node of this process uses it as "
                f"another type: {error}",
            ) from None
        self._type = name
        node.get_logger().info(f"{self._topic()} is {name}")

    def _topic(self) -> str:
        return self._link.node.resolve_topic_name(self._link.topic)
