"""Our code against a named baseline, both timed in the same run, turn by turn.

    python -m benchmarks [--model FILE.onnx] [--out out/bench.json] [--quality]

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
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from vipe_core import files, model_file, runtime, skeletons
from vipe_core.embedding import likelihood_distance, pairwise_likelihood_distance
from vipe_core.errors import VipeError
from vipe_core.geometry import normalize_3d, pairwise_np_mpjpe
from vipe_core.search import nearest

TURNS = 100
TURN_SECONDS = 0.01  # short turns: some fall where nothing else runs
MAX_SECONDS = 6.0  # of one row; slow things get fewer turns
A, B, K = 1.5, 0.75, 20  # of the search; speed does not depend on them


@dataclass(frozen=True)
class Row:
    """One line of the table; times in milliseconds per call, of the fastest turn."""

    what: str
    baseline: str
    ms: float
    baseline_ms: float
    ratio: float
    aim: float


def main(argv: list[str] | None = None) -> int:
    """Print the table and write it as JSON; 2 when there is no model or no place to write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--model", type=Path, help="model file (default: the shipped one)")
    parser.add_argument("--out", type=Path, default=Path("out/bench.json"))
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
        measure(runtime.load(args.model or model_file.default_path()), args.out)
    except VipeError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    return 0


def measure(model: runtime.Model, out: Path) -> None:
    """Print every row as it comes, then write them all to ``out``."""
    print(repr(model))
    print(f"{'what':<30} {'baseline':<32} {'ours ms':>9} {'base ms':>9} {'ratio':>6} {'aim':>6}")
    rows = []
    for row in chain(call_overhead(model), [batch(model)], search(), [pose_distance()], training()):
        rows.append(asdict(row))
        print(
            f"{row.what:<30} {row.baseline:<32} {row.ms:9.3f} {row.baseline_ms:9.3f} "
            f"{row.ratio:6.3f} {f'<={row.aim:g}':>6}"
        )
    machine = {"machine": platform.machine(), "cores": os.cpu_count(), "model": repr(model)}
    text = json.dumps({**machine, "rows": rows}, indent=2)
    files.write_atomically(out, f"{text}\n".encode())


def training() -> Iterator[Row]:
    """The trainer's rows where torch and the motion files are; a line where they are not."""
    try:
        from benchmarks.training import on_gpu, rows

        yield from rows()
        print(on_gpu())
    except ModuleNotFoundError as error:
        print(f"training: skipped, no {error.name} here: make test sets it up")
    except VipeError as error:
        print(f"training: skipped, {error}")


def call_overhead(model: runtime.Model) -> Iterator[Row]:
    """A call of Model against the bare session below it: what our checks cost."""
    session = bare_session(model.path)
    joints = len(skeletons.get(model.metadata.skeleton_2d))
    for batch in (1, 8, 64):
        points = np.random.default_rng(0).normal(300, 80, (batch, joints, 2)).astype(np.float32)
        visibility = np.ones((batch, joints), np.float32)
        feed = {"keypoints": points, "visibility": visibility}
        yield compare(
            f"Model call, batch {batch}",
            "onnxruntime session",
            lambda p=points, v=visibility: model(p, v),
            lambda f=feed: session.run(None, f),
            aim=1.1,
        )


