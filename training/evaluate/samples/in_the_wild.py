"""Retrieval among people of real videos, some of whose points are hidden (3DPW)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vipe_core.errors import VipeError
from vipe_core.estimate import MIN_JOINTS, visible_joints
from vipe_core.geometry import normalize_3d, np_mpjpe, pairwise_np_mpjpe
from vipe_training.datasets import MotionSet, windows
from vipe_training.evaluate import protocol
from vipe_training.evaluate.coders import Coder
from vipe_training.evaluate.metrics.matches import KAPPA, VOTING
from vipe_training.evaluate.metrics.occlusion import TORSO, joints_shown

SPLITS, QUERY_SHARE, EVERY = 5, 0.45, 2
_BLOCK = 256  # queries


@dataclass(frozen=True)
class WildScene:
    """Detected people of videos.

    Attributes:
        joints: (N, T, 16, 3) normalised, of the joints that vote; T is 1 for single frames.
        shown: (N, T, 16) bool, the joints whose 2D points are visible.
        points, visibility: (N, [T,] 13, 2) pixels and (N, [T,] 13), as models take them.
        torso: (N,) bool, shoulders and hips are all visible in every frame.
        video: (N,) number of the video.
        skipped: what was left out, a line each.
    """

    joints: np.ndarray
    shown: np.ndarray
    points: np.ndarray
    visibility: np.ndarray
    torso: np.ndarray
    video: np.ndarray
    skipped: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.joints)


def wild_scene(motion: MotionSet, frames: int = 1, step: float = 0.0) -> WildScene:
    """Every second frame of the test videos, as their camera saw the people.

    A set whose sequences are named "train/...", "validation/..." and "test/..." is cut to the
    last; of another every video counts.

    Args:
        motion: with detections by one camera.
        frames, step: of windows, for models that take them.

    Raises:
        VipeError: no detections, several cameras, or fewer than two videos.
    """
    if motion.detections is None or len(motion.detections.cameras) != 1:
        raise VipeError(
            "this protocol needs detections by one camera: "
            "give a cache of 3DPW that vipe data prepare made (--data)"
        )
    video = _videos(motion)
    rows = windows(motion, frames, step)
    middle = rows[:, frames // 2]
    rows = rows[(motion.frame[middle] % EVERY == 0) & (video[middle] >= 0)]
    points, visibility = motion.detections.points[rows][:, :, 0], motion.detections.visibility[rows]
    visibility = visibility[:, :, 0]
    usable = (visible_joints(points, visibility) >= MIN_JOINTS).all(axis=1)
    lost = int((~usable).sum())
    rows, points, visibility = rows[usable], points[usable], visibility[usable]
    video = video[rows[:, frames // 2]]
    if len(np.unique(video)) < 2:
        raise VipeError("two videos with visible people at least are needed, to search in another")
    seen = (visibility >= 0.5) & np.isfinite(points).all(axis=-1)
    single = (slice(None), 0) if frames == 1 else slice(None)
    return WildScene(
        joints=normalize_3d(motion.joints[rows], "joints17")[..., VOTING, :],
        shown=joints_shown(seen)[..., VOTING],
        points=points[single],
        visibility=visibility[single],
        torso=np.asarray(seen[..., TORSO].all(axis=(1, 2))),
        video=video,
        skipped=(f"{lost} frames with fewer than {MIN_JOINTS} visible points",) * bool(lost),
    )


def _videos(motion: MotionSet) -> np.ndarray:
    """(N,) number of the video of each row; -1 where it is not of the test part."""
    if motion.names:
        names = np.array(motion.names)[motion.clip]
    else:  # subjects are "video/actor"
        names = np.array([name.rpartition("/")[0] or name for name in motion.subject.tolist()])
    known, video = np.unique(names, return_inverse=True)
    test = np.char.startswith(known, "test/")
    return np.where(test[video], video, -1) if test.any() else video


def split(scene: WildScene, number: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the queries and of the index: 45 % of the videos, drawn at random, and the rest.

    Queries show all four points of the torso.
    """
    videos = np.random.default_rng([seed, number]).permutation(np.unique(scene.video))
    count = min(max(1, round(QUERY_SHARE * len(videos))), len(videos) - 1)
    asked = np.isin(scene.video, videos[:count])
    return np.flatnonzero(asked & scene.torso), np.flatnonzero(~asked)


def answerable(scene: WildScene, queries: np.ndarray, index: np.ndarray) -> np.ndarray:
    """(Q,) bool: at least one item of the index, rows (M,), is within 0.1 of the query."""
    found = []
    for start in range(0, len(queries), _BLOCK):
        rows = queries[start : start + _BLOCK]
        worst = np.zeros((len(rows), len(index)), np.float32)
        for t in range(scene.joints.shape[1]):
            error = pairwise_np_mpjpe(
                *(scene.joints[r, t] for r in (rows, index)),
                *(scene.shown[r, t] for r in (rows, index)),
            )
            worst = np.maximum(worst, np.nan_to_num(error, nan=np.inf))
        found.append((worst <= KAPPA).any(axis=1))
    return np.concatenate(found) if found else np.zeros(0, bool)


def wild_hits(coder: Coder, scene: WildScene, queries: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Hit@1..20 in percent (20,): NP-MPJPE at most 0.1 on the joints that both show.

    Args:
        coder: of a model.
        scene: see :func:`wild_scene`.
        queries, index: rows.
    """
    asked, stored = (coder.code(scene.points[r], scene.visibility[r]) for r in (queries, index))
    ranking = coder.rank(asked, stored, min(max(protocol.TOP), len(index)))
    right = [
        _right(scene, queries[i : i + _BLOCK], index, ranking[i : i + _BLOCK])
        for i in range(0, len(queries), _BLOCK)
    ]
    return 100 * np.logical_or.accumulate(np.concatenate(right), axis=1).mean(axis=0)


def _right(
    scene: WildScene, queries: np.ndarray, index: np.ndarray, ranking: np.ndarray
) -> np.ndarray:
    items = index[ranking]  # (Q, K)
    both = scene.shown[queries][:, None] & scene.shown[items]
    error = np_mpjpe(scene.joints[queries][:, None], scene.joints[items], both)
    return (np.nan_to_num(error, nan=np.inf).max(axis=-1) <= KAPPA) & (ranking >= 0)
