"""``python -m vipe_core.runtime.trt.worker JOB.json``: one build or one check, then the end.

Building takes memory that a node needs and may end the process it runs in; RTX builds once per
process at most. So each step has a process of its own, which answers in a JSON file.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from vipe_core import files, model_file
from vipe_core.errors import VipeError
from vipe_core.runtime.trt import host
from vipe_core.runtime.trt.engine import Engine
from vipe_core.runtime.trt.network import build_plan, make_log
from vipe_core.runtime.trt.options import Options

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Job:
    """What to do.

    Attributes:
        step: "build" writes ``plan``; "check" runs the model's check vectors through it.
        backend: "tensorrt" or "tensorrt-rtx".
        model, plan, answer: paths; the answer is ``{"error": text or null, "worst": number}``.
        options: of the build.
        timing: path of the timing cache, "" for none.
        parent: number of the process that waits for the answer.
    """

    step: str
    backend: str
    model: str
    plan: str
    answer: str
    options: Options
    timing: str = ""
    parent: int = 0

    def write(self, path: Path) -> None:
        """To a file that :func:`main` reads."""
        path.write_text(json.dumps(asdict(self)))


def main(argv: list[str]) -> int:
    """Do the job; 0 when there is an answer, be it an error."""
    values = json.loads(Path(argv[0]).read_text())
    _end_with(values["parent"])
    job = Job(**values | {"options": Options.from_json(values["options"])})
    worst, said = 0.0, None
    try:
        worst = _STEPS[job.step](job)
    except VipeError as error:
        said = str(error)
    except OSError as error:
        said = f"{error.filename or job.plan}: {error.strerror or error}"
    except Exception as error:  # of NVIDIA's libraries: they have no common base
        said = " ".join(f"{type(error).__name__}: {error}".split())[:400]
    answer = json.dumps({"error": said, "worst": worst})
    files.write_atomically(job.answer, answer.encode())
    return 0


def _end_with(parent: int) -> None:
    """A build that nobody waits for any more ends: the lock on it is gone, and another one may
    want the memory. Linux only, as TensorRT on a robot is."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before the kernel was asked
            os._exit(1)


def _build(job: Job) -> float:
    opener = host.open_compiler if job.options.targets else host.open_library
    lib = opener(job.backend)
    timing = Path(job.timing) if job.timing else None
    plan = build_plan(
        lib.trt,
        Path(job.model).read_bytes(),
        job.options,
        make_log(lib.trt),
        None if timing is None else timing.read_bytes() if timing.exists() else b"",
        None if timing is None else partial(files.write_atomically, timing),
    )
    Path(job.plan).write_bytes(plan)
    return 0.0


def _check(job: Job) -> float:
    """Largest difference of the engine's outputs from the check vectors, over all profiles."""
    opened = model_file.read(job.model)
    lib = host.open_library(job.backend)
    engine = Engine(lib, Path(job.plan).read_bytes(), opened.metadata)
    check = opened.check
    found = []
    for size in engine.batch:
        part = check.first(min(size, len(check.points)))
        found.append(part.worst(engine.run(part.points, part.visibility)))
    return float(np.max(found))  # NaN if any is: Python's max would pass over it


_STEPS: dict[str, Callable[[Job], float]] = {"build": _build, "check": _check}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
