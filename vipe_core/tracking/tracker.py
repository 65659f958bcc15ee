"""Who is who, from image to image."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from vipe_core import skeletons
from vipe_core.bodies import Bodies2D, Estimates
from vipe_core.errors import VipeError
from vipe_core.tracking.assignment import pairs
from vipe_core.tracking.evidence import pose_evidence, undisputed, weigh
from vipe_core.tracking.names import Names, random_letters
from vipe_core.tracking.tracks import Sighting, Tracks, body_size

# Somebody seen once may be a false detection: others go first, and it is forgotten after so many
# images without it.
_ESTABLISHED = 2
_PREFERENCE = 2.0
_FORGIVEN = 8
_CERTAIN = 1e6  # log-odds of an id that the source gave


class Tracker:
    """Gives every person an id and keeps it while the person moves, also through a second out of
    sight and past other people.

    People are expected to go on at constant velocity, compared by object keypoint similarity and,
    where that leaves a choice and a model has looked at them, by its embeddings, and assigned with
    ``linear_sum_assignment``. Every person has an id in the first image that shows it; nothing is
    delayed. So a false detection has one, too, but it can take nobody else's place.

    An id is five letters, and never used again in the life of the tracker (REP-155).
    A person that turns up where nobody is expected gets a new one, also when it is the only
    person and somebody else was the only person just before.
    """

    def __init__(
        self,
        max_gap_s: float = 1.5,
        name: Callable[[], str] = random_letters,
        odds: tuple[float, float] | None = None,
        predict: bool = True,
    ) -> None:
        """
        Args:
            max_gap_s: a person out of sight for longer is forgotten.
            name: gives a random string of at least five characters, of which an id is the
                beginning.
            odds: slope and offset of the model's match probability (``sigmoid_a``, ``sigmoid_b``
                of its metadata); None: embeddings are not used.
            predict: expect people to go on; False is for measuring what that brings.
        """
        self.max_gap_s = max_gap_s
        self._odds = odds
        self._predict = predict
        self._names = Names(name)
        self._tracks = Tracks()
        self._skeleton = ""
        self._stamp_s = -math.inf

    @property
    def ids(self) -> tuple[str, ...]:
        """The people not forgotten, in sight or not."""
        return tuple(self._tracks.ids)

    def update(
        self, people: Bodies2D, stamp_s: float, estimates: Estimates | None = None
    ) -> Bodies2D:
        """Name the people of the next image.

        Args:
            people: any skeleton; another one than before forgets everybody. Ids in it stay as
                they are, and who has none gets one that nobody else has.
            stamp_s: time of the image in seconds. Going back in time forgets everybody.
            estimates: what the model says of these people, in the same order.

        Returns:
            The same people with track ids; "" for one without a single joint.

        Raises:
            VipeError: the stamp is not a number, or the estimates are of another number of people.
        """
        if not math.isfinite(stamp_s):
            raise VipeError(f"stamp of a frame is {stamp_s}, seconds needed")
        self._forget(people.skeleton, stamp_s)
        names = list(people.track_ids)
        for name in filter(None, names):
            self._names.reserve(name)
        present = np.flatnonzero(np.isfinite(people.points).all(axis=-1).any(axis=-1))
        seen = self._sighting(people, stamp_s, estimates, present)
        found = self._assign(seen, [names[person] for person in present.tolist()])
        for row, track in found.items():
            names[present[row]] = self._tracks.ids[track]
        self._begin(names, seen, present)
        return people.with_track_ids(names)

    def _forget(self, skeleton: str, stamp_s: float) -> None:
        if stamp_s < self._stamp_s or skeleton != self._skeleton:
            self._tracks = Tracks()
        self._stamp_s, self._skeleton = stamp_s, skeleton
        tracks = self._tracks
        tracks.missed += 1
        passing = (tracks.sightings < _ESTABLISHED) & (tracks.missed > _FORGIVEN)
        self._tracks = tracks.kept((stamp_s - tracks.seen_s <= self.max_gap_s) & ~passing)

    def _sighting(
        self, people: Bodies2D, stamp_s: float, estimates: Estimates | None, present: np.ndarray
    ) -> Sighting:
        """The M people that have a joint, and then the same with swapped sides."""
        skeleton = skeletons.get(self._skeleton)
        # Mostly everybody has one: a view costs less than row numbers.
        rows = slice(None) if len(present) == len(people) else present
        both = np.empty((2, len(present), len(skeleton), 3))
        both[0, ..., :2], both[0, ..., 2] = people.points[rows], people.visibility[rows]
        both[1] = both[0][:, skeleton.mirror]
        both = both.reshape(-1, len(skeleton), 3)
        points, trust = both[..., :2], both[..., 2]
        own, other = self._embeddings(estimates, len(people))
        mean, variance = (
            np.concatenate([a[rows], b[rows]]) for a, b in zip(own, other, strict=True)
        )
        return Sighting(points, trust, body_size(points, trust), mean, variance, stamp_s)

    def _embeddings(
        self, estimates: Estimates | None, count: int
    ) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
        """Mean and variance (P, D) of the people, and of their mirror images; NaN where nobody
        knows."""
        if self._odds is None or estimates is None:
            unknown = np.full((count, self._tracks.mean.shape[1]), np.nan)
            return (unknown, unknown), (unknown, unknown)
        own = estimates.embedding()
        if len(own[0]) != count:
            raise VipeError(f"estimates of {len(own[0])} people for {count}: one for each needed")
        self._tracks.expect_embeddings(own[0].shape[1])
        if estimates.mirror_mean is None or estimates.mirror_variance is None:
            return own, own
        return own, (estimates.mirror_mean, estimates.mirror_variance)

    def _assign(self, seen: Sighting, given: list[str]) -> dict[int, int]:
        """The row of the track that a person is, of the M people that are one; the tracks remember
        them."""
        tracks = self._tracks
        if not given or not len(tracks):
            return {}
        expected = tracks.expected(seen.stamp_s)
        evidence = weigh(tracks, expected, seen, self._skeleton, self._predict)
        score = evidence.score
        if self._odds is not None and tracks.mean.shape[1] and not undisputed(score):
            score = score + pose_evidence(tracks, seen, self._odds)
        self._heed(score, given)
        preferred = _PREFERENCE * (tracks.sightings >= _ESTABLISHED)[:, None]
        gain = np.where(score > 0, score + preferred, 0)
        track, person = pairs(gain)
        fits = gain[track, person] > 0
        track, person = track[fits], person[fits]
        side = person + len(given) * evidence.mirrored[track, person]
        # Tracks are assigned in order: a view of all of them, mostly.
        rows = slice(None) if len(track) == len(tracks) else track
        shift = evidence.shift[track, side]
        tracks.see(rows, seen.take(side), expected[rows], shift, self._predict)
        return dict(zip(person.tolist(), track.tolist(), strict=True))

    def _heed(self, score: np.ndarray, given: list[str]) -> None:
        """Whom the source named is that track or nobody else's, and the track nobody else."""
        for person, name in enumerate(given):
            if name:
                score[:, person] = -np.inf
                if name in self._tracks.ids:
                    track = self._tracks.ids.index(name)
                    score[track] = -np.inf
                    score[track, person] = _CERTAIN

    def _begin(self, names: list[str], seen: Sighting, present: np.ndarray) -> None:
        """Name who has no id, and remember everybody who is new."""
        new: dict[str, int] = {}
        for row, person in enumerate(present.tolist()):
            names[person] = names[person] or self._names.new()
            if names[person] not in self._tracks.ids:
                new.setdefault(names[person], row)
        if new:
            self._tracks = self._tracks.with_new(list(new), seen.take(np.array([*new.values()])))
