"""What a call of a model costs on every backend that is here, and what loading it costs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.floor import Floor, work_of
from benchmarks.timing import Row, clock, compare, compare_timers
from vipe_core import runtime
from vipe_core.model_file.metadata import ModelMetadata
from vipe_core.model_file.signature import input_shape

BATCHES = (1, 8, 64, 1024)
PEOPLE = 64
CPU, CUDA = "onnxruntime-cpu", "onnxruntime-cuda"
_PROVIDERS: dict[str, list[Any]] = {
    CPU: ["CPUExecutionProvider"],
    CUDA: [("CUDAExecutionProvider", {"use_tf32": 0}), "CPUExecutionProvider"],
}


def rows(path: Path) -> Iterator[Row | str]:
    """Every backend against the bare session below it, and the CPU's against its floor."""
    for model in loaded(path):
        if isinstance(model, str):
            yield model
            continue
        yield from against_session(model)
    model = runtime.load(path, CPU, BATCHES)
    yield from against_floor(model)
    yield together(model)


def loaded(path: Path) -> Iterator[runtime.Model | str]:
    """The model on every backend, a line for one that cannot run here.

    A TensorRT engine that is not in the cache is built, which takes minutes.
    """
    for name in runtime.BACKENDS:
        try:
            yield runtime.load(path, name, BATCHES)
        except runtime.Unavailable as error:
            yield f"{name}: skipped, {error}"


def against_session(model: runtime.Model) -> Iterator[Row]:
    """A call against the session that a user of onnxruntime would make: what our checks cost.

    An engine of TensorRT has no session below it and is compared with one on the CPU.
    """
    below = model.backend if model.backend in _PROVIDERS else CPU
    session = bare_session(model.path, below)
    for batch in BATCHES:
        feed = poses(model.metadata, batch)
        yield compare(
            f"{model.backend}, batch {batch}",
            f"{below} session",
            partial(model, *feed.values()),
            partial(session.run, None, feed),
            aim=1.1,
        )


def against_floor(model: runtime.Model) -> Iterator[Row | str]:
    """A call against the time that reading its weights, or multiplying with them, takes."""
    try:
        work = work_of(model.path)
    except ModuleNotFoundError as error:
        yield f"floor: skipped, no {error.name} here: make test sets it up"
        return
    with Floor() as floor:
        for batch in BATCHES:
            limit = floor.limit(work, batch)
            ours = partial(clock, partial(model, *poses(model.metadata, batch).values()))
            what = f"{model.backend}, batch {batch}"
            yield compare_timers(what, limit.name, ours, floor.timer(limit), aim=None)


def together(model: runtime.Model) -> Row:
    """All people of an image in one call."""
    points = poses(model.metadata, PEOPLE)["keypoints"]
    return compare(
        f"{model.backend}, {PEOPLE} people",
        "one call per person",
        lambda: model(points),
        lambda: [model(points[i : i + 1]) for i in range(PEOPLE)],
        aim=0.5,
    )


def load_rows(path: Path) -> Iterator[Row | str]:
    """A model ready to run on every backend, the file checked, against a session alone."""
    for model in loaded(path):
        if isinstance(model, str):
            yield model
            continue
        yield compare(
            f"load, {model.backend}",
            f"{CPU} session alone",
            partial(runtime.load, path, model.backend),
            partial(bare_session, path),
            aim=None,
        )


def bare_session(path: Path, backend: str = CPU, threads: int = 1, spinning: bool = False) -> Any:
    """An onnxruntime session with nothing of ours around it."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    if not spinning:  # it is onnxruntime's default
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(path, options, providers=_PROVIDERS[backend])


def poses(metadata: ModelMetadata, count: int) -> dict[str, np.ndarray]:
    """Inputs of made-up people, all joints visible; points first."""
    shape = (count, *input_shape(metadata))
    points = np.random.default_rng(0).normal(300, 80, (*shape, 2)).astype(np.float32)
    return {"keypoints": points, "visibility": np.ones(shape, np.float32)}
