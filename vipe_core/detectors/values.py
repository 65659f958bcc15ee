"""What a value in a YAML file may be.

A check takes a value and where it stands, gives the value back, and raises VipeError for another.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from reprlib import repr  # of a file that may be anything
from typing import Any

from vipe_core import skeletons
from vipe_core.errors import VipeError

Check = Callable[[Any, str], Any]


def keys(given: Any, known: dict[str, Check], required: tuple[str, ...], where: str) -> dict:
    """A mapping whose keys are all known, its values checked."""
    if not isinstance(given, dict):
        raise VipeError(f"{where}: keys and values needed, got {repr(given)}")
    for key in given:
        if key not in known:
            raise VipeError(f"{where}: unknown key {repr(key)}; known: {', '.join(known)}")
    for key in required:
        if key not in given:
            raise VipeError(f"{where}: {key} is missing")
    return {key: known[key](value, f"{where}: {key}") for key, value in given.items()}


def anything(value: Any, where: str) -> Any:
    """Looked at later."""
    return value


def text(value: Any, where: str) -> str:
    """A string that is not empty."""
    if not isinstance(value, str) or not value:
        raise VipeError(f"{where}: text needed, got {repr(value)}")
    return value


def file(value: Any, where: str) -> Path:
    """A path; whether it exists is not looked at."""
    return Path(text(value, where)).expanduser()


def skeleton(value: Any, where: str) -> str:
    """The name of a skeleton."""
    try:
        return skeletons.get(text(value, where)).name
    except VipeError as error:
        raise VipeError(f"{where}: {error}") from None


def flag(value: Any, where: str) -> bool:
    """true or false."""
    if not isinstance(value, bool):
        raise VipeError(f"{where}: true or false needed, got {repr(value)}")
    return value


def one_of(*choices: str) -> Check:
    """One of these strings."""

    def check(value: Any, where: str) -> str:
        if value not in choices:
            raise VipeError(f"{where}: {repr(value)} is unknown; known: {', '.join(choices)}")
        return value

    return check


def number(low: float, high: float, kind: type = float) -> Check:
    """A number from low to high; of ``kind`` int a whole one."""
    allowed = (int,) if kind is int else (int, float)

    def check(value: Any, where: str) -> Any:
        if type(value) not in allowed or not low <= value <= high:
            what = "whole number" if kind is int else "number"
            raise VipeError(f"{where}: a {what} from {low} to {high} needed, got {repr(value)}")
        return kind(value)

    return check


def several(count: int, one: Check) -> Check:
    """A list of ``count``, as a tuple."""

    def check(value: Any, where: str) -> tuple:
        if not isinstance(value, list) or len(value) != count:
            raise VipeError(f"{where}: a list of {count} needed, got {repr(value)}")
        return tuple(one(item, where) for item in value)

    return check
