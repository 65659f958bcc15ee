"""What a run has cost."""

from __future__ import annotations

import time

import torch

from vipe_training import distributed
from vipe_training.loop.checkpoint import State


class Clock:
    """Seconds of the wall clock and of all cores, counted on from those of a resumed run."""

    def __init__(self, state: State) -> None:
        self._wall_zero = time.perf_counter() - state.seconds
        self._cpu_before, self._cpu_zero = state.cpu_seconds, time.process_time()

    @property
    def seconds(self) -> float:
        """Of the wall clock, this process's."""
        return time.perf_counter() - self._wall_zero

    def stamp(self, state: State) -> None:
        """Write the cost so far into the state; every process must call it."""
        here = torch.tensor(time.process_time() - self._cpu_zero, dtype=torch.float64)
        state.cpu_seconds = self._cpu_before + distributed.total(here).item()
        state.seconds = self.seconds
