"""Clips with a label: recorded in 3D, and as a camera sees them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from vipe_core.errors import VipeError
from vipe_core.files import read_npz
from vipe_training.datasets import data_root, load_motion
from vipe_training.evaluate import protocol
from vipe_training.evaluate.protocol import View

NOISE = 0.02  # of the longest torso distance, as "+n" in retrieval


@dataclass(frozen=True)
class MotionClip:
    """One recorded clip.

    Attributes:
        name: of the recording.
        label: what is done.
        group: the style, or the person where there is no style.
        joints: (F, 17, 3) metres, pelvis at the origin, y up.
        stamps: (F,) seconds; frames marked bad are missing.
    """

    name: str
    label: str
    group: str
    joints: np.ndarray
    stamps: np.ndarray


@dataclass(frozen=True)
class Clip:
    """A clip in 2D.

    Attributes:
        name, label: as in MotionClip.
        view: name of the camera or of its direction.
        points: (F, 13, 2) pixels, body13. visibility: (F, 13) in 0..1.
        stamps: (F,) seconds.
        joints: (F, 17, 3) metres, what was filmed; None where nobody knows.
    """

    name: str
    label: str
    view: str
    points: np.ndarray
    visibility: np.ndarray
    stamps: np.ndarray
    joints: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.points)


def load_clips(name: str) -> list[MotionClip]:
    """Every clip of a motion file below the data folder, with its ``category``.

    Raises:
        VipeError: no such file, or a file that does not say what is done in its clips.
    """
    motion = load_motion([name])
    table = read_npz(data_root() / name, "motion file")
    if "category" not in table:
        raise VipeError(f"motion file {name} has no category: clips of actions need one each")
    if not np.isfinite(motion.fps).all():
        raise VipeError(f"motion file {name} has no fps: clips of actions need one each")
    group, trial = table.get("style", table["subject"]), table.get("trial")
    ends = [*(np.flatnonzero(np.diff(motion.clip)) + 1), len(motion)]
    clips = []
    for start, end in zip([0, *ends], ends, strict=False):
        number = int(motion.clip[start])
        clips.append(
            MotionClip(
                str(trial[number]) if trial is not None else f"{name}:{number}",
                str(table["category"][number]),
                str(group[number]),
                motion.joints[start:end],
                motion.frame[start:end] / motion.fps[start],
            )
        )
    return clips


def thinned(clip: MotionClip, rate_hz: float) -> MotionClip:
    """Every n-th frame, so that about ``rate_hz`` of them make a second; n from 1."""
    if len(clip.stamps) < 2:
        return clip
    every = max(1, round(1 / (rate_hz * float(np.median(np.diff(clip.stamps))))))
    return replace(clip, joints=clip.joints[::every], stamps=clip.stamps[::every])


def limited(clips: list, limit: int, rng: np.random.Generator) -> list:
    """At most ``limit`` clips of each label, drawn at random, in their old order; 0: all.

    Raises:
        VipeError: a limit that leaves nothing to compare a clip with.
    """
    if limit < 0 or limit == 1:
        raise VipeError(f"--limit is two or more clips per class, or 0 for all, not {limit}")
    limit = limit or len(clips)
    rows: list[int] = []
    labels = np.array([clip.label for clip in clips])
    for label in np.unique(labels):
        rows += rng.permutation(np.flatnonzero(labels == label))[:limit].tolist()
    return [clips[row] for row in sorted(rows)]


def film(clip: MotionClip, views: dict[str, View], name: str, seed: int) -> Clip:
    """The clip as the camera ``name`` of ``views`` sees it, with a detector's noise."""
    points = protocol.render(clip.joints, [views[name]], NOISE, seed)[0]
    visible = np.ones(points.shape[:-1])
    return Clip(clip.name, clip.label, name, points, visible, clip.stamps, clip.joints)


def film_all(
    clips: Sequence[MotionClip], views: dict[str, View], rng: np.random.Generator
) -> list[Clip]:
    """Each clip through one of the cameras, dealt evenly to the clips of every label."""
    names, dealt = list(views), {}
    filmed = []
    for clip in clips:
        hand = dealt.setdefault(clip.label, [])
        if not hand:
            hand.extend(rng.permutation(names).tolist())
        filmed.append(film(clip, views, hand.pop(), int(rng.integers(2**31))))
    return filmed


def cameras(seed: int) -> tuple[dict[str, View], dict[str, View]]:
    """The eight novel cameras by name: four for queries, four for the index."""
    views = {f"camera {number}": view for number, view in enumerate(protocol.novel8(seed), 1)}
    names = list(views)
    return {n: views[n] for n in names[:4]}, {n: views[n] for n in names[4:]}


def fingerprint(clips: Sequence[Clip]) -> str:
    """12 hexadecimal digits of the keypoints, names and labels: finished parts depend on it."""
    content = hashlib.sha256()
    for clip in clips:
        content.update(f"{clip.name} {clip.label} {clip.view} {len(clip)}\n".encode())
        for array in (clip.points, clip.visibility, clip.stamps):
            content.update(np.ascontiguousarray(array, np.float32).tobytes())
    return content.hexdigest()[:12]
