"""Which clips the suites of actions and of alignment use."""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vipe_core.errors import VipeError
from vipe_training.datasets import data_root
from vipe_training.evaluate.samples import clip_sets
from vipe_training.evaluate.samples.clip_sets import Clip, MotionClip
from vipe_training.evaluate.samples.penn_clips import load_penn

SETS = ("bandai", "cmu", "penn-action")
_BANDAI = "actions/bandai_ccbync_{}.npz"
_CMU = tuple(f"mocap/cmu_mocap_{part}.npz" for part in ("test", "val", "native"))
_RATE_HZ = 15.0  # Bandai's; CMU's 24 would cost four times as much
_NO_ACTION = ("unlabelled", "other", "")


@dataclass(frozen=True)
class ActionSet:
    """What is to be classified, by what.

    Attributes:
        title: where the clips come from.
        queries, index: the clips.
        same: (Q, I) bool, the pairs that show one recording.
        chiral: whether left and right are different classes, so that a mirrored person shows
            another action.
        skipped: what was left out, a line each.
    """

    title: str
    queries: list[Clip]
    index: list[Clip]
    same: np.ndarray
    chiral: bool
    skipped: list[str] = field(default_factory=list)

    def inputs(self) -> dict[str, str]:
        """What finished parts depend on."""
        prints = {"queries": self.queries, "index": self.index}
        return {name: clip_sets.fingerprint(clips) for name, clips in prints.items()}


def add_set_options(parser: argparse.ArgumentParser, limit: int) -> None:
    """The options that say whose clips, and against what to hold the contestants."""
    parser.add_argument(
        "--set", choices=SETS, default="bandai", help="whose actions (default %(default)s)"
    )
    parser.add_argument(
        "--limit", type=int, default=limit, help="clips per class; 0: all (default %(default)s)"
    )
    parser.add_argument(
        "--cache",
        type=Path,
        default=Path("penn-action.vipe"),
        metavar="FOLDER",
        help="Penn Action's cache, in the data folder (default %(default)s)",
    )
    parser.add_argument(
        "--labels",
        type=Path,
        metavar="FOLDER",
        help="Penn Action's own .mat files, which know the side that a video shows",
    )
    parser.add_argument(
        "--truth", action="store_true", help="also a row of the true 3D poses: a limit of the task"
    )


def set_files(options: argparse.Namespace) -> list[str]:
    """What the set that ``--set`` names is read from, below the data folder."""
    if options.set == "penn-action":
        return [str(options.cache)]
    if options.set == "cmu":
        return list(_CMU)
    index = getattr(options, "index", "test")  # not all suites have one
    parts = ("test", index) if index in ("val", "train") else ("test", "val", "train")
    return [_BANDAI.format(part) for part in (("test",) if index == "test" else parts)]


def load_actions(options: argparse.Namespace, seed: int) -> ActionSet:
    """The set that ``--set`` names, through random cameras where it is motion capture.

    Bandai: queries are the styles of the test file; the index is the val file, or what
    ``--index`` names. CMU: each clip of test, val and native is a query against all others.
    Penn Action: its official split.

    Raises:
        VipeError: files that are not there, or fewer than two classes on both sides.
    """
    rng = np.random.default_rng(seed)
    if options.set == "penn-action":
        index, queries, skipped = load_penn(data_root() / options.cache, options.labels)
        index, queries = (clip_sets.limited(c, options.limit, rng) for c in (index, queries))
        return _common("Penn Action", queries, index, False, skipped)
    if options.set == "cmu":
        motion, skipped = cmu_clips()
        motion = clip_sets.limited(motion, options.limit, rng)
        motion = [clip_sets.thinned(clip, _RATE_HZ) for clip in motion]
        title, known = "CMU, each clip against all others", motion
    else:
        motion, known, skipped = *bandai_clips(options.index), []
        motion, known = (clip_sets.limited(clips, options.limit, rng) for clips in (motion, known))
        title = f"Bandai, unseen styles against {options.index}"
    to_ask, to_know = clip_sets.cameras(seed)
    queries = clip_sets.film_all(motion, to_ask, rng)
    index = clip_sets.film_all(known, to_know, rng)
    return _common(title, queries, index, options.set == "bandai", skipped)


def bandai_clips(index: str = "val") -> tuple[list[MotionClip], list[MotionClip]]:
    """Queries (test styles) and index: ``val``, ``train``, or the style of that name."""
    queries = clip_sets.load_clips(_BANDAI.format("test"))
    if index in ("val", "train"):
        return queries, clip_sets.load_clips(_BANDAI.format(index))
    others = [
        clip for part in ("val", "train") for clip in clip_sets.load_clips(_BANDAI.format(part))
    ]
    known = [clip for clip in others if clip.group == index]
    if not known:
        styles = ", ".join(sorted({clip.group for clip in others}))
        raise VipeError(f"--index {index}: take val, train or one of the styles {styles}")
    return queries, known


def cmu_clips() -> tuple[list[MotionClip], list[str]]:
    """CMU's clips with an action that has at least two, and what was left out."""
    clips = [clip for name in _CMU for clip in clip_sets.load_clips(name)]
    named = [clip for clip in clips if clip.label not in _NO_ACTION]
    counts = Counter(clip.label for clip in named)
    kept = [clip for clip in named if counts[clip.label] > 1]
    skipped = []
    if len(clips) > len(named):
        skipped.append(f"{len(clips) - len(named)} clips without the name of an action")
    if len(named) > len(kept):
        skipped.append(f"{len(named) - len(kept)} clips whose action has no second clip")
    return kept, skipped


def _common(
    title: str, queries: list[Clip], index: list[Clip], chiral: bool, skipped: list[str]
) -> ActionSet:
    """Only classes that both sides have; there must be two."""
    both = {clip.label for clip in queries} & {clip.label for clip in index}
    if len(both) < 2:
        raise VipeError(
            f"{title}: {len(both)} class on both sides, telling actions apart needs two"
        )
    asked = [clip for clip in queries if clip.label in both]
    known = [clip for clip in index if clip.label in both]
    skipped = list(skipped)
    if len(asked) < len(queries):
        skipped.append(f"{len(queries) - len(asked)} queries without an example of their class")
    if len(known) < len(index):
        skipped.append(f"{len(index) - len(known)} index clips of a class that nobody asks for")
    same = np.array([[q.name == i.name for i in known] for q in asked])
    return ActionSet(title, asked, known, same, chiral, skipped)
