"""Our code against a named baseline, both timed in the same run, turn by turn.

    python -m benchmarks [--model FILE.onnx] [--out out/bench.json] [--only GROUP ...] [--quality]

Milliseconds depend on the machine and on what else it does; the ratio of two things that
took turns depends on neither much. Below 1 ours is faster. `aim` is what we hold
ourselves to.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks import actions, alignment, arrays, backends, busy, gallery, gpu, memory, nodes
from benchmarks.timing import HEAD, Row
from vipe_core import files, model_file, runtime
from vipe_core.errors import VipeError


def main(argv: list[str] | None = None) -> int:
    """Print the table and write it as JSON; 2 when there is no model or no place to write."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", type=Path, help="model file (default: the shipped one)")
    parser.add_argument("--out", type=Path, default=Path("out/bench.json"))
    parser.add_argument(
        "--only",
        nargs="+",
        choices=GROUPS,
        default=[group for group in GROUPS if group not in LONG],
        help=f"groups of rows (default: all but {', '.join(LONG)})",
    )
    parser.add_argument(
        "--quality", action="store_true", help="only: is training as good as by the plain loss"
    )
    args = parser.parse_args(argv)
    try:
        if args.quality:
            from benchmarks.training import quality

            for line in quality():
                print(line, flush=True)
            return 0
        files.check_writable(args.out)
        path = args.model or model_file.default_path()
        print(repr(runtime.load(path)))
        measure(path, args.out, args.only)
    except VipeError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    return 0


def measure(path: Path, out: Path, groups: list[str]) -> None:
    """Print every row as it comes, then write them all, and what is known of the machine."""
    facts = machine() | {"model": f"{path.name} {model_file.fingerprint(path)}"}
    print(", ".join(f"{name} {value}" for name, value in facts.items()))
    print(HEAD)
    rows, lines = [], []
    for group in groups:
        for row in GROUPS[group](path):
            print(row, flush=True)
            if isinstance(row, Row):
                rows.append({"group": group, **asdict(row)})
            else:
                lines.append(row)
    facts["load at the end"] = load_average()
    text = json.dumps({**facts, "rows": rows, "lines": lines}, indent=2)
    files.write_atomically(out, f"{text}\n".encode())


def training(path: Path) -> Iterator[Row | str]:
    """The trainer's rows where torch and the motion files are; a line where they are not."""
    try:
        from benchmarks.training import on_gpu, rows

        yield from rows()
        yield on_gpu()
    except ModuleNotFoundError as error:
        yield f"training: skipped, no {error.name} here: make test sets it up"
    except VipeError as error:
        yield f"training: skipped, {error}"


# Lines among the rows say what is left out, and why.
GROUPS: dict[str, Callable[[Path], Iterator[Row | str]]] = {
    "backends": backends.rows,
    "load": backends.load_rows,
    "busy": busy.rows,
    "memory": memory.rows,
    "nodes": nodes.rows,
    "gpu": gpu.rows,
    "search": lambda path: arrays.search(),
    "poses": lambda path: iter([arrays.pose_distance()]),
    "actions": actions.rows,
    "alignment": lambda path: alignment.rows(),
    "gallery": gallery.rows,
    "gallery-million": gallery.million,
    "training": training,
}
# Only when asked for by name: a million poses are embedded once, which takes ten minutes.
LONG = ("gallery-million",)


def machine() -> dict[str, Any]:
    """What the times depend on."""
    return {
        "machine": platform.machine(),
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        **{package: _version(package) for package in ("onnxruntime", "numpy", "torch")},
        "load": load_average(),
    }


def cpu_name() -> str:
    """As Linux calls it; on a Jetson that is only its number."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    fields = (line.partition(":") for line in lines)
    names = [value.strip() for key, _, value in fields if key.strip() in ("model name", "CPU part")]
    return names[0] if names else "unknown"


def load_average() -> float | None:
    """Of the last minute; 1 is one busy core."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
