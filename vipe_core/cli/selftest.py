"""``vipe selftest``."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path

from vipe_core import files, model_file, runtime
from vipe_core.cli import doctor
from vipe_core.cli.common import Parser, note
from vipe_core.model_file.card import card
from vipe_core.runtime import BACKENDS, Model, Unavailable
from vipe_core.runtime.onnxruntime_backend import has_cuda
from vipe_core.runtime.trial import BATCH, REFERENCE, Verdict, try_out
from vipe_core.runtime.trt import host
from vipe_core.runtime.trt.cache import EngineCache

# What says on which board and system this runs; what is not there is left out.
_FACTS = {
    "board": "/proc/device-tree/model",
    "L4T": "/etc/nv_tegra_release",
    "driver": "/proc/driver/nvidia/version",
}


def run(argv: list[str]) -> int:
    """The first minutes on a new machine: versions, engines, parity, latency, in one file.

    Every backend that is here runs the model: TensorRT builds its engines in fp32 and fp16 where
    there are none, and keeps them. Exit status 1 when a backend whose libraries and GPU are here
    fails. Attach the file to a bug report.
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
    reference = runtime.load(path, REFERENCE)
    verdicts: list[Verdict] = []
    for name, precision in _trials(reference):
        note("selftest", f"{name}, {precision}")
        verdicts.append(try_out(path, name, precision, args.seconds))
        # After each: what is known by then is there, whatever comes.
        files.write_atomically(args.out, _report(path, verdicts).encode())
    print(_report(path, verdicts))
    print(f"written to {args.out}")
    return 1 if any(verdict.fault and _is_here(verdict) for verdict in verdicts) else 0


def _trials(reference: Model) -> Iterator[tuple[str, str]]:
    """Backend and precision: engines in both precisions that a model in fp32 can have."""
    own = reference.metadata.precision
    for name in BACKENDS:
        yield name, own
        if name.startswith("tensorrt") and own == "fp32":
            yield name, "fp16"


def _is_here(verdict: Verdict) -> bool:
    """Are the libraries of the backend and a GPU here, so that a fault is one?"""
    try:
        if verdict.backend.startswith("tensorrt"):
            host.open_library(verdict.backend)
        elif verdict.backend != REFERENCE:
            host.open_device()
            return has_cuda()
    except Unavailable:
        return False
    return True


def _report(path: Path, verdicts: list[Verdict]) -> str:
    stamp = datetime.now(timezone.utc).isoformat(timespec="seconds")
    engines = [f"* {entry}" for entry in EngineCache().entries()] or ["none"]
    rows = [*doctor.software(), *doctor.accelerators()]
    faults = dict.fromkeys(f"* {v.backend}: {v.fault}" for v in verdicts if v.fault)
    parts = [
        f"# vipe selftest, {stamp}",
        "## Machine",
        *(f"* {name}: {text}" for name, text in _facts()),
        "## Software",
        f"```\n{doctor.table(rows)}\n```",
        "## Backends",
        *_table(verdicts),
        "",
        *faults,
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
        yield "GPU", str(host.open_device()[1])
    except Unavailable as error:
        yield "GPU", f"none: {error}"


def _table(verdicts: list[Verdict]) -> Iterator[str]:
    sizes = [f"N = {size}: median / p99 us" for size in BATCH]
    columns = ["backend", "precision", "state", "off check vectors", f"off {REFERENCE}", *sizes]
    yield f"| {' | '.join(columns)} |"
    yield "|---" * len(columns) + "|"
    for verdict in verdicts:
        state = "ok" if not verdict.fault else "FAIL" if _is_here(verdict) else "-"
        cells = [verdict.backend, verdict.precision, state]
        if verdict.checked is not None and verdict.compared is not None:
            cells += [f"{verdict.checked:.1e}", f"{verdict.compared:.1e}"]
            cells += [f"{median:.0f} / {p99:.0f}" for median, p99 in verdict.latency]
        cells += [""] * (len(columns) - len(cells))
        yield f"| {' | '.join(cells)} |"
