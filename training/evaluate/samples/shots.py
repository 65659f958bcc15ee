"""Views of people whose place before the camera is known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vipe_core.files import read_npz
from vipe_core.geometry import Lens, body_frame, rotation_matrix, stature
from vipe_core.skeletons import BODY13
from vipe_training.evaluate import protocol
from vipe_training.evaluate.metrics.occlusion import TORSO
from vipe_training.evaluate.samples import multiview

IMAGE = (1280, 960)
LENS = Lens(np.array([[600.0, 0, 639.5], [0, 600.0, 479.5], [0, 0, 1]]), np.zeros(0), size=IMAGE)
POPULATION = (1.7, 0.08)  # metres: mean and spread of the people rendered
NEAR, FAR = 1.5, 6.0  # metres
_OFF_AXIS = 0.35  # radians, about the camera's x and y
# Stature over leg plus trunk (mid-hip to mid-shoulder): median of the twelve people with their
# own bones in cmu_mocap_native.npz, who are from 1.25 to 1.30.
_BY_LEG_AND_TRUNK = 1.273


@dataclass(frozen=True)
class Shots:
    """N views of people through one lens.

    Attributes:
        points, visibility: (N, 13, 2) pixels and (N, 13).
        lens: of the camera.
        rotation, root: (N, 3, 3) body frame to camera, and (N, 3) mid-hip, metres.
        height: (N,) statures in metres.
        swapped: (N,) whether the detector took left for right.
        joints: (N, 17, 3) metres in the camera, where they are known.
    """

    points: np.ndarray
    visibility: np.ndarray
    lens: Lens
    rotation: np.ndarray
    root: np.ndarray
    height: np.ndarray
    swapped: np.ndarray
    joints: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, rows: slice) -> Shots:
        named = {name: value for name, value in vars(self).items() if value is not None}
        lens = named.pop("lens")
        return Shots(lens=lens, **{name: value[rows] for name, value in named.items()})


def own_height(truth: np.ndarray) -> float:
    """Stature in metres of one person from many poses (F, 13, 3) without the top of the head:
    the median length of leg and trunk, and how much of a person that is."""

    def at(*names: str) -> np.ndarray:
        return truth[:, BODY13.indices(*names)].mean(axis=1)

    def bone(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.linalg.norm(a - b, axis=-1)

    legs = [
        bone(at(f"{side}_hip"), at(f"{side}_knee")) + bone(at(f"{side}_knee"), at(f"{side}_ankle"))
        for side in ("left", "right")
    ]
    trunk = bone(at("left_hip", "right_hip"), at("left_shoulder", "right_shoulder"))
    return float(_BY_LEG_AND_TRUNK * np.median((legs[0] + legs[1]) / 2 + trunk))


def filmed(path: Path) -> dict[str, list[Shots]]:
    """Detector -> a set of shots per camera of a multi-view video.

    Raises:
        VipeError: see :func:`multiview.read_video`.
    """
    video = multiview.read_video(path)
    cameras = read_npz(path, "multi-view video")
    turned, origin = body_frame(video.truth, "body13")
    height = np.full(len(video.truth), own_height(video.truth))
    found: dict[str, list[Shots]] = {}
    for name, points in video.points.items():
        for c, (k, r, t) in enumerate(zip(*(cameras[n] for n in "KRT"), strict=True)):
            found.setdefault(name, []).append(
                Shots(
                    points[c],
                    video.visibility[name][c],
                    Lens(k.astype(np.float64), np.zeros(0)),
                    r @ turned,
                    origin @ r.T + t,
                    height,
                    _swapped(points[c], video.points[multiview.EXACT][c]),
                )
            )
    return found


def _swapped(points: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(F,) whether the mirrored order of the points (F, 13, 2) fits better."""
    plain = np.linalg.norm(points - truth, axis=-1).mean(axis=-1)
    other = points[:, list(BODY13.mirror)]
    return np.linalg.norm(other - truth, axis=-1).mean(axis=-1) < plain


def rendered(
    joints: np.ndarray,
    noise: float,
    seed: int,
    people: np.ndarray | None = None,
    cameras: np.ndarray | None = None,
) -> Shots:
    """People of a population through random cameras 1.5 to 6 m away, off the middle of the image.

    Args:
        joints: (N, 17, 3) metres, y up; each is scaled to a height of the population.
        noise: sigma as a share of the longest 2D torso distance.
        seed: of people, cameras and noise.
        people, cameras: (N,) numbers from 0: whose height a pose has, and what camera sees it.
            None: each pose has its own.
    """
    rng = np.random.default_rng([seed, 7])
    people = np.arange(len(joints)) if people is None else people
    cameras = np.arange(len(joints)) if cameras is None else cameras
    height = np.clip(rng.normal(*POPULATION, people.max() + 1), 1.4, 2.0)[people]
    joints = joints.astype(np.float64)
    joints = joints * (height / stature(joints))[:, None, None]
    rotation, translation = (part[cameras] for part in _cameras(cameras.max() + 1, rng))
    placed = joints @ np.swapaxes(rotation, -1, -2) + translation[:, None]
    image = placed @ LENS.matrix.T
    depth = image[..., 2:]
    points = (image[..., :2] / np.where(depth > 0.1, depth, np.nan))[:, protocol.BODY13_IN_17]
    torso = points[:, TORSO]
    longest = np.linalg.norm(torso[:, :, None] - torso[:, None], axis=-1).max(axis=(1, 2))
    points = points + noise * longest[:, None, None] * rng.standard_normal(points.shape)
    body, root = body_frame(placed, "joints17")
    seen = np.isfinite(points).all(axis=-1).astype(np.float32)
    nobody = np.zeros(len(joints), bool)
    return Shots(points, seen, LENS, body, root, height, nobody, placed)


def _cameras(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rotations (C, 3, 3) and translations (C, 3), world to camera, drawn at random."""
    angles = rng.uniform([-180, -20, -10], [180, 40, 10], (count, 3))
    distance = np.exp(rng.uniform(np.log(NEAR), np.log(FAR), count))
    cameras = [
        protocol.View(*a, distance=d).camera() for a, d in zip(angles, distance, strict=True)
    ]
    aside = np.zeros((count, 3))
    aside[:, :2] = rng.uniform(-_OFF_AXIS, _OFF_AXIS, (count, 2))
    turn = rotation_matrix(aside)
    rotation = turn @ np.stack([camera.rotation for camera in cameras])
    translation = turn @ np.stack([camera.translation for camera in cameras])[..., None]
    return rotation, translation[..., 0]