def bare_session(path: Path) -> Any:
    """The session that a user of onnxruntime would make, with our thread settings."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def batch(model: runtime.Model, people: int = 64) -> Row:
    """All people of an image in one call."""
    joints = len(skeletons.get(model.metadata.skeleton_2d))
    points = np.random.default_rng(0).normal(300, 80, (people, joints, 2)).astype(np.float32)
    return compare(
        f"Model call, {people} people",
        "one call per person",
        lambda: model(points),
        lambda: [model(points[i : i + 1]) for i in range(people)],
        aim=0.5,
    )


def search() -> Iterator[Row]:
    """20 nearest of 20,000 for 256 queries: memory stays at 8 MB however many queries come."""
    index, query = embeddings(20_000, 0), embeddings(256, 1)

    def loop() -> list[np.ndarray]:
        return [naive(index, (mean, variance)) for mean, variance in zip(*query, strict=True)]

    def matrix() -> np.ndarray:
        distance = pairwise_likelihood_distance(*query, *index)
        return np.argpartition(distance, K, axis=1)[:, :K]

    def ours() -> tuple[np.ndarray, np.ndarray]:
        return nearest(*index, *query, A, B, K)

    what = "search 256 in 20,000, k = 20"
    yield compare(what, "loop over queries", ours, loop, aim=0.2)
    yield compare(what, "whole matrix, then argpartition", ours, matrix, aim=0.5)


def pose_distance(count: int = 1000, sample: int = 30) -> Row:
    """NP-MPJPE of 1,000 x 1,000 poses of 16 joints. The loop over pairs with an SVD each runs on
    a sample of the targets and sources; its time is scaled to all of them.

    Raises:
        VipeError: the two differ by more than 1e-5.
    """
    rng = np.random.default_rng(0)
    a, b = (normalize_3d(rng.normal(size=(count, 17, 3)), "joints17")[:, :16] for _ in range(2))

    def loop() -> np.ndarray:
        return np.array([[naive_np_mpjpe(t, s) for s in b[:sample]] for t in a[:sample]])

    apart = np.abs(pairwise_np_mpjpe(a[:sample], b[:sample]) - loop()).max()
    if apart > 1e-5:
        raise VipeError(f"bench: NP-MPJPE of all pairs is {apart:.1g} away from the SVD")
    row = compare(
        f"NP-MPJPE of {count:,} x {count:,}",
        f"SVD loop, {sample} x {sample} scaled",
        lambda: pairwise_np_mpjpe(a, b),
        loop,
        aim=0.05,
    )
    baseline_ms = row.baseline_ms * (count / sample) ** 2
    return replace(row, baseline_ms=baseline_ms, ratio=row.ms / baseline_ms)


def naive_np_mpjpe(target: np.ndarray, source: np.ndarray) -> float:
    """One pair (J, 3), written as the formula reads."""
    a, b = target - target.mean(0), source - source.mean(0)
    u, singular, vt = np.linalg.svd(b.T @ a)
    sign = np.array([1, 1, np.sign(np.linalg.det(u @ vt))])
    scale = (singular * sign).sum() / (b * b).sum()
    return float(np.linalg.norm(scale * b @ (u * sign) @ vt - a, axis=1).mean())


def naive(index: tuple[np.ndarray, np.ndarray], query: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """The K nearest rows of one query, written as the formula reads."""
    return np.argsort(likelihood_distance(*query, *index))[:K]


def embeddings(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance (N, 16) of made-up poses."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, 16)), rng.uniform(0.01, 0.5, (count, 16))


def compare(
    what: str, name: str, ours: Callable[[], object], baseline: Callable[[], object], aim: float
) -> Row:
    """Time both, turn by turn. What disturbs a turn only adds to it, so the fastest counts;
    the order alternates, so that neither always runs after the other."""
    once = [min(clock(call, 1) for _ in range(3)) for call in (ours, baseline)]
    calls = [max(1, int(TURN_SECONDS / seconds)) for seconds in once]
    turn = sum(n * seconds for n, seconds in zip(calls, once, strict=True))
    best = once
    for number in range(max(3, min(TURNS, int(MAX_SECONDS / turn)))):
        for which in (0, 1) if number % 2 else (1, 0):
            best[which] = min(best[which], clock((ours, baseline)[which], calls[which]))
    ms, baseline_ms = (1e3 * seconds for seconds in best)
    return Row(what, name, ms, baseline_ms, ms / baseline_ms, aim)


def clock(call: Callable[[], object], calls: int) -> float:
    """Seconds per call."""
    start = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - start) / calls
