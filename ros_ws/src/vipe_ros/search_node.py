"""embeddings -> an index of poses; when was a pose like this seen?"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from vipe_msgs.msg import Bodies2D, Embeddings
from vipe_msgs.srv import Search

from vipe_core import bodies
from vipe_core.errors import VipeError
from vipe_core.gallery import Filter, Found, Gallery, queries
from vipe_ros import convert, models
from vipe_ros.background import Background
from vipe_ros.in_view import InView
from vipe_ros.joining import Joining
from vipe_ros.node import BaseNode
from vipe_ros.parameters import SearchParameters
from vipe_ros.process import run
from vipe_ros.remembering import Remembering

ANSWERS = 20  # where a request does not say how many
_GIVEN_UP = "given up: the node was deactivated"

Pose = tuple[np.ndarray, np.ndarray]  # mean and variance (D,)


class SearchNode(BaseNode):
    """Remembers and finds poses."""

    parameters_type = SearchParameters
    settings: SearchParameters
    _model: Any = None
    _gallery: Any = None
    _indexing: Any = None
    _reading: Any = None
    _remembering: Any = None
    _in_view: Any = None
    _pauses = 0  # how often it was deactivated: what was asked for before is given up
    _keypoints: bodies.Bodies2D | None = None

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("search_node", **kwargs)
        self.add_service(Search, "search", self._search)

    def configure(self) -> None:
        given = self.settings
        if not given.index:
            raise VipeError("the parameter index is empty: give the folder of an index")
        self._model = models.load_embedding(given.model, given.backend, self.report)
        self._gallery = Gallery.create(given.index, self._model)
        self.report.facts |= {"index": given.index, "poses": str(len(self._gallery))}
        # The index is used in one thread, and not kept waiting while a recording is read.
        self._indexing, self._reading = Background(self), Background(self)

    def activate(self) -> None:
        self._in_view = InView()
        self._remembering = Remembering(self, self._gallery, self._indexing)
        self.report.facts["source"] = self._remembering.source
        self._joining = Joining(self._see)
        self.add_input(Embeddings, "embeddings", self._on_embeddings)
        self.add_side_input(Bodies2D, "bodies_2d/tracked", self._joining.keypoints)

    def deactivate(self) -> None:
        if self._remembering is not None:
            self._joining.flush()
            self._remembering.close()
        self._remembering = self._in_view = self._keypoints = None
        self._pauses += 1

    def release(self) -> None:
        for background in (self._reading, self._indexing):
            if background is not None:
                background.close()
        self._model = self._gallery = self._indexing = self._reading = None

    def destroy_node(self) -> None:
        self.deactivate()  # told to stop: what was seen last is kept too
        self.release()
        super().destroy_node()

    def _on_embeddings(self, message: Embeddings) -> None:
        models.check_same(message, self._model)
        people = convert.embeddings(message, self._model.metadata.embedding_size)
        stamp_s = convert.seconds(message.header.stamp)
        self._in_view.see(stamp_s, people)
        self._joining.embeddings(stamp_s, people)

    def _see(
        self, stamp_s: float, people: Sequence[convert.Embedded], keypoints: bodies.Bodies2D | None
    ) -> None:
        """An image, with the keypoints of its people where they came."""
        self._keypoints = keypoints
        self._remembering.see(stamp_s, people, keypoints)

    async def _search(self, request: Search.Request) -> Search.Response:
        given = bool(request.file), bool(len(request.mean) or len(request.variance))
        if all(given):
            raise VipeError("a file and an embedding: ask for one of them")
        _check_seconds(apart=request.apart, file_time=request.file_time)
        if request.file:
            pose = await self._read(request)
        else:
            pose = self._of_embedding(request) if given[1] else self._of_person(request)
        found = await self._indexing.run(self._found, self._gallery, request, *pose)
        self.report.counts["searches"] += 1
        return Search.Response(
            success=True,
            message=f"{len(found)} found",
            matches=[convert.match_message(match) for match in found],
        )

    def _of_embedding(self, request: Search.Request) -> Pose:
        if request.joints:
            raise VipeError("joints can be left out of a person or a file, not of an embedding")
        size = self._model.metadata.embedding_size
        return (
            convert.numbers(request.mean, size, "mean"),
            convert.numbers(request.variance, size, "variance"),
        )

    def _of_person(self, request: Search.Request) -> Pose:
        """Of somebody in view, as they are now."""
        person = self._in_view.one(request.track_id)
        if not request.joints:
            return person.mean, person.variance
        people = self._keypoints
        if people is None or person.track_id not in people.track_ids:
            raise VipeError("the keypoints of this person are not there: is vipe_node running?")
        row = people.track_ids.index(person.track_id)
        one = people.select(np.arange(len(people)) == row)
        return _first(queries.of_people(one, self._model, list(request.joints)))

    async def _read(self, request: Search.Request) -> Pose:
        """Out of a file, which may be long: given up when the node is deactivated."""
        pauses = self._pauses

        def go_on() -> bool:
            return pauses == self._pauses

        try:
            return await self._reading.run(self._of_file, request, self._model, go_on)
        finally:
            if not go_on():  # whatever came of it
                raise VipeError(_GIVEN_UP)

    @staticmethod
    def _of_file(request: Search.Request, model: Any, go_on: Callable[[], bool]) -> Pose:
        """In a thread of its own."""
        if not go_on():  # others were read before
            raise VipeError(_GIVEN_UP)
        person, joints = request.track_id or None, list(request.joints)
        query = queries.read(request.file, model, request.file_time, person, joints, go_on=go_on)
        return _first(query)

    @staticmethod
    def _found(
        gallery: Gallery, request: Search.Request, mean: np.ndarray, variance: np.ndarray
    ) -> list[Found]:
        """In the thread of the index."""
        if not len(gallery):
            raise VipeError(f"index {gallery.address} is empty: nothing was remembered yet")
        bounds = (convert.seconds(request.since), convert.seconds(request.until))
        where = Filter(
            request.source or None, request.label or None, *(bound or None for bound in bounds)
        )
        k = request.k or ANSWERS
        return gallery.search(mean, variance, k, where, apart_s=request.apart)


def _check_seconds(**values: float) -> None:
    for name, value in values.items():
        if not value >= 0:  # NaN neither
            raise VipeError(f"{name} is {value:g}: seconds, 0 or more, are needed")


def _first(query: queries.Query) -> Pose:
    row = int(query.there().argmax())
    return query.mean[row], query.variance[row]


def main(args: Sequence[str] | None = None) -> int:
    """The executable."""
    return run(SearchNode, args=args)


if __name__ == "__main__":
    sys.exit(main())
