"""The views that the suite ``properties`` looks at, coded once per contestant."""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator
from functools import cached_property
from itertools import permutations

import numpy as np
from scipy.cluster.vq import kmeans2

from vipe_core.errors import VipeError
from vipe_core.geometry import stature, to_body_frame
from vipe_training.datasets import MotionSet
from vipe_training.evaluate import protocol
from vipe_training.evaluate.coders import Coder, EmbeddingCoder
from vipe_training.evaluate.metrics import properties
from vipe_training.evaluate.task import Contestant, Task

_NOISE = 0.02
_POOL = 2400  # views among which look-alikes are sought
_RANDOM = 20  # random pairs per query


class Ground:
    """Poses, and what is right, for all contestants that take the same windows."""

    def __init__(self, motion: MotionSet, task: Task, frames: int, step: float) -> None:
        self.seed = task.seed
        self.options = task.options
        self.joints = protocol.choose(motion, task.poses, task.seed, frames, step)
        if len(self.joints) < 2:
            raise VipeError(f"one pose of {task.source} is left: telling poses apart needs two")

    @cached_property
    def matches(self) -> np.ndarray:
        """(N, N) bool."""
        return protocol.match_matrix(self.joints)

    def points(self, noisy: bool) -> np.ndarray:
        """(8, N, [T,] 13, 2)."""
        views = protocol.novel8(self.seed)
        return protocol.render(self.joints, views, _NOISE if noisy else 0.0, self.seed)

    @cached_property
    def pool(self) -> np.ndarray:
        """Rows of all views, camera by camera, among which look-alikes are sought."""
        poses = min(len(self.joints), _POOL // len(protocol.novel8(self.seed)))
        some = np.random.default_rng(self.seed).permutation(len(self.joints))[:poses]
        cameras = len(protocol.novel8(self.seed))
        return (np.arange(cameras)[:, None] * len(self.joints) + np.sort(some)).ravel()

    @cached_property
    def look_alikes(self) -> np.ndarray:
        """(M,) of the pool; of windows the middle frames are compared in 2D."""
        points = self.points(noisy=False)
        if points.ndim == 5:
            points = points[:, :, points.shape[2] // 2]
        flat = points.reshape(-1, 13, 2)[self.pool]
        pose = self.pool % len(self.joints)
        distance = properties.pairwise_2d(flat, flat)
        return properties.look_alikes(distance, ~self.matches[np.ix_(pose, pose)])

    @cached_property
    def clusters(self) -> np.ndarray:
        """(N,) cluster of each pose in the body frame: k-means with a fixed start."""
        body = to_body_frame(protocol.middle(self.joints), "joints17")
        flat = (body / stature(body)[:, None, None]).reshape(len(body), -1).astype(np.float64)
        count = min(max(1, self.options.clusters), len(flat))
        start = np.random.default_rng(self.seed).choice(len(flat), count, replace=False)
        # A cluster may run empty; the others are as good for colours.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            return kmeans2(flat, flat[start], minit="matrix")[1]


class Views:
    """A contestant before the common ground: codes, answers and probabilities."""

    def __init__(self, ground: Ground, contestant: Contestant) -> None:
        self._ground, self._contestant = ground, contestant
        self._codes: dict[bool, list] = {}
        self.options: argparse.Namespace = ground.options

    @property
    def coder(self) -> Coder:
        if self._contestant.coder is None:
            raise VipeError(f"{self._contestant.name} cannot be ranked")
        return self._contestant.coder

    def codes(self, noisy: bool) -> list:
        """The code of each camera's views."""
        if noisy not in self._codes:
            points = self._ground.points(noisy)
            self._codes[noisy] = [self.coder.code(p, np.ones(p.shape[:-1])) for p in points]
        return self._codes[noisy]

    def embeddings(self, noisy: bool) -> tuple[np.ndarray, np.ndarray] | None:
        """Means and variances (8, N, D); None of who does not embed."""
        if not isinstance(self.coder, EmbeddingCoder):
            return None
        mean, variance = zip(*self.codes(noisy), strict=True)
        return np.stack(mean), np.stack(variance)

    def uncertainties(self, noisy: bool) -> list[np.ndarray]:
        """(N,) of each camera."""
        return [np.asarray(self.coder.uncertainty(code)) for code in self.codes(noisy)]

    def has_uncertainty(self) -> bool:
        """Whether it differs at all between views: a constant tells nothing."""
        return bool(np.ptp(np.concatenate(self.uncertainties(noisy=True))) > 0)

    def answers(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Per ordered pair of cameras: is the first that is found right (N,), and the
        uncertainty (N,) of each query."""
        uncertainty = self.uncertainties(noisy=True)
        for (q, _), first in zip(self._pairs(), self._first, strict=True):
            yield self._ground.matches[np.arange(len(first)), first], uncertainty[q]

    def hit(self, coder: Coder, codes: list) -> float:
        """Hit@1 in percent of other codes of the same views."""
        found = [coder.rank(codes[q], codes[i], 1)[:, 0] for q, i in self._pairs()]
        matches = self._ground.matches
        return 100 * float(np.mean([matches[np.arange(len(f)), f].mean() for f in found]))

    def found_pairs(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Probability and truth (M,) of every query with what it finds first."""
        return self._judged([first[:, None] for first in self._first])

    def random_pairs(self) -> tuple[np.ndarray, np.ndarray] | None:
        """The same of every query with random poses."""
        rng = np.random.default_rng(self._ground.seed)
        size = (len(self._ground.joints), _RANDOM)
        return self._judged([rng.integers(size[0], size=size) for _ in self._pairs()])

    def look_alikes(self) -> np.ndarray:
        """See :class:`Ground`."""
        return self._ground.look_alikes

    def pool(self) -> np.ndarray:
        """See :class:`Ground`."""
        return self._ground.pool

    def clusters(self) -> np.ndarray:
        """See :class:`Ground`."""
        return self._ground.clusters

    def some(self, count: int) -> np.ndarray:
        """Row numbers of the first poses, which are drawn at random already."""
        return np.arange(min(max(1, count), len(self._ground.joints)))

    def _pairs(self) -> list[tuple[int, int]]:
        return list(permutations(range(len(protocol.novel8(self._ground.seed))), 2))

    @cached_property
    def _first(self) -> list[np.ndarray]:
        """(N,) row that is found first, per ordered pair of cameras."""
        codes = self.codes(noisy=True)
        return [self.coder.rank(codes[q], codes[i], 1)[:, 0] for q, i in self._pairs()]

    def _judged(self, chosen: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray] | None:
        """Of rows (N, R) of the index camera, per ordered pair of cameras."""
        codes, told, right = self.codes(noisy=True), [], []
        for (q, i), rows in zip(self._pairs(), chosen, strict=True):
            for column in rows.T:
                probability = self.coder.confidence(codes[q], self.coder.take(codes[i], column))
                if probability is None:
                    return None
                told.append(probability)
                right.append(self._ground.matches[np.arange(len(column)), column])
        return np.concatenate(told), np.concatenate(right)


class Visitor:
    """Makes each contestant's views, and keeps the last one's only."""

    def __init__(self, task: Task) -> None:
        self._task, self._motion = task, task.source.load()
        self._grounds: dict[tuple[int, float], Ground] = {}
        self._last: tuple[str, Views] | None = None

    def views(self, contestant: Contestant) -> Views:
        """Of one contestant."""
        if self._last is None or self._last[0] != contestant.name:
            key = (contestant.frames, contestant.frame_step)
            if key not in self._grounds:
                self._grounds[key] = Ground(self._motion, self._task, *key)
            self._last = contestant.name, Views(self._grounds[key], contestant)
        return self._last[1]
