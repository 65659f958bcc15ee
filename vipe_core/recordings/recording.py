"""People over time, as a recording of any kind shows them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vipe_core.bodies import Bodies2D, Estimates
from vipe_core.track import Track


@dataclass(frozen=True)
class Moment:
    """One image of a recording: who was seen, and what the model says of them.

    Attributes:
        stamp_s: seconds, in the recording's own clock.
        bodies: names of the P people, the same name over time for the same person.
        estimates: of the P people.
        people: their keypoints; None where only embeddings were kept.
        image: (H, W, 3) uint8 BGR, None where there is none or nobody asked for it.
    """

    stamp_s: float
    bodies: tuple[str, ...]
    estimates: Estimates
    people: Bodies2D | None = None
    image: np.ndarray | None = None


@dataclass(frozen=True)
class Person:
    """One person in a recording, at the T moments when they were seen.

    Attributes:
        body: the name that tells them from the others of the recording.
        track: their embeddings.
        points, visibility: (T, J, 2) pixels and (T, J) 0..1; None where only embeddings were kept.
        skeleton: of the points, "" without.
        joints, std: (T, 17, 3) and (T, 17) in statures, body frame; None without a lifted pose.
    """

    body: str
    track: Track
    points: np.ndarray | None = None
    visibility: np.ndarray | None = None
    skeleton: str = ""
    joints: np.ndarray | None = None
    std: np.ndarray | None = None


@dataclass(frozen=True)
class Recording:
    """A whole recording.

    Attributes:
        source: where it was read from, as a path.
        people: the longest seen first.
        stamps: (F,) seconds of all its moments, rising.
        image_size: (width, height) in pixels; None when unknown.
        label: what is done in it; None when it does not say.
        fingerprint: of the model that made the embeddings.
        sigmoid_a, sigmoid_b: of that model's match probability.
    """

    source: str
    people: tuple[Person, ...]
    stamps: np.ndarray
    image_size: tuple[int, int] | None
    label: str | None
    fingerprint: str
    sigmoid_a: float
    sigmoid_b: float
