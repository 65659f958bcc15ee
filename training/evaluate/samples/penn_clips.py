"""Penn Action as clips, from its cache (``vipe data prepare penn-action``)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from vipe_core.errors import VipeError
from vipe_core.estimate import MIN_JOINTS, visible_joints
from vipe_training.datasets.keypoints import KeypointSet, load_keypoints
from vipe_training.datasets.readers.common import load_mat
from vipe_training.evaluate.samples.clip_sets import Clip

RATE_HZ = 30.0  # assumed: the set does not say
_DROPPED = "strum_guitar"
_VISIBLE = 1 / 3


def load_penn(path: Path, labels: Path | None = None) -> tuple[list[Clip], list[Clip], list[str]]:
    """Clips of the official split.

    Left out are "strum_guitar" and videos in which fewer than a third of the 13 points of all
    frames are visible. A frame with fewer than four visible points copies the nearest frame
    that has them.

    Args:
        path: the cache.
        labels: the owner's folder of ``.mat`` files, which say the side that a video shows
            the person from; the cache does not. None: every view is "".

    Returns:
        clips of the training split, of the test split, and what was left out, a line each.

    Raises:
        VipeError: no such cache, one without the split or without labels, or nothing left.

    Source: Pr-VIPE, action recognition.
    """
    found = load_keypoints(path)
    if not (found.label != "").all():
        raise VipeError(f"cache {path}: a clip has no label, so it cannot be classified")
    ends = [*(np.flatnonzero(np.diff(found.clip)) + 1), len(found)]
    split: dict[str, list[Clip]] = {"train": [], "test": []}
    guitars = hidden = 0
    for start, end in zip([0, *ends], ends, strict=False):
        side, _, name = str(found.subject[start]).partition("/")
        if side not in split:
            raise VipeError(f"cache {path}: {found.subject[start]} is of no split of Penn Action")
        if found.label[start] == _DROPPED:
            guitars += 1
        elif (clip := _clip(found, start, end)) is None:
            hidden += 1
        else:
            view = "" if labels is None else _view(labels / f"{name}.mat")
            split[side].append(replace(clip, view=view))
    skipped = [f"{guitars} videos of {_DROPPED}, as in the paper"] if guitars else []
    if hidden:
        skipped.append(f"{hidden} videos with under a third of the person visible")
    if not split["train"] or not split["test"]:
        raise VipeError(f"cache {path}: no usable video is left in one of the two splits")
    return split["train"], split["test"], skipped


def _clip(found: KeypointSet, start: int, end: int) -> Clip | None:
    """The clip in these rows; None if too little of the person is visible."""
    points, visibility = np.array(found.points[start:end]), np.array(found.visibility[start:end])
    usable = np.flatnonzero(visible_joints(points, visibility) >= MIN_JOINTS)
    if not len(usable) or (visibility >= 0.5).mean() < _VISIBLE:
        return None
    nearest = usable[np.abs(np.arange(end - start)[:, None] - usable).argmin(axis=1)]
    rate = found.fps[start] if np.isfinite(found.fps[start]) else RATE_HZ
    label, name = str(found.label[start]), str(found.subject[start])
    stamps = found.frame[start:end] / rate
    return Clip(name, label, "", points[nearest], visibility[nearest], stamps)


def _view(path: Path) -> str:
    side = np.asarray(load_mat(path, "pose")["pose"]).ravel()
    if side.size != 1 or side.dtype.kind != "U":
        raise VipeError(f"{path}: pose is no text")
    return str(side[0])
