"""How many swaps of a detector are repaired, and what is broken on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from vipe_core.bodies import Bodies2D
from vipe_core.runtime import Model
from vipe_core.swaps import SwapFilter, SwapRepair
from vipe_training.evaluate.metrics.lifting import aligned
from vipe_training.evaluate.protocol import BODY13_IN_17
from vipe_training.evaluate.samples.swap_streams import Stream


@dataclass(frozen=True)
class Score:
    """Counts of views.

    Attributes:
        swapped, caught: whose sides the detector swapped; of them those exchanged back.
        first, first_caught: the same of swaps that last since a stream's first view, so that
            nothing was seen before.
        good, broken: whose sides were right; of them those exchanged.
        turning, turning_broken: the same of people who were made to turn round.
    """

    swapped: int = 0
    caught: int = 0
    first: int = 0
    first_caught: int = 0
    good: int = 0
    broken: int = 0
    turning: int = 0
    turning_broken: int = 0

    def __add__(self, other: Score) -> Score:
        theirs = asdict(other)
        return Score(**{name: value + theirs[name] for name, value in asdict(self).items()})

    @property
    def recall(self) -> float:
        """Percent of the swaps that are repaired; NaN without any."""
        return 100 * self.caught / self.swapped if self.swapped else float("nan")

    @property
    def precision(self) -> float:
        """Percent of the exchanges that were called for; NaN without any."""
        made = self.caught + self.broken
        return 100 * self.caught / made if made else float("nan")


def score(streams: Sequence[Stream], exchanged: Sequence[np.ndarray]) -> Score:
    """Counts of streams and of what was exchanged (F,) in each."""
    total = Score()
    for stream, made in zip(streams, exchanged, strict=True):
        swapped = stream.swapped
        first = swapped & np.logical_and.accumulate(swapped)
        good, broken = int((~swapped).sum()), int((made & ~swapped).sum())
        total += Score(
            *(int(swapped.sum()), int((made & swapped).sum())),
            *(int(first.sum()), int((made & first).sum())),
            *(good, broken),
            *((good, broken) if stream.turns else (0, 0)),
        )
    return total


def repair(
    model: Model, streams: Sequence[Stream], parameters: SwapFilter
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """What the filter exchanges (F,) bool, and the repaired poses (F, 17, 3) in statures, or
    (F, 0) of a model that does not lift, of each stream. Streams of one rate run side by side."""
    exchanged = [np.zeros(len(stream.swapped), bool) for stream in streams]
    poses: list[list[np.ndarray]] = [[] for _ in streams]
    for fps in sorted({stream.fps for stream in streams}):
        beside = [i for i, stream in enumerate(streams) if stream.fps == fps]
        filter_ = SwapRepair(model, parameters)
        for frame in range(max(len(streams[i].swapped) for i in beside)):
            here = [i for i in beside if frame < len(streams[i].swapped)]
            people = Bodies2D.from_arrays(
                np.stack([streams[i].points[frame] for i in here]),
                np.stack([streams[i].visibility[frame] for i in here]),
                track_ids=[str(i) for i in here],
            )
            estimates = model(people.points, people.visibility)
            found = filter_.update(people, frame / fps, estimates)
            joints = found.estimates.joints
            for row, i in enumerate(here):
                exchanged[i][frame] = found.swapped[row]
                poses[i].append(np.zeros(0) if joints is None else joints[row])
    return exchanged, [np.stack(each) for each in poses]


def errors(stream: Stream, poses: np.ndarray) -> np.ndarray:
    """Millimetres (F,) of the lifted poses (F, 17, 3) after similarity alignment to the truth."""
    if stream.truth is None:
        raise ValueError("a stream without truth has no errors")
    return 1000 * aligned(stream.truth, poses[:, BODY13_IN_17].astype(np.float64))
