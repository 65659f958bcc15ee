"""The elements of a long list in a JSON file, one at a time, without holding the file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from vipe_core.errors import VipeError

_CHUNK = 1 << 16
_SPACE = " \t\r\n"


def elements(path: Path, key: str, what: str) -> Iterator[Any]:
    """Each element of the list under ``key`` of the object that the file is.

    Args:
        path: the file; other keys are passed over.
        key: name of the list.
        what: what the file should be, to begin an error with.

    Raises:
        VipeError: missing, no JSON object, cut short, or without that list.
    """
    try:
        with open(path, encoding="utf-8") as file:
            yield from _Stream(file).elements(key)
    except OSError as error:
        raise VipeError(f"{what} {path}: {error.strerror or error}") from None
    except _MissingError:
        raise VipeError(f"{what} {path}: no list of {key} in it") from None
    except ValueError as error:  # json's and the decoder's errors are ValueErrors
        raise VipeError(f"{what} {path}: no readable JSON ({error})") from None


class _MissingError(Exception):
    pass


class _Stream:
    """A window on the text that slides forward."""

    def __init__(self, file: TextIO) -> None:
        self._file, self._text, self._at = file, "", 0
        self._decode = json.JSONDecoder().raw_decode

    def elements(self, key: str) -> Iterator[Any]:
        self._expect("{")
        while self._peek() != "}":
            name = self._value()
            self._expect(":")
            if name == key and self._peek() == "[":
                yield from self._list()
                return
            if self._peek() == "[":
                for _ in self._list():
                    pass
            else:
                self._value()
            if self._peek() == ",":
                self._expect(",")
        raise _MissingError

    def _list(self) -> Iterator[Any]:
        self._expect("[")
        while self._peek() != "]":
            yield self._value()
            if self._peek() == ",":
                self._expect(",")
        self._expect("]")

    def _peek(self) -> str:
        """The next character that is no space."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in _SPACE:
                self._at += 1
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                raise ValueError("it ends in the middle")

    def _expect(self, character: str) -> None:
        if self._peek() != character:
            raise ValueError(f"{character!r} expected, found {self._peek()!r}")
        self._at += 1

    def _value(self) -> Any:
        self._peek()
        while True:
            try:
                value, end = self._decode(self._text, self._at)
                # A number that ends with the window may go on behind it.
                if end < len(self._text) or not self._more():
                    self._at = end
                    return value
            except json.JSONDecodeError as error:
                if not self._more():
                    raise ValueError("it ends in the middle or is damaged") from error

    def _more(self) -> bool:
        """Let go of what was read and take as much again; False at the end of the file."""
        chunk = self._file.read(max(_CHUNK, len(self._text) - self._at))
        self._text, self._at = self._text[self._at :] + chunk, 0
        return bool(chunk)
