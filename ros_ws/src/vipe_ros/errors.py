"""What is wrong with an input, with a name that can be counted."""

from __future__ import annotations

from vipe_core.errors import VipeError


class InputError(VipeError):
    """A message that cannot be used.

    Attributes:
        kind: a short fixed phrase ("unknown encoding"): diagnostics count by it, and the
            log says each kind once. The message holds the particulars.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
