"""What a node sees, added to an index of poses: a batch a second, beside its callbacks."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from vipe_core.drawing import thumbnail
from vipe_core.gallery import Gallery, Rows

if TYPE_CHECKING:
    from vipe_core import bodies
    from vipe_ros.background import Background
    from vipe_ros.convert import Embedded
    from vipe_ros.node import BaseNode

EVERY_S = 0.9  # a batch, so that writing it too ends within the second that may be lost
MOST_WAITING = 10_000  # poses, while the disk does not keep up
_EARLY = 0.1  # of the time between two poses: images come at a rate of their own


class _Seen(NamedTuple):
    """A person in an image; ``row`` is theirs in the keypoints."""

    stamp_s: float
    person: Embedded
    keypoints: bodies.Bodies2D | None
    row: int


class Remembering:
    """Adds people to an index, each so many times a second.

    Args:
        node: its live parameters say whether, how often, and with pictures or without.
        gallery: the index.
        background: the thread that the index is used in.

    Attributes:
        source: what the poses are said to come from.
    """

    def __init__(self, node: BaseNode, gallery: Gallery, background: Background) -> None:
        self._node, self._gallery, self._background = node, gallery, background
        name = f"{socket.gethostname()}{node.get_fully_qualified_name()}"
        self.source = node.settings.source or f"{name}/{datetime.now():%Y-%m-%dT%H:%M:%S}"
        self._waiting: list[_Seen] = []
        self._writing = False
        self._last: dict[str | int, float] = {}  # by id, or by place in the image without one
        self._timer = node.create_timer(EVERY_S, self._on_time, clock=node.steady)

    def see(
        self, stamp_s: float, people: Sequence[Embedded], keypoints: bodies.Bodies2D | None
    ) -> None:
        """The people of an image that has just come."""
        if not self._node.settings.remember:
            return
        every_s = (1 - _EARLY) / self._node.settings.remember_rate
        self._last = {k: last for k, last in self._last.items() if 0 <= stamp_s - last < every_s}
        for row, person in enumerate(people):
            who = person.track_id or row
            if who not in self._last:
                self._last[who] = stamp_s
                self._keep(_Seen(stamp_s, person, keypoints, row))

    def close(self) -> None:
        """Remember nothing more; what waits is written as soon as the thread comes to it."""
        self._node.destroy_timer(self._timer)
        self._write()

    def _keep(self, seen: _Seen) -> None:
        if len(self._waiting) < MOST_WAITING:
            self._waiting.append(seen)
        else:
            self._node.report.counts["not remembered"] += 1

    def _on_time(self) -> None:
        if not self._writing:
            self._write()

    def _write(self) -> None:
        if self._waiting:
            seen, self._waiting = self._waiting, []
            self._writing = True
            self._background.submit(self._work, seen, self._node.settings.thumbnails)

    def _work(self, seen: list[_Seen], pictures: bool) -> None:
        """In the thread of the background."""
        self._node.guard(self._add, seen, pictures)
        self._writing = False

    def _add(self, seen: list[_Seen], pictures: bool) -> None:
        counts, left_out = self._node.report.counts, len(seen)
        try:
            left_out = self._gallery.add(self._rows(seen, pictures))
        finally:
            counts["remembered"] += len(seen) - left_out
            counts["not remembered"] += left_out
        self._node.report.facts["poses"] = str(len(self._gallery))

    def _rows(self, seen: list[_Seen], pictures: bool) -> Rows:
        return Rows(
            mean=np.stack([entry.person.mean for entry in seen]),
            variance=np.stack([entry.person.variance for entry in seen]),
            source=self.source,
            stamp_s=np.array([entry.stamp_s for entry in seen]),
            body=[entry.person.track_id for entry in seen],
            thumbnail=[_picture(entry) if pictures else None for entry in seen],
        )


def _picture(seen: _Seen) -> bytes | None:
    people = seen.keypoints
    if people is None:
        return None
    return thumbnail(None, people.points[seen.row], people.visibility[seen.row], people.skeleton)
