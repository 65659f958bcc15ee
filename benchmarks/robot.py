"""Nodes as processes of their own, and this process as who talks to them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from vipe_core.errors import VipeError

DOMAIN = 101  # the tests have those below; the ports of higher ones are Linux's to hand out
ROOT = Path(__file__).resolve().parents[1]
LIMIT_S = 60.0


def lacking() -> str | None:
    """What is missing to run nodes here; None when nothing is."""
    missing = [name for name in ("rclpy", "vipe_msgs", "vipe_ros") if find_spec(name) is None]
    return f"no {missing[0]} here: make demo sets it up" if missing else None


def environment(profile: bool) -> dict[str, str]:
    """What a node of this bench is started with: its own domain, and our Fast DDS profile or
    none."""
    if not profile:
        return {"ROS_DOMAIN_ID": str(DOMAIN)}
    # Jazzy (rclpy 7) knows the older name only.
    age = "RTPS" if int(version("rclpy").split(".")[0]) < 8 else "DDS"
    file = ROOT / "config" / "fastdds.xml"
    return {f"FAST{age}_DEFAULT_PROFILES_FILE": str(file), "ROS_DOMAIN_ID": str(DOMAIN)}


@contextmanager
def running(
    module: str,
    parameters: Mapping[str, object] | None = None,
    remaps: Mapping[str, str] | None = None,
    profile: bool = False,
) -> Iterator[subprocess.Popen[bytes]]:
    """``python -m module`` with ROS parameters; interrupted in the end."""
    words = [w for k, v in (parameters or {}).items() for w in ("-p", f"{k}:={v}")]
    words += [w for k, v in (remaps or {}).items() for w in ("-r", f"{k}:={v}")]
    process = subprocess.Popen(
        [sys.executable, "-m", module, "--ros-args", *words],
        cwd=ROOT,
        env=os.environ | environment(profile),
        stdin=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Talker:
    """A node of this process that publishes, and waits for what comes back."""

    def __init__(self, profile: bool = False) -> None:
        import rclpy
        from rclpy.executors import SingleThreadedExecutor

        os.environ.update(environment(profile))  # read with the first participant
        self._context = rclpy.Context()
        rclpy.init(context=self._context, domain_id=DOMAIN)
        self.node = rclpy.create_node("bench", context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)

    def __enter__(self) -> Talker:
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown()
        self.node.destroy_node()
        self._context.try_shutdown()

    def spin(self, seconds: float) -> None:
        """Serve callbacks for a while, or until one has been served."""
        self._executor.spin_once(timeout_sec=seconds)

    def until(self, condition: Callable[[], Any], what: str, process: Any = None) -> Any:
        """Serve callbacks until the condition holds; what it gave.

        Raises:
            VipeError: it did not within :data:`LIMIT_S`, or the process ended.
        """
        end = time.monotonic() + LIMIT_S
        while not (result := condition()):
            if time.monotonic() > end or (process is not None and process.poll() is not None):
                raise VipeError(f"bench: no {what}; see the output of the nodes above")
            self.spin(0.1)
        return result
