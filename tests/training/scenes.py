"""Contestants that know the answer, and caches of real cameras, for tests of suites."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.bodies import random_people
from vipe_core.geometry import stature, to_body_frame
from vipe_training.datasets import load_motion
from vipe_training.datasets.prepare import prepare
from vipe_training.datasets.recording import Recording, Sequence
from vipe_training.evaluate.coders import EmbeddingCoder
from vipe_training.evaluate.metrics.occlusion import TORSO
from vipe_training.evaluate.parts import Parts
from vipe_training.evaluate.samples.source import Source
from vipe_training.evaluate.task import Contestant, Task


def lookup(points: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """From views to the rows of the poses that they show, by the pixels of the torso, which no
    suite changes. Points (C, N, 13, 2) are all views."""

    def key(view: np.ndarray) -> bytes:
        return view[TORSO].astype(np.float32).tobytes()

    rows = {key(view): row for each in points for row, view in enumerate(each)}
    return lambda views: np.array([rows[key(view)] for view in views])


def oracle(joints: np.ndarray, points: np.ndarray, shuffled: bool = False) -> Contestant:
    """Codes and lifts every known view by the truth, or each time by that of others.

    Args:
        joints: (N, 17, 3) metres.
        points: (C, N, 13, 2) all views that it will see.
        shuffled: whether it is of no use.
    """
    find = lookup(points)
    truth = to_body_frame(joints, "joints17") / stature(joints)[:, None, None]
    rng = np.random.default_rng(5)

    def rows(views: np.ndarray) -> np.ndarray:
        found = find(views)
        return rng.permutation(found) if shuffled else found

    def embed(views: np.ndarray, visibility: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        found = truth[rows(views)].reshape(len(views), -1)
        return found, np.zeros_like(found)

    def lift(views: np.ndarray, visibility: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        found = truth[rows(views)]
        return found, np.full(found.shape[:2], 0.01)

    name = "shuffled" if shuffled else "oracle"
    return Contestant(name, name, EmbeddingCoder(embed, (1.0, 0.0)), lift)


def task(
    contestants: list[Contestant],
    file: str,
    poses: int = 40,
    folder: Path | None = None,
    **options: Any,
) -> Task:
    """A task on one motion file or cache of $VIPE_DATA."""
    named = argparse.Namespace(**options)
    return Task(contestants, Source((file,)), poses, 0, named, Parts(folder))


class Cameras:
    """A reader of made-up sequences that real cameras saw; for ``prepare``. The people of each
    sequence are others, or the ``same``."""

    kind = "motion"

    def __init__(
        self,
        file: Path,
        sequences: list[str],
        cameras: tuple[str, ...],
        frames: int = 40,
        fps: float = 50.0,
        same: bool = False,
    ) -> None:
        file.write_text("source")
        self.file, self.names, self.cameras = file, sequences, cameras
        self.frames, self.fps, self.same = frames, fps, same

    def files(self) -> list[Path]:
        return [self.file]

    def sequences(self):
        for number, name in enumerate(self.names):
            yield Sequence(name, lambda n=number, s=name: iter([self.recording(n, s)]))

    def recording(self, number: int, name: str) -> Recording:
        joints = random_people(self.frames, seed=0 if self.same else number)
        rng = np.random.default_rng(number)
        points = rng.normal(300, 80, (self.frames, len(self.cameras), 13, 2)).astype(np.float32)
        subject = name.partition("/")[0]
        seen = np.ones(points.shape[:-1], np.float32)
        return Recording(subject, self.fps, joints, points, seen, label=name)


def camera_cache(
    root: Path, name: str, sequences: list[str], cameras: tuple[str, ...], **keys: Any
) -> Any:
    """A prepared cache in ``root``, and its motion."""
    max_fps = keys.pop("max_fps", None)
    prepare(name, Cameras(root / f"{name}.txt", sequences, cameras, **keys), root / name, max_fps)
    return load_motion([name], root=root)
