"""A module of exactly the names that an Api has, which does what behaviours say.

A behaviour is a class with the methods and properties of one real class, of any version. Only
the names that the Api has are taken over, each behind a check of its arguments; a real name
without behaviour raises NotImplementedError when used. Names with an underscore are the
behaviour's own and are not checked.
"""

from __future__ import annotations

import enum
import functools
import json
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.trt.api import Api, Entry


class Behaviour:
    """What a behaviour derives from: its state is in names with an underscore."""

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...


class Recorder:
    """Appends one JSON line per use to a file, if there is one."""

    def __init__(self, path: str | Path | None) -> None:
        self.path = path

    def add(self, kind: str, name: str, **more: Any) -> None:
        if self.path:
            with open(self.path, "a") as file:
                file.write(json.dumps({"kind": kind, "name": name, **more}) + "\n")

    def call(self, name: str, args: tuple, kwargs: dict[str, Any]) -> None:
        types_of = [type(value).__name__ for value in args]
        keywords = {key: type(value).__name__ for key, value in kwargs.items()}
        self.add("call", name, arguments=types_of, keywords=keywords)


class StrictModule(types.ModuleType):
    """Reading a name that the real module lacks is an error that names the version."""

    def __init__(self, name: str, api: Api, record: Recorder) -> None:
        super().__init__(name)
        self._api, self._record = api, record

    def __getattribute__(self, name: str) -> Any:
        if not name.startswith("_") and name in object.__getattribute__(self, "__dict__"):
            self._record.add("get", name)
        return super().__getattribute__(name)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        self._record.add("missing", name)
        self._api.check_attribute(name)
        raise NotImplementedError(f"the stand-in has no {name}")


class StrictType(type):
    """The same for the names of a class."""

    _api: Api
    _record: Recorder
    _path: str

    def __getattr__(cls, name: str) -> Any:
        if not name.startswith("_"):
            cls._record.add("missing", f"{cls._path}.{name}")
            cls._api.check_attribute(f"{cls._path}.{name}")
        raise AttributeError(name)


