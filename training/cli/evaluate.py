"""``vipe evaluate``."""

from __future__ import annotations

import argparse
import ast
import importlib
import inspect
import shlex
from pathlib import Path
from types import ModuleType

from vipe_core.cli.common import Parser, note
from vipe_core.errors import VipeError

SUITES = (
    "retrieval",
    "partial",
    "sequence",
    "lifting",
    "actions",
    "alignment",
    "properties",
    "tracking",
    "swaps",
    "ablations",
    "placement",
    "recognition",
)
_PACKAGE = "vipe_training.evaluate.suites"
_FOLDER = Path(__file__).parent.parent / "evaluate" / "suites"
_EXAMPLE = "evaluate retrieval --model models/vipe.onnx --baselines keypoints"


def run(argv: list[str]) -> int:
    """Measure models: the experiments of the papers, each behind one command.

    Prints the tables and writes out/evaluate/SUITE: report.html (one page, open it in a
    browser), results.json, results.md and a PNG per picture. A run that was stopped goes on
    where it was when the same command is given again. The data folder is $VIPE_DATA.
    """
    if not argv or argv[0].startswith("-"):
        return _overview(argv)
    name = argv[0]
    if name not in SUITES:
        raise VipeError(f"unknown suite {name!r}; known: {', '.join(SUITES)}")
    suite = _module(name)
    parser, own = _parser(name, suite)
    args = parser.parse_args(argv[1:])
    if args.out is None:
        args.out = Path("out/evaluate") / name
    # Here and not above: --help comes at once.
    from vipe_training.evaluate import session

    if args.render_only:
        print(f"report: {session.render(args.out, name)}")
        return 0
    if args.poses < 2:
        raise VipeError(f"--poses must be at least 2, not {args.poses}")
    if args.seed < 0:
        raise VipeError(f"--seed must not be negative, it is {args.seed}")
    options = argparse.Namespace(**{key: getattr(args, key) for key in sorted(own)})
    said = shlex.join(["vipe", "evaluate", *argv])
    try:
        print(session.measure(name, suite, args, options, said))
    except KeyboardInterrupt:
        note("evaluate", "finished parts are kept: the same command goes on from here")
        raise
    return 0


def _overview(argv: list[str]) -> int:
    """Help on the verb: quick, no suite is imported."""
    width = max(map(len, SUITES))
    lines = "\n".join(f"  {name:<{width}}  {_summary(name)}" for name in SUITES)
    more = "`vipe evaluate SUITE --help` has the options.\n\n"
    text = f"{inspect.cleandoc(run.__doc__ or '')}\n\nsuites:\n{lines}\n\n{more}"
    parser = Parser("evaluate", text, _EXAMPLE)
    parser.add_argument("suite", metavar="SUITE", help="one of those above")
    parser.parse_args(argv)
    return 0


def _summary(name: str) -> str:
    """First line of the docstring of the suite's ``run``, read without importing it."""
    path = _FOLDER / f"{name}.py"
    if not path.is_file():
        return "(not in this installation)"
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef) and node.name == "run":
            return (ast.get_docstring(node) or "").partition("\n")[0]
    return ""


def _module(name: str) -> ModuleType:
    if not (_FOLDER / f"{name}.py").is_file():
        raise VipeError(f"the suite {name} is not in this installation")
    return importlib.import_module(f"{_PACKAGE}.{name}")


def _parser(name: str, suite: ModuleType) -> tuple[Parser, set[str]]:
    """The parser of a suite, and the names of the options that are its own."""
    from vipe_training.evaluate.contestants import BASELINES
    from vipe_training.evaluate.samples.source import Source
    from vipe_training.evaluate.session import takes_models

    parser = Parser(f"evaluate {name}", suite.run.__doc__, f"evaluate {name} --poses 500 --seed 1")
    if takes_models(suite):
        parser.add_argument(
            "--model",
            nargs="+",
            metavar="FILE.onnx",
            type=Path,
            help="model files, a row each (default: $VIPE_MODEL, else the one of vipe)",
        )
        known = "; ".join(f"{key}: {what}" for key, what in BASELINES.items())
        parser.add_argument(
            "--baselines", nargs="+", metavar="NAME", default=[], help=f"more rows. {known}"
        )
    else:
        parser.set_defaults(model=[], baselines=[])
    parser.add_argument(
        "--data",
        nargs="+",
        metavar="FILE",
        default=list(Source().files),
        help=f"motion files and caches below $VIPE_DATA (default: {' '.join(Source().files)})",
    )
    parser.add_argument("--people", nargs="+", default=[], metavar="NAME", help="of them only")
    parser.add_argument(
        "--poses",
        type=int,
        default=2000,
        metavar="N",
        help="at most, after de-duplication (%(default)s)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of poses, cameras, noise (%(default)s)"
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help=f"folder (default: out/evaluate/{name})"
    )
    parser.add_argument(
        "--render-only", action="store_true", help="draw DIR/results.json again, measure nothing"
    )
    shared = {action.dest for action in parser._actions} | {"model", "baselines"}
    suite.add_options(parser)
    own = {action.dest for action in parser._actions} - shared
    return parser, own
