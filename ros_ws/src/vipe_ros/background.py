"""Work that would keep a node's callbacks waiting: one thread beside the executor."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from rclpy.task import Future

if TYPE_CHECKING:
    from rclpy.node import Node

Result = TypeVar("Result")


class Background:
    """A thread that does one thing after the other.

    Args:
        node: its executor is woken when something is done.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=node.get_name())

    async def run(self, work: Callable[..., Result], *args: object) -> Result:
        """What ``work`` returns or raises; the callbacks of the node are served meanwhile."""
        done: Future = Future()
        job = self._thread.submit(work, *args)
        job.add_done_callback(lambda _: self._resume(done))
        await done
        return job.result()

    def submit(self, work: Callable[..., object], *args: object) -> None:
        """Let it be done some time; ``work`` deals with what goes wrong."""
        self._thread.submit(work, *args)

    def close(self) -> None:
        """Wait for what has been begun or is to be done; take nothing more."""
        self._thread.shutdown()

    def _resume(self, done: Future) -> None:
        done.set_result(None)
        if (executor := self._node.executor) is not None:
            executor.wake()  # a future that is set elsewhere does not
