"""Stand-ins of the actions of launch and launch_ros: execute(context)."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml

from tools.launch_runner.context import Context, LaunchError
from tools.launch_runner.substitutions import IfCondition, Substitution, prefixes, resolve


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
        context.visit_file(path, context)
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
