"""Resident memory of a real vipe_node at work, and where it goes.

RSS counts every page that is mapped in, PSS divides those that several processes share.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from array import array
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.backends import CPU, poses
from benchmarks.timing import Row
from vipe_core import model_file
from vipe_core.errors import VipeError

AIM_MB = 150.0
DOMAIN = 101  # the tests have those below; the ports of higher ones are Linux's to hand out
ROOT = Path(__file__).resolve().parents[1]
_LIMIT_S = 60.0
_SYSTEM = Path("/proc/self/smaps_rollup")
# What a node takes, in the order in which one process takes it; the model file is sys.argv[1].
STAGES = {
    "Python": "import sys",
    "numpy": "import numpy",
    "rclpy": "import rclpy",
    "a bare node": "rclpy.init(); node = rclpy.create_node('bench')",
    "vipe_node's modules": "import vipe_ros.vipe_node",
    "onnxruntime": "import onnxruntime",
}
MODEL = {
    "the model": (
        "from vipe_ros import diagnostics, models\n"
        f"model = models.load(sys.argv[1], {CPU!r}, diagnostics.Report())\n"
        "model(numpy.zeros((1, *model._shape, 2)))"
    )
}
SESSION = {
    "a bare session": (
        "options = onnxruntime.SessionOptions()\n"
        "options.intra_op_num_threads = 1\n"
        "session = onnxruntime.InferenceSession(\n"
        "    sys.argv[1], options, providers=['CPUExecutionProvider']\n"
        ")\n"
        "shapes = {v.name: [1, *v.shape[1:]] for v in session.get_inputs()}\n"
        "session.run(None, {n: numpy.ones(s, numpy.float32) for n, s in shapes.items()})"
    )
}
_TELL = """
import re
def tell():
    text = open("/proc/self/smaps_rollup").read()
    print("Rss", re.search(r"^Rss:\\s+(\\d+) kB", text, re.MULTILINE)[1], flush=True)
"""


def rows(path: Path) -> Iterator[Row | str]:
    """A node that has handled a message against what it may take, then part by part."""
    lacking = [name for name in ("rclpy", "vipe_msgs", "vipe_ros") if find_spec(name) is None]
    if lacking or not _SYSTEM.exists():
        why = f"no {lacking[0]} here: make demo sets it up" if lacking else f"no {_SYSTEM} here"
        yield f"memory: skipped, {why}"
        return
    node = node_memory(path, profile=False)
    for kind in ("Rss", "Pss"):
        what, mb = f"vipe_node at work, {kind.upper()}", node.pop(kind)
        yield memory_row(what, f"{AIM_MB:.0f} MB", mb, AIM_MB, aim=1.0)
    images = node_memory(path, profile=True)["Rss"]
    yield memory_row("the same, DDS set up for images", f"{AIM_MB:.0f} MB", images, AIM_MB)
    parts = ", ".join(f"{name} {mb:.1f} MB" for name, mb in node.items())
    yield f"of its PSS: {parts or 'this kernel does not say'}"
    found = stage_memory(path, STAGES | MODEL)
    names = list(found)
    for before, name in pairwise(names):
        yield memory_row(f"with {name}", f"with {before}", found[name], found[before])
    (session,) = SESSION
    bare = stage_memory(path, STAGES | SESSION)[session]
    yield memory_row(f"with {names[-1]}", f"with {session}", found[names[-1]], bare)


def memory_row(
    what: str, baseline: str, mb: float, baseline_mb: float, aim: float | None = None
) -> Row:
    """A row in megabytes."""
    return Row(what, baseline, mb, baseline_mb, mb / baseline_mb, aim, "MB")


def memory_of(process: int) -> dict[str, float]:
    """Megabytes of a process, in the kernel's words: Rss, Pss, and what of it is heap
    (Pss_Anon), libraries (Pss_File) and shared memory (Pss_Shmem), where it says so."""
    text = Path(f"/proc/{process}/smaps_rollup").read_text()
    found = re.findall(r"^(Rss|Pss\w*):\s+(\d+) kB", text, re.MULTILINE)
    return {kind: _megabytes(kb) for kind, kb in found if kind != "Pss_Dirty"}


def stage_memory(path: Path, stages: Mapping[str, str]) -> dict[str, float]:
    """RSS in megabytes after each stage, one after the other in a new process.

    Raises:
        VipeError: the process failed.
    """
    code = _TELL + "".join(f"{lines}\ntell()\n" for lines in stages.values())
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        cwd=ROOT,
        env=os.environ | environment(profile=False),
        capture_output=True,
        text=True,
        timeout=_LIMIT_S,
    )
    told = re.findall(r"^Rss (\d+)$", done.stdout, re.MULTILINE)
    if done.returncode or len(told) != len(stages):
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise VipeError(f"the process whose memory is measured failed: {last}")
    return dict(zip(stages, map(_megabytes, told), strict=True))


def node_memory(path: Path, profile: bool) -> dict[str, float]:
    """Megabytes of a vipe_node that has embedded a person.

    Args:
        path: model file.
        profile: start it with our Fast DDS profile, whose segment has room for images.

    Raises:
        VipeError: the node ended, or gave no answer.
    """
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from vipe_msgs.msg import Bodies2D, Embeddings

    os.environ.update(environment(profile=False))  # read with the first participant
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=DOMAIN)
    node = rclpy.create_node("bench", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    answers: list[Embeddings] = []
    node.create_subscription(Embeddings, "embeddings", answers.append, 5)
    publisher = node.create_publisher(Bodies2D, "bodies_2d", 5)
    message = _one_person(path)
    end = time.monotonic() + _LIMIT_S
    try:
        with running_node(path, profile) as process:
            while not answers:  # again and again: nobody may be listening yet
                if process.poll() is not None or time.monotonic() > end:
                    raise VipeError("vipe_node does not run here; see its output above")
                publisher.publish(message)
                executor.spin_once(timeout_sec=0.5)
            return memory_of(process.pid)
    finally:
        executor.shutdown()
        node.destroy_node()
        context.try_shutdown()


@contextmanager
def running_node(path: Path, profile: bool) -> Iterator[subprocess.Popen[bytes]]:
    """A vipe_node that configures and activates itself; interrupted in the end."""
    parameters = {"model": path.resolve(), "backend": CPU, "autostart": "true"}
    words = [word for name, value in parameters.items() for word in ("-p", f"{name}:={value}")]
    process = subprocess.Popen(
        [sys.executable, "-m", "vipe_ros.vipe_node", "--ros-args", *words],
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


def environment(profile: bool) -> dict[str, str]:
    """What a node of this bench is started with: its own domain, and our Fast DDS profile or
    none."""
    if not profile:
        return {"ROS_DOMAIN_ID": str(DOMAIN)}
    # Jazzy (rclpy 7) knows the older name only.
    age = "RTPS" if int(version("rclpy").split(".")[0]) < 8 else "DDS"
    file = ROOT / "config" / "fastdds.xml"
    return {f"FAST{age}_DEFAULT_PROFILES_FILE": str(file), "ROS_DOMAIN_ID": str(DOMAIN)}


def _one_person(path: Path) -> Any:
    from vipe_msgs.msg import Bodies2D, Body2D

    metadata = model_file.read_metadata(path)
    points, visibility = (array("f", v.tobytes()) for v in poses(metadata, 1).values())
    body = Body2D(track_id="1", score=1.0, points=points, visibility=visibility)
    return Bodies2D(skeleton=metadata.skeleton_2d, bodies=[body])


def _megabytes(kilobytes: str) -> float:
    return int(kilobytes) * 1024 / 1e6
