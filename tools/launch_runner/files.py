"""Reading launch files with the stand-ins in the place of launch and launch_ros."""

from __future__ import annotations

import runpy
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from tools.launch_runner.actions import (
    DeclareLaunchArgument,
    IncludeLaunchDescription,
    LaunchDescription,
    OnProcessExit,
    OpaqueFunction,
    PythonLaunchDescriptionSource,
    RegisterEventHandler,
    Shutdown,
)
from tools.launch_runner.context import Context, LaunchError
from tools.launch_runner.processes import ExecuteProcess, Node, ParameterFile, ParameterValue
from tools.launch_runner.substitutions import (
    EqualsSubstitution,
    FindPackageShare,
    IfCondition,
    LaunchConfiguration,
    NotEqualsSubstitution,
    PathJoinSubstitution,
    TextSubstitution,
    ThisLaunchFileDir,
    UnlessCondition,
    describe,
    resolve,
)

STAND_INS: dict[str, tuple[Any, ...]] = {
    "launch": (LaunchDescription,),
    "launch.actions": (
        *(DeclareLaunchArgument, ExecuteProcess, IncludeLaunchDescription, OpaqueFunction),
        *(RegisterEventHandler, Shutdown),
    ),
    "launch.conditions": (IfCondition, UnlessCondition),
    "launch.event_handlers": (OnProcessExit,),
    "launch.launch_description_sources": (PythonLaunchDescriptionSource,),
    "launch.substitutions": (
        *(EqualsSubstitution, LaunchConfiguration, NotEqualsSubstitution),
        *(PathJoinSubstitution, TextSubstitution, ThisLaunchFileDir),
    ),
    "launch_ros": (),
    "launch_ros.actions": (Node,),
    "launch_ros.parameter_descriptions": (ParameterFile, ParameterValue),
    "launch_ros.substitutions": (FindPackageShare,),
}


def read_file(path: Path) -> LaunchDescription:
    """What ``generate_launch_description`` of a file gives."""
    if not path.is_file():
        raise LaunchError(f"launch file {path} does not exist")
    kept = {name: sys.modules.get(name) for name in STAND_INS}
    for name, contents in STAND_INS.items():
        module = ModuleType(name)
        module.__dict__.update({entry.__name__: entry for entry in contents})
        sys.modules[name] = module
    try:
        try:
            content = runpy.run_path(str(path))
        except SyntaxError as error:
            raise LaunchError(f"{path} is not a launch file: {error}") from None
        if "generate_launch_description" not in content:
            raise LaunchError(f"{path} has no function generate_launch_description")
        return content["generate_launch_description"]()
    finally:
        for name, module in kept.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


def visit_file(path: Path, context: Context) -> None:
    """Visit everything in a file."""
    description = read_file(path)
    context.file = path.resolve()
    for entity in description.entities:
        entity.visit(context)


def load(path: Path, arguments: dict[str, str], scratch: Path) -> Context:
    """Everything to start, resolved and checked; nothing is started yet.

    Raises:
        LaunchError: whatever is wrong with the file, its arguments or what it refers to.
    """
    context = Context(dict(arguments), scratch, visit_file)
    visit_file(path, context)
    if unknown := sorted(arguments.keys() - context.declared):
        raise LaunchError(f"{path} has no launch argument {', '.join(unknown)}")
    return context


def arguments(path: Path) -> list[DeclareLaunchArgument]:
    """The arguments that a file and the files it includes declare; the first of a name counts.

    Raises:
        LaunchError: a file that cannot be read.
    """
    context = Context({}, path.parent, visit_file)
    context.file = path.resolve()
    found: dict[str, DeclareLaunchArgument] = {}
    for entity in read_file(path).entities:
        inner: list[DeclareLaunchArgument] = []
        if isinstance(entity, DeclareLaunchArgument):
            inner = [entity]
        elif isinstance(entity, IncludeLaunchDescription):
            inner = arguments(Path(resolve(entity.source.path, context)))
        for argument in inner:
            found.setdefault(argument.name, argument)
    return list(found.values())


def arguments_text(path: Path) -> str:
    """The arguments of a file as ``ros2 launch --show-args`` shows them."""
    lines = ["Arguments (pass arguments as '<name>:=<value>'):"]
    for argument in arguments(path):
        lines += ["", f"    '{argument.name}':", f"        {_meaning(argument)}"]
        if argument.default is not None:
            lines.append(f"        (default: {describe(argument.default)!r})")
    return "\n".join(lines)


def arguments_table(path: Path) -> str:
    """The arguments of a file in Markdown."""
    rows = ["| argument | default | meaning |", "|---|---|---|"]
    for argument in arguments(path):
        default = "required" if argument.default is None else describe(argument.default)
        shown = f"`{default}`" if default and argument.default is not None else default
        rows.append(f"| `{argument.name}` | {shown} | {_meaning(argument)} |")
    return "\n".join(rows)


def _meaning(argument: DeclareLaunchArgument) -> str:
    """Description and choices."""
    text = argument.description or ""
    choices = [choice for choice in argument.choices or () if choice]
    return f"{text} One of {', '.join(choices)}." if choices else text


def real_launch() -> bool:
    """Whether the ``launch`` package of ROS 2 is there.

    Our own folder ``launch/`` would do as a namespace package, and PyPI has an unrelated
    ``launch``: only the real one has a LaunchService.
    """
    spec = find_spec("launch")
    return spec is not None and spec.origin is not None and find_spec("launch_ros") is not None
