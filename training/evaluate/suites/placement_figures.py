"""What placement is worth on shots of people whose place is known."""

from __future__ import annotations

import numpy as np

from vipe_core.bodies import Bodies2D, Estimates
from vipe_core.placement import Placer
from vipe_training.datasets import MotionSet
from vipe_training.evaluate.metrics import placement
from vipe_training.evaluate.metrics.placement import Errors
from vipe_training.evaluate.samples.depth_images import depth_image, draw_thickness
from vipe_training.evaluate.samples.shots import Shots, rendered
from vipe_training.evaluate.task import Lift

OWN_STD = 0.02  # metres: what a tape leaves open
_FRAMES, _APART_S = 10, 0.5  # of a take with depth, and of one without; seconds between them


def filmed_figures(
    lift: Lift, cameras: list[Shots], height: float, std: float
) -> dict[str, dict[str, float]]:
    """Figures of all views, and apart of those whose sides the detector swapped or not."""
    found = placement.join([_at_once(lift, shots, Placer(height, std)) for shots in cameras])
    views = {"all views": placement.summarize(found)}
    if found.swapped.any():
        views["sides right"] = placement.summarize(found, ~found.swapped)
        views["sides swapped"] = placement.summarize(found, found.swapped)
    return views


def rendered_figures(
    lift: Lift, joints: np.ndarray, motion: MotionSet, noise: float, seed: int, deep: int
) -> dict[str, dict[str, float]]:
    """Figures of one draw of people, cameras and noise, by what is known of people's heights.

    Args:
        joints: (N, 17, 3) poses.
        motion: clips for the takes.
        noise: of the keypoints, as a share of the torso.
        deep: poses with a depth image; a tenth as many takes.
    """
    shots = rendered(joints, noise, seed)
    rng = np.random.default_rng([seed, 11])
    found = {
        "assumed height": _at_once(lift, shots, Placer()),
        "own height": _own(lift, shots),
        "depth": _deep(lift, shots[:deep], rng),
    }
    takes = [_take(lift, motion, noise, rng) for _ in range(max(deep // 10, 1))]
    found["takes with depth"] = placement.join([first for first, _ in takes])
    found["learned height"] = placement.join([then for _, then in takes])
    return {name: placement.summarize(errors) for name, errors in found.items()}


def _lifted(lift: Lift, shots: Shots) -> tuple[Bodies2D, Estimates]:
    people = Bodies2D.from_arrays(shots.points, shots.visibility, image_size=shots.lens.size)
    joints, std = lift(people.points, people.visibility)
    return people, Estimates(joints=joints, std=std)


def _at_once(lift: Lift, shots: Shots, placer: Placer) -> Errors:
    """All shots as the people of one image."""
    people, estimates = _lifted(lift, shots)
    return placement.errors(placer.place(people, estimates, shots.lens, 0.0), shots)


class _OneByOne:
    """Places the person of each shot as the only one of an image."""

    def __init__(self, lift: Lift, shots: Shots) -> None:
        self.shots = shots
        self.people, self.estimates = _lifted(lift, shots)

    def place(
        self, i: int, placer: Placer, depth: np.ndarray | None = None, stamp_s: float = 0.0
    ) -> Errors:
        one = slice(i, i + 1)
        person = Bodies2D.from_arrays(
            self.people.points[one],
            self.people.visibility[one],
            track_ids=["1"],
            image_size=self.people.image_size,
        )
        joints, std = self.estimates.pose()
        estimate = Estimates(joints=joints[one], std=std[one])
        found = placer.place(person, estimate, self.shots.lens, stamp_s, depth)
        return placement.errors(found, self.shots[one])

    def image(self, i: int, thickness: float, rng: np.random.Generator) -> np.ndarray:
        joints = self.shots.joints
        assert joints is not None, "rendered people have joints"
        return depth_image(joints[i], self.shots.height[i], self.shots.lens, thickness, rng)


def _own(lift: Lift, shots: Shots) -> Errors:
    """Everybody at their own height."""
    each = _OneByOne(lift, shots)
    tall = shots.height.tolist()
    return placement.join([each.place(i, Placer(h, OWN_STD)) for i, h in enumerate(tall)])


def _deep(lift: Lift, shots: Shots, rng: np.random.Generator) -> Errors:
    """Everybody with a depth image; nothing is learned from one to the next."""
    each = _OneByOne(lift, shots)
    images = (each.image(i, draw_thickness(rng), rng) for i in range(len(shots)))
    return placement.join([each.place(i, Placer(), image) for i, image in enumerate(images)])


def _take(
    lift: Lift, motion: MotionSet, noise: float, rng: np.random.Generator
) -> tuple[Errors, Errors]:
    """One person in poses of one clip: frames with depth, then frames from another camera
    without."""
    rows = np.flatnonzero(motion.clip == rng.choice(motion.clip))
    rows = rows[np.linspace(0, len(rows) - 1, 2 * _FRAMES).astype(int)]
    who, camera = np.zeros(len(rows), int), np.repeat([0, 1], _FRAMES)
    shots = rendered(motion.joints[rows], noise, int(rng.integers(2**31)), who, camera)
    each, placer, thickness = _OneByOne(lift, shots), Placer(), draw_thickness(rng)
    errors = [
        each.place(i, placer, each.image(i, thickness, rng) if i < _FRAMES else None, _APART_S * i)
        for i in range(len(rows))
    ]
    return placement.join(errors[:_FRAMES]), placement.join(errors[_FRAMES:])
