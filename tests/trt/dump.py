"""Write down the API of a module as JSON: python dump.py MODULE OUT.json

Runs alone in a child process beside the real bindings, so it needs the standard library only.
An entry has a ``kind``: class, enum, function, property, value or alias. Signatures are read from
the docstrings that pybind11 writes, or by ``inspect`` where there are real ones (Cython, Python).
"""

from __future__ import annotations

import importlib
import inspect
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

Entry = dict[str, Any]

# Dunders that object has anyway; what a class makes of them does not change how it is called.
BORING = set(dir(object)) - {"__init__", "__eq__"} | {
    *("__doc__", "__module__", "__dict__", "__weakref__", "__annotations__", "__members__"),
    *("__entries", "__pyx_vtable__", "__pybind11_module_local_v5_gcc_libstdcpp_cxxabi1014__"),
    *("__getstate__", "__setstate__", "__reduce_cython__", "__setstate_cython__"),
}


class Dump:
    """Walks one module; a class that was met before becomes an alias of its first path."""

    def __init__(self, module: Any) -> None:
        self.module = module
        self.paths: dict[type, str] = {}
        for path, value in self.classes(module, ""):
            self.paths.setdefault(value, path)

    def classes(self, holder: Any, prefix: str) -> list[tuple[str, type]]:
        """Every class with its own path first: what a class holds comes after it."""
        found = [(prefix + n, v) for n, v in sorted(vars(holder).items()) if self.is_ours(v)]
        # A name that a class says of itself is better than one that is assigned elsewhere.
        found.sort(key=lambda item: item[1].__qualname__ != item[0])
        nested = [
            pair
            for path, value in found
            if value.__qualname__.rpartition(".")[2] == path.rpartition(".")[2]
            and (not prefix or value.__qualname__ == path)
            for pair in self.classes(value, path + ".")
        ]
        return found + nested

    def is_ours(self, value: Any) -> bool:
        package = self.module.__name__.partition(".")[0]
        return inspect.isclass(value) and value.__module__.partition(".")[0] == package

    def entries(self, holder: Any, prefix: str = "") -> dict[str, Entry]:
        names = [n for n in vars(holder) if n not in BORING and not n.startswith("__pybind")]
        private = [n for n in names if n.startswith("_") and not n.startswith("__")]
        return {
            name: self.entry(vars(holder)[name], prefix + name, bool(prefix))
            for name in sorted(set(names) - set(private))
        }

    def entry(self, value: Any, path: str, in_class: bool) -> Entry:
        if inspect.isclass(value):
            return self.class_entry(value, path)
        if isinstance(value, property) or inspect.isgetsetdescriptor(value):
            return property_entry(value)
        if isinstance(value, staticmethod | classmethod):
            return {"kind": "function", "static": True, "overloads": overloads(value.__func__)}
        if callable(value):
            found = [] if no_constructor(value) else overloads(value)
            return {"kind": "function", "overloads": found and without_self(found, in_class)}
        return self.value_entry(value)

    def class_entry(self, value: type, path: str) -> Entry:
        if self.paths.get(value, path) != path:
            return {"kind": "alias", "of": self.paths[value]}
        if not self.is_ours(value):
            return {"kind": "value", "type": "type", "value": value.__name__}
        bases = [self.paths[base] for base in value.__bases__ if base in self.paths]
        entry: Entry = {"kind": "class", "bases": bases, "members": self.entries(value, path + ".")}
        members = getattr(value, "__members__", None)
        if members is not None and not inspect.isgetsetdescriptor(members):
            entry["kind"] = "enum"
            entry["values"] = {name: int(member) for name, member in members.items()}
            entry["members"] = {
                name: member
                for name, member in entry["members"].items()
                if name not in members and member["kind"] != "value"
            }
        return entry

    def value_entry(self, value: Any) -> Entry:
        kind = self.paths.get(type(value))
        if kind is not None and hasattr(type(value), "__members__"):
            return {"kind": "value", "type": kind, "value": int(value)}
        plain = value if isinstance(value, int | float | str | None) else repr(value)
        return {"kind": "value", "type": type(value).__name__, "value": plain}


def no_constructor(value: Any) -> bool:
    """An ``__init__`` of pybind11's own base class, which only refuses."""
    owner = getattr(value, "__objclass__", type(None))
    ours = "pybind11_object" in [base.__name__ for base in owner.__mro__]
    return ours and inspect.ismethoddescriptor(value)


