"""``vipe selftest``."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vipe_core import files, model_file, runtime
from vipe_core.cli import doctor
from vipe_core.cli.common import Parser, note
from vipe_core.errors import VipeError
from vipe_core.model_file.card import card
from vipe_core.model_file.check import LIMITS, example_inputs
from vipe_core.runtime import BACKENDS, Model, Unavailable
from vipe_core.runtime.trt import library
from vipe_core.runtime.trt.cache import EngineCache

BATCH = (1, 8, 32)
POSES = 500  # of the comparison between backends
# What says on which board and system this runs; what is not there is left out.
_FACTS = {
    "board": "/proc/device-tree/model",
    "L4T": "/etc/nv_tegra_release",
    "driver": "/proc/driver/nvidia/version",
}
_REFERENCE = "onnxruntime-cpu"


class Result(NamedTuple):
    """What one backend in one precision did; ``fault`` is "" when all went well."""

    backend: str
    precision: str
    fault: str
    checked: float = np.nan
    compared: float = np.nan
    latency: tuple[tuple[float, float], ...] = ()


def run(argv: list[str]) -> int:
    """The first minutes on a new machine: versions, engines, parity, latency, in one file.

    Every backend that is here runs the model: TensorRT builds its engines in fp32 and fp16 where
    there are none, and keeps them. Exit status 1 when one of them fails. Attach the file to
    a bug report.
    """
    parser = Parser("selftest", run.__doc__, "selftest --out selftest.md")
    parser.add_model()
    parser.add_argument(
        "--out", type=Path, default=Path("vipe-selftest.md"), help="default: %(default)s"
    )
    parser.add_argument(
        "--seconds", type=float, default=1.0, help="to time each size (default: %(default)s)"
    )
    args = parser.parse_args(argv)
    if not 0 < args.seconds <= 600:
        parser.error(f"argument --seconds: over 0 and at most 600, not {args.seconds:g}")
    files.check_writable(args.out)
    path = args.model or model_file.default_path()
    reference = runtime.load(path, backend=_REFERENCE)
    results = []
    for name, precision in _attempts(reference):
        note("selftest", f"{name}, {precision}")
        results.append(_attempt(path, name, precision, reference, args.seconds))
    text = _report(path, results)
    files.write_atomically(args.out, text.encode())
    print(text)
    print(f"written to {args.out}")
    return 1 if any(result.fault and _is_here(result) for result in results) else 0


def _attempts(reference: Model) -> Iterator[tuple[str, str]]:
    """Backend and precision: engines in both precisions that a model in fp32 can have."""
    own = reference.metadata.precision
    for name in BACKENDS:
        yield name, own
        if name.startswith("tensorrt") and own == "fp32":
            yield name, "fp16"


def _attempt(path: Path, name: str, precision: str, reference: Model, seconds: float) -> Result:
    try:
        model = runtime.load(path, name, BATCH, precision=precision)
        points, visibility = example_inputs(reference.metadata, POSES)
        compared = _apart(model, reference, points, visibility)
        fault = "" if compared <= LIMITS[model.precision] else "differs from onnxruntime-cpu"
        latency = tuple(doctor.latency(model, size, seconds) for size in BATCH)
    except VipeError as error:
        return Result(name, precision, str(error))
    return Result(name, model.precision, fault, model.error, compared, latency)


def _apart(model: Model, other: Model, points: np.ndarray, visibility: np.ndarray) -> float:
    """Largest difference of two models' outputs, relative where a value exceeds 1."""
    found, right = vars(model(points, visibility)), vars(other(points, visibility))
    return max(
        float(np.max(np.abs(found[name] - value) / np.maximum(np.abs(value), 1)))
        for name, value in right.items()
        if value is not None
    )


def _is_here(result: Result) -> bool:
    """Is the backend installed, so that its fault is one? A library without a GPU is not."""
    if result.backend.startswith("tensorrt"):
        try:
            library.open_library(result.backend)
        except Unavailable:
            return False
        return True
    return result.backend == _REFERENCE


def _report(path: Path, results: list[Result]) -> str:
    stamp = datetime.now(timezone.utc).isoformat(timespec="seconds")
    engines = [f"* {entry}" for entry in EngineCache().entries()] or ["none"]
    parts = [
        f"# vipe selftest, {stamp}",
        "## Machine",
        *(f"* {name}: {text}" for name, text in _facts()),
        "## Software",
        f"```\n{doctor.table(list(doctor.software()))}\n```",
        "## Backends",
        *_table(results),
        "",
        *(f"* {r.backend}, {r.precision}: {r.fault}" for r in results if r.fault),
        "## Engines in the cache",
        *engines,
        "## Model",
        card(path),
    ]
    return "\n".join(parts)


def _facts() -> Iterator[tuple[str, str]]:
    for name, place in _FACTS.items():
        try:
            text = Path(place).read_text(errors="replace")
        except OSError:
            continue
        yield name, " ".join(text.replace("\0", " ").split())[:200]
    with suppress(OSError):
        yield "system", platform.freedesktop_os_release().get("PRETTY_NAME", "?")
    try:
        yield "GPU", str(library.open_device()[1])
    except Unavailable as error:
        yield "GPU", f"none: {error}"


def _table(results: list[Result]) -> Iterator[str]:
    sizes = [f"N = {size}: median / p99 us" for size in BATCH]
    columns = ["backend", "precision", "state", "off check vectors", f"off {_REFERENCE}", *sizes]
    yield f"| {' | '.join(columns)} |"
    yield "|---" * len(columns) + "|"
    for result in results:
        state = "ok" if not result.fault else "FAIL" if _is_here(result) else "-"
        cells = [result.backend, result.precision, state]
        if result.latency:
            cells += [f"{result.checked:.1e}", f"{result.compared:.1e}"]
            cells += [f"{median:.0f} / {p99:.0f}" for median, p99 in result.latency]
        cells += [""] * (len(columns) - len(cells))
        yield f"| {' | '.join(cells)} |"
