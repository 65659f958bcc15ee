"""One backend on trial: is it right, and how long does a call take.

``python -m vipe_core.runtime.trial MODEL BACKEND PRECISION SECONDS`` does it in a process of its
own, which a library may end, and prints a line of JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from vipe_core.errors import VipeError
from vipe_core.model_file.check import LIMITS, CheckVectors, example_inputs
from vipe_core.runtime.load import load
from vipe_core.runtime.model import Model

BATCH = (1, 8, 32)
REFERENCE = "onnxruntime-cpu"
POSES = 500  # of the comparison
TIMEOUT = 2 * 3600.0  # seconds; an engine may have to be built


@dataclass(frozen=True)
class Verdict:
    """What came of it.

    Attributes:
        backend, precision: what was tried.
        fault: "" when all went well.
        checked: largest difference from the file's check vectors, relative where a value
            exceeds 1; so is ``compared``, from onnxruntime on the CPU.
        latency: median and 99th percentile in microseconds for each size of :data:`BATCH`.
    """

    backend: str
    precision: str
    fault: str
    checked: float | None = None
    compared: float | None = None
    latency: tuple[tuple[float, float], ...] = ()


def try_out(path: Path, backend: str, precision: str, seconds: float) -> Verdict:
    """The verdict of another process; whatever ends that one is a fault."""
    words = ["-m", "vipe_core.runtime.trial", str(path), backend, precision, str(seconds)]
    try:
        done = subprocess.run(
            [sys.executable, *words],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT,
        )
    except subprocess.TimeoutExpired:
        return Verdict(backend, precision, f"no answer within {TIMEOUT:.0f} s")
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not lines:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        return Verdict(backend, precision, f"its process ended with {done.returncode}: {last}")
    values = json.loads(lines[-1])
    return Verdict(**{**values, "latency": tuple(map(tuple, values["latency"]))})


def judge(path: Path, backend: str, precision: str, seconds: float) -> Verdict:
    """The verdict, in this process."""
    try:
        model = load(path, backend, BATCH, precision=precision)
        reference = load(path, REFERENCE)
        points, visibility = example_inputs(model.metadata, POSES)
        right = _outputs(reference, points, visibility)
        compared = CheckVectors(points, visibility, right).worst(
            _outputs(model, points, visibility)
        )
        fault = "" if compared <= LIMITS[model.precision] else f"differs from {REFERENCE}"
        taken = tuple(latency(model, size, seconds) for size in BATCH)
    except VipeError as error:
        return Verdict(backend, precision, str(error))
    return Verdict(backend, model.precision, fault, model.error, compared, taken)


def latency(model: Model, batch: int, seconds: float) -> tuple[float, float]:
    """Median and 99th percentile of a call with ``batch`` poses, microseconds."""
    points, visibility = example_inputs(model.metadata, batch)
    taken: list[float] = []
    end = time.perf_counter() + seconds
    while (start := time.perf_counter()) < end or not taken:
        model(points, visibility)
        taken.append(time.perf_counter() - start)
    median, p99 = np.percentile(taken, (50, 99)) * 1e6
    return float(median), float(p99)


def _outputs(model: Model, points: np.ndarray, visibility: np.ndarray) -> dict[str, np.ndarray]:
    return {k: v for k, v in vars(model(points, visibility)).items() if v is not None}


def main(argv: list[str]) -> int:
    """Print the verdict."""
    path, backend, precision, seconds = argv
    print(json.dumps(asdict(judge(Path(path), backend, precision, float(seconds)))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
