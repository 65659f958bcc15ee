"""The pose to search for, from whatever holds one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vipe_core import embedding_file, keypoint_file, recordings, skeletons
from vipe_core.bodies import Bodies2D
from vipe_core.embedding_file import EmbeddingFile
from vipe_core.errors import VipeError
from vipe_core.estimate import MIN_JOINTS, estimate
from vipe_core.gallery.rows import Origin, finite
from vipe_core.keypoint_file import KeypointFile
from vipe_core.recordings import Moment, Source, kinds

if TYPE_CHECKING:
    from vipe_core.detectors import Detector
    from vipe_core.runtime import Model

_LATE_S = 1.0  # a moment named may lie so much behind the last one


@dataclass(frozen=True)
class Query:
    """Q poses to search for.

    Attributes:
        mean, variance: (Q, D); NaN where there was nobody.
        people: the keypoints that were embedded, to be shown; None where there were none.
        image: (H, W, 3) uint8 BGR that they were found in, or None.
    """

    mean: np.ndarray
    variance: np.ndarray
    people: Bodies2D | None = None
    image: np.ndarray | None = None

    def there(self) -> np.ndarray:
        """(Q,) whether there is somebody."""
        return finite(self.mean, self.variance)


def read(
    path: str | Path,
    model: Model,
    at_s: float | None = None,
    person: str | None = None,
    joints: Sequence[str] = (),
    detector: Detector | str | Path | None = None,
    topic: str | None = None,
    go_on: Callable[[], bool] | None = None,
) -> Query:
    """Poses out of a file.

    Args:
        path: an embedding file, keypoint file, image, video, bag or episode.
        model: that of the gallery.
        at_s: which moment, seconds after the first one; the nearest is taken. None: all of a
            file or image, row t * P + p for person p of frame t; of a video or bag one must be
            named.
        person: which one, by name; needed where the moment shows several.
        joints: names of the only joints that count, of the model's skeleton; (): all.
        detector: what finds people in images, or its YAML file; None: BlazePose.
        topic: of a bag, when several would do.
        go_on: asked at every moment of a recording, which may be long: False ends the reading.

    Raises:
        VipeError: what cannot be read; no such moment, person or joint; nobody there; joints
            named for a file without any; ``go_on`` said no.
    """
    _check_moment(path, at_s)
    hidden = hidden_joints(model, joints)
    if is_embedding_file(path):
        if hidden.any():
            raise VipeError(f"embedding file {path}: joints can be left out of keypoints only")
        return read_embeddings(path, Origin.of(model), at_s, person)
    if kinds.suffix(Path(path)) == kinds.CLIP:
        content = keypoint_file.read(Path(path))
        return _somebody(path, _of_keypoints(path, content, model, at_s, person, hidden))
    with recordings.open_source(path, model, detector, images=True, topic=topic) as source:
        return _somebody(path, _of_source(source, model, at_s, person, hidden, go_on))


def is_embedding_file(path: str | Path) -> bool:
    """Whether a file is a result of ``vipe embed``, by the names of what is in it."""
    fields = kinds.clip_fields(Path(path))
    return "mean" in fields and "points" not in fields


def read_embeddings(
    path: str | Path, origin: Origin, at_s: float | None = None, person: str | None = None
) -> Query:
    """Poses out of an embedding file; arguments and errors as of :func:`read`. Needs no model:
    ``origin`` is that of the gallery."""
    _check_moment(path, at_s)
    content = embedding_file.read(path)
    if content.fingerprint != origin.fingerprint:
        raise VipeError(
            f"embedding file {path} is of model {content.model} ({content.fingerprint}), the index "
            f"of {origin.model} ({origin.fingerprint}): embed it with the model of the index"
        )
    mean, variance = content.rows()
    frames = len(content.mean)
    there = np.isfinite(mean).all(1).reshape(frames, len(mean) // max(frames, 1))
    rows = _chosen(path, there, _stamps(content), at_s, person)
    return _somebody(path, Query(mean[rows], variance[rows]))


def of_people(
    people: Bodies2D, model: Model, joints: Sequence[str] = (), image: np.ndarray | None = None
) -> Query:
    """The people of one image, of whose joints only some count.

    Raises:
        VipeError: unknown or too few joints; a model of windows of frames.
    """
    return _embedded(people, model, hidden_joints(model, joints), image)


def hidden_joints(model: Model, joints: Sequence[str]) -> np.ndarray:
    """(J,) which joints of the model's skeleton are not among those named; none for ().

    Raises:
        VipeError: an unknown name, or fewer joints than the model needs.
    """
    skeleton = skeletons.get(model.metadata.skeleton_2d)
    if not joints:
        return np.zeros(len(skeleton), bool)
    if unknown := [joint for joint in joints if joint not in skeleton]:
        raise VipeError(f"unknown joint {', '.join(unknown)}; known: {', '.join(skeleton.joints)}")
    if len(set(joints)) < MIN_JOINTS:
        raise VipeError(f"{len(set(joints))} joints say too little: name {MIN_JOINTS} or more")
    return np.array([joint not in joints for joint in skeleton.joints])


def _somebody(path: str | Path, query: Query) -> Query:
    if not query.there().any():
        raise VipeError(f"{path}: nobody to search for, no person is seen there")
    return query


def _of_keypoints(
    path: str | Path,
    content: KeypointFile,
    model: Model,
    at_s: float | None,
    person: str | None,
    hidden: np.ndarray,
) -> Query:
    target, stamps = model.metadata.skeleton_2d, _stamps(content)
    points = skeletons.convert(content.points, content.skeleton, target)
    seen = skeletons.convert_visibility(content.visibility, content.skeleton, target)
    seen = np.where(hidden, 0, seen)
    found, missing = estimate(model, points, seen, target, stamps=stamps)
    mean, variance = (value.reshape(missing.size, -1) for value in found.embedding())
    there = ~missing.reshape(len(content), content.people())
    rows = _chosen(path, there, stamps, at_s, person)
    flat = points.reshape(-1, *points.shape[-2:])[rows], seen.reshape(-1, seen.shape[-1])[rows]
    people = Bodies2D.from_arrays(*flat, target, image_size=content.image_size)
    return Query(mean[rows], variance[rows], people)


def _stamps(content: KeypointFile | EmbeddingFile) -> np.ndarray | None:
    """(T,) seconds, where the file says them."""
    if content.stamp is not None:
        return content.stamp
    frames = len(content.mean if isinstance(content, EmbeddingFile) else content)
    return np.arange(frames) / content.fps if content.fps else None


def _chosen(
    path: str | Path,
    there: np.ndarray,
    stamps: np.ndarray | None,
    at_s: float | None,
    person: str | None,
) -> np.ndarray:
    """Rows t * P + p that are asked for, of a file where somebody is ``there`` (T, P)."""
    rows = np.arange(there.size).reshape(there.shape)
    names = [str(place) for place in range(there.shape[1])]
    if at_s is None:
        return rows.ravel() if person is None else rows[:, _place(path, person, names)]
    if stamps is None or not len(stamps):
        raise VipeError(f"{path} says neither stamp nor fps: no moment can be named in it")
    frame = int(np.abs(stamps - stamps[0] - at_s).argmin())
    _check_within(path, at_s, float(stamps[-1] - stamps[0]))
    present = [names[place] for place in np.flatnonzero(there[frame])]
    place = _place(path, person or _only(path, present), names)
    return rows[frame, place : place + 1]


def _of_source(
    source: Source,
    model: Model,
    at_s: float | None,
    person: str | None,
    hidden: np.ndarray,
    go_on: Callable[[], bool] | None,
) -> Query:
    if at_s is None and source.kind != "image":
        raise VipeError(f"{source.kind} {source.path}: say which moment, in seconds (--at)")
    moment = _nearest(source, at_s or 0.0, go_on)
    keep = np.ones(len(moment.bodies), bool)
    if person is not None or at_s is not None:
        names = moment.bodies
        place = _place(source.path, person or _only(source.path, names), names)
        keep = np.arange(len(names)) == place
    people = None if moment.people is None else moment.people.select(keep)
    if hidden.any():
        if people is None:
            raise VipeError(f"{source.path}: joints can be left out of keypoints only")
        return _embedded(people, model, hidden, moment.image)
    mean, variance = moment.estimates.embedding()
    return Query(mean[keep], variance[keep], people, moment.image)


def _nearest(source: Source, at_s: float, go_on: Callable[[], bool] | None) -> Moment:
    """The moment nearest to so many seconds after the first."""
    best, first = None, 0.0
    for moment in source.moments():
        if go_on is not None and not go_on():
            raise VipeError(f"{source.path}: given up at {moment.stamp_s:.1f} s")
        if best is None:
            first = moment.stamp_s
        elif abs(moment.stamp_s - first - at_s) > abs(best.stamp_s - first - at_s):
            return best
        best = moment
    if best is None:
        raise VipeError(f"{source.kind} {source.path}: no moment in it")
    _check_within(source.path, at_s, best.stamp_s - first)
    return best


def _check_moment(path: str | Path, at_s: float | None) -> None:
    """Before a long video is read for it."""
    if at_s is not None and not 0 <= at_s < np.inf:
        raise VipeError(f"{path}: no moment at {at_s:g} s, seconds from 0 needed (--at)")


def _check_within(path: str | Path, at_s: float, lasts_s: float) -> None:
    if at_s > lasts_s + _LATE_S:
        raise VipeError(f"{path} lasts {lasts_s:.1f} s: there is no moment at {at_s:g} s")


def _only(path: str | Path, names: Sequence[str]) -> str:
    """The person, where nobody else is there."""
    if not names:
        raise VipeError(f"{path}: nobody to search for, no person is seen at that moment")
    if len(names) > 1:
        raise VipeError(
            f"{path}: {len(names)} people at that moment: name one of {', '.join(names)} (--person)"
        )
    return names[0]


def _place(path: str | Path, person: str, names: Sequence[str]) -> int:
    if person not in names:
        raise VipeError(f"{path}: no person {person!r}; there: {', '.join(names) or 'nobody'}")
    return names.index(person)


def _embedded(
    people: Bodies2D, model: Model, hidden: np.ndarray, image: np.ndarray | None
) -> Query:
    if model.metadata.frames > 1:
        raise VipeError(
            f"model {model.metadata.name} looks at windows of frames: only a keypoint file has them"
        )
    shown = people.to_skeleton(model.metadata.skeleton_2d)
    seen = np.where(hidden, 0, shown.visibility)
    found, _ = estimate(model, shown.points, seen, shown.skeleton)
    people = Bodies2D.from_arrays(
        shown.points, seen, shown.skeleton, shown.track_ids, shown.scores, shown.image_size
    )
    return Query(*found.embedding(), people, image)
