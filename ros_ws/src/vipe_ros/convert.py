"""Messages of vipe_msgs to the data types of vipe_core and back. Pure functions.

Arrays cross as ``array.array`` and buffer views: no Python loop over joints.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point, Pose, PoseWithCovariance, Quaternion
from sensor_msgs.msg import CompressedImage
from vipe_msgs.msg import (
    Action,
    Actions,
    Bodies2D,
    Bodies3D,
    Body2D,
    Body3D,
    Embedding,
    Embeddings,
    Following,
    Match,
    Skeleton,
)

from vipe_core import bodies, skeletons
from vipe_core.bodies import Estimates
from vipe_core.errors import VipeError
from vipe_ros.errors import InputError
from vipe_ros.transforms import quaternions

if TYPE_CHECKING:
    from std_msgs.msg import Header

    from vipe_core import actions, alignment
    from vipe_core.gallery import Found
    from vipe_core.pipeline import Scene
    from vipe_core.placement import Placements
    from vipe_core.runtime import Model

_NOWHERE = PoseWithCovariance(
    pose=Pose(
        position=Point(x=np.nan, y=np.nan, z=np.nan),
        orientation=Quaternion(x=np.nan, y=np.nan, z=np.nan, w=np.nan),
    ),
    covariance=np.full(36, np.nan),
)


def floats(values: np.ndarray) -> array:
    """A float32 sequence field of any array, flattened. Not finite stays as it is."""
    return array("f", np.ascontiguousarray(values, np.float32).tobytes())


def numbers(field: Sequence[float], count: int, name: str) -> np.ndarray:
    """(count,) float32 of a sequence field, a view where possible.

    Raises:
        InputError: it has not ``count`` values.
    """
    if len(field) != count:
        raise InputError("wrong array length", f"{name} has {len(field)} values, {count} needed")
    return np.frombuffer(field, np.float32) if count else np.empty(0, np.float32)  # type: ignore[call-overload]


def seconds(stamp: Time) -> float:
    """A stamp in seconds; exact to 0.3 microseconds today."""
    return stamp.sec + 1e-9 * stamp.nanosec


def time(stamp_s: float | None) -> Time:
    """A stamp from seconds, zero at the earliest and for None."""
    if stamp_s is None:
        return Time()
    whole, nanoseconds = divmod(max(round(stamp_s * 1e9), 0), 10**9)
    return Time(sec=whole, nanosec=nanoseconds)


def bodies_2d_message(
    header: Header,
    people: bodies.Bodies2D,
    detector: str = "",
    swapped: np.ndarray | None = None,
) -> Bodies2D:
    """The message of the people in one image; ``swapped`` (P,) whose sides were exchanged."""
    width, height = people.image_size or (0, 0)
    exchanged = [False] * len(people) if swapped is None else swapped.tolist()
    return Bodies2D(
        header=header,
        skeleton=people.skeleton,
        image_width=width,
        image_height=height,
        detector=detector,
        bodies=[
            Body2D(
                track_id=name,
                score=float(people.scores[i]),
                points=floats(people.points[i]),
                visibility=floats(people.visibility[i]),
                swapped=exchanged[i],
            )
            for i, name in enumerate(people.track_ids)
        ],
    )


def bodies_2d(message: Bodies2D) -> bodies.Bodies2D:
    """The people in a message; a joint with a coordinate that is not finite is missing.

    Raises:
        InputError: unknown skeleton, or arrays that do not fit it.
    """
    try:
        joints = len(skeletons.get(message.skeleton))
    except VipeError as error:
        raise InputError("unknown skeleton", f"bodies_2d has an {error}") from None
    points = [numbers(b.points, 2 * joints, "points") for b in message.bodies]
    visibility = [numbers(b.visibility, joints, "visibility") for b in message.bodies]
    count = len(points)
    size = (message.image_width, message.image_height)
    return bodies.Bodies2D.from_arrays(
        np.reshape(points, (count, joints, 2)),
        np.reshape(visibility, (count, joints)),
        message.skeleton,
        [b.track_id for b in message.bodies],
        np.array([b.score for b in message.bodies], np.float32),
        size if all(size) else None,
    )


def embeddings_message(
    header: Header, people: bodies.Bodies2D, estimates: Estimates, model: Model
) -> Embeddings:
    """The embeddings of ``people`` (in the skeleton of the model)."""
    info = model.metadata
    fields = ("mean", "variance", "mirror_mean", "mirror_variance")
    made = {name: rows for name in fields if (rows := getattr(estimates, name)) is not None}
    return Embeddings(
        header=header,
        model=info.name,
        model_version=info.version,
        fingerprint=model.fingerprint,
        sigmoid_a=float("nan") if info.sigmoid_a is None else float(info.sigmoid_a),
        sigmoid_b=float("nan") if info.sigmoid_b is None else float(info.sigmoid_b),
        bodies=[
            Embedding(
                track_id=name,
                visibility=floats(people.visibility[i]),
                **{field: floats(rows[i]) for field, rows in made.items()},
            )
            for i, name in enumerate(people.track_ids)
        ],
    )


@dataclass(frozen=True)
class Embedded:
    """One person's embedding: D values each; the mirrored pair is None without one."""

    track_id: str
    mean: np.ndarray
    variance: np.ndarray
    mirror_mean: np.ndarray | None
    mirror_variance: np.ndarray | None

    @property
    def values(self) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, np.ndarray | None]:
        """All four, in this order."""
        return self.mean, self.variance, self.mirror_mean, self.mirror_variance


