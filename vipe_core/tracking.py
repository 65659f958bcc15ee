"""Names for people that last from frame to frame."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from vipe_core import skeletons
from vipe_core.bodies import Bodies2D
from vipe_core.errors import VipeError

# How far a joint may lie from where it was, as a share of the body's size: detector noise
# and a frame's motion at once, then what a person walks in a second out of sight.
_TOLERANCE, _TOLERANCE_PER_S = 0.10, 0.30
_MIN_SIMILARITY = 0.3


@dataclass(frozen=True)
class _Track:
    """Where a person was last seen: points (J, 2) pixels, stamp in seconds."""

    points: np.ndarray
    stamp_s: float


class Tracker:
    """Gives every person an id and keeps it while the person moves.

    People are matched by object keypoint similarity (the COCO keypoint measure) and
    ``linear_sum_assignment``. An id is "1", "2", ... and never used again in the life of
    the tracker. A person that turns up where nobody was gets a new one, also when it is
    the only person and somebody else was the only person just before.

    Args:
        max_gap_s: a person out of sight for longer is forgotten.
    """

    def __init__(self, max_gap_s: float = 1.0) -> None:
        self.max_gap_s = max_gap_s
        self._tracks: dict[str, _Track] = {}
        self._stamp_s = -math.inf
        self._given = 0

    @property
    def ids(self) -> tuple[str, ...]:
        """The people not forgotten, in sight or not."""
        return tuple(self._tracks)

    def update(self, bodies: Bodies2D, stamp_s: float) -> Bodies2D:
        """Name the people of the next frame.

        Args:
            bodies: any skeleton; ids in it are replaced.
            stamp_s: time of the image in seconds. Going back in time forgets everybody.

        Returns:
            The same people with track ids; "" for one without a single joint.

        Raises:
            VipeError: the stamp is not a number.
        """
        if not math.isfinite(stamp_s):
            raise VipeError(f"stamp of a frame is {stamp_s}, seconds needed")
        self._forget(stamp_s)
        present = np.isfinite(bodies.points).all(axis=-1).sum(axis=-1) > 0
        ids = self._match(bodies, stamp_s, present)
        names = tuple(
            (ids.get(person) or self._new_id()) if present[person] else ""
            for person in range(len(bodies))
        )
        for name, points in zip(names, bodies.points, strict=True):
            if name:
                self._tracks[name] = _Track(points.copy(), stamp_s)
        return bodies.with_track_ids(names)

    def _forget(self, stamp_s: float) -> None:
        if stamp_s < self._stamp_s:
            self._tracks.clear()
        oldest = stamp_s - self.max_gap_s
        self._tracks = {n: track for n, track in self._tracks.items() if track.stamp_s >= oldest}
        self._stamp_s = stamp_s

    def _match(self, bodies: Bodies2D, stamp_s: float, present: np.ndarray) -> dict[int, str]:
        """Index of a person -> its id, for the people seen before."""
        people = np.flatnonzero(present)
        shape = bodies.points.shape[1:]
        known = {n: track for n, track in self._tracks.items() if track.points.shape == shape}
        if not len(people) or not known:
            return {}
        before = np.stack([track.points for track in known.values()])
        gaps = np.array([stamp_s - track.stamp_s for track in known.values()])
        alike = _similarity(before, bodies.points[people], gaps, bodies.skeleton)
        alike[alike < _MIN_SIMILARITY] = 0
        names = list(known)
        pairs = zip(*linear_sum_assignment(alike, maximize=True), strict=True)
        return {int(people[p]): names[t] for t, p in pairs if alike[t, p] > 0}

    def _new_id(self) -> str:
        self._given += 1
        return str(self._given)


def _similarity(before: np.ndarray, now: np.ndarray, gaps: np.ndarray, skeleton: str) -> np.ndarray:
    """(T, P) object keypoint similarity 0..1 of tracks (T, J, 2) and people (P, J, 2).

    ``gaps`` (T,) seconds. The better of the person as it is and with its sides swapped:
    detectors swap left and right of a whole body now and then, and that is no new person.
    """
    size = np.maximum(_size(before)[:, None], _size(now)[None])
    tolerance = size * (_TOLERANCE + _TOLERANCE_PER_S * gaps)[:, None]
    swapped = now[:, list(skeletons.get(skeleton).mirror)]
    return np.maximum(_oks(before, now, tolerance), _oks(before, swapped, tolerance))


def _oks(before: np.ndarray, now: np.ndarray, tolerance: np.ndarray) -> np.ndarray:
    """(T, P): mean of exp(-distance^2 / 2 tolerance^2) over joints that both have."""
    gap = before[:, None] - now[None]
    squared = (gap * gap).sum(axis=-1)  # (T, P, J)
    both = np.isfinite(squared)
    value = np.where(both, np.exp(-np.where(both, squared, 0) / (2 * tolerance[..., None] ** 2)), 0)
    return value.sum(axis=-1) / np.maximum(both.sum(axis=-1), 1)


def _size(points: np.ndarray) -> np.ndarray:
    """(N,) diagonal in pixels of the box around the joints (N, J, 2) that are there."""
    low = np.where(np.isnan(points), np.inf, points).min(axis=1)
    high = np.where(np.isnan(points), -np.inf, points).max(axis=1)
    return np.maximum(np.hypot(*(high - low).T), 1)
