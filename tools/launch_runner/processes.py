"""Stand-ins of what starts a process: ExecuteProcess of launch, Node of launch_ros."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml

from tools.launch_runner.actions import Action, listed
from tools.launch_runner.context import Context, LaunchError
from tools.launch_runner.substitutions import Substitution, prefixes, resolve


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


class Process(Action):
    """Something to start; ``command`` is known once it was executed.

    Args:
        output: where its output goes; here always to that of the runner.
        on_exit: what happens when it has ended.
    """

    def __init__(
        self, output: str = "log", on_exit: Action | Sequence[Action] = (), **options: Any
    ) -> None:
        super().__init__(**options)
        self.output, self.on_exit = output, listed(on_exit)
        self.command: list[str] = []
        self.process: subprocess.Popen | None = None

    def execute(self, context: Context) -> None:
        self.command = self.resolve_command(context)
        context.processes.append(self)

    def resolve_command(self, context: Context) -> list[str]:
        raise NotImplementedError


class ExecuteProcess(Process):
    """Any command; the executable is looked up in PATH."""

    def __init__(
        self,
        *,
        cmd: Iterable[Any],
        name: str | None = None,
        output: str = "log",
        on_exit: Action | Sequence[Action] = (),
        **options: Any,
    ) -> None:
        super().__init__(output, on_exit, **options)
        self.words, self.name = list(cmd), name

    def resolve_command(self, context: Context) -> list[str]:
        command = [resolve(word, context) for word in self.words]
        found = shutil.which(command[0])
        if found is None:
            raise LaunchError(f"executable {command[0]!r} is not in PATH")
        return [found, *command[1:]]


class Node(Process):
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
        super().__init__(output, on_exit, **options)
        self.executable, self.package = executable, package
        self.name, self.namespace = name, namespace
        self.parameters, self.remappings = list(parameters), list(remappings)
        self.arguments = list(arguments)

    def resolve_command(self, context: Context) -> list[str]:
        command = [str(self._find(context))]
        command += [resolve(argument, context) for argument in self.arguments]
        command.append("--ros-args")
        if self.name is not None:
            command += ["-r", f"__node:={resolve(self.name, context)}"]
        if namespace := resolve(self.namespace or "", context):
            command += ["-r", f"__ns:=/{namespace.strip('/')}"]
        for number, entry in enumerate(self.parameters):
            file = self._parameters(entry, number, context)
            command += ["--params-file", str(file)]
        for old, new in self.remappings:
            command += ["-r", f"{resolve(old, context)}:={resolve(new, context)}"]
        return command

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
        path = context.scratch / f"{len(context.processes)}_{number}.yaml"
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
