"""What can be taught and what cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vipe_core import skeletons
from vipe_core.errors import VipeError
from vipe_core.track import Track

if TYPE_CHECKING:
    from vipe_core.actions.examples import Example, Keypoints

SHORTEST_S = 0.3
LONGEST_S = 120.0  # every frame of a stream is compared with the whole of it
_LONGEST_LABEL = 100  # characters


def check_example(example: Example, size: int) -> None:
    """Raises VipeError, which begins with where the example comes from.

    Args:
        example: what is to be taught.
        size: D, dimensions that its embeddings must have.
    """
    try:
        check_label(example.label)
        check_track(example.track, size)
        if example.keypoints is not None:
            _check_keypoints(example.keypoints, len(example.track))
    except VipeError as error:
        where = example.source or f"example {example.label!r}"
        raise VipeError(f"{where}: {error}") from None


def check_label(label: str) -> None:
    """Raises VipeError for a label that cannot be taught."""
    if label.strip() in ("", "unknown") or not label.isprintable():
        raise VipeError(f"label {label!r} cannot be taught")
    if len(label) > _LONGEST_LABEL:
        raise VipeError(f"label of {len(label)} characters, at most {_LONGEST_LABEL} are taken")


def check_track(track: Track, size: int) -> None:
    """Raises VipeError for embeddings that cannot be taught; ``size`` is their D."""
    wanted = (len(track), size)
    for values in (track.mean, track.variance, track.mirror_mean, track.mirror_variance):
        if values is None:
            continue
        if np.shape(values) != wanted:
            raise VipeError(f"embedding of shape {np.shape(values)}, {wanted} needed")
        if not np.isfinite(values).all():
            raise VipeError("embedding holds a value that is not finite")
    if any((v < 0).any() for v in (track.variance, track.mirror_variance) if v is not None):
        raise VipeError("variance is negative")
    stamps_rise = np.isfinite(track.stamp).all() and (np.diff(track.stamp) > 0).all()
    if len(track) > 1 and not stamps_rise:
        raise VipeError("stamps do not rise")
    if track.duration < SHORTEST_S - 1e-6:
        raise VipeError(f"{track.duration:.2f} s long, at least {SHORTEST_S} s needed")
    if track.duration > LONGEST_S:
        raise VipeError(f"{track.duration:.0f} s long, at most {LONGEST_S:.0f} s are one action")


def _check_keypoints(keypoints: Keypoints, frames: int) -> None:
    wanted = (frames, len(skeletons.get(keypoints.skeleton)))
    shapes = (np.shape(keypoints.points), np.shape(keypoints.visibility))
    if shapes != ((*wanted, 2), wanted):
        raise VipeError(f"keypoints of shapes {shapes}, {(*wanted, 2)} and {wanted} needed")
