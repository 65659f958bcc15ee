"""Retrieval of people who are partly hidden: which points, and what then is a right answer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vipe_core.errors import VipeError
from vipe_core.skeletons import BODY13, JOINTS17
from vipe_training.datasets.visibility import pattern, points_of
from vipe_training.evaluate.coders import Coder
from vipe_training.evaluate.metrics.matches import Matches
from vipe_training.evaluate.metrics.retrieval import hit_at_k

TOP_PATTERNS = 50
TORSO = BODY13.indices("left_shoulder", "right_shoulder", "left_hip", "right_hip")
_ARM = ("elbow", "wrist")
_LEG = ("knee", "ankle")


def _hidden(*limbs: tuple[str, tuple[str, ...]]) -> list[int]:
    return BODY13.indices(*(f"{side}_{joint}" for side, joints in limbs for joint in joints))


# The ten targeted occlusions: arms, legs, and one arm with one leg.
TARGETED = {
    "left arm": _hidden(("left", _ARM)),
    "right arm": _hidden(("right", _ARM)),
    "both arms": _hidden(("left", _ARM), ("right", _ARM)),
    "left leg": _hidden(("left", _LEG)),
    "right leg": _hidden(("right", _LEG)),
    "both legs": _hidden(("left", _LEG), ("right", _LEG)),
    "left arm, left leg": _hidden(("left", _ARM), ("left", _LEG)),
    "left arm, right leg": _hidden(("left", _ARM), ("right", _LEG)),
    "right arm, left leg": _hidden(("right", _ARM), ("left", _LEG)),
    "right arm, right leg": _hidden(("right", _ARM), ("right", _LEG)),
}


@dataclass(frozen=True)
class Patterns:
    """The commonest patterns of visible points.

    Attributes:
        visible: (P, 13) bool.
        weight: (P,) share of each among these, sum 1.
        covered: share of these among all people of the table who show their torso.
    """

    visible: np.ndarray
    weight: np.ndarray
    covered: float

    def names(self) -> list[str]:
        """What each hides: "left_wrist, nose"; "nothing"."""
        return [
            ", ".join(np.array(BODY13.joints)[~shown].tolist()) or "nothing"
            for shown in self.visible
        ]

    def supersets(self, number: int, count: int, rng: np.random.Generator) -> np.ndarray:
        """(count, 13) bool: patterns that show at least what pattern ``number`` shows, drawn
        by their weight. The pattern itself is one of them."""
        more = np.flatnonzero((self.visible >= self.visible[number]).all(axis=1))
        weight = self.weight[more]
        return self.visible[rng.choice(more, count, p=weight / weight.sum())]


def top_patterns(counts: np.ndarray, top: int = TOP_PATTERNS) -> Patterns:
    """The ``top`` commonest patterns of a visibility table (8192,) that show the torso.

    Raises:
        VipeError: no pattern shows shoulders and hips.

    Source: Pr-VIPE, section on occlusion: the 50 commonest patterns in the wild, shoulders
    and hips always visible.
    """
    torso = np.zeros(len(BODY13), bool)
    torso[TORSO] = True
    shows = (np.arange(len(counts)) & pattern(torso)) == pattern(torso)
    usable = np.where(shows, counts, 0)
    best = np.argsort(-usable, kind="stable")[:top]
    best = best[usable[best] > 0]
    if not len(best):
        raise VipeError("the visibility table has nobody whose shoulders and hips are all visible")
    weight = usable[best] / usable[best].sum()
    return Patterns(points_of(best), weight, float(usable[best].sum() / usable.sum()))


def hidden_hits(
    coder: Coder, points: np.ndarray, index: list, visible: np.ndarray, matches: Matches
) -> np.ndarray:
    """Hit@1..20 in percent (20,) of queries that show only some points.

    Args:
        coder: of the model.
        points: (C, N, [T,] 13, 2) pixels of the queries.
        index: per camera the code of the same poses.
        visible: (13,) bool of the queries.
        matches: what is right, on the visible points.
    """
    shown = np.broadcast_to(visible, points.shape[1:-1]).astype(np.float64)
    queries = [coder.code(view, shown) for view in points]
    return hit_at_k(coder, queries, index, matches)


def joints_shown(visible: np.ndarray) -> np.ndarray:
    """(..., 17) bool: which joints 2D visibility (..., 13) bool vouches for.

    The neck needs both shoulders, the pelvis both hips, the spine all four, the head top the
    nose. Source: Pr-VIPE's transfer of 2D masks to 3D (products over the points of a part).
    """
    needs = {
        "neck": ("left_shoulder", "right_shoulder"),
        "pelvis": ("left_hip", "right_hip"),
        "spine": ("left_shoulder", "right_shoulder", "left_hip", "right_hip"),
        "head": ("nose",),
    }
    return np.stack(
        [
            visible[..., BODY13.indices(*needs.get(joint, (joint,)))].all(axis=-1)
            for joint in JOINTS17.joints
        ],
        axis=-1,
    )
