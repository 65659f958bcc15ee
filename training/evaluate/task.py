"""What a suite is asked to do, and what it has to do it with."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vipe_core.runtime import Model
from vipe_training.evaluate.coders import Coder
from vipe_training.evaluate.parts import Parts
from vipe_training.evaluate.samples.source import Source

Lift = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Contestant:
    """A model file or a baseline: a row of the tables.

    Attributes:
        name: of the row.
        fingerprint: of the model file; the name, for a baseline. Parts depend on it.
        coder: codes and ranks views; None for what only lifts.
        lift: points (N, [T,] 13, 2) and visibility to joints (N, 17, 3) and stds (N, 17),
            statures, body frame; None for what does not lift.
        frames, frame_step: of the windows that it takes.
        model: the model file behind it, if there is one.
    """

    name: str
    fingerprint: str
    coder: Coder | None = None
    lift: Lift | None = None
    frames: int = 1
    frame_step: float = 0.0
    model: Model | None = None


@dataclass(frozen=True)
class Task:
    """One run of a suite.

    Attributes:
        contestants: in the order of the rows.
        source: whose poses.
        poses: how many to measure on, at most.
        seed: of poses, cameras and noise.
        options: the suite's own, as argparse left them.
        parts: where finished parts are kept.
        folder: of the results, for a suite that keeps more than parts; None for nowhere.
    """

    contestants: list[Contestant]
    source: Source
    poses: int = 2000
    seed: int = 0
    options: argparse.Namespace = field(default_factory=argparse.Namespace)
    parts: Parts = field(default_factory=lambda: Parts(None))
    folder: Path | None = None
