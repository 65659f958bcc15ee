"""Run a ROS 2 launch file, also where the ``launch`` package is absent.

    python tools/launch_runner.py launch/demo.launch.py video:=clip.mp4

Robots have the real ``launch`` and then it is used. ROS from PyPI comes without it; for that
case strict stand-ins of the classes that our launch files use follow below. They take the
arguments of the originals (https://docs.ros.org, launch and launch_ros) and nothing else, so
that a misspelt keyword is a TypeError here too; they check that parameter files and executables
exist; and they start the installed executables as processes. SIGINT and SIGTERM are passed on.

Exit status: 0; 1 when a process failed; 2 when the launch file or its arguments are wrong.
"""

from __future__ import annotations

import os
import queue
import runpy
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

GRACE_S = 5.0  # between SIGINT, SIGTERM and SIGKILL, as in launch


class LaunchError(Exception):
    """The launch file or its arguments are wrong; one line."""


class Context:
    """What is known while a launch file is visited, and what is to be started."""

    def __init__(self, configurations: dict[str, str], scratch: Path) -> None:
        self.configurations = configurations
        self.scratch = scratch
        self.file = Path()
        self.declared: set[str] = set()
        self.nodes: list[Node] = []
        self.handlers: list[OnProcessExit] = []
        self.shutdown = ""


# Substitutions: perform(context) -> str.


class Substitution:
    def perform(self, context: Context) -> str:
        raise NotImplementedError


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


class LaunchConfiguration(Substitution):
    def __init__(self, variable_name: str, *, default: Any = None) -> None:
        self.name, self.default = variable_name, default

    def perform(self, context: Context) -> str:
        if self.name in context.configurations:
            return context.configurations[self.name]
        if self.default is None:
            raise LaunchError(f"launch configuration {self.name!r} does not exist")
        return resolve(self.default, context)


class TextSubstitution(Substitution):
    def __init__(self, *, text: str) -> None:
        self.text = text

    def perform(self, context: Context) -> str:
        return self.text


class PathJoinSubstitution(Substitution):
    def __init__(self, substitutions: Iterable[Any]) -> None:
        self.parts = list(substitutions)

    def perform(self, context: Context) -> str:
        return os.path.join(*(resolve(part, context) for part in self.parts))


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


def prefixes() -> list[Path]:
    """Where packages may be installed, the nearest first."""
    named = os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
    return [Path(place) for place in (*named, sys.prefix) if place]


# Conditions.


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


# Actions: execute(context).


class Action:
    def __init__(self, *, condition: IfCondition | None = None) -> None:
        self.condition = condition

    def visit(self, context: Context) -> None:
        if self.condition is None or self.condition.evaluate(context):
            self.execute(context)

    def execute(self, context: Context) -> None:
        raise NotImplementedError


class LaunchDescription:
    def __init__(self, initial_entities: Iterable[Action] | None = None) -> None:
        self.entities = list(initial_entities or ())

    def add_action(self, action: Action) -> None:
        self.entities.append(action)


