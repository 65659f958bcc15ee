"""Several recorded people in one room before one camera.

Who hides whom follows from depth; a pillar and the edges of the image hide people too. What a
detector makes of it is in ``crowd_detections.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vipe_core.errors import VipeError
from vipe_core.files import read_npz
from vipe_core.geometry import Camera, project
from vipe_core.skeletons import JOINTS17
from vipe_training.datasets import data_root, load_motion
from vipe_training.evaluate.protocol import BODY13_IN_17
from vipe_training.evaluate.samples.crowd_detections import Crowd, detect

FPS, SECONDS = 30.0, 8.0

SIZE = (1280, 720)
_FOCAL = 800.0  # pixels: 77 degrees across
_DISTANCE, _HEIGHT = (4.5, 6.5), (1.0, 2.0)  # metres, of the camera
_ROOM = 1.8  # metres from the middle to a wall
_APART = 0.5  # metres between two people at any time
_TRIES = 60  # of a place for a person
_PILLAR = 0.35  # metres across

# Half the thickness of what lies between two joints, metres.
_CAPSULES = (
    *(("pelvis", "spine", 0.15), ("spine", "neck", 0.15), ("neck", "head", 0.10)),
    *(("left_shoulder", "right_shoulder", 0.07), ("left_hip", "right_hip", 0.12)),
    *((f"{s}_shoulder", f"{s}_elbow", 0.05) for s in ("left", "right")),
    *((f"{s}_elbow", f"{s}_wrist", 0.05) for s in ("left", "right")),
    *((f"{s}_hip", f"{s}_knee", 0.08) for s in ("left", "right")),
    *((f"{s}_knee", f"{s}_ankle", 0.06) for s in ("left", "right")),
)
_STARTS = JOINTS17.indices(*(start for start, _, _ in _CAPSULES))
_ENDS = JOINTS17.indices(*(end for _, end, _ in _CAPSULES))
_RADII = np.array([radius for _, _, radius in _CAPSULES])


@dataclass(frozen=True)
class Walk:
    """A clip with the path of the person: joints (F, 17, 3) metres, y up, FPS per second."""

    name: str
    joints: np.ndarray


def load_walks(name: str, people: Sequence[str] = ()) -> list[Walk]:
    """Every clip of a second or more of a motion file below the data folder, on the real path.

    Args:
        people: of them only; of everybody if none is named.

    Raises:
        VipeError: no such file, or one without the pelvis' path or frame rates.
    """
    if (data_root() / name).is_dir():
        raise VipeError(f"{name} is a cache, which has no paths: walking people need motion files")
    motion, table = load_motion([name]), read_npz(data_root() / name, "motion file")
    if "pelvis" not in table or not np.isfinite(motion.fps).all():
        raise VipeError(f"motion file {name} has no pelvis or no fps: walking people need both")
    walks = []
    for clip in np.unique(motion.clip):
        rows = motion.clip == clip
        if people and motion.subject[rows][0] not in people:
            continue
        path = table["pelvis"][table["clip_start"][clip] + motion.frame[rows]]
        joints = motion.joints[rows] + path[:, None]
        stamps = motion.frame[rows] / motion.fps[rows]
        walks.append(Walk(f"{name}:{clip}", resampled(joints, stamps)))
    return [walk for walk in walks if len(walk.joints) >= FPS]


def resampled(joints: np.ndarray, stamps: np.ndarray) -> np.ndarray:
    """(F, 17, 3) FPS times a second, straight lines between the recorded frames."""
    wanted = np.arange(stamps[0], stamps[-1], 1 / FPS)
    after = np.searchsorted(stamps, wanted, side="right").clip(1, len(stamps) - 1)
    share = (wanted - stamps[after - 1]) / (stamps[after] - stamps[after - 1])
    return joints[after - 1] + share[:, None, None] * (joints[after] - joints[after - 1])


def make_crowd(walks: list[Walk], people: int, seed: int | list[int]) -> Crowd:
    """A scene of SECONDS with so many people.

    Raises:
        VipeError: fewer clips than people.
    """
    if people > len(walks):
        raise VipeError(f"{people} people need as many clips, there are {len(walks)}")
    rng = np.random.default_rng(seed)
    joints = place([walks[i].joints for i in rng.permutation(len(walks))[:people]], rng)
    camera, pillar = _camera(rng), _pillar(rng)
    points = project(joints[..., BODY13_IN_17, :], camera)  # (P, F, 13, 2)
    return detect(points, visible(joints, camera, pillar), FPS, SIZE, rng)


def place(clips: list[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """(P, F, 17, 3) of the clips, each turned, moved and begun at random; NaN before and after.

    Of several tries each person takes the first that is nowhere near those already there, or
    the one that is farthest away.
    """
    frames = int(SECONDS * FPS)
    placed = np.full((len(clips), frames, 17, 3), np.nan)
    for person, clip in enumerate(clips):
        best = -np.inf
        for _ in range(_TRIES):
            tried = _tried(clip, frames, rng)
            near = _nearest(tried, placed[:person])
            if near > best:
                placed[person], best = tried, near
            if best >= _APART:
                break
    return placed


def _tried(clip: np.ndarray, frames: int, rng: np.random.Generator) -> np.ndarray:
    """(F, 17, 3) of one clip somewhere in the room."""
    cut = max(0, len(clip) - frames)
    clip = clip[int(rng.integers(cut + 1)) :][:frames]
    angle = rng.uniform(-np.pi, np.pi)
    turn = np.array(
        [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]]
    )
    middle = clip[:, 0].mean(axis=0) * (1, 0, 1)
    to = np.array([rng.uniform(-_ROOM, _ROOM), 0, rng.uniform(-_ROOM, _ROOM)])
    out = np.full((frames, 17, 3), np.nan)
    start = int(rng.integers(frames - len(clip) + 1))
    out[start : start + len(clip)] = (clip - middle) @ turn.T + to
    return out


def _nearest(joints: np.ndarray, others: np.ndarray) -> float:
    """Smallest distance on the floor of one pelvis (F, 17, 3) to the others' (P, F, 17, 3)."""
    gap = np.linalg.norm((others - joints)[..., 0, ::2], axis=-1)
    return float(np.where(np.isnan(gap), np.inf, gap).min(initial=np.inf))


