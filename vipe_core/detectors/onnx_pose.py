"""Pose models that a user brings: top-down (a crop per person) and one-stage (whole image)."""

from __future__ import annotations

import numpy as np

from vipe_core import skeletons
from vipe_core.bodies import Bodies2D
from vipe_core.detectors import heads
from vipe_core.detectors.configuration import DetectorConfiguration, PersonConfiguration
from vipe_core.detectors.onnx_network import BACKEND, OnnxNetwork
from vipe_core.detectors.preprocess import check_image, crop_maps, crops, letterbox

_SMALLEST = 8.0  # pixels along a side of a box that is worth a look


class OneStage:
    """A network that finds everybody in one go: RTMO, YOLO pose models.

    Raises:
        VipeError: the model file is missing, or is not what the configuration says.
    """

    backend = BACKEND

    def __init__(self, given: DetectorConfiguration, threads: int = 2) -> None:
        self.name, self.model = given.name, given.model.name
        self.skeleton = given.skeleton
        self._given = given
        self._network = OnnxNetwork(given.model, given.input, threads)
        self._people = heads.people(self._network, given)

    def reset(self) -> None:
        """Nothing is remembered."""

    def __call__(self, image: np.ndarray) -> Bodies2D:
        """See :class:`vipe_core.detectors.Detector`."""
        check_image(image)
        picture, mapping = letterbox(image, self._network.size, self._given.input)
        found = self._people(self._network(picture[None]))
        points = mapping.to_image(found.points)
        return _bodies(image, self._given.skeleton, points, found.visibility, found.scores)


class TopDown:
    """A network that looks at one person at a time, all people of an image in one batch.

    The score of a person is the mean of its keypoints' scores.

    Raises:
        VipeError: a model file is missing, or is not what the configuration says.
    """

    backend = BACKEND

    def __init__(self, given: DetectorConfiguration, threads: int = 2) -> None:
        self.name, self.skeleton = given.name, given.skeleton
        self._given = given
        person = given.person
        self._person = person and PersonBoxes(person, given.max_people, threads)
        self.model = f"{person.model.name} + {given.model.name}" if person else given.model.name
        self._network = OnnxNetwork(given.model, given.input, threads, several=person is not None)
        self._keypoints = heads.keypoints(self._network, given)
        self._followed: np.ndarray | None = None

    def reset(self) -> None:
        """Forget who is followed: the next image is looked at as a whole."""
        self._followed = None

    def __call__(self, image: np.ndarray) -> Bodies2D:
        """See :class:`vipe_core.detectors.Detector`."""
        check_image(image)
        if self._person:
            return self._look(image, self._person(image))
        return self._follow(image)

    def _follow(self, image: np.ndarray) -> Bodies2D:
        """The person of the image before; when it is not there, whoever is in the image."""
        height, width = image.shape[:2]
        whole = np.array([[0.0, 0.0, width, height]])
        people = self._look(image, whole if self._followed is None else self._followed)
        if not len(people) and self._followed is not None:
            people = self._look(image, whole)
        self._followed = _box_around(people)
        return people

    def _look(self, image: np.ndarray, boxes: np.ndarray) -> Bodies2D:
        """The people in boxes (P, 4), less those of a low score."""
        given, size = self._given, self._network.size
        if not len(boxes):
            none = np.empty((0, len(skeletons.get(given.skeleton))))
            return _bodies(image, given.skeleton, np.empty((*none.shape, 2)), none, none[:, 0])
        maps = crop_maps(boxes, size, given.padding, given.udp)
        points, visibility = self._keypoints(self._network(crops(image, maps, size)))
        points, scores = maps.to_image(points), np.clip(visibility, 0, 1).mean(axis=1)
        kept = scores >= given.min_score
        return _bodies(image, given.skeleton, points[kept], visibility[kept], scores[kept])


class PersonBoxes:
    """A person detector: the boxes that a top-down model looks at.

    Raises:
        VipeError: the model file is missing, or is not what the configuration says.
    """

    def __init__(self, given: PersonConfiguration, max_people: int, threads: int) -> None:
        self._given = given
        self._network = OnnxNetwork(given.model, given.input, threads)
        self._boxes = heads.boxes(self._network, given, max_people)

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """(P, 4) float x1, y1, x2, y2 in pixels of ``image`` (H, W, 3) uint8 BGR, best first."""
        picture, mapping = letterbox(image, self._network.size, self._given.input)
        boxes, _ = self._boxes(self._network(picture[None]))
        found = mapping.boxes_to_image(boxes)
        return found[(found[:, 2:] - found[:, :2] >= _SMALLEST).all(axis=1)]


def _bodies(
    image: np.ndarray,
    skeleton: str,
    points: np.ndarray,
    visibility: np.ndarray,
    scores: np.ndarray,
) -> Bodies2D:
    """Points (P, K, 2) in pixels of ``image``; a joint outside it has visibility 0."""
    height, width = image.shape[:2]
    inside = ((points >= -0.5) & (points < (width - 0.5, height - 0.5))).all(axis=-1)
    return Bodies2D.from_arrays(
        points,
        np.where(inside, visibility, 0),
        skeleton,
        scores=np.clip(scores, 0, 1),
        image_size=(width, height),
    )


def _box_around(people: Bodies2D) -> np.ndarray | None:
    """(1, 4) around the visible joints of the only person; None when that is no box."""
    seen = people.points[people.visibility > 0]
    if not len(seen):
        return None
    box = np.concatenate([seen.min(axis=0), seen.max(axis=0)]).astype(float)
    return box[None] if (box[2:] - box[:2] >= _SMALLEST).all() else None
