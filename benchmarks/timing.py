"""Two things timed turn by turn, and the row that comes of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

TURNS = 100
TURN_SECONDS = 0.01  # short turns: some fall where nothing else runs
MAX_SECONDS = 6.0  # of one row; slow things get fewer turns

Call = Callable[[], object]
Timer = Callable[[int], float]  # seconds per call of so many calls
Pick = Callable[[Iterable[float]], float]


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        what, baseline: what is compared with what.
        value, baseline_value: of both, in ``unit``: milliseconds per call, or megabytes.
        ratio: the first by the second.
        aim: what we hold the ratio to; None: it is only told.
    """

    what: str
    baseline: str
    value: float
    baseline_value: float
    ratio: float
    aim: float | None
    unit: str = "ms"

    def __str__(self) -> str:
        aim = "-" if self.aim is None else f"<={self.aim:g}"
        return (
            f"{self.what:<36} {self.baseline:<38} {self.value:9.3f} {self.baseline_value:9.3f} "
            f"{self.unit:<4} {self.ratio:6.3f} {aim:>6}"
        )


HEAD = (
    f"{'what':<36} {'baseline':<38} {'ours':>9} {'baseline':>9} {'unit':<4} {'ratio':>6} {'aim':>6}"
)


def compare(
    what: str, name: str, ours: Call, baseline: Call, aim: float | None, pick: Pick = min
) -> Row:
    """:func:`compare_timers` of two functions."""
    return compare_timers(what, name, partial(clock, ours), partial(clock, baseline), aim, pick)


def compare_timers(
    what: str, name: str, ours: Timer, baseline: Timer, aim: float | None, pick: Pick = min
) -> Row:
    """Time both, turn by turn. What disturbs a turn only adds to it, so the fastest counts;
    the order alternates, so that neither always runs after the other. Where the disturbance
    is what we want to see, ``pick`` is the median."""
    timers = (ours, baseline)
    turns = [[min(timer(1) for _ in range(3))] for timer in timers]
    once = [seconds[0] for seconds in turns]
    calls = [max(1, int(TURN_SECONDS / seconds)) for seconds in once]
    turn = sum(n * seconds for n, seconds in zip(calls, once, strict=True))
    for number in range(max(3, min(TURNS, int(MAX_SECONDS / turn)))):
        for which in (0, 1) if number % 2 else (1, 0):
            turns[which].append(timers[which](calls[which]))
    ms, baseline_ms = (1e3 * pick(seconds) for seconds in turns)
    return Row(what, name, ms, baseline_ms, ms / baseline_ms, aim)


def clock(call: Call, calls: int) -> float:
    """Seconds per call."""
    start = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - start) / calls
