"""Stand-ins of launch's substitutions and conditions: perform(context) -> str."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tools.launch_runner.context import Context, LaunchError


class Substitution:
    def perform(self, context: Context) -> str:
        raise NotImplementedError

    def describe(self) -> str:
        """For a reader, before anything is known."""
        return type(self).__name__


def resolve(value: Any, context: Context) -> str:
    """The text of a string, a substitution, or a sequence of them (concatenated)."""
    if isinstance(value, str):
        return value
    if isinstance(value, Substitution):
        return value.perform(context)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Sequence):
        return "".join(resolve(part, context) for part in value)
    raise LaunchError(f"{value!r} is neither text nor a substitution")


def describe(value: Any) -> str:
    """The text of a default value for a reader: ``[name]`` is another argument."""
    if isinstance(value, Substitution):
        return value.describe()
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "".join(describe(part) for part in value)
    return str(value)


class LaunchConfiguration(Substitution):
    def __init__(self, variable_name: str, *, default: Any = None) -> None:
        self.name, self.default = variable_name, default

    def perform(self, context: Context) -> str:
        if self.name in context.configurations:
            return context.configurations[self.name]
        if self.default is None:
            raise LaunchError(f"launch configuration {self.name!r} does not exist")
        return resolve(self.default, context)

    def describe(self) -> str:
        return f"[{self.name}]"


class TextSubstitution(Substitution):
    def __init__(self, *, text: str) -> None:
        self.text = text

    def perform(self, context: Context) -> str:
        return self.text

    def describe(self) -> str:
        return self.text


class PathJoinSubstitution(Substitution):
    def __init__(self, substitutions: Iterable[Any]) -> None:
        self.parts = list(substitutions)

    def perform(self, context: Context) -> str:
        return os.path.join(*(resolve(part, context) for part in self.parts))

    def describe(self) -> str:
        return os.path.join(*(describe(part) for part in self.parts))


class ThisLaunchFileDir(Substitution):
    def __init__(self) -> None:
        pass

    def perform(self, context: Context) -> str:
        return str(context.file.parent)


class EqualsSubstitution(Substitution):
    def __init__(self, left: Any, right: Any) -> None:
        self.left, self.right = left, right

    def perform(self, context: Context) -> str:
        same = resolve(self.left, context) == resolve(self.right, context)
        return str(same).lower()


class NotEqualsSubstitution(EqualsSubstitution):
    def perform(self, context: Context) -> str:
        return "false" if super().perform(context) == "true" else "true"


class FindPackageShare(Substitution):
    def __init__(self, package: Any) -> None:
        self.package = package

    def perform(self, context: Context) -> str:
        """The source tree that the launch file lies in, else the installation."""
        name = resolve(self.package, context)
        tree = context.file.parent.parent
        manifest = tree / "package.xml"
        if manifest.is_file() and f"<name>{name}</name>" in manifest.read_text():
            return str(tree)
        for prefix in prefixes():
            if (prefix / "share" / name / "package.xml").is_file():
                return str(prefix / "share" / name)
        raise LaunchError(f"package {name!r} is not installed")

    def describe(self) -> str:
        return f"share/{describe(self.package)}"


def prefixes() -> list[Path]:
    """Where packages may be installed, the nearest first."""
    named = os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
    return [Path(place) for place in (*named, sys.prefix) if place]


class IfCondition:
    def __init__(self, predicate_expression: Any) -> None:
        self.expression = predicate_expression

    def evaluate(self, context: Context) -> bool:
        said = resolve(self.expression, context).strip().lower()
        if said not in ("true", "false", "1", "0"):
            raise LaunchError(f"a condition says {said!r}, it must be true, false, 1 or 0")
        return said in ("true", "1")


class UnlessCondition(IfCondition):
    def evaluate(self, context: Context) -> bool:
        return not super().evaluate(context)
