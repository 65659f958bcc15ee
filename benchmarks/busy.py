"""A call while another process keeps the other core busy, as a detector does on a robot."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks.backends import CPU, bare_session, poses
from benchmarks.timing import Call, Row, Timer, clock, compare_timers
from vipe_core import runtime

THREADS = 2
PAUSE = 0.05  # seconds before a turn
# It ends by itself when whoever started it is gone.
_SPIN = """
import os, sys
while os.getppid() == int(sys.argv[1]):
    for _ in range(100_000):
        pass
"""


def rows(path: Path) -> Iterator[Row | str]:
    """Ours, one thread that does not spin, against two that do, onnxruntime's default.

    The median turn counts: the fastest would be one in which the other process did not run.
    """
    with two_cores() as there:
        if not there:
            yield "busy: skipped, it needs two cores and a system that can bind to them"
            return
        # Threads stay on the cores of whoever made them, so both are made here.
        model = runtime.load(path, CPU, (1, 8))
        session = bare_session(path, threads=THREADS, spinning=True)
        for load, other in (("other core idle", nullcontext), ("other core busy", busy_core)):
            for batch in (1, 8):
                feed = poses(model.metadata, batch)
                with other():
                    yield compare_timers(
                        f"{CPU}, batch {batch}, {load}",
                        f"session, {THREADS} threads that spin",
                        rested(partial(model, *feed.values())),
                        rested(partial(session.run, None, feed)),
                        aim=1.0 if other is busy_core else None,
                        pick=median,
                    )


def rested(call: Call) -> Timer:
    """Times calls after a pause, in which the threads of the other stop spinning."""

    def timer(calls: int) -> float:
        time.sleep(PAUSE)
        return clock(call, calls)

    return timer


@contextmanager
def busy_core() -> Iterator[subprocess.Popen[bytes]]:
    """A process in a busy loop, on the cores that this one may use."""
    process = subprocess.Popen([sys.executable, "-c", _SPIN, str(os.getpid())])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def two_cores() -> Iterator[bool]:
    """This thread and what it starts on two cores; False where that cannot be."""
    if not hasattr(os, "sched_setaffinity"):
        yield False
        return
    before = os.sched_getaffinity(0)
    if len(before) < 2:
        yield False
        return
    os.sched_setaffinity(0, sorted(before)[:2])
    try:
        yield True
    finally:
        os.sched_setaffinity(0, before)