def _camera(rng: np.random.Generator) -> Camera:
    position = np.array([0, rng.uniform(*_HEIGHT), rng.uniform(*_DISTANCE)])
    target = np.array([rng.uniform(-0.5, 0.5), 0.9, 0])
    return Camera.look_at(position, target, np.array([0, 1.0, 0]), _FOCAL, SIZE)


def _pillar(rng: np.random.Generator) -> tuple[float, float]:
    """Where it stands: x and z in the room, in front of most people."""
    return float(rng.uniform(-1, 1)), float(rng.uniform(0.5, 2.0))


def visible(joints: np.ndarray, camera: Camera, pillar: tuple[float, float]) -> np.ndarray:
    """(P, F, 13) bool: joints in the image with nobody and no pillar in front.

    Args:
        joints: (P, F, 17, 3) metres; NaN where a person is not there.
        pillar: x and z of its middle.
    """
    depth = (joints @ camera.rotation.T + camera.translation)[..., 2]
    pixels = project(joints, camera)
    points, far = pixels[..., BODY13_IN_17, :], depth[..., BODY13_IN_17]
    seen = ((points >= 0) & (points < SIZE)).all(axis=-1)
    ends = np.array([[pillar[0] + s * _PILLAR / 2, 1.0, pillar[1]] for s in (-1, 1)])
    low, high = np.sort(project(ends, camera)[:, 0])
    near = float((ends[0] @ camera.rotation.T + camera.translation)[2])
    seen &= ~((points[..., 0] > low) & (points[..., 0] < high) & (far > near))
    for front in range(len(joints)):
        hidden = _behind(pixels[front], depth[front], points, far)
        hidden[front] = False  # a detector guesses well what a person hides of itself
        seen &= ~hidden
    return seen


def _behind(front: np.ndarray, depth: np.ndarray, points: np.ndarray, far: np.ndarray):
    """(P, F, 13) bool: points (P, F, 13, 2) at depth ``far`` (P, F, 13) that the limbs of a
    person (F, 17, 2) at ``depth`` (F, 17) cover."""
    start, end = front[:, None, _STARTS], front[:, None, _ENDS]  # (F, 1, B, 2)
    along = end - start
    gap = points[..., None, :] - start
    share = (gap * along).sum(-1) / np.maximum((along * along).sum(-1), 1e-9)
    share = share.clip(0, 1)
    distance = np.linalg.norm(gap - share[..., None] * along, axis=-1)  # (P, F, 13, B)
    here = (depth[:, _STARTS] + depth[:, _ENDS])[:, None] / 2
    return ((distance < _FOCAL * _RADII / here) & (here < far[..., None])).any(axis=-1)
