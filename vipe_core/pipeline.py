"""From the people that a detector found in one image to what is known of them.

The order matters: the model sees everybody at once; its embeddings help to name people; a
person's own past, and the model, tell when left and right were exchanged; the pose that is
then right is placed before the camera, and smoothed when asked.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

import numpy as np

from vipe_core import skeletons
from vipe_core.bodies import Bodies2D, Estimates
from vipe_core.errors import VipeError
from vipe_core.estimate import MIN_JOINTS, visible_joints
from vipe_core.geometry.lens import Lens
from vipe_core.placement import Placements, Placer
from vipe_core.runtime import Model
from vipe_core.smoothing import OneEuro, OneEuroRotation
from vipe_core.swaps import SwapRepair
from vipe_core.tracking import Tracker, expect_several

Timed = Callable[[str], AbstractContextManager[object]]


@dataclass(frozen=True)
class Options:
    """What a pipeline does.

    Attributes:
        min_joints: people with fewer joints of the model's skeleton visible are left out.
        max_people: of more people in one image the least certain are left out.
        tracking: ``auto`` names people without an id, ``always`` renames everybody, ``never``.
        max_gap_s: out of sight for longer is a new person.
        repair_swaps: undo left/right swaps of whole bodies.
        height, height_std: assumed stature of everybody in metres, and how much people differ.
        placement: ``height``, ``depth`` (also depth images) or ``none``.
        smoothing: One-Euro cutoff in Hz of a still person; 0: none.
        smoothing_beta: Hz per m/s, and per rad/s of the heading.
    """

    min_joints: int = MIN_JOINTS
    max_people: int = 100
    tracking: str = "auto"
    max_gap_s: float = 1.5
    repair_swaps: bool = True
    height: float = 1.7
    height_std: float = 0.08
    placement: str = "height"
    smoothing: float = 0.0
    smoothing_beta: float = 4.0


@dataclass(frozen=True)
class Scene:
    """What is known of the P people of one image.

    Attributes:
        people: as they came, less those with too few joints; named, sides repaired.
        body13: the same in the model's skeleton.
        estimates: of the model.
        swapped: (P,) whose sides were exchanged.
        joints, std: (P, 17, 3) and (P, 17) metres in the body frame; None without a pose.
        placements: where they stand; None without a pose.
        too_few: visible joints of each person left out.
        too_many: how many people more were left out.
        problem: why nobody is placed, or not by depth, though it was asked for; "" for nothing.
    """

    people: Bodies2D
    body13: Bodies2D
    estimates: Estimates
    swapped: np.ndarray
    joints: np.ndarray | None
    std: np.ndarray | None
    placements: Placements | None
    too_few: tuple[int, ...] = ()
    too_many: int = 0
    problem: str = ""


class Pipeline:
    """Follows people through the images of one camera.

    Args:
        model: see :func:`vipe_core.runtime.load`.
        options: may be exchanged at any time through :attr:`options`; tracking and repair
            keep what they were made with.
        timed: called with the name of a stage, gives a context around its work.
    """

    def __init__(
        self, model: Model, options: Options | None = None, timed: Timed | None = None
    ) -> None:
        self._model = model
        self._timed = timed or (lambda _: nullcontext())
        self._options = options or Options()
        self._tracker = Tracker(self._options.max_gap_s, odds=_odds(model))
        self._swaps = SwapRepair(model)
        self._placer = Placer(self._options.height, self._options.height_std)
        self._filters: _Filters | None = None
        self.options = self._options

    @property
    def options(self) -> Options:
        """What it does now."""
        return self._options

    @options.setter
    def options(self, options: Options) -> None:
        self._options = options
        if options.max_people > 1:
            expect_several()
        self._placer.height, self._placer.height_std = options.height, options.height_std
        wanted = (options.smoothing, options.smoothing_beta)
        if not options.smoothing:
            self._filters = None
        elif self._filters is None or self._filters.settings != wanted:
            self._filters = _Filters(*wanted)

    @property
    def delay_s(self) -> float:
        """Seconds by which smoothing is late at present; 0 without."""
        return self._filters.delay_s if self._filters else 0.0

    def __call__(
        self,
        people: Bodies2D,
        stamp_s: float,
        lens: Lens | None = None,
        depth: np.ndarray | None = None,
    ) -> Scene:
        """What is known of the people of the next image.

        Args:
            people: of any skeleton that the model's can be made from.
            stamp_s: time of the image in seconds; going back forgets everybody.
            lens: of the camera; None: nobody is placed.
            depth: (H, W) metres registered to the image, NaN where missing.

        An id that comes twice in one image counts for the first who has it.

        Raises:
            VipeError: the stamp is not a number.
        """
        given = len(people)
        people = _unique(_most_certain(people, self._options.max_people))
        too_many = given - len(people)
        people, body13, too_few = self._usable(people)
        with self._timed("infer"):
            estimates = self._model(body13.points, body13.visibility)
        with self._timed("track"):
            body13 = self._named(body13, stamp_s, estimates)
        swapped = np.zeros(len(body13), bool)
        if self._options.repair_swaps:
            with self._timed("swaps"):
                repaired = self._swaps.update(body13, stamp_s, estimates)
            body13, estimates, swapped = repaired.people, repaired.estimates, repaired.swapped
        people = _exchanged(people.with_track_ids(body13.track_ids), swapped)
        scene = Scene(people, body13, estimates, swapped, None, None, None, too_few, too_many)
        return scene if estimates.joints is None else self._placed(scene, stamp_s, lens, depth)

    def _usable(self, people: Bodies2D) -> tuple[Bodies2D, Bodies2D, tuple[int, ...]]:
        body13 = people.to_skeleton(self._model.metadata.skeleton_2d)
        seen = visible_joints(body13.points, body13.visibility)
        enough = seen >= self._options.min_joints
        if enough.all():
            return people, body13, ()
        return people.select(enough), body13.select(enough), tuple(seen[~enough].tolist())

    def _named(self, people: Bodies2D, stamp_s: float, estimates: Estimates) -> Bodies2D:
        if self._options.tracking == "never":
            return people
        if self._options.tracking == "always":
            people = people.with_track_ids([""] * len(people))
        return self._tracker.update(people, stamp_s, estimates)

    def _placed(
        self, scene: Scene, stamp_s: float, lens: Lens | None, depth: np.ndarray | None
    ) -> Scene:
        joints, std = scene.estimates.pose()
        if self._options.placement == "none":
            lens = None
        placements, problem = self._placements(scene, stamp_s, lens, depth)
        height = placements.height[:, None]
        scene = replace(
            scene, joints=joints * height[..., None], std=std * height, placements=placements,
            problem=problem,
        )  # fmt: skip
        return self._filters.smooth(scene, stamp_s) if self._filters else scene

    def _placements(
        self, scene: Scene, stamp_s: float, lens: Lens | None, depth: np.ndarray | None
    ) -> tuple[Placements, str]:
        """Where people are, and what was wrong: a depth image or a lens that does not belong to
        the image costs the placement, not the rest."""
        problem, options = "", self._options
        nowhere = Placements.nowhere(len(scene.body13), options.height, options.height_std)
        if lens is None:
            return nowhere, problem
        for image in (None,) if depth is None else (depth, None):
            try:
                with self._timed("place"):
                    found = self._placer.place(scene.body13, scene.estimates, lens, stamp_s, image)
                return found, problem
            except VipeError as error:
                problem = str(error)
        return nowhere, problem


class _Filters:
    """One-Euro filters of what is in metres, and of the heading."""

    def __init__(self, cutoff_hz: float, beta: float) -> None:
        self.settings = (cutoff_hz, beta)
        self._joints = OneEuro(cutoff_hz, beta)
        self._places = OneEuro(cutoff_hz, beta)
        self._turns = OneEuroRotation(cutoff_hz, beta)

    @property
    def delay_s(self) -> float:
        """Seconds, of the joints."""
        return self._joints.delay_s

    def smooth(self, scene: Scene, stamp_s: float) -> Scene:
        """The scene with joints and placements as they are through the filters."""
        placements, ids = scene.placements, scene.people.track_ids
        assert scene.joints is not None
        assert placements is not None
        return replace(
            scene,
            joints=self._joints.update(ids, scene.joints, stamp_s),
            placements=replace(
                placements,
                translation=self._places.update(ids, placements.translation, stamp_s),
                rotation=self._turns.update(ids, placements.rotation, stamp_s),
            ),
        )


def _most_certain(people: Bodies2D, count: int) -> Bodies2D:
    """At most so many people, those with the best scores, in the order in which they came."""
    if len(people) <= count:
        return people
    keep = np.zeros(len(people), bool)
    keep[np.argsort(-np.nan_to_num(people.scores), kind="stable")[:count]] = True
    return people.select(keep)


def _unique(people: Bodies2D) -> Bodies2D:
    """The people, without the ids that somebody before them has."""
    names = [name for name in people.track_ids if name]
    if len(set(names)) == len(names):
        return people
    seen: set[str] = set()
    first = [name not in seen and not seen.add(name) for name in people.track_ids]
    return people.with_track_ids(
        [name if new else "" for name, new in zip(people.track_ids, first, strict=True)]
    )


def _odds(model: Model) -> tuple[float, float] | None:
    """How the model's embeddings speak of who is who; None for one that makes none."""
    info = model.metadata
    if not info.has_embedding or info.sigmoid_a is None or info.sigmoid_b is None:
        return None
    return info.sigmoid_a, info.sigmoid_b


def _exchanged(people: Bodies2D, swapped: np.ndarray) -> Bodies2D:
    """The people, with the sides of those in ``swapped`` (P,) exchanged."""
    if not swapped.any():
        return people
    mirror = list(skeletons.get(people.skeleton).mirror)
    return replace(
        people,
        points=np.where(swapped[:, None, None], people.points[:, mirror], people.points),
        visibility=np.where(swapped[:, None], people.visibility[:, mirror], people.visibility),
    )
