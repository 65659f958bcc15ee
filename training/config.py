"""Configurations: frozen dataclasses filled from YAML and ``key=value`` words.

A key that no dataclass field has is an error, so a typo never trains silently.
"""

from __future__ import annotations

import dataclasses
import json
import re
import types
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml

from vipe_core.errors import VipeError

T = TypeVar("T")
_EXPONENT = re.compile(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+")  # 1e-4 is a string to YAML 1.1


def load(cls: type[T], path: str | Path, overrides: Sequence[str] = ()) -> T:
    """Read a dataclass from a YAML file, then apply ``section.key=value`` overrides.

    Raises:
        VipeError: unreadable file, unknown key, or a value of the wrong type.
    """
    try:
        data = yaml.safe_load(Path(path).read_text()) or {}
    except OSError as error:
        raise VipeError(f"cannot read config {path}: {error.strerror}") from None
    except yaml.YAMLError as error:
        raise VipeError(f"config {path} is not YAML: {str(error).splitlines()[0]}") from None
    for word in overrides:
        _assign(data, word)
    return build(cls, data, str(path))


def build(cls: type[T], data: Any, where: str = "config") -> T:
    """A dataclass of type ``cls`` from nested dicts; raises VipeError like :func:`load`."""
    if not isinstance(data, dict):
        raise VipeError(f"{where}: expected a mapping of settings, got {data!r}")
    hints = typing.get_type_hints(cls)
    unknown = sorted(set(data) - set(hints))
    if unknown:
        raise VipeError(f"{where}: unknown setting {unknown[0]!r}; known: {', '.join(hints)}")
    values = {key: _value(hints[key], value, f"{where}: {key}") for key, value in data.items()}
    try:
        return cls(**values)
    except TypeError as error:
        raise VipeError(f"{where}: {error}") from None


def to_dict(config: Any) -> dict[str, Any]:
    """The configuration as nested plain dicts, for logs and checkpoints."""
    return dataclasses.asdict(config)


def differences(then: Any, now: Any) -> list[str]:
    """``section.key: then -> now`` of every setting in which two configurations differ."""
    a, b = _flat(to_dict(then)), _flat(to_dict(now))
    return [
        f"{key}: {a.get(key, 'unset')} -> {b.get(key, 'unset')}"
        for key in dict.fromkeys([*a, *b])
        if a.get(key, "unset") != b.get(key, "unset")
    ]


def overrides(base: Any, now: Any) -> list[str]:
    """The ``section.key=value`` words that make ``now`` of ``base``, as for :func:`load`."""
    a, b = _flat(to_dict(base)), _flat(to_dict(now))
    return [f"{key}={_word(b[key])}" for key in b if key not in a or a[key] != b[key]]


def _word(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _flat(data: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    values = {}
    for key, value in data.items():
        nested = isinstance(value, dict)
        values |= _flat(value, f"{prefix}{key}.") if nested else {f"{prefix}{key}": value}
    return values


def _assign(data: dict[str, Any], word: str) -> None:
    key, equals, text = word.partition("=")
    if not equals:
        raise VipeError(f"{word!r} is not of the form key=value")
    *parents, last = key.split(".")
    for parent in parents:
        data = data.setdefault(parent, {})
        if not isinstance(data, dict):
            raise VipeError(f"{key}: {parent} is a value, not a section")
    data[last] = yaml.safe_load(text)


def _value(hint: Any, value: Any, where: str) -> Any:
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return build(hint, value, where)
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        options = [option for option in typing.get_args(hint) if option is not type(None)]
        return None if value is None else _value(options[0], value, where)
    if hint is dict and isinstance(value, dict):
        return value
    if typing.get_origin(hint) is tuple:
        if not isinstance(value, (list, tuple)):
            raise VipeError(f"{where}: expected a list, got {value!r}")
        return tuple(_value(typing.get_args(hint)[0], item, where) for item in value)
    if hint is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if hint is float and isinstance(value, str) and _EXPONENT.fullmatch(value):
        return float(value)
    if hint in (int, str, bool) and type(value) is hint:
        return value
    raise VipeError(f"{where}: expected {getattr(hint, '__name__', hint)}, got {value!r}")