class DeclareLaunchArgument(Action):
    def __init__(
        self,
        name: str,
        *,
        default_value: Any = None,
        description: str | None = None,
        choices: Sequence[str] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.name, self.default, self.choices = name, default_value, choices
        self.description = description

    def execute(self, context: Context) -> None:
        context.declared.add(self.name)
        if self.name not in context.configurations:
            if self.default is None:
                raise LaunchError(f"required launch argument {self.name!r} was not provided")
            context.configurations[self.name] = resolve(self.default, context)
        value = context.configurations[self.name]
        if self.choices is not None and value not in self.choices:
            raise LaunchError(
                f"launch argument {self.name!r} is {value!r}; choices: {', '.join(self.choices)}"
            )


class PythonLaunchDescriptionSource:
    def __init__(self, launch_file_path: Any) -> None:
        self.path = launch_file_path


class IncludeLaunchDescription(Action):
    def __init__(
        self,
        launch_description_source: PythonLaunchDescriptionSource,
        *,
        launch_arguments: Iterable[tuple[Any, Any]] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.source, self.arguments = launch_description_source, list(launch_arguments or ())

    def execute(self, context: Context) -> None:
        path = Path(resolve(self.source.path, context))
        given = {resolve(n, context): resolve(v, context) for n, v in self.arguments}
        context.configurations.update(given)
        here = context.file
        visit_file(path, context)
        context.file = here
        if unknown := sorted(given.keys() - context.declared):
            raise LaunchError(f"{path} has no launch argument {', '.join(unknown)}")


class Shutdown(Action):
    def __init__(self, *, reason: str = "reason not given", **options: Any) -> None:
        super().__init__(**options)
        self.reason = reason

    def execute(self, context: Context) -> None:
        context.shutdown = resolve(self.reason, context)


class ParameterValue:
    def __init__(self, value: Any, *, value_type: Any = None) -> None:
        self.value, self.value_type = value, value_type

    def evaluate(self, context: Context) -> Any:
        """As launch_ros does: text is read as YAML unless a type is given."""
        if not isinstance(self.value, (str, Substitution, list, tuple)):
            return self.value
        text = resolve(self.value, context)
        if self.value_type is str:
            return text
        value = yaml.safe_load(text)
        if self.value_type is float and type(value) is int:
            value = float(value)
        if value is None or (self.value_type is not None and type(value) is not self.value_type):
            wanted = getattr(self.value_type, "__name__", "parameter value")
            raise LaunchError(f"{text!r} is no {wanted}")
        return value


class ParameterFile:
    def __init__(self, param_file: Any, *, allow_substs: bool = False) -> None:
        if allow_substs:
            raise LaunchError("allow_substs is not supported by this runner")
        self.file = param_file


class Node(Action):
    """A process with ROS arguments."""

    def __init__(
        self,
        *,
        executable: Any,
        package: Any,
        name: Any = None,
        namespace: Any = None,
        parameters: Sequence[Any] = (),
        remappings: Sequence[tuple[Any, Any]] = (),
        arguments: Sequence[Any] = (),
        output: str = "log",
        on_exit: Action | Sequence[Action] = (),
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.executable, self.package = executable, package
        self.name, self.namespace = name, namespace
        self.parameters, self.remappings = list(parameters), list(remappings)
        self.arguments, self.output = list(arguments), output
        self.on_exit = [on_exit] if isinstance(on_exit, Action) else list(on_exit)
        self.command: list[str] = []
        self.process: subprocess.Popen | None = None

    def execute(self, context: Context) -> None:
        self.command = [str(self._find(context))]
        self.command += [resolve(argument, context) for argument in self.arguments]
        self.command.append("--ros-args")
        if self.name is not None:
            self.command += ["-r", f"__node:={resolve(self.name, context)}"]
        if namespace := resolve(self.namespace or "", context):
            self.command += ["-r", f"__ns:=/{namespace.strip('/')}"]
        for number, entry in enumerate(self.parameters):
            file = self._parameters(entry, number, context)
            self.command += ["--params-file", str(file)]
        for old, new in self.remappings:
            self.command += ["-r", f"{resolve(old, context)}:={resolve(new, context)}"]
        context.nodes.append(self)

    def _find(self, context: Context) -> Path:
        package, name = resolve(self.package, context), resolve(self.executable, context)
        places = [
            place for prefix in prefixes() for place in (prefix / "lib" / package, prefix / "bin")
        ]
        for place in places:
            if os.access(place / name, os.X_OK):
                return place / name
        looked = ", ".join(dict.fromkeys(map(str, places)))
        raise LaunchError(f"executable {name!r} of package {package!r} is not in {looked}")

    def _parameters(self, entry: Any, number: int, context: Context) -> Path:
        """A parameter file: the one named, or one written from a dictionary."""
        if not isinstance(entry, dict):
            path = Path(resolve(getattr(entry, "file", entry), context))
            check_parameter_file(path)
            return path
        values = {
            resolve(key, context): (
                value if isinstance(value, ParameterValue) else ParameterValue(value)
            ).evaluate(context)
            for key, value in entry.items()
        }
        path = context.scratch / f"{len(context.nodes)}_{number}.yaml"
        path.write_text(yaml.safe_dump({"/**": {"ros__parameters": values}}))
        return path


def check_parameter_file(path: Path) -> None:
    """Raises LaunchError unless it is nodes with ``ros__parameters``."""
    try:
        content = yaml.safe_load(path.read_text())
    except OSError as error:
        raise LaunchError(f"parameter file {path}: {error.strerror}") from None
    except yaml.YAMLError as error:
        said = " ".join(str(error).split())
        raise LaunchError(f"parameter file {path} is not YAML: {said}") from None
    nodes = content.values() if isinstance(content, dict) else [None]
    if not all(isinstance(n, dict) and isinstance(n.get("ros__parameters"), dict) for n in nodes):
        raise LaunchError(f"parameter file {path} is not nodes with ros__parameters")


class OnProcessExit:
    def __init__(self, *, target_action: Node, on_exit: Action | Sequence[Action]) -> None:
        self.target = target_action
        self.on_exit = [on_exit] if isinstance(on_exit, Action) else list(on_exit)


class RegisterEventHandler(Action):
    def __init__(self, event_handler: OnProcessExit, **options: Any) -> None:
        super().__init__(**options)
        self.handler = event_handler

    def execute(self, context: Context) -> None:
        context.handlers.append(self.handler)


STAND_INS: dict[str, tuple[Any, ...]] = {
    "launch": (LaunchDescription,),
    "launch.actions": (
        *(DeclareLaunchArgument, IncludeLaunchDescription, RegisterEventHandler, Shutdown),
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


def visit_file(path: Path, context: Context) -> None:
    """Execute ``generate_launch_description`` of a file and visit what it gives."""
    if not path.is_file():
        raise LaunchError(f"launch file {path} does not exist")
    kept = {name: sys.modules.get(name) for name in STAND_INS}
    for name, contents in STAND_INS.items():
        module = ModuleType(name)
        module.__dict__.update({entry.__name__: entry for entry in contents})
        sys.modules[name] = module
    try:
        content = runpy.run_path(str(path))
        if "generate_launch_description" not in content:
            raise LaunchError(f"{path} has no function generate_launch_description")
        description = content["generate_launch_description"]()
    finally:
        for name, module in kept.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
    context.file = path.resolve()
    for entity in description.entities:
        entity.visit(context)


def load(path: Path, arguments: dict[str, str], scratch: Path) -> Context:
    """Everything to start, resolved and checked; nothing is started yet.

    Raises:
        LaunchError: whatever is wrong with the file, its arguments or what it refers to.
    """
    context = Context(dict(arguments), scratch)
    visit_file(path, context)
    if unknown := sorted(arguments.keys() - context.declared):
        raise LaunchError(f"{path} has no launch argument {', '.join(unknown)}")
    return context


class Supervisor:
    """Starts the nodes, waits for them, stops them in order."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.failed = False

    def run(self) -> int:
        """The exit status, when every process has ended."""
        for number in (signal.SIGINT, signal.SIGTERM):
            # Only a note: SimpleQueue may be filled from a signal handler.
            signal.signal(number, lambda *_: self.events.put(None))
        running = {self._start(node) for node in self.context.nodes}
        steps: list[tuple[float, signal.Signals]] = []
        asked = False
        while running:
            event = self._next(steps[0][0] if steps else None)
            if isinstance(event, Node):
                running.remove(event)
                self._ended(event)
            elif event is None:
                self.context.shutdown = self.context.shutdown or "interrupted"
            if self.context.shutdown and not asked:
                print(f"[launch] shutting down: {self.context.shutdown}", flush=True)
                now, asked = time.monotonic(), True
                steps = [(now, signal.SIGINT), (now + GRACE_S, signal.SIGTERM)]
                steps.append((now + 2 * GRACE_S, signal.SIGKILL))
            if steps and time.monotonic() >= steps[0][0]:
                _, kind = steps.pop(0)
                for node in running:
                    node.process.send_signal(kind)
        return 1 if self.failed else 0

    def _next(self, deadline: float | None) -> Any:
        """The next event; False when the deadline has come first."""
        try:
            left = None if deadline is None else max(deadline - time.monotonic(), 0)
            return self.events.get(timeout=left)
        except queue.Empty:
            return False

    def _start(self, node: Node) -> Node:
        # A session of its own: Ctrl-C reaches the runner, and the runner passes it on once.
        node.process = subprocess.Popen(node.command, start_new_session=True)
        print(f"[launch] {_name(node)} started, pid {node.process.pid}", flush=True)

        def wait() -> None:
            node.process.wait()
            self.events.put(node)

        threading.Thread(target=wait, daemon=True).start()
        return node

    def _ended(self, node: Node) -> None:
        status = node.process.returncode
        print(f"[launch] {_name(node)} ended with status {status}", flush=True)
        self.failed |= status != 0
        handlers = [h.on_exit for h in self.context.handlers if h.target is node]
        for action in [*node.on_exit, *(action for actions in handlers for action in actions)]:
            action.visit(self.context)


def _name(node: Node) -> str:
    return Path(node.command[0]).name


def real_launch() -> bool:
    """Whether the ``launch`` package of ROS 2 is there.

    Our own folder ``launch/`` would do as a namespace package, and PyPI has an unrelated
    ``launch``: only the real one has a LaunchService.
    """
    spec = find_spec("launch")
    return spec is not None and spec.origin is not None and find_spec("launch_ros") is not None


def run_real(path: Path, arguments: dict[str, str]) -> int:
    """Hand the file to the real launch."""
    from launch.actions import IncludeLaunchDescription
    from launch.launch_description_sources import PythonLaunchDescriptionSource

    from launch import LaunchDescription, LaunchService

    source = PythonLaunchDescriptionSource(str(path))
    included = IncludeLaunchDescription(source, launch_arguments=list(arguments.items()))
    service = LaunchService()
    service.include_launch_description(LaunchDescription([included]))
    return service.run()


def parse(words: Sequence[str]) -> dict[str, str]:
    """``name:=value`` words; LaunchError for others."""
    for word in words:
        if ":=" not in word or word.startswith(":="):
            raise LaunchError(f"{word!r} is no launch argument, write name:=value")
    return dict(word.split(":=", 1) for word in words)


def main(argv: Sequence[str]) -> int:
    if not argv or argv[0] in ("-h", "--help"):
        print(__doc__)
        return 0 if argv else 2
    with tempfile.TemporaryDirectory(prefix="launch-") as scratch:
        try:
            path, arguments = Path(argv[0]), parse(argv[1:])
            if real_launch():
                return run_real(path, arguments)
            context = load(path, arguments, Path(scratch))
        except LaunchError as error:
            print(f"launch: {error}", file=sys.stderr)
            return 2
        return Supervisor(context).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