def embeddings(message: Embeddings, size: int) -> list[Embedded]:
    """The embeddings in a message, of ``size`` dimensions.

    Raises:
        InputError: an array of another length, or a value that is not finite.
    """
    return [_embedded(body, size) for body in message.bodies]


def estimates(people: Sequence[Embedded]) -> Estimates:
    """The embeddings of P people as arrays (P, D); without the mirrored ones where one lacks them.

    Raises:
        ValueError: nobody.
    """
    mirrored = all(person.mirror_mean is not None for person in people)
    names = ("mean", "variance", "mirror_mean", "mirror_variance")[: 4 if mirrored else 2]
    return Estimates(**{name: np.stack([getattr(p, name) for p in people]) for name in names})


def _embedded(body: Embedding, size: int) -> Embedded:
    names = ["mean", "variance"]
    if len(body.mirror_mean) or len(body.mirror_variance):
        names += ["mirror_mean", "mirror_variance"]
    values = [numbers(getattr(body, name), size, name) for name in names]
    if not all(np.isfinite(value).all() for value in values):
        raise InputError("embedding not finite", f"embedding of {body.track_id!r} is not finite")
    if any((value < 0).any() for value in values[1::2]):
        raise InputError("negative variance", f"embedding of {body.track_id!r} has a variance < 0")
    return Embedded(body.track_id, *values, *[None] * (4 - len(values)))


def bodies_3d_message(header: Header, scene: Scene, model: Model) -> Bodies3D:
    """The lifted and placed people; a scene without a pose has none."""
    info = model.metadata
    message = Bodies3D(
        header=header,
        model=info.name,
        model_version=info.version,
        skeleton=info.skeleton_3d or "",
    )
    if scene.joints is None or scene.std is None or scene.placements is None:
        return message
    placed, poses = scene.placements, _poses(scene.placements)
    message.bodies = [
        Body3D(
            track_id=name,
            joints=floats(scene.joints[i]),
            std=floats(scene.std[i]),
            height=float(placed.height[i]),
            height_std=float(placed.height_std[i]),
            placement=placed.source[i],
            pose=poses[i],
            swapped=bool(scene.swapped[i]),
        )
        for i, name in enumerate(scene.people.track_ids)
    ]
    return message


def _poses(placements: Placements) -> list[PoseWithCovariance]:
    """Where bodies are; all NaN for one that is not placed."""
    found = [_NOWHERE] * len(placements)
    rows = np.flatnonzero(placements.placed)
    turns = quaternions(placements.rotation[rows])
    places = placements.translation[rows].tolist()
    for row, turn, (x, y, z) in zip(rows, turns, places, strict=True):
        pose = Pose(position=Point(x=x, y=y, z=z), orientation=turn)
        covariance = placements.covariance[row].astype(np.float64).ravel()
        found[row] = PoseWithCovariance(pose=pose, covariance=covariance)
    return found


def skeleton_message(name: str) -> Skeleton:
    """The description of a skeleton by its name."""
    kind = skeletons.get(name)
    bones = [index for bone in kind.bones for index in bone]
    return Skeleton(name=name, joints=list(kind.joints), bones=bones)


def actions_message(
    header: Header, model: Model, recognizer: str, found: Sequence[tuple[str, actions.Action]]
) -> Actions:
    """The action of each person; ``found`` pairs track ids with them."""
    info = model.metadata
    return Actions(
        header=header,
        model=info.name,
        model_version=info.version,
        fingerprint=model.fingerprint,
        recognizer=recognizer,
        actions=[
            Action(
                track_id=track_id,
                label=action.label,
                probability=float(action.probability),
                start=time(action.start),
                end=time(action.end),
                labels=list(action.labels),
                probabilities=floats(np.asarray(action.probabilities)),
                under_way=action.under_way,
                progress=float(action.progress),
            )
            for track_id, action in found
        ],
    )


def following_message(
    header: Header, track_id: str, reference: str, found: alignment.Following
) -> Following:
    """How far a person has come along a reference."""
    return Following(
        header=header,
        track_id=track_id,
        reference=reference,
        progress=float(found.progress),
        reference_time=float(found.reference_time_s),
        speed=float(found.speed),
        likeness=float(found.likeness),
        mirrored=bool(found.mirrored),
        finished=bool(found.finished),
    )


def match_message(found: Found) -> Match:
    """A pose found in an index."""
    picture = CompressedImage()
    if found.thumbnail is not None:
        picture.format, picture.data = "jpeg", array("B", found.thumbnail)
    return Match(
        source=found.source,
        stamp=time(found.stamp_s),
        body=found.body,
        label=found.label,
        probability=float(found.probability),
        thumbnail=picture,
    )
