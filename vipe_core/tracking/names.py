"""Ids of people: short, and never given twice."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from vipe_core.errors import VipeError

_LONGEST = 32
_LENGTH = 5  # as in REP-155's examples; a million of them
_TRIES = 100
_LETTERS = str.maketrans("0123456789", "ghijklmnop")


def random_letters() -> str:
    """32 of the letters a to p: a random UUID.

    No digits, since an id becomes part of a topic's name (``/humans/bodies/<id>``), where ROS 2
    lets no word begin with one.
    """
    return uuid.uuid4().hex.translate(_LETTERS)


class Names:
    """Gives ids of five characters, longer ones where the short ones are used up.

    Source: REP-155, "Identifier Syntax": ids are unique and short, five characters for example.
    """

    def __init__(self, draw: Callable[[], str] = random_letters) -> None:
        """``draw``: gives a random string of five or more characters each time."""
        self._draw = draw
        self._used: set[str] = set()

    def reserve(self, name: str) -> None:
        """Never give this id: somebody else did. What is longer or shorter never will be."""
        if _LENGTH <= len(name) <= _LONGEST:
            self._used.add(name)

    def new(self) -> str:
        """An id that nobody has or had.

        Raises:
            VipeError: whatever is drawn is in use.
        """
        for _ in range(_TRIES):
            drawn = self._draw()
            for length in range(_LENGTH, len(drawn) + 1):
                if (name := drawn[:length]) not in self._used:
                    self._used.add(name)
                    return name
        raise VipeError(f"no free id for a person after {_TRIES} draws: `name` must be random")
