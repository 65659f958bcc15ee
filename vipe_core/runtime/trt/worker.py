"""``python -m vipe_core.runtime.trt.worker JOB.json``: one build or one check, then the end.

Building takes memory that a node needs and may end the process it runs in; RTX builds once per
process at most. So each step has a process of its own, which answers in a JSON file.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from vipe_core import files, model_file
from vipe_core.errors import VipeError
from vipe_core.runtime.trt import library
from vipe_core.runtime.trt.engine import Engine
from vipe_core.runtime.trt.network import build_plan, make_log
from vipe_core.runtime.trt.options import Options


@dataclass(frozen=True)
class Job:
    """What to do.

    Attributes:
        step: "build" writes ``plan``; "check" runs the model's check vectors through it.
        backend: "tensorrt" or "tensorrt-rtx".
        model, plan, answer: paths; the answer is ``{"error": text or null, "worst": number}``.
        options: of the build.
        timing: path of the timing cache, "" for none.
    """

    step: str
    backend: str
    model: str
    plan: str
    answer: str
    options: Options
    timing: str = ""

    def write(self, path: Path) -> None:
        """To a file that :func:`main` reads."""
        path.write_text(json.dumps(asdict(self)))


def main(argv: list[str]) -> int:
    """Do the job; 0 when there is an answer, be it an error."""
    values = json.loads(Path(argv[0]).read_text())
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
    Path(job.answer).write_text(json.dumps({"error": said, "worst": worst}))
    return 0


def _build(job: Job) -> float:
    opener = library.open_compiler if job.options.targets else library.open_library
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
    files.write_atomically(job.plan, plan)
    return 0.0


def _check(job: Job) -> float:
    """Largest difference of the engine's outputs from the check vectors, over all profiles."""
    opened = model_file.read(job.model)
    lib = library.open_library(job.backend)
    engine = Engine(lib, Path(job.plan).read_bytes(), opened.metadata)
    check = opened.check
    worst = 0.0
    for size in engine.batch:
        some = min(size, len(check.points))
        outputs = engine.run(check.points[:some], check.visibility[:some])
        worst = max(worst, check.first(some).worst(outputs))
    return worst


_STEPS: dict[str, Callable[[Job], float]] = {"build": _build, "check": _check}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
