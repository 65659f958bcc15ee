"""Whose poses a measurement uses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vipe_core.errors import VipeError
from vipe_training.datasets import MotionSet, load_motion


@dataclass(frozen=True)
class Source:
    """Whose poses to measure on: motion files, and people of them; everybody if none is named.

    Raises:
        VipeError: from :meth:`load`, when a file cannot be read or nobody is left.
    """

    files: tuple[str, ...] = ("mocap/cmu_mocap_test.npz",)
    people: tuple[str, ...] = ()

    def load(self) -> MotionSet:
        """The poses."""
        motion = load_motion(self.files)
        if not self.people:
            return motion
        if absent := sorted(set(self.people) - set(motion.subject)):
            raise VipeError(f"nobody is called {absent[0]} in {', '.join(self.files)}")
        return motion.select(np.isin(motion.subject, self.people))

    def left_out(self) -> list[str]:
        """A line on the frames that are missing inside the clips, if any are."""
        motion = self.load()
        clip, last = np.unique(motion.clip[::-1], return_index=True)
        lengths = motion.frame[::-1][last] + 1  # of clips whose frames count from 0
        missing = int(lengths.sum()) - len(motion)
        if not len(clip) or missing <= 0:
            return []
        why = "marked bad, not finite, or left out when the set was prepared"
        return [f"{missing} of {int(lengths.sum())} frames: {why}"]

    def __str__(self) -> str:
        files = ", ".join(self.files)
        return f"{files} ({', '.join(self.people)})" if self.people else files
