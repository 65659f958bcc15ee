"""Start the real launch file, record until every frame has come through, stop it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import Empty

from demo.record import ROOT, Recorder, Recording
from demo.report import STAGES, frame_stamps
from vipe_core.errors import VipeError

# Topics and the subscribers that each must have before the video starts: the next node and us.
WATCHED = ("bodies_2d:2", "embeddings:2", "bodies_3d", "actions", "camera_info", "finished")
_QUIET_S = 5.0  # after the video's end: this long without a message, and nothing more will come
_LIMIT_S = 180.0  # for start-up and for the whole video each
_GRACE_S = 15.0  # for the nodes to end


def record_launch(launch_file: Path, arguments: dict[str, Any], frames: int) -> Recording:
    """Run a launch file with ``name:=value`` arguments and record its outputs.

    The environment of this process, Fast DDS profile and domain included, is that of the nodes.

    Args:
        launch_file: it plays a video and says on ``finished`` that it has ended.
        arguments: of the launch file.
        frames: in the video; when all are through, the launch is stopped.

    Raises:
        VipeError: the launch ended before the video did, or nothing came within the time limit.
    """
    rclpy.init()
    recorder = Recorder()
    ended: list[bool] = []
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    recorder.create_subscription(Empty, "finished", lambda _: ended.append(True), latched)
    executor = SingleThreadedExecutor()
    executor.add_node(recorder)
    try:
        with _launched(launch_file, arguments) as process:
            _spin(executor, recorder.recording, process, ended, frames)
    finally:
        recorder.destroy_node()
        rclpy.try_shutdown()
    return recorder.recording


def _spin(
    executor: SingleThreadedExecutor,
    recording: Recording,
    process: subprocess.Popen,
    ended: list[bool],
    frames: int,
) -> None:
    """Serve the recorder until all frames are through, or nothing comes any more."""
    count, heard = 0, time.monotonic()
    # The end alone says little: it may be read before messages that came earlier.
    while not (ended and complete(recording, frames)):
        executor.spin_once(timeout_sec=0.1)
        now, arrived = time.monotonic(), sum(len(recording.stamps(stage)) for stage in STAGES)
        if arrived != count:
            count, heard = arrived, now
        if ended and now - heard > _QUIET_S:
            return
        if process.poll() is not None and not ended:
            raise VipeError(f"the launch ended with status {process.returncode} before the video")
        if now - heard > _LIMIT_S:
            raise VipeError(f"no message of the nodes for {_LIMIT_S:.0f} s; see their output above")


def complete(recording: Recording, frames: int) -> bool:
    """The camera sent ``frames`` images and every one has come out of every stage."""
    sent = set(frame_stamps(recording))
    return len(sent) == frames and all(sent <= set(recording.stamps(stage)) for stage in STAGES)


@contextmanager
def _launched(launch_file: Path, arguments: dict[str, Any]) -> Iterator[subprocess.Popen]:
    """The launch as a child; interrupted as by Ctrl-C in the end, and waited for."""
    words = [f"{name}:={value}" for name, value in arguments.items()]
    process = subprocess.Popen(
        [*launcher(), str(launch_file), *words], cwd=ROOT, start_new_session=True
    )
    try:
        yield process
    finally:
        _stop(process)


def launcher() -> list[str]:
    """``ros2 launch`` where ROS 2 is installed in full, else our runner of the same files."""
    ros2 = shutil.which("ros2")
    if ros2:
        return [ros2, "launch"]
    return [sys.executable, "-m", "tools.launch_runner"]


def _stop(process: subprocess.Popen) -> None:
    """Interrupt, and kill the whole session if that does not end it."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    try:
        process.wait(_GRACE_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
