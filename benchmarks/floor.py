"""What no call can be faster than on this core: reading its weights, and multiplying with them.

Both are measured by numpy in a process of its own, ``python -m benchmarks.floor``, because
numpy's number of threads is settled before it is imported: here it is one. The process reads a
line of JSON per measurement, answers with seconds per call, and ends with its input.

Reading: a call reads every weight at least once, so it takes at least the time in which one
thread reads an array of as many bytes, again and again, as calls do. Where they fit into a
cache, the array does too. The reader is whichever of :data:`READERS` is fastest here.

Arithmetic: the multiply-adds of a call at the speed at which BLAS multiplies by a matrix of 1024
x 1024, with as many rows as the call has or with 1024, whichever is faster for each.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from benchmarks.timing import Timer, clock

ROOT = Path(__file__).resolve().parents[1]
WIDTH = 1024
ONE_THREAD = {
    f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "BLIS", "VECLIB_MAXIMUM")
}
_TRIES = 5
# Bytes of a weight when it runs, by its TensorProto.DataType: float32, and float16, which is
# computed with as float32; uint8 and int8. Others are sizes and indices.
_BYTES = {1: 4, 10: 4, 2: 1, 3: 1}


@dataclass(frozen=True)
class Work:
    """What a graph has to do.

    Attributes:
        weight_bytes: of its weights in memory.
        multiply_adds: of its matrix products, per pose.
        rows: of its largest product, per pose: 2 where the mirrored twin is looked at too.
    """

    weight_bytes: int
    multiply_adds: int
    rows: int


@dataclass(frozen=True)
class Limit:
    """What limits a call, and how to time it: ``scale`` times a task of the floor process."""

    name: str
    task: str
    size: int
    scale: float


class Floor:
    """The process that measures. A context manager: the process ends with it."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.floor"],
            cwd=ROOT,
            env=os.environ | ONE_THREAD,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Floor:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.communicate()

    def seconds(self, task: str, size: int, calls: int = 1) -> float:
        """Per call of a task: a key of :data:`READERS` and bytes, or "product" and rows."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps([task, size, calls]) + "\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def limit(self, work: Work, poses: int) -> Limit:
        """The larger of the two floors of a call with so many poses."""
        size = work.weight_bytes
        reading = {task: self._fastest(task, size) for task in READERS}
        reader = min(reading, key=lambda task: reading[task])
        read = Limit(f"floor: reading {size / 1e6:.0f} MB", reader, size, 1.0)
        products = []
        for rows in (work.rows * poses, WIDTH):
            scale = poses * work.multiply_adds / (rows * WIDTH * WIDTH)
            products.append((scale * self._fastest("product", rows), rows, scale))
        seconds, rows, scale = min(products)
        arithmetic = Limit(f"floor: {rows} rows by BLAS, scaled", "product", rows, scale)
        return read if reading[reader] >= seconds else arithmetic

    def timer(self, limit: Limit) -> Timer:
        """For :func:`benchmarks.timing.compare_timers`."""
        return lambda calls: limit.scale * self.seconds(limit.task, limit.size, calls)

    def _fastest(self, task: str, size: int) -> float:
        return min(self.seconds(task, size) for _ in range(_TRIES))


def work_of(path: Path) -> Work:
    """What the graph of a model file has to do, seen while it runs on one pose.

    Raises:
        ModuleNotFoundError: the package onnx is not here.
    """
    import onnx
    import onnxruntime

    model = onnx.load(path)
    weights = model.graph.initializer
    size = sum(_BYTES.get(w.data_type, 0) * math.prod(w.dims) for w in weights)
    products = [n for n in model.graph.node if n.op_type in ("Gemm", "MatMul")]
    names = dict.fromkeys(name for n in products for name in (n.input[0], n.output[0]))
    own = {output.name for output in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in own)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    feed = {
        value.name: np.ones([1, *value.shape[1:]], np.float32) for value in session.get_inputs()
    }
    values: Any = session.run(list(names), feed)
    shapes = {name: value.shape for name, value in zip(names, values, strict=True)}
    return Work(
        weight_bytes=size,
        multiply_adds=sum(
            math.prod(shapes[n.output[0]]) * shapes[n.input[0]][-1] for n in products
        ),
        rows=max((math.prod(shapes[n.output[0]][:-1]) for n in products), default=1),
    )


# What reads n bytes, made from an array of them. The sums use every lane of the processor or
# not, depending on numpy; a matrix by a vector is what a call at batch 1 does.
READERS: dict[str, Callable[[np.ndarray], Callable[[], object]]] = {
    "dot": lambda a: partial(np.dot, a, a),
    "sum": lambda a: partial(np.add.reduce, a),
    "largest": lambda a: partial(np.maximum.reduce, a),
    "matrix by vector": lambda a: partial(
        np.dot, a[: len(a) // WIDTH * WIDTH].reshape(-1, WIDTH), np.ones(WIDTH, np.float32)
    ),
    "copy": lambda a: partial(np.copyto, np.empty_like(a), a),
}


def prepared(task: str, size: int) -> Callable[[], object]:
    """One call of a task, its arrays made."""
    if task == "product":
        rows, matrix = np.ones((size, WIDTH), np.float32), np.ones((WIDTH, WIDTH), np.float32)
        return partial(np.matmul, rows, matrix, out=np.empty_like(rows))
    # At least a matrix of one row, so that every reader has something to do.
    return READERS[task](np.ones(max(WIDTH, size // 4), np.float32))


def serve(lines: Iterable[str]) -> None:
    """Answer measurements until there are no more."""
    calls: dict[tuple[str, int], Callable[[], object]] = {}
    for line in lines:
        task, size, count = json.loads(line)
        if (task, size) not in calls:
            calls[task, size] = prepared(task, size)
            calls[task, size]()
        print(clock(calls[task, size], count), flush=True)


if __name__ == "__main__":
    serve(sys.stdin)
