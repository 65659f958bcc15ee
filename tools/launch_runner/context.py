"""What is known while a launch file is visited."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tools.launch_runner.actions import OnProcessExit
    from tools.launch_runner.processes import Process


class LaunchError(Exception):
    """The launch file or its arguments are wrong; one line."""


class Context:
    """What is known while a launch file is visited, and what is to be started."""

    def __init__(
        self,
        configurations: dict[str, str],
        scratch: Path,
        visit_file: Callable[[Path, Context], None],
    ) -> None:
        self.configurations = configurations
        self.visit_file = visit_file  # how an included file is read
        self.scratch = scratch
        self.file = Path()
        self.declared: set[str] = set()
        self.processes: list[Process] = []
        self.handlers: list[OnProcessExit] = []
        self.shutdown = ""
