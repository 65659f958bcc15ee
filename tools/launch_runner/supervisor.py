"""Running what a launch file asked for."""

from __future__ import annotations

import queue
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

from tools.launch_runner.actions import Node
from tools.launch_runner.context import Context

GRACE_S = 5.0  # between SIGINT, SIGTERM and SIGKILL, as in launch


class Supervisor:
    """Starts the nodes, waits for them, stops them in order."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.failed = False

    def run(self) -> int:
        """The exit status, when every process has ended."""
        for number in (signal.SIGINT, signal.SIGTERM):
            # Only a note: SimpleQueue may be filled from a signal handler.
            signal.signal(number, lambda *_: self.events.put(None))
        running = {self._start(node) for node in self.context.nodes}
        steps: list[tuple[float, signal.Signals]] = []
        asked = False
        while running:
            event = self._next(steps[0][0] if steps else None)
            if isinstance(event, Node):
                running.remove(event)
                self._ended(event)
            elif event is None:
                self.context.shutdown = self.context.shutdown or "interrupted"
            if self.context.shutdown and not asked:
                print(f"[launch] shutting down: {self.context.shutdown}", flush=True)
                now, asked = time.monotonic(), True
                steps = [(now, signal.SIGINT), (now + GRACE_S, signal.SIGTERM)]
                steps.append((now + 2 * GRACE_S, signal.SIGKILL))
            if steps and time.monotonic() >= steps[0][0]:
                _, kind = steps.pop(0)
                for node in running:
                    node.process.send_signal(kind)
        return 1 if self.failed else 0

    def _next(self, deadline: float | None) -> Any:
        """The next event; False when the deadline has come first."""
        try:
            left = None if deadline is None else max(deadline - time.monotonic(), 0)
            return self.events.get(timeout=left)
        except queue.Empty:
            return False

    def _start(self, node: Node) -> Node:
        # A session of its own: Ctrl-C reaches the runner, and the runner passes it on once.
        node.process = subprocess.Popen(node.command, start_new_session=True)
        print(f"[launch] {_name(node)} started, pid {node.process.pid}", flush=True)

        def wait() -> None:
            node.process.wait()
            self.events.put(node)

        threading.Thread(target=wait, daemon=True).start()
        return node

    def _ended(self, node: Node) -> None:
        status = node.process.returncode
        print(f"[launch] {_name(node)} ended with status {status}", flush=True)
        self.failed |= status != 0
        handlers = [h.on_exit for h in self.context.handlers if h.target is node]
        for action in [*node.on_exit, *(action for actions in handlers for action in actions)]:
            action.visit(self.context)


def _name(node: Node) -> str:
    return Path(node.command[0]).name
