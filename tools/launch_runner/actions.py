"""Stand-ins of the actions of launch: execute(context)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.launch_runner.context import Context, LaunchError
from tools.launch_runner.substitutions import IfCondition, resolve

if TYPE_CHECKING:
    from tools.launch_runner.processes import Process


class Action:
    def __init__(self, *, condition: IfCondition | None = None) -> None:
        self.condition = condition

    def visit(self, context: Context) -> None:
        if self.condition is None or self.condition.evaluate(context):
            self.execute(context)

    def execute(self, context: Context) -> None:
        raise NotImplementedError


def listed(actions: Action | Sequence[Action]) -> list[Action]:
    """One action, or several, as a list."""
    return [actions] if isinstance(actions, Action) else list(actions)


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
            choices = ", ".join(choice or "(empty)" for choice in self.choices)
            raise LaunchError(f"launch argument {self.name!r} is {value!r}; choices: {choices}")


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


class OpaqueFunction(Action):
    def __init__(
        self,
        *,
        function: Callable[..., Sequence[Action] | None],
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.function, self.args, self.kwargs = function, tuple(args or ()), dict(kwargs or {})

    def execute(self, context: Context) -> None:
        for action in self.function(context, *self.args, **self.kwargs) or ():
            action.visit(context)


class Shutdown(Action):
    def __init__(self, *, reason: str = "reason not given", **options: Any) -> None:
        super().__init__(**options)
        self.reason = reason

    def execute(self, context: Context) -> None:
        context.shutdown = resolve(self.reason, context)


class OnProcessExit:
    """``on_exit`` may be a function of the event, which has a ``returncode``, and the context."""

    def __init__(
        self, *, target_action: Process, on_exit: Action | Sequence[Action] | Callable[..., Any]
    ) -> None:
        self.target = target_action
        self._on_exit = on_exit

    def on_exit(self, event: ProcessExited, context: Context) -> Sequence[Action]:
        given = self._on_exit
        return listed(given(event, context) if callable(given) else given)


@dataclass(frozen=True)
class ProcessExited:
    """The event that a process has ended."""

    returncode: int


class RegisterEventHandler(Action):
    def __init__(self, event_handler: OnProcessExit, **options: Any) -> None:
        super().__init__(**options)
        self.handler = event_handler

    def execute(self, context: Context) -> None:
        context.handlers.append(self.handler)
