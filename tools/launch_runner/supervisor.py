"""Running what a launch file asked for."""

from __future__ import annotations

import queue
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

from tools.launch_runner.actions import ProcessExited
from tools.launch_runner.context import Context, LaunchError
from tools.launch_runner.processes import Process

GRACE_S = 5.0  # between SIGINT, SIGTERM and SIGKILL, as in launch


class Supervisor:
    """Starts the processes, waits for them, stops them in order."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.started = 0
        self.events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.failed = False

    def run(self) -> int:
        """The exit status, when every process has ended."""
        for number in (signal.SIGINT, signal.SIGTERM):
            # Only a note: SimpleQueue may be filled from a signal handler.
            signal.signal(number, lambda *_: self.events.put(None))
        running = set(self._start_new())
        steps: list[tuple[float, signal.Signals]] = []
        asked = False
        while running:
            event = self._next(steps[0][0] if steps else None)
            if isinstance(event, Process):
                running.remove(event)
                self._ended(event)
                running.update(self._start_new())
            elif event is None:
                self.context.shutdown = self.context.shutdown or "interrupted"
            if self.context.shutdown and not asked:
                print(f"[launch] shutting down: {self.context.shutdown}", flush=True)
                now, asked = time.monotonic(), True
                steps = [(now, signal.SIGINT), (now + GRACE_S, signal.SIGTERM)]
                steps.append((now + 2 * GRACE_S, signal.SIGKILL))
            if steps and time.monotonic() >= steps[0][0]:
                _, kind = steps.pop(0)
                for each in running:
                    assert each.process is not None
                    each.process.send_signal(kind)
        return 1 if self.failed else 0

    def _next(self, deadline: float | None) -> Any:
        """The next event; False when the deadline has come first."""
        try:
            left = None if deadline is None else max(deadline - time.monotonic(), 0)
            return self.events.get(timeout=left)
        except queue.Empty:
            return False

    def _start_new(self) -> list[Process]:
        """Start what was asked for since the last time; nothing once the launch is ending."""
        asked = self.context.processes[self.started :]
        self.started = len(self.context.processes)
        return [] if self.context.shutdown else [self._start(process) for process in asked]

    def _start(self, started: Process) -> Process:
        # A session of its own: Ctrl-C reaches the runner, and the runner passes it on once.
        running = subprocess.Popen(started.command, start_new_session=True)
        started.process = running
        print(f"[launch] {_name(started)} started, pid {running.pid}", flush=True)

        def wait() -> None:
            running.wait()
            self.events.put(started)

        threading.Thread(target=wait, daemon=True).start()
        return started

    def _ended(self, ended: Process) -> None:
        assert ended.process is not None
        status = ended.process.returncode
        print(f"[launch] {_name(ended)} ended with status {status}", flush=True)
        self.failed |= status != 0
        event = ProcessExited(status)
        try:
            actions = [*ended.on_exit]
            for handler in self.context.handlers:
                if handler.target is ended:
                    actions += handler.on_exit(event, self.context)
            for action in actions:
                action.visit(self.context)
        except LaunchError as error:
            self.failed, self.context.shutdown = True, str(error)


def _name(process: Process) -> str:
    return Path(process.command[0]).name
