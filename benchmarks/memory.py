"""Resident memory of a real vipe_node at work, and where it goes.

RSS counts every page that is mapped in, PSS divides those that several processes share.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path

from benchmarks import nodes, robot
from benchmarks.backends import CPU
from benchmarks.timing import Row
from vipe_core.errors import VipeError

AIM_MB = 150.0
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
    if why := robot.lacking() or ("" if _SYSTEM.exists() else f"no {_SYSTEM} here"):
        yield f"memory: skipped, {why}"
        return
    node = node_memory(path, profile=False, max_people=1)
    for kind in ("Rss", "Pss"):
        what, mb = f"vipe_node, max_people 1, {kind.upper()}", node.pop(kind)
        yield memory_row(what, f"{AIM_MB:.0f} MB", mb, AIM_MB, aim=1.0)
    several = node_memory(path, profile=False)["Rss"]
    yield memory_row("the same for several people, RSS", f"{AIM_MB:.0f} MB", several, AIM_MB)
    images = node_memory(path, profile=True)["Rss"]
    yield memory_row("and DDS set up for images, RSS", f"{AIM_MB:.0f} MB", images, AIM_MB)
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
        cwd=robot.ROOT,
        env=os.environ | robot.environment(profile=False),
        capture_output=True,
        text=True,
        timeout=robot.LIMIT_S,
    )
    told = re.findall(r"^Rss (\d+)$", done.stdout, re.MULTILINE)
    if done.returncode or len(told) != len(stages):
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise VipeError(f"the process whose memory is measured failed: {last}")
    return dict(zip(stages, map(_megabytes, told), strict=True))


def node_memory(path: Path, profile: bool, max_people: int = 100) -> dict[str, float]:
    """Megabytes of a vipe_node that has embedded a person.

    Args:
        path: model file.
        profile: start it with our Fast DDS profile, whose segment has room for images.
        max_people: parameter of the node.

    Raises:
        VipeError: the node ended, or gave no answer.
    """
    given = {"model": path.resolve(), "backend": CPU, "max_people": max_people}
    node = robot.running("vipe_ros.vipe_node", given, profile=profile)
    with robot.Talker() as talker, node as process:
        loop = nodes.vipe_loop(talker)
        message = nodes.people_message(path, 1)
        # Again and again: nobody may be listening yet.
        talker.until(lambda: loop.trip(talker, message) > 0, "answer of vipe_node", process)
        return memory_of(process.pid)


def _megabytes(kilobytes: str) -> float:
    return int(kilobytes) * 1024 / 1e6
