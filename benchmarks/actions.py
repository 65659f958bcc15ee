"""Recognising actions in a stream, against the same written plainly and against dtaidistance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.timing import Call, Row, compare
from vipe_core.actions import Example, Examples, Recognizer
from vipe_core.alignment import StreamAligner
from vipe_core.embedding import pairwise_excess_distance
from vipe_core.track import Track

A, B, SIZE, RATE = 1.8, 15.0, 16, 15.0  # of the shipped model; speed does not depend on A and B
EXAMPLES, SECONDS = 100, 3.0
_CAMERA = 30.0


def rows(path: Path) -> Iterator[Row | str]:
    """A frame of one person against 100 examples of 3 s, and one example taught to 100.

    The plain loop updates one aligner per example and mirror image with the distances of the two;
    it does not decide anything.
    """
    examples = Examples.from_examples([example(seed) for seed in range(EXAMPLES)], A, B)
    recognizer = Recognizer(examples)
    stream = performance(1000, 60.0)
    frames = iter(range(10**9))

    def ours() -> object:
        number = next(frames)
        i = number % len(stream)
        embedding = (stream.mean[i], stream.variance[i])
        return recognizer.update("1", number / _CAMERA, *embedding, *embedding)

    plain = Plain(examples)

    def loop() -> object:
        i = next(frames) % len(stream)
        return plain.update(stream.mean[i], stream.variance[i])

    def two(call: Call) -> Call:
        return lambda: (call(), call())

    what = f"action frames, {EXAMPLES} x {SECONDS:g} s, {_CAMERA:g} Hz"
    row = compare(f"two {what}", "loop over examples", two(ours), two(loop), aim=0.2)
    yield row
    budget = 2 * 100 / _CAMERA
    yield replace(
        row,
        baseline="10 % of one core",
        baseline_value=budget,
        ratio=row.value / budget,
        aim=1.0,
    )
    yield from _sliding(what, ours, examples, stream)
    yield _teaching(examples)


def _sliding(what: str, ours: Call, examples: Examples, stream: Track) -> Iterator[Row | str]:
    """dtaidistance's C aligns the last seconds with every example, again at every other frame."""
    try:
        from dtaidistance import dtw_ndim
    except ModuleNotFoundError:
        yield "actions: sliding window skipped, no dtaidistance here"
        return
    every = round(_CAMERA / RATE)
    known = [np.ascontiguousarray(e.track.resampled(RATE).mean) for e in examples.examples]
    window = np.ascontiguousarray(stream.mean[: round(SECONDS * _CAMERA) : every])
    twins = (window, -window)

    def theirs() -> object:
        return [dtw_ndim.distance(twin, k, use_c=True) for twin in twins for k in known]

    def as_often() -> object:
        return [ours() for _ in range(every)]

    yield compare(f"two {what}", "dtaidistance, C, sliding window", as_often, theirs, aim=None)


def _teaching(examples: Examples) -> Row:
    """One more example against all learned anew."""
    before = Recognizer(examples)
    one = Examples.from_examples([*examples.examples, example(EXAMPLES)], A, B)
    return compare(
        f"one example taught to {EXAMPLES}",
        "a new recogniser",
        lambda: before.with_examples(one),
        lambda: Recognizer(one),
        aim=0.3,
    )


def example(seed: int) -> Example:
    return Example(f"action {seed // 3}", performance(seed, SECONDS))


def performance(seed: int, seconds: float) -> Track:
    """A walk from pose to pose, two a second."""
    rng = np.random.default_rng(seed)
    stamp = np.arange(round(seconds * _CAMERA)) / _CAMERA
    poses = rng.normal(0, 2, (int(seconds * 2) + 2, SIZE))
    at = stamp * 2
    mean = np.stack([np.interp(at, np.arange(len(poses)), column) for column in poses.T], axis=1)
    variance = np.full_like(mean, 0.5)
    return Track(stamp, mean, variance, -mean, variance)


class Plain:
    """One aligner for each example and for its mirror image, fed one after the other."""

    def __init__(self, examples: Examples) -> None:
        self._tracks = [e.track.resampled(RATE) for e in examples.examples]
        self._aligners = [StreamAligner([len(track)]) for track in self._tracks for _ in range(2)]
        self._now = 0

    def update(self, mean: np.ndarray, variance: np.ndarray) -> list[float]:
        """Mean costs of what ends now; every second frame of the camera counts."""
        self._now += 1
        if self._now % 2:
            return []
        found = []
        for number, aligner in enumerate(self._aligners):
            track = self._tracks[number // 2]
            seen = (mean[None], variance[None])
            cost = pairwise_excess_distance(*seen, track.mean, track.variance)
            found.append(float(aligner.update(cost, float(self._now))[0][0]))
        return found