def property_entry(value: Any) -> Entry:
    """Whether it can be set, and the type that its setter says it takes."""
    if not isinstance(value, property):  # Cython
        return {"kind": "property", "settable": True, "type": ""}
    setter = overloads(value.fset) if value.fset else None
    taken = setter[0]["parameters"][-1]["annotation"] if setter else ""
    return {"kind": "property", "settable": value.fset is not None, "type": taken}


def overloads(function: Any) -> list[Entry] | None:
    """Each signature of ``function``; None where nothing tells."""
    text: str = getattr(function, "__doc__", None) or ""
    lines = text.strip().splitlines()
    found = [read_signature(line) for line in lines if re.match(r"(\d+\. )?\w*\(.*\) -> ", line)]
    if lines and "(*args, **kwargs)" in lines[0] and len(found) > 1:
        return found[1:] if "-> " in lines[0] else found
    if found:
        return found[:1]
    try:
        return [from_inspect(inspect.signature(function)) | {"returns": listed(lines)}]
    except (TypeError, ValueError):
        return None


def listed(lines: list[str]) -> list[str]:
    """What a docstring in numpy's manner says under Returns: the first word of each item."""
    titles = [i for i, line in enumerate(lines) if i and set(line.strip()) == {"-"}]
    starts = [i for i in titles if lines[i - 1].strip() == "Returns"]
    if not starts:
        return []
    end = min([i - 1 for i in titles if i > starts[0]], default=len(lines))
    return [line.split()[0] for line in lines[starts[0] + 1 : end] if line[:1].strip()]


def without_self(found: list[Entry], in_class: bool) -> list[Entry]:
    if not in_class:
        return found
    return [entry | {"parameters": entry["parameters"][1:]} for entry in found]


def from_inspect(signature: inspect.Signature) -> Entry:
    parameters = []
    for parameter in signature.parameters.values():
        annotation = parameter.annotation
        entry = {"name": parameter.name, "annotation": "", "kind": parameter.kind.name.lower()}
        if annotation is not parameter.empty:
            entry["annotation"] = annotation if isinstance(annotation, str) else str(annotation)
        if parameter.default is not parameter.empty:
            entry["default"] = repr(parameter.default)
        parameters.append(entry)
    return {"parameters": parameters, "returns": ""}


def read_signature(line: str) -> Entry:
    """``name(self: A, flags: int = 0) -> B``, as pybind11 writes it."""
    inside, _, returns = line[line.index("(") + 1 :].rpartition(") -> ")
    parameters, kind = [], "positional_or_keyword"
    for text in split(inside):
        if text == "/":
            for entry in parameters:
                entry["kind"] = "positional_only"
        elif text == "*":
            kind = "keyword_only"
        else:
            parameters.append(read_parameter(text, kind))
    return {"parameters": parameters, "returns": returns.strip()}


def read_parameter(text: str, kind: str) -> Entry:
    head, equals, default = text.partition(" = ")
    name, _, annotation = head.partition(": ")
    if name.startswith("*"):
        kind = "var_keyword" if name.startswith("**") else "var_positional"
    elif re.fullmatch(r"arg\d+", name):  # pybind11's own name for a nameless one
        kind = "positional_only"
    entry = {"name": name.lstrip("*"), "annotation": annotation, "kind": kind}
    return entry | ({"default": default} if equals else {})


def split(text: str) -> list[str]:
    """At the commas that are inside no bracket and no quotes."""
    parts, depth, quoted = [""], 0, False
    for char in text:
        quoted ^= char == "'"
        if not quoted:
            depth += (char in "([{<") - (char in ")]}>")
        if char == "," and depth == 0 and not quoted:
            parts.append("")
        else:
            parts[-1] += char
    return [part.strip() for part in parts if part.strip()]


def main(name: str, out: str) -> None:
    module = importlib.import_module(name)
    version = getattr(module, "__version__", None)
    if version is None:
        version = importlib.import_module(name.rpartition(".")[0]).__version__
    entries = Dump(module).entries(module)
    # Put in place whole: another process may be reading.
    part = Path(f"{out}.{os.getpid()}.part")
    part.write_text(json.dumps({"module": name, "version": version, "members": entries}))
    part.replace(out)


if __name__ == "__main__":
    main(*sys.argv[1:])
