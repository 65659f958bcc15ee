"""The names and signatures of one version of a real package, and what may be done with them.

    api = Api.load(path)
    api.check_attribute("BuilderFlag.FP16")                 # AttributeError in TensorRT 11
    api.check_call("Builder.create_network", (1,), {})      # TypeError if no overload takes it

Where an annotation is simple, the type of an argument is checked as pybind11 would.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Entry = dict[str, Any]

POSITIONAL = ("positional_only", "positional_or_keyword")
KEYWORD = ("keyword_only", "positional_or_keyword")


class Api:
    """What a dump holds (see ``dump``)."""

    def __init__(self, dump: Entry) -> None:
        self.module: str = dump["module"]
        self.version: str = dump["version"]
        self.members: dict[str, Entry] = dump["members"]

    @classmethod
    def load(cls, path: str | Path) -> Api:
        return cls(json.loads(Path(path).read_text()))

    def find(self, path: str) -> Entry | None:
        """The entry of a dotted name, through aliases and base classes; None if there is none."""
        entry, members = None, self.members
        for name in path.split("."):
            entry = self._member(members, name)
            if entry is None:
                return None
            members = self.all_members(entry)
        return entry

    def _member(self, members: dict[str, Entry], name: str) -> Entry | None:
        entry = members.get(name)
        return self.find(entry["of"]) if entry and entry["kind"] == "alias" else entry

    def all_members(self, entry: Entry) -> dict[str, Entry]:
        """With those of the bases and, for an enum, its values."""
        found: dict[str, Entry] = {}
        for base in entry.get("bases", ()):
            found |= self.all_members(self.find(base) or {})
        found |= {
            name: {"kind": "value", "value": value}
            for name, value in entry.get("values", {}).items()
        }
        return found | entry.get("members", {})

    def check_attribute(self, path: str) -> Entry:
        entry = self.find(path)
        if entry is None:
            raise AttributeError(f"{self.module} {self.version} has no {path}")
        return entry

    def check_call(self, path: str, args: tuple, kwargs: dict[str, Any]) -> None:
        """TypeError unless an overload of ``path`` takes these arguments (without self)."""
        overloads = self.check_attribute(path).get("overloads")
        if overloads is None:
            raise TypeError(f"{self.module} {self.version}: {path} cannot be called")
        if not any(self._takes(overload["parameters"], args, kwargs) for overload in overloads):
            given = [type(value).__name__ for value in args]
            given += [f"{name}={type(value).__name__}" for name, value in kwargs.items()]
            raise TypeError(
                f"{self.module} {self.version}: {path}({', '.join(given)}) fits none of "
                f"{[describe(overload['parameters']) for overload in overloads]}"
            )

    def check_set(self, path: str, value: Any) -> None:
        """AttributeError unless ``path`` is a property that can be set, TypeError by its type."""
        entry = self.check_attribute(path)
        if entry["kind"] != "property" or not entry["settable"]:
            raise AttributeError(f"{self.module} {self.version}: {path} cannot be set")
        if not self.fits(entry["type"], value):
            raise TypeError(
                f"{self.module} {self.version}: {path} takes {entry['type']}, "
                f"not {type(value).__name__}"
            )

    def _takes(self, parameters: list[Entry], args: tuple, kwargs: dict[str, Any]) -> bool:
        bound = bind(parameters, args, kwargs)
        return bound is not None and all(
            self.fits(parameter["annotation"], value)
            or (value is None and parameter.get("default") == "None")
            for parameter, value in bound
        )

    def fits(self, annotation: str, value: Any) -> bool:
        """Whether pybind11 would convert ``value``; True for what the annotation leaves open."""
        name = annotation.removeprefix("typing.").removeprefix("typing_extensions.")
        if name in SIMPLE:
            return SIMPLE[name](value)
        path, entry = own_path(name), self.named(name)
        if entry is None or entry["kind"] not in ("class", "enum"):
            return True
        if path == "Dims":
            return is_dims(value)
        return any(getattr(kind, "_path", None) == path for kind in type(value).__mro__)

    def named(self, annotation: str) -> Entry | None:
        """The class or enum that an annotation names."""
        path = own_path(annotation)
        return self.find(path) if path else None

    def enum_members(self, path: str) -> dict[str, int]:
        return self.check_attribute(path).get("values", {})

    def walk(self) -> Iterator[tuple[str, Entry]]:
        """Every dotted name with its entry."""
        yield from _walk(self.members, "")


def own_path(annotation: str) -> str:
    """``tensorrt_bindings.tensorrt.ILogger.Severity`` is ``ILogger.Severity`` in the module."""
    return re.sub(r"^tensorrt\w*\.(tensorrt\w*\.)?", "", annotation)


def _walk(members: dict[str, Entry], prefix: str) -> Iterator[tuple[str, Entry]]:
    for name, entry in members.items():
        yield prefix + name, entry
        yield from _walk(entry.get("members", {}), f"{prefix}{name}.")


def bind(
    parameters: list[Entry], args: tuple, kwargs: dict[str, Any]
) -> list[tuple[Entry, Any]] | None:
    """Which parameter each argument goes to; None if they do not fit."""
    places = [p for p in parameters if p["kind"] in POSITIONAL]
    more = [p for p in parameters if p["kind"] == "var_positional"]
    if len(args) > len(places) and not more:
        return None
    bound = list(zip(places + more * (len(args) - len(places)), args, strict=False))
    taken = {parameter["name"] for parameter, _ in bound}
    by_name = {p["name"]: p for p in parameters if p["kind"] in KEYWORD and p["name"] not in taken}
    rest = next((p for p in parameters if p["kind"] == "var_keyword"), None)
    for name, value in kwargs.items():
        parameter = by_name.get(name, rest)
        if parameter is None:
            return None
        bound.append((parameter, value))
        taken.add(name)
    needed = {p["name"] for p in parameters if "default" not in p and p["kind"][:4] != "var_"}
    return bound if needed <= taken else None


def describe(parameters: list[Entry]) -> str:
    return "(" + ", ".join(f"{p['name']}: {p['annotation'] or 'Any'}" for p in parameters) + ")"


def is_int(value: Any) -> bool:
    """What pybind11 takes for an int: also an enum or a CUDA handle, never a float."""
    if isinstance(value, float | str | bytes | bytearray) or value is None:
        return False
    kind = type(value)
    return hasattr(kind, "__index__") or (
        hasattr(kind, "__int__") and kind.__module__ != "numpy"  # float32 has one too
    )


def is_float(value: Any) -> bool:
    return isinstance(value, float) or is_int(value)


def is_bool(value: Any) -> bool:
    return value is None or isinstance(value, bool | int) or type(value).__name__ == "bool"


def is_buffer(value: Any) -> bool:
    try:
        memoryview(value)
    except TypeError:
        return False
    return True


def is_dims(value: Any) -> bool:
    """A Dims or what is turned into one: a sequence of ints."""
    if isinstance(value, str | bytes | dict) or not hasattr(value, "__len__"):
        return False
    return hasattr(value, "__getitem__") and all(is_int(value[i]) for i in range(len(value)))


SIMPLE: dict[str, Callable[[Any], bool]] = {
    "int": is_int,
    "SupportsInt": is_int,
    "SupportsIndex": is_int,
    "float": is_float,
    "SupportsFloat": is_float,
    "bool": is_bool,
    "str": lambda value: isinstance(value, str | bytes),
    "tuple": lambda value: isinstance(value, tuple),
    "list": lambda value: isinstance(value, list),
    "buffer": is_buffer,
    "Buffer": is_buffer,
}
