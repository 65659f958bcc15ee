"""Bags as recordings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vipe_core import image_message
from vipe_core.bodies import Bodies2D
from vipe_core.errors import VipeError
from vipe_core.recordings import messages
from vipe_core.recordings.bag_files import BagFiles
from vipe_core.recordings.joining import join
from vipe_core.recordings.messages import BODIES, COMPRESSED, EMBEDDINGS, IMAGE, Types
from vipe_core.recordings.recording import Moment
from vipe_core.recordings.source import Follower, Source, named
from vipe_core.recordings.topics import Chooser
from vipe_core.recordings.video import import_cv2, load_detector
from vipe_core.recordings.windowed import in_windows

if TYPE_CHECKING:
    from vipe_core.detectors import Detector
    from vipe_core.pipeline import Options
    from vipe_core.runtime import Model

_LEADING, _PEOPLE, _IMAGE = "leading", "people", "image"
_Parts = dict[str, tuple[str, bytes]]  # type and CDR by role


class BagSource(Source):
    """A rosbag2, whole or cut off.

    Embeddings of the same model are taken as they are, with the keypoints and the image of the
    same stamp where these were recorded; else keypoints go through the pipeline, else images
    through the detector first. Stamps are those of the headers, in seconds.

    Args:
        path: folder or storage file.
        model, options: see :class:`vipe_core.pipeline.Pipeline`.
        detector: as of :func:`vipe_core.recordings.open_source`; loaded for images only.
        images: whether moments keep their image.
        topic: which one makes the moments, when several would do.

    Raises:
        VipeError: as of ``open_source``.
    """

    kind = "bag"

    def __init__(
        self,
        path: Path,
        model: Model,
        detector: Detector | str | Path | None,
        options: Options | None,
        images: bool,
        topic: str | None,
    ) -> None:
        super().__init__(path)
        self._model, self._options, self._images = model, options, images
        self._detector: Any = None
        with ExitStack() as opened:
            self._files = BagFiles(path, opened)
            self._types = Types(self._files.connections)
            chooser = Chooser(f"bag {path}", self._files, self._types, model.fingerprint)
            self._choice = chooser.choose(topic)
            if self._choice.kind in (IMAGE, COMPRESSED):
                import_cv2(f"bag {path}")
                self._detector = load_detector(detector, model)
            self._resources.push(opened.pop_all())
        self.count = self._files.count(self._choice.leading)
        self.notes = [*self._files.notes, *chooser.notes]

    @property
    def topic(self) -> str:
        """The topic that makes the moments."""
        return self._choice.leading

    def moments(self) -> Iterator[Moment]:
        made = self._made()
        return made if self._choice.kind == EMBEDDINGS else in_windows(made, self._model)

    def _made(self) -> Iterator[Moment]:
        """The moments, less what does not fit, which is counted."""
        self._lost: Counter[str] = Counter()
        if self._detector is not None:
            self._detector.reset()
        make = self._maker()
        before = -(2**63)
        for stamp_ns, parts in self._joined():
            if stamp_ns <= before:
                self._lost["stamps do not rise"] += 1
                continue
            try:
                moment = make(stamp_ns * 1e-9, parts)
            except VipeError as error:
                self._lost[str(error)] += 1
                continue
            before = stamp_ns
            yield moment
        self._report()

    def _maker(self) -> Callable[[float, _Parts], Moment]:
        """What makes a moment of its messages."""
        if self._choice.kind == EMBEDDINGS:
            return self._from_embeddings
        follower = Follower(self._model, self._options)
        find = self._people if self._choice.kind == BODIES else self._detected

        def follow(stamp_s: float, parts: _Parts) -> Moment:
            people, image = find(parts)
            return follower.moment(stamp_s, people, image if self._images else None)

        return follow

    def _from_embeddings(self, stamp_s: float, parts: _Parts) -> Moment:
        message = self._message(parts[_LEADING])
        if message.fingerprint != self._model.fingerprint:
            raise VipeError(f"embeddings of model {message.fingerprint}")
        names, found = messages.embeddings(message, self._model.metadata.embedding_size)
        people = self._keypoints(names, parts)
        return Moment(stamp_s, named(names), found, people, self._picture(parts))

    def _keypoints(self, names: tuple[str, ...], parts: _Parts) -> Bodies2D | None:
        """The people whose embeddings these are; None when they were not recorded."""
        if _PEOPLE not in parts:
            return None
        people = messages.people(self._message(parts[_PEOPLE]))
        self.image_size = people.image_size or self.image_size
        if people.track_ids != names:
            if not set(names) <= set(people.track_ids) or "" in names:
                return None
            return _rows(people, [people.track_ids.index(name) for name in names])
        return people

    def _people(self, parts: _Parts) -> tuple[Bodies2D, np.ndarray | None]:
        people = messages.people(self._message(parts[_LEADING]))
        self.image_size = people.image_size or self.image_size
        return people, self._picture(parts)

    def _detected(self, parts: _Parts) -> tuple[Bodies2D, np.ndarray | None]:
        image = self._decoded(parts[_LEADING])
        self.image_size = (image.shape[1], image.shape[0])
        return self._detector(image), image

    def _picture(self, parts: _Parts) -> np.ndarray | None:
        """The image of the same stamp; one that is damaged costs no more than itself."""
        if _IMAGE not in parts:
            return None
        try:
            return self._decoded(parts[_IMAGE])
        except VipeError as error:
            self._lost[str(error)] += 1
            return None

    def _decoded(self, part: tuple[str, bytes]) -> np.ndarray:
        convert = image_message.to_bgr if part[0] == IMAGE else image_message.decompress
        return convert(self._message(part))

    def _message(self, part: tuple[str, bytes]) -> Any:
        kind, data = part
        return self._types.message(data, kind)

    def _joined(self) -> Iterator[tuple[int, _Parts]]:
        """Stamp and messages of each moment."""
        choice = self._choice
        roles = {choice.leading: _LEADING} | dict.fromkeys(choice.people, _PEOPLE)
        if self._images:
            roles |= dict.fromkeys(choice.images, _IMAGE)
        kinds = self._files.types()

        def read() -> Iterator[tuple[str, int, tuple[int, str, bytes]]]:
            for topic, recorded_ns, data in self._files.messages(set(roles)):
                try:
                    stamp_ns = messages.header(data).stamp_ns or recorded_ns
                except VipeError as error:
                    self._lost[str(error)] += 1
                    continue
                yield roles[topic], stamp_ns, (stamp_ns, kinds[topic], data)

        wanted = frozenset(roles.values()) - {_LEADING}
        for parts in join(read(), _LEADING, wanted):
            stamp_ns = parts[_LEADING][0]
            yield stamp_ns, {role: (kind, data) for role, (_, kind, data) in parts.items()}

    def _report(self) -> None:
        """Say what was left out."""
        lines = [f"bag {self.path}: {n} left out: {why}" for why, n in self._lost.items()]
        for line in (*self._files.notes, *lines):
            self.note(line)


def _rows(people: Bodies2D, rows: list[int]) -> Bodies2D:
    """The people at some rows, in that order."""
    return Bodies2D(
        people.points[rows],
        people.visibility[rows],
        people.skeleton,
        tuple(people.track_ids[row] for row in rows),
        people.scores[rows],
        people.image_size,
    )
