"""``vipe teach``."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path

from vipe_core import files, recordings
from vipe_core.actions import Example, Examples, examples_file
from vipe_core.actions.from_recordings import from_source, label_of
from vipe_core.cli.common import Parser, load_model, note, progress
from vipe_core.errors import VipeError
from vipe_core.runtime import Model

_ONE_FILE = ("start", "end", "person")  # what makes sense for one recording only
_FOR_FILES = ("label", "another", "detector", *_ONE_FILE)


def run(argv: list[str]) -> int:
    """Teach actions by example: keep examples of them in a file, list and forget them.

    FILES are keypoint or embedding files, videos, bags, episodes, or folders of them. The label
    is the one in the file; where there is no place for one, as in a video or a bag, it is the
    name of the file up to a trailing number: wave_2.mp4 shows "wave". Keypoints are kept, so
    that --embed-again can bring all examples to another model.

    EXAMPLES.npz is also what action_node keeps and what `vipe recognize` reads. Its state before
    the last change stays beside it (.before), and is taken when the file is damaged; a file that
    was removed begins anew.
    """
    parser = Parser("teach", run.__doc__, "teach examples.npz wave_1.mp4 --start 0.5 --end 2")
    parser.add_argument("examples", metavar="EXAMPLES.npz", type=Path, help="where they are kept")
    parser.add_argument("files", metavar="FILES", nargs="*", type=Path, help="recordings")
    parser.add_argument("--label", help="name of the action, whatever the files say")
    parser.add_argument("--start", type=seconds, metavar="S", help="seconds from the first image")
    parser.add_argument("--end", type=seconds, metavar="S", help="seconds from the first image")
    parser.add_argument("--person", metavar="NAME", help="who, where several are in view")
    parser.add_argument("--another", action="store_true", help="more examples of a known label")
    parser.add_argument(
        "--detector", metavar="FILE.yaml", type=Path, help="for videos (default: BlazePose)"
    )
    parser.add_argument("--list", action="store_true", help="show what has been taught")
    parser.add_argument("--forget", metavar="LABEL", help="remove a label, with all its examples")
    parser.add_argument(
        "--example", type=int, metavar="N", help="with --forget: only this one, counted from 0"
    )
    parser.add_argument(
        "--embed-again", action="store_true", help="bring all examples to the model of --model"
    )
    parser.add_model()
    args = parser.parse_intermixed_args(argv)  # options may stand before FILES too
    return _job(parser, args)(args)


def _job(parser: Parser, args: argparse.Namespace) -> Callable[[argparse.Namespace], int]:
    """The one thing that is asked for; an error where options do not fit it."""
    jobs = {"FILES": args.files, "--list": args.list, "--embed-again": args.embed_again}
    jobs["--forget"] = args.forget is not None
    asked = [name for name, given in jobs.items() if given]
    if len(asked) != 1:
        parser.error("one thing at a time: FILES, --list, --forget or --embed-again")
    if args.example is not None and asked != ["--forget"]:
        parser.error("--example goes with --forget")
    foreign = [name for name in _FOR_FILES if getattr(args, name) is not parser.get_default(name)]
    if asked != ["FILES"] and foreign:
        parser.error(f"--{foreign[0]} goes with FILES, not with {asked[0]}")
    return {"FILES": _teach, "--list": _list, "--forget": _forget}.get(asked[0], _embed_again)


def _teach(args: argparse.Namespace) -> int:
    files.check_writable(args.examples, *args.files)
    model = load_model(args.model)
    start = Examples.empty_of(model)
    known = start
    if examples_file.exists(args.examples):  # another model, a known label: not after an hour
        known = examples_file.read(args.examples, model.fingerprint, _say)
    paths = recordings.find(args.files, _say)
    given = [name for name in _ONE_FILE if getattr(args, name) is not None]
    if len(paths) > 1 and given:
        raise VipeError(f"--{given[0]} is for one recording, here are {len(paths)}")
    check_part(paths[0], args.start, args.end)
    if args.label is not None:
        known.check_new(args.label, args.another)
    shown = [_shown(path, model, known, args) for path in paths]
    now = examples_file.update(
        args.examples, lambda before: _with(before, shown, args.another), start, _say
    )
    for example in shown:
        track = example.track
        shows = f"{track.duration:.2f} s, {len(track)} frames of {_printable(example.source)}"
        print(f"{example.label}: {shows}")
    print(f"{args.examples}: {_summary(now)}")
    return 0


def _shown(path: Path, model: Model, known: Examples, args: argparse.Namespace) -> Example:
    """The example that a recording shows."""
    with recordings.open_source(path, model, args.detector) as source:
        label = args.label if args.label is not None else label_of(source)
        known.check_new(label, args.another)
        with progress(source.count or 0, "image") as bar:
            who = args.person or ""
            example = from_source(source, label, who, args.start, args.end, bar.update)
        for line in source.notes:
            _say(line)
    return example


def _with(examples: Examples, shown: list[Example], another: bool) -> Examples:
    """The examples and all that were shown; several of a new label are meant to be several."""
    known = set(examples.labels)
    for example in shown:
        examples = examples.added(example, another or example.label not in known)
    return examples


def _list(args: argparse.Namespace) -> int:
    examples = examples_file.read(args.examples, warn=_say)
    rows = [("label", "example", "seconds", "frames", "keypoints", "source")]
    for label in examples.labels:
        for number, example in enumerate(examples.of(label)):
            rows.append((label, str(number), *_cells(example)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows if len(examples) else []:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())
    print(f"{_summary(examples)}, of model {examples.model or '?'} ({examples.fingerprint or '?'})")
    return 0


def _cells(example: Example) -> tuple[str, str, str, str]:
    track, keypoints = example.track, example.keypoints
    skeleton = keypoints.skeleton if keypoints else "-"
    return f"{track.duration:.2f}", str(len(track)), skeleton, _printable(example.source)


def _printable(text: str) -> str:
    """A file's name may hold anything."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _forget(args: argparse.Namespace) -> int:
    if args.example is not None and args.example < 0:
        raise VipeError(f"--example: counted from 0, not {args.example}")
    number = -1 if args.example is None else args.example
    now = examples_file.update(
        args.examples, lambda before: before.forgotten(args.forget, number), warn=_say
    )
    print(f"{args.examples}: {_summary(now)}")
    return 0


def _embed_again(args: argparse.Namespace) -> int:
    model = load_model(args.model)
    now = examples_file.update(args.examples, lambda before: before.reembedded(model), warn=_say)
    print(f"{args.examples}: {_summary(now)}, now of model {now.model} ({now.fingerprint})")
    return 0


def _summary(examples: Examples) -> str:
    labels = examples.labels
    counts = ", ".join(f"{label} ({len(examples.of(label))})" for label in labels)
    if not counts:
        return "nothing is taught"
    return f"{_count(len(examples), 'example')} of {_count(len(labels), 'action')}: {counts}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def check_part(path: Path, start_s: float | None, end_s: float | None) -> None:
    """Raises VipeError for a part of a recording that is none; no detector has run by then."""
    if start_s is not None and end_s is not None and not end_s > start_s:
        raise VipeError(f"{path}: the end is not after the start")


def seconds(text: str) -> float:
    """Seconds from a beginning, for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"seconds, 0 or more, not {text!r}")
    return value


def _say(line: str) -> None:
    note("teach", line)
