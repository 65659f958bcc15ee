"""Clips through a coder, and what it costs to pair their frames."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vipe_core.embedding import likelihood_match_probability, self_squared
from vipe_core.errors import VipeError
from vipe_core.geometry import mirror_points
from vipe_core.skeletons import BODY13, JOINTS17
from vipe_core.windows import window_index
from vipe_training.datasets import canonical
from vipe_training.evaluate.coders import Coder, EmbeddingCoder
from vipe_training.evaluate.samples.clip_sets import Clip
from vipe_training.evaluate.task import Contestant

EXCESS, LOG_P, PLAIN = "excess", "-log p", "distance"
COSTS = (EXCESS, LOG_P, PLAIN)
OPTIONS = {"excess": EXCESS, "log-p": LOG_P}  # of a command line


@dataclass(frozen=True)
class CodedClips:
    """The frames of C clips, one after the other.

    Attributes:
        code: of N frames, as the contestant's coder makes it.
        starts: (C + 1,) first frame of each clip, and N.
    """

    code: Any
    starts: np.ndarray

    def rows(self, clip: int) -> np.ndarray:
        """Frames of one clip."""
        return np.arange(self.starts[clip], self.starts[clip + 1])


class TruthCoder(EmbeddingCoder):
    """The true joints (N, 17, 3) instead of a view of them: an embedding without variance, whose
    distance is that of all joints in the body frame, in statures."""

    def __init__(self) -> None:
        super().__init__(_true_pose)


def _true_pose(joints: np.ndarray, visibility: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    flat = canonical(joints.astype(np.float32))[0].reshape(len(joints), -1)
    return flat, np.zeros_like(flat)


def _joints(clip: Clip) -> tuple[np.ndarray, np.ndarray]:
    if clip.joints is None:
        raise VipeError(f"--truth: nobody knows the 3D poses of {clip.name}")
    return clip.joints, np.ones(clip.joints.shape[:2])


def truth_row(options: argparse.Namespace) -> list[Contestant]:
    """The true 3D poses as a contestant, if ``--truth`` asks for it."""
    return [Contestant("true 3D poses", "truth", TruthCoder())] if options.truth else []


def coder_of(contestant: Contestant) -> Coder:
    """Its coder; raises VipeError if it has none."""
    if contestant.coder is None:
        raise VipeError(f"{contestant.name} only lifts: clips are compared by codes of views")
    return contestant.coder


def code_clips(
    contestant: Contestant, clips: Sequence[Clip], mirrored: bool = False, every: int = 1
) -> CodedClips:
    """Code every n-th frame; a contestant that takes windows sees each with its neighbours.

    Args:
        mirrored: code the mirrored people, as the ``mirror_mean`` of a model file does.
        every: n; the first frame always counts.

    Raises:
        VipeError: a contestant without a coder, or the truth where it is not known.
    """
    coder, points, visibility, counts = coder_of(contestant), [], [], []
    for clip in clips:
        p, v = _joints(clip) if isinstance(coder, TruthCoder) else (clip.points, clip.visibility)
        if mirrored:
            skeleton = BODY13 if v.shape[1] == len(BODY13) else JOINTS17
            p, v = mirror_points(p, skeleton), v[:, list(skeleton.mirror)]
        if contestant.frames > 1:
            window = window_index(clip.stamps, contestant.frames, contestant.frame_step)
            p, v = p[window[::every]], v[window[::every]]
        else:
            p, v = p[::every], v[::every]
        points.append(p)
        visibility.append(v)
        counts.append(len(p))
    code = coder.code(np.concatenate(points), np.concatenate(visibility))
    return CodedClips(code, np.cumsum([0, *counts]))


def frame_costs(contestant: Contestant, queries: Any, index: Any) -> dict[str, np.ndarray]:
    """Cost (N, M) of pairing any two frames, by every measure that suits the contestant.

    An embedding has :data:`EXCESS` (:func:`vipe_core.embedding.pairwise_excess_distance`)
    and, if its model file has a match probability, :data:`LOG_P` (Pr-VIPE's); anything else its
    :data:`PLAIN` distance.

    Args:
        queries, index: codes of N and M frames.
    """
    coder = coder_of(contestant)
    distance = _comparable(np.asarray(coder.distance(queries, index), np.float64))
    if not isinstance(coder, EmbeddingCoder):
        return {PLAIN: distance}
    own = (self_squared(queries[1])[:, None] + self_squared(index[1])) / 2
    costs = {EXCESS: np.sqrt(np.maximum(distance**2 - own, 0))}
    if contestant.model is not None:
        info = contestant.model.metadata
        costs[LOG_P] = log_cost(distance, info.sigmoid_a, info.sigmoid_b)
    return costs


def _comparable(distance: np.ndarray) -> np.ndarray:
    """Frames that have nothing in common, infinitely far apart, cost as much as the worst."""
    far = np.isposinf(distance)
    if not far.any() or far.all():
        return distance
    return np.where(far, distance[~far].max(), distance)


def log_cost(distance: np.ndarray, a: float, b: float) -> np.ndarray:
    """-log of the match probability at a likelihood distance; slope ``a``, offset ``b``."""
    # In one dimension and without variance the likelihood distance of d and 0 is d.
    zero = np.zeros(1)
    return -np.log(likelihood_match_probability(distance[..., None], zero, zero, zero, a, b))


def pick(costs: dict[str, np.ndarray], option: str) -> np.ndarray:
    """The cost that a key of :data:`OPTIONS` names, or the first that there is."""
    return costs.get(OPTIONS[option], next(iter(costs.values())))
