"""Who is in view now, for requests about a person."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

from vipe_core.errors import VipeError
from vipe_ros.convert import Embedded

FRESH_S = 1.0  # for longer, the people of an image are taken for still there


class InView:
    """The people of the latest embeddings.

    Attributes:
        stamp_s: of these, in seconds.
    """

    def __init__(self) -> None:
        self._people: list[Embedded] = []
        self._heard = self.stamp_s = -math.inf

    def see(self, stamp_s: float, people: Sequence[Embedded]) -> None:
        """The people of an image that has just come."""
        self.stamp_s, self._people, self._heard = stamp_s, list(people), time.monotonic()

    @property
    def people(self) -> list[Embedded]:
        """Nobody when the last image is older than a second."""
        return self._people if time.monotonic() - self._heard < FRESH_S else []

    def one(self, track_id: str = "") -> Embedded:
        """A person by id, or the only one in view.

        Raises:
            VipeError: nobody is in view, that person is not, or several are and none was named.
        """
        people = self.people
        if not people:
            raise VipeError("nobody is in view")
        names = ", ".join(person.track_id or "somebody without id" for person in people)
        if track_id:
            people = [person for person in people if person.track_id == track_id]
            if not people:
                raise VipeError(f"person {track_id} is not in view, but {names}")
        if len(people) > 1:
            raise VipeError(
                f"{len(people)} people are in view: say whom, track_id is one of {names}"
            )
        return people[0]
