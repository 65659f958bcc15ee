"""Examples to teach, clips to recognise, and what surrounds them in a stream."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from vipe_core.errors import VipeError
from vipe_training.evaluate.samples import clip_sets
from vipe_training.evaluate.samples.clip_sets import Clip, MotionClip

BANDAI = "actions/bandai_ccbync_{}.npz"
OTHERS = tuple(f"mocap/cmu_mocap_{part}.npz" for part in ("test", "val", "native"))
_RATE_HZ = 15.0  # of CMU's clips, to be that of Bandai's
# Who does any of these on CMU's clips is no false alarm, and some do.
LOCOMOTION = ("walk", "run", "dash", "walk-back", "walk-left", "walk-right")
TURNS = ("walk-turn-left", "walk-turn-right")
# Bandai's actions that are one movement under several names, or differ only in where the body
# as a whole goes, which no pose in the body's own frame can tell.
_ONE_MOVEMENT = {
    "bye": "wave-right-hand",
    "byebye": "wave-both-hands",
    "dash": "run",
    **dict.fromkeys((*LOCOMOTION[3:], *TURNS), "walk"),
}
_WALKERS = ("walk", "run", "unlabelled")  # of CMU; the unlabelled ones mostly walk and run


@dataclass(frozen=True)
class RecognitionSet:
    """One draw.

    Attributes:
        examples: to teach, ``shots`` of each label, label by label.
        queries: in styles and through cameras that no example has.
        others: what else people do: nobody taught any of it.
        shots: per label.
    """

    examples: list[Clip]
    queries: list[Clip]
    others: list[Clip]
    shots: int

    @property
    def labels(self) -> list[str]:
        """In the order of the examples."""
        return list(dict.fromkeys(clip.label for clip in self.examples))

    def taught(self, shots: int, labels: Sequence[str] | None = None) -> list[int]:
        """Rows of the first ``shots`` examples of some labels, or of all."""
        rows = range(len(self.examples))
        known = self.labels if labels is None else labels
        return [r for r in rows if r % self.shots < shots and self.examples[r].label in known]


def add_set_options(parser: argparse.ArgumentParser) -> None:
    """The options that say who teaches, who asks, and how often it is drawn."""
    parser.add_argument(
        "--shots", type=int, nargs="+", default=[1, 3, 5], help="examples of a label (1 3 5)"
    )
    parser.add_argument(
        "--draws", type=int, default=3, help="of examples, cameras and noise (default %(default)s)"
    )
    parser.add_argument(
        "--queries",
        choices=("test", "val"),
        default="test",
        help="whose styles are asked for: val is for choosing (default %(default)s)",
    )
    parser.add_argument(
        "--limit", type=int, default=8, help="queries of a class; 0: all (default %(default)s)"
    )
    parser.add_argument(
        "--movements",
        action="store_true",
        help="names of one movement count as one: dash is run, bye is wave, all walking is walk",
    )


def set_files(options: argparse.Namespace) -> list[str]:
    """What is read, below the data folder."""
    return [BANDAI.format("train"), BANDAI.format(options.queries), *OTHERS]


def load_set(options: argparse.Namespace, seed: int) -> RecognitionSet:
    """Draw examples from the training styles, from as many styles as there are.

    Raises:
        VipeError: fewer than two labels with enough examples.
    """
    rng = np.random.default_rng(seed)
    shots = max(options.shots)
    if min(options.shots) < 1 or options.draws < 1:
        raise VipeError("--shots and --draws are one or more")
    known, asked = (
        [_renamed(clip, options.movements) for clip in clip_sets.load_clips(BANDAI.format(part))]
        for part in ("train", options.queries)
    )
    labels = [label for label in sorted({c.label for c in asked}) if _count(known, label) >= shots]
    if len(labels) < 2:
        raise VipeError(f"fewer than two actions have {shots} examples and a query")
    examples = [clip for label in labels for clip in draw(known, label, shots, rng)]
    asked = [clip for clip in asked if clip.label in labels]
    queries = clip_sets.limited(asked, options.limit, rng)
    to_ask, to_know = clip_sets.cameras(seed)
    others = [
        clip_sets.thinned(clip, _RATE_HZ) for name in OTHERS for clip in clip_sets.load_clips(name)
    ]
    return RecognitionSet(
        clip_sets.film_all(examples, to_know, rng),
        clip_sets.film_all(queries, to_ask, rng),
        clip_sets.film_all(others, to_ask, rng),
        shots,
    )


def draw(
    clips: Sequence[MotionClip], label: str, count: int, rng: np.random.Generator
) -> list[MotionClip]:
    """``count`` clips of a label at random, no style a second time before all had a turn."""
    left: dict[str, list[MotionClip]] = {}
    for clip in clips:
        if clip.label == label:
            left.setdefault(clip.group, []).append(clip)
    drawn: list[MotionClip] = []
    while len(drawn) < count:
        for style in rng.permutation(sorted(style for style in left if left[style])):
            drawn.append(left[style].pop(int(rng.integers(len(left[style])))))
    return drawn[:count]


def may_be(other: Clip, label: str) -> bool:
    """Whether a clip of the others may well show a label after all: walking people walk."""
    return other.label in _WALKERS and label in (*LOCOMOTION, *TURNS)


def _renamed(clip: MotionClip, movements: bool) -> MotionClip:
    return replace(clip, label=_ONE_MOVEMENT.get(clip.label, clip.label)) if movements else clip


def _count(clips: Sequence[MotionClip], label: str) -> int:
    return sum(clip.label == label for clip in clips)
