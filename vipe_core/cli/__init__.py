"""The ``vipe`` command.

Every verb is a function ``run(argv: list[str]) -> int`` behind an entry point of the group
``vipe.verbs``, so each package brings its own. The first line of its docstring is its line
in ``vipe --help``. A verb is imported when it is called, not before.

Exit status: 0 done, 1 a check failed, 2 bad input (one line on stderr), 130 interrupted.
"""

from __future__ import annotations

import ast
import importlib.util
import os
import sys
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from vipe_core import __version__
from vipe_core.errors import VipeError

GROUP = "vipe.verbs"
# The extra of this package that brings a module.
EXTRAS = {
    "onnxruntime": "onnx",
    "cv2": "detector",
    "ai_edge_litert": "detector",
    "matplotlib": "train",
    "rosbags": "bags",
    "lancedb": "search",
    "pyarrow": "search",
    "ray": "cluster",
    "onnx": "train",
    "torch": "train",
    "safetensors": "train",
    "jinja2": "train",
    "yaml": "train",
}
_BROKEN_PIPE = 141  # what a shell reports for a program that SIGPIPE ended


def main(argv: list[str] | None = None) -> int:
    """Run one verb and return the exit status; ``argv`` defaults to the command line's."""
    try:
        status = _dispatch(sys.argv[1:] if argv is None else argv)
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        # `vipe doctor | head`: Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE


def _dispatch(argv: list[str]) -> int:
    verbs = {entry.name: entry for entry in entry_points(group=GROUP)}
    if not argv:
        print(_help(verbs), file=sys.stderr)
        return 2
    if argv[0] in ("-h", "--help"):
        print(_help(verbs))
        return 0
    if argv[0] == "--version":
        print(f"vipe {__version__}")
        return 0
    if argv[0] not in verbs:
        known = ", ".join(sorted(verbs)) or "none, is vipe installed (pip install -e .)?"
        return _fail("vipe", f"unknown verb {argv[0]!r}; known: {known}")
    return _call(verbs[argv[0]], argv[1:])


def _call(verb: EntryPoint, argv: list[str]) -> int:
    """The verb's status; what a user can cause becomes one line, a bug keeps its traceback."""
    name = f"vipe {verb.name}"
    try:
        return verb.load()(argv)
    except SystemExit as stop:  # argparse, after --help
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        return 130
    except VipeError as error:
        return _fail(name, str(error))
    except BrokenPipeError:
        raise
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _fail(name, f"{where}{error.strerror or error}")
    except ModuleNotFoundError as error:
        return _fail(name, _what_to_install(verb, error))


def _what_to_install(verb: EntryPoint, error: ModuleNotFoundError) -> str:
    """One line for a missing extra; any other missing module is a bug and is raised again."""
    lacking = error.name or ""
    module = lacking.partition(".")[0]
    if module in EXTRAS:
        return f"needs {module}: pip install -e '.[{EXTRAS[module]}]'"
    if f"{verb.module}.".startswith(f"{lacking}."):
        return f"{verb.module} is not part of this installation"
    raise error


def _fail(name: str, message: str) -> int:
    print(f"{name}: {' '.join(message.split())}", file=sys.stderr)
    return 2


def _help(verbs: dict[str, EntryPoint]) -> str:
    width = max(map(len, verbs), default=0)
    lines = [f"  {name:<{width}}  {_summary(verbs[name])}" for name in sorted(verbs)]
    return "\n".join(
        [
            "usage: vipe VERB ... | vipe VERB --help | vipe --version",
            "",
            "View-invariant human pose: embeddings, 3D poses and actions from 2D keypoints.",
            "",
            *lines,
            "",
            "example: vipe embed clip.npz clip.embedding.npz",
        ]
    )


def _summary(verb: EntryPoint) -> str:
    """First docstring line of the verb's function, read without importing its module: help
    must come at once and also where torch is not installed."""
    try:
        spec = importlib.util.find_spec(verb.module)
    except ModuleNotFoundError:
        spec = None
    if spec is None or not spec.origin:
        return "(not installed)"
    for node in ast.parse(Path(spec.origin).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef) and node.name == verb.attr:
            return (ast.get_docstring(node) or "").partition("\n")[0]
    return ""
