"""What a 2D detector makes of several people: whom it misses, guesses, swaps and makes up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from vipe_core.skeletons import BODY13
from vipe_training.augment.noise import NoiseConfig, add_noise

NOBODY = -1  # the person of a false detection
HIDDEN_S = 1.0  # how long somebody is out of sight all at once

_MIN_JOINTS = 4  # seen, else the detector finds nobody
_SWAPPED = 32 / 400  # share of frames: BlazePose full on four real cameras
_MISSED = 0.03  # share of frames in which a person is not found
_BURST = 5  # frames that a swap or a miss may last
_FALSE = 0.02  # false detections per frame
_GUESSED = 0.5  # share of hidden joints that the detector guesses
_GUESS = 0.15  # error of a guess, of the person's height in the image


@dataclass(frozen=True)
class Crowd:
    """Everything that a detector says in one scene, N detections in the order of the images.

    Attributes:
        people: how many were in the room.
        stamps: (F,) seconds of the images.
        frame: (N,) image of each detection.
        person: (N,) whom it shows; NOBODY for a false one.
        points: (N, 13, 2) float32 pixels, body13; NaN where missing.
        visibility: (N, 13) float32 in 0..1.
    """

    people: int
    stamps: np.ndarray
    frame: np.ndarray
    person: np.ndarray
    points: np.ndarray
    visibility: np.ndarray

    def __len__(self) -> int:
        return len(self.frame)


def detect(
    points: np.ndarray,
    seen: np.ndarray,
    fps: float,
    size: tuple[int, int],
    rng: np.random.Generator,
) -> Crowd:
    """Everything that the detector says of P people in F images.

    Args:
        points: (P, F, 13, 2) pixels, body13; NaN where a person is not there.
        seen: (P, F, 13) which of them the camera sees.
        fps: images per second.
        size: (width, height) of the images in pixels.
        rng: source of randomness.
    """
    seen = seen & _found(seen, fps, rng)[..., None]
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    whole = np.nan_to_num(points)  # who is not there is dropped below
    noisy = torch.from_numpy(whole)[None]
    noisy = add_noise(noisy, NoiseConfig(detector=1.0), generator)[0].numpy()
    height = np.ptp(whole[..., 1], axis=-1)[..., None, None]
    guess = whole + _GUESS * height * rng.standard_normal(whole.shape)
    guessed = ~seen & (rng.random(seen.shape) < _GUESSED)
    visibility = np.where(seen, rng.uniform(0.7, 1.0, seen.shape), 0.0)
    visibility = np.where(guessed, rng.uniform(0.0, 0.4, seen.shape), visibility)
    noisy = np.where(guessed[..., None], guess, noisy)
    noisy = np.where((seen | guessed)[..., None], noisy, np.nan)
    swap = _bursts(seen.shape[:2], _SWAPPED, rng)[..., None]
    mirror = list(BODY13.mirror)
    noisy = np.where(swap[..., None], noisy[:, :, mirror], noisy)
    visibility = np.where(swap, visibility[:, :, mirror], visibility)
    found = np.asarray(seen.any(axis=-1))
    return _listed(noisy, visibility, found, fps, size, rng)


def _found(seen: np.ndarray, fps: float, rng: np.random.Generator) -> np.ndarray:
    """(P, F) bool: whom the detector finds, with every other person once gone for HIDDEN_S."""
    found = seen.sum(axis=-1) >= _MIN_JOINTS
    found &= ~_bursts(found.shape, _MISSED, rng)
    length = int(HIDDEN_S * fps)
    for person in np.flatnonzero(rng.random(len(seen)) < 0.5):
        there = np.flatnonzero(found[person])
        if len(there) > 3 * length:
            start = int(rng.choice(there[length : -2 * length]))
            found[person, start : start + length] = False
    return found


def _bursts(shape: tuple[int, int], share: float, rng: np.random.Generator) -> np.ndarray:
    """(P, F) bool, true in so large a share, in runs of 1 to _BURST frames."""
    mean = (1 + _BURST) / 2
    starts = rng.random(shape) < share / mean
    length = rng.integers(1, _BURST + 1, shape)
    out = np.zeros(shape, bool)
    for person, frame in np.argwhere(starts):
        out[person, frame : frame + length[person, frame]] = True
    return out


def _listed(
    points: np.ndarray,
    visibility: np.ndarray,
    found: np.ndarray,
    fps: float,
    size: tuple[int, int],
    rng: np.random.Generator,
) -> Crowd:
    """The people ``found`` (P, F) of points (P, F, 13, 2), and false detections, image by image."""
    person, frame = np.nonzero(found)
    seen, said = points[person, frame], visibility[person, frame]
    when, like, shift = _false(frame, seen, found.shape[1], size, rng)
    frame = np.concatenate([frame, when])
    person = np.concatenate([person, np.full(len(when), NOBODY)])
    seen = np.concatenate([seen, seen[like] + shift[:, None]])
    said = np.concatenate([said, said[like]])
    order = np.lexsort((rng.random(len(frame)), frame))  # no order within an image
    return Crowd(
        people=len(found),
        stamps=np.arange(found.shape[1]) / fps,
        frame=frame[order],
        person=person[order],
        points=seen[order].astype(np.float32),
        visibility=said[order].astype(np.float32),
    )


def _false(
    frame: np.ndarray,
    points: np.ndarray,
    frames: int,
    size: tuple[int, int],
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """False detections: their images, whose shape they have, and how far beside it in pixels.

    Half of them are beside that person in the same image, half are anywhere at any time.
    """
    count = int(rng.poisson(_FALSE * frames)) if len(frame) else 0
    like = rng.integers(max(1, len(frame)), size=count)
    if not count:
        return like, like, np.empty((0, 2))
    large = (np.nanmax(points[like], axis=1) - np.nanmin(points[like], axis=1)).max(axis=-1)
    beside = rng.normal(0, 0.3, (count, 2)) * large[:, None]
    anywhere = rng.uniform(0, size, (count, 2)) - np.nanmean(points[like], axis=1)
    near = rng.random(count) < 0.5
    when = np.where(near, frame[like], rng.integers(frames, size=count))
    return when, like, np.where(near[:, None], beside, anywhere)
