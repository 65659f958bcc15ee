"""What a launch file would start, without starting it."""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from tests.ros.harness import ROOT
from tools import launch_runner
from tools.launch_runner.actions import ProcessExited

RUNNER = [sys.executable, "-m", "tools.launch_runner"]
FILES = VIPE, DEMO, REPLAY = [
    ROOT / "launch" / f"{name}.launch.py" for name in ("vipe", "demo", "replay")
]
HEAD = """
from launch import LaunchDescription
from launch.actions import *
from launch.conditions import *
from launch.event_handlers import *
from launch.launch_description_sources import *
from launch.substitutions import *
from launch_ros.actions import *
from launch_ros.parameter_descriptions import *
from launch_ros.substitutions import *
"""
stand_ins = pytest.mark.skipif(launch_runner.real_launch(), reason="the real launch is here")


def arguments(command: list[str]) -> dict[str, str]:
    """Remappings of a command by what is remapped."""
    return dict(word.split(":=", 1) for flag, word in pairwise(command) if flag == "-r")


def given_parameters(command: list[str]) -> list[dict]:
    """What the parameter files of a command hold, in order."""
    files = [word for flag, word in pairwise(command) if flag == "--params-file"]
    return [yaml.safe_load(Path(file).read_text()) for file in files]


class Visit:
    """Visits launch files as the runner does, without starting anything."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def file(self, path: Path, **given: str) -> dict[str, list[str]]:
        """Commands by executable; also of what is started when something else has ended."""
        context = launch_runner.load(path, given, self.folder)
        for handler in context.handlers:
            for action in handler.on_exit(ProcessExited(0), context):
                action.visit(context)
        return {Path(process.command[0]).name: process.command for process in context.processes}

    def text(self, entities: str, **given: str) -> dict[str, list[str]]:
        """Commands of a launch file with these entities, Python source."""
        path = self.folder / "test.launch.py"
        function = "def generate_launch_description():\n    return LaunchDescription"
        path.write_text(f"{HEAD}\n{function}([{entities}])\n")
        return self.file(path, **given)
