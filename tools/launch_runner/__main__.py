"""The command; see the package's docstring."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import tools.launch_runner
from tools.launch_runner import LaunchError, load, real_launch
from tools.launch_runner.files import arguments_table, arguments_text
from tools.launch_runner.supervisor import Supervisor


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
    flags = {word for word in argv if word in ("--show-args", "--markdown")}
    words = [word for word in argv if word not in flags]
    if not words or words[0] in ("-h", "--help"):
        print(tools.launch_runner.__doc__)
        return 0 if words else 2
    with tempfile.TemporaryDirectory(prefix="launch-") as scratch:
        try:
            path, arguments = Path(words[0]), parse(words[1:])
            if "--show-args" in flags:
                print(arguments_table(path) if "--markdown" in flags else arguments_text(path))
                return 0
            if real_launch():
                return run_real(path, arguments)
            context = load(path, arguments, Path(scratch))
        except LaunchError as error:
            print(f"launch: {error}", file=sys.stderr)
            return 2
        return Supervisor(context).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
