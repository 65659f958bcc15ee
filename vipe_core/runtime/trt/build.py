"""One engine: built in a process of its own, checked in another, then put into the cache."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

from vipe_core import model_file
from vipe_core.errors import VipeError
from vipe_core.model_file.check import LIMITS
from vipe_core.model_file.metadata import ModelMetadata
from vipe_core.runtime.backend import Unavailable
from vipe_core.runtime.trt import host
from vipe_core.runtime.trt.cache import EngineCache, Entry, Target
from vipe_core.runtime.trt.host import RTX, Library
from vipe_core.runtime.trt.options import Options
from vipe_core.runtime.trt.worker import Job

TIMEOUT = 3600.0  # seconds; a board that compiles for longer is stuck


def make_target(model: bytes, lib: Library, options: Options) -> Target:
    """What an engine of this model is built for, with this library on this GPU."""
    device = None if options.targets else lib.device
    return Target(
        model=hashlib.sha256(model).hexdigest(),
        backend=lib.backend,
        version=lib.version,
        gpu=device.name if device else "",
        capability=device.capability if device else "",
        cuda=device.cuda if device else "",
        targets=options.targets,
        precision=options.precision,
        batch=options.batch,
        dla=options.dla,
        workspace=options.workspace,
    )


def options_of(target: Target) -> Options:
    """What to build an engine with to get ``target`` again."""
    return Options(target.batch, target.precision, target.dla, target.targets, target.workspace)


def ensure(
    path: Path,
    backend: str,
    options: Options,
    cache: EngineCache,
    say: Callable[[str], object] = lambda line: None,
    force: bool = False,
) -> Entry:
    """The engine of a model: the one in the cache, or a new one.

    Args:
        path: model file.
        backend: "tensorrt" or "tensorrt-rtx".
        options: what to build; with ``targets`` no GPU is needed.
        cache: where to look and to keep it.
        say: called with a line before something that takes long.
        force: build even where there is one.

    Raises:
        Unavailable: the library or the GPU is not here.
        VipeError: the model file is not in order or does not compute in ``options.precision``,
            the library cannot build it, the engine does not give what the model gives (it is
            not kept), or the cache cannot be written.
    """
    data = model_file.read_bytes(path)
    metadata = model_file.read(path, data).metadata
    _check_precision(path, metadata, options)
    open_ = host.open_compiler if options.targets else host.open_library
    lib = open_(backend)
    target = make_target(data, lib, options)
    busy = lambda: say("another process is building this engine: waiting for it")  # noqa: E731
    with cache.building(target, busy) as part:
        found = None if force else _whole(cache, target)
        if found:
            return found
        say(f"building {metadata.name} for {_where(lib, options)}, {options.precision}")
        start = time.monotonic()
        run = partial(_run_job, model=data, part=part, lib=lib, options=options, cache=cache)
        run("build")
        seconds = time.monotonic() - start
        error = None if options.targets else _held(path, run("check"), options)
        entry = _entry(target, metadata, part, seconds, error)
        cache.install(entry, part)
    return entry


def _whole(cache: EngineCache, target: Target) -> Entry | None:
    """The engine in the cache, if there is one and it is what was written."""
    entry = cache.entry(target)
    try:
        return entry if entry and cache.plan(entry) else None
    except VipeError:
        return None


def _check_precision(path: Path, metadata: ModelMetadata, options: Options) -> None:
    has, wants = metadata.precision, options.precision
    if has != wants and (has, wants) != ("fp32", "fp16"):
        advice = "export one with --precision int8" if wants == "int8" else f"--precision {has}"
        raise VipeError(
            f"model {path} computes in {has}: an engine in {wants} cannot be made of it; {advice}"
        )


def _where(lib: Library, options: Options) -> str:
    if options.targets:
        return f"{lib.backend} {lib.version}, compute capability {', '.join(options.targets)}"
    name = lib.device.name if lib.device else "this GPU"
    dla = "" if options.dla is None else f", DLA core {options.dla}"
    return f"{lib.backend} {lib.version}, {name}{dla}"


def _held(path: Path, error: float, options: Options) -> float:
    """The difference from the check vectors; raises VipeError when it is too large."""
    limit = LIMITS[options.precision]
    if not error <= limit:
        advice = "" if options.precision == "fp32" else "; try --precision fp32"
        raise VipeError(
            f"the engine of {path} is off by {error:.1e}, the limit for {options.precision} is "
            f"{limit:g}: it is not kept{advice}"
        )
    return error


def _run_job(
    step: str, model: bytes, part: Path, lib: Library, options: Options, cache: EngineCache
) -> float:
    """One step in a process of its own; its number, or its error raised."""
    timing = ""
    if lib.backend != RTX and lib.device is not None:
        timing = str(cache.timing(lib.backend, lib.version, lib.device.name))
    try:
        with tempfile.TemporaryDirectory(prefix="vipe-engine-") as name:
            folder = Path(name)
            # A copy: the file may be replaced while its engine is built.
            (folder / "model.onnx").write_bytes(model)
            job = Job(
                step=step,
                backend=lib.backend,
                model=str(folder / "model.onnx"),
                plan=str(part),
                answer=str(folder / "answer.json"),
                options=options,
                timing=timing,
                parent=os.getpid(),
            )
            job.write(folder / "job.json")
            return _answer(step, folder)
    except OSError as error:
        raise VipeError(f"cannot {step} an engine: {error.filename}: {error.strerror}") from None


def _answer(step: str, folder: Path) -> float:
    """Run the job in the folder."""
    command = [sys.executable, "-m", "vipe_core.runtime.trt.worker", str(folder / "job.json")]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=TIMEOUT
        )
    except subprocess.TimeoutExpired:
        raise VipeError(f"TensorRT did not {step} within {TIMEOUT:.0f} s") from None
    if not (folder / "answer.json").exists():
        raise Unavailable(_how_it_died(step, done))
    said = json.loads((folder / "answer.json").read_text())
    if said["error"]:
        raise VipeError(said["error"])
    return float(said["worst"])


def _how_it_died(step: str, done: subprocess.CompletedProcess[str]) -> str:
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    last = f": {lines[-1][:200]}" if lines else ""
    if done.returncode >= 0:
        return f"the process for the {step} ended with status {done.returncode}{last}"
    try:
        name = signal.Signals(-done.returncode).name
    except ValueError:
        name = f"signal {-done.returncode}"
    hint = " (no memory left? stop other programs)" if name == "SIGKILL" else ""
    return f"the process for the {step} was ended by {name}{hint}{last}"


def _entry(
    target: Target, metadata: ModelMetadata, part: Path, seconds: float, error: float | None
) -> Entry:
    plan = part.read_bytes()
    return Entry(
        target=target,
        name=f"{metadata.name} {metadata.version}",
        bytes=len(plan),
        sha256=hashlib.sha256(plan).hexdigest(),
        built=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        seconds=round(seconds, 1),
        error=error,
    )