class StrictObject(metaclass=StrictType):
    """What the instances of every class share."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        cls = type(self)
        cls._record.add("missing", f"{cls._path}.{name}")
        cls._api.check_attribute(f"{cls._path}.{name}")
        raise NotImplementedError(f"the stand-in has no {cls._path}.{name}")

    def __setattr__(self, name: str, value: Any) -> None:
        cls = type(self)
        # A class that Python code derives has a __dict__, and may hold what it likes.
        if not name.startswith("_") and "_path" in vars(cls):
            cls._record.add("set", f"{cls._path}.{name}", arguments=[type(value).__name__])
            cls._api.check_set(f"{cls._path}.{name}", value)
        object.__setattr__(self, name, value)


class Enum(metaclass=StrictType):
    """As pybind11 makes them: not ints, equal only to their like."""

    __members__: dict[str, Enum]

    def __init__(self, value: Any) -> None:
        self._value = int(value)

    @property
    def value(self) -> int:
        return self._value

    @property
    def name(self) -> str:
        return next((n for n, v in self.__members__.items() if v._value == self._value), "???")

    def __int__(self) -> int:
        return self._value

    __index__ = __hash__ = __int__

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other._value == self._value

    def __repr__(self) -> str:
        return f"<{type(self).__name__}.{self.name}: {self._value}>"

    def __str__(self) -> str:
        return f"{type(self).__name__}.{self.name}"


class Maker:
    """Makes the module. Behaviours of classes find ``world`` in ``_world``, those of functions
    get it as their first argument. ``int_enums``: enums are ints, as CUDA's are."""

    def __init__(
        self, api: Api, behaviours: Any, record: Recorder, world: Any, int_enums: bool = False
    ) -> None:
        self.api, self.record, self.world = api, record, world
        self.behaviours, self.int_enums = behaviours, int_enums
        self.made: dict[str, Any] = {}

    def module(self, name: str) -> StrictModule:
        module = StrictModule(name, self.api, self.record)
        # Classes first: values and aliases point to them.
        for member in self.api.members:
            self.make(member)
        for member, value in self.made.items():
            if "." not in member and not (member.startswith("_") and member != "__version__"):
                module.__dict__[member] = value
        module.__dict__["__version__"] = self.api.version
        return module

    def new(self, path: str, *content: Any, **state: Any) -> Any:
        """An object of a class that Python code cannot make; ``state`` becomes ``_name``."""
        cls = self.make(path)
        made = cls.__new__(cls, *content)
        for name, value in state.items():
            object.__setattr__(made, "_" + name, value)
        return made

    def make(self, path: str) -> Any:
        """The class, enum, function or value of a dotted name."""
        if path not in self.made:
            entry = self.raw(path)
            maker = getattr(self, "make_" + entry["kind"])
            self.made[path] = maker(path, entry)
        return self.made[path]

    def raw(self, path: str) -> Entry:
        """The entry itself, an alias unresolved."""
        owner, _, name = path.rpartition(".")
        members = self.api.check_attribute(owner)["members"] if owner else self.api.members
        return members[name]

    def make_alias(self, path: str, entry: Entry) -> Any:
        return self.make(entry["of"])

    def make_value(self, path: str, entry: Entry) -> Any:
        kind = self.api.find(entry["type"])
        return self.make(entry["type"])(entry["value"]) if kind else entry["value"]

    def make_function(self, path: str, entry: Entry) -> Any:
        return self.checked(path, getattr(self.behaviours, path, None), self.world)

    def make_enum(self, path: str, entry: Entry) -> type:
        if self.int_enums:
            made: Any = enum.IntEnum(path, entry["values"])
            made._path = path
            return made
        behaviour = getattr(self.behaviours, path, None)
        given = vars(behaviour) if behaviour else {}
        extra = {name: value for name, value in given.items() if name in entry["members"]}
        extra |= {"_api": self.api, "_record": self.record, "_path": path}
        cls = StrictType(path.rpartition(".")[2], (Enum,), extra)
        cls.__members__ = {name: cls(value) for name, value in entry["values"].items()}
        for name, member in cls.__members__.items():
            setattr(cls, name, member)
        return cls

    def make_class(self, path: str, entry: Entry) -> type:
        behaviour = getattr(self.behaviours, path, None)
        bases = tuple(self.make(base) for base in entry["bases"]) or (StrictObject,)
        base = getattr(behaviour, "_base", None)
        namespace: dict[str, Any] = hidden(base) if base else {}
        namespace |= {
            name: value
            for name, value in (vars(behaviour) if behaviour else {}).items()
            if name.startswith("_") and name not in ("__dict__", "__weakref__")
        }
        namespace |= {"_api": self.api, "_record": self.record, "_path": path}
        namespace |= {"_world": self.world, "__module__": self.api.module}
        for name, member in entry["members"].items():
            if name != "__del__":
                namespace[name] = self.member(f"{path}.{name}", member, behaviour)
        name = path.rpartition(".")[2]
        return StrictType(name, (*bases, *((base,) if base else ())), namespace)

    def member(self, path: str, entry: Entry, behaviour: Any) -> Any:
        name = path.rpartition(".")[2]
        given = vars(behaviour).get(name) if behaviour else None
        if name == "__init__":
            return self.constructor(path, given)
        if entry["kind"] == "function":
            given = given or vars(StrictDefaults).get(name)
            return self.checked(path, given, method=True)
        if entry["kind"] == "property":
            return self.property(path, entry, given)
        return self.make(path)

    def checked(
        self, path: str, function: Callable | None, *first: Any, method: bool = False
    ) -> Callable:
        """``function`` behind a check of its arguments; ``first`` go in front of them."""

        def call(*args: Any, **kwargs: Any) -> Any:
            given = args[1:] if method else args
            self.record.call(path, given, kwargs)
            self.api.check_call(path, given, kwargs)
            if function is None:
                raise NotImplementedError(f"the stand-in has no {path}")
            return function(*first, *args, **kwargs)

        call.__name__ = path.rpartition(".")[2]
        return functools.wraps(function)(call) if function else call

    def constructor(self, path: str, function: Callable | None) -> Callable:
        """Checks when Python code makes one; the stand-in itself uses ``_make``."""
        owner = path.rpartition(".")[0]

        def init(self_: Any, *args: Any, **kwargs: Any) -> None:
            self.record.call(owner, args, kwargs)
            if not self.api.check_attribute(path)["overloads"]:
                raise TypeError(f"{owner}: No constructor defined!")
            self.api.check_call(path, args, kwargs)
            if function is None:
                raise NotImplementedError(f"the stand-in cannot make a {owner}")
            function(self_, *args, **kwargs)

        return init

    def property(self, path: str, entry: Entry, given: Any) -> property:
        """The behaviour's; otherwise what can be set is kept and read back."""
        name = "_kept_" + path.rpartition(".")[2]
        # A progress monitor, an allocator and the like: None until one is set.
        objects = (self.api.named(entry["type"]) or {}).get("kind") == "class"

        def get(self_: Any) -> Any:
            self.record.add("get", path)
            if isinstance(given, property) and given.fget:
                return given.fget(self_)
            if not hasattr(self_, name) and not objects:
                raise NotImplementedError(f"the stand-in has no {path}")
            return getattr(self_, name, None)

        def put(self_: Any, value: Any) -> None:
            if isinstance(given, property) and given.fset:
                return given.fset(self_, value)
            return object.__setattr__(self_, name, value)

        return property(get, put if entry["settable"] else None)


class StrictDefaults:
    """What every real class does in the same way."""

    def __enter__(self) -> Any:
        return self

    def __exit__(self, exc_type: Any, exc_value: Any, traceback: Any) -> None:
        text = "Context managers for TensorRT types are deprecated."
        warnings.warn(text, DeprecationWarning, stacklevel=3)


class Hidden:
    """A name of a base class that the real class does not have."""

    def __get__(self, instance: Any, owner: type) -> Any:
        raise AttributeError("hidden")


def hidden(base: type) -> dict[str, Any]:
    """What takes away everything that ``base`` adds to object, but the buffer protocol."""
    names = set(dir(base)) - set(dir(object))
    return {name: None if name.startswith("__") else Hidden() for name in names} | {
        "__eq__": object.__eq__,
        "__hash__": object.__hash__,
        "__repr__": object.__repr__,
    }
