"""``vipe recognize``.

OUT.json:
    model, fingerprint   of the model that embedded everything
    source, begin        the recording, and the stamp of its first image
    examples             label -> number of examples of it
    people               one entry per person, in the order first seen:
        body             name of the person in the recording
        first, last      stamps between which they were seen
        actions          what they did, in the order of time: label, probability, start, end and
                         runner_ups, [[label, probability], ...] of all else, "unknown" too
        label, probability, start, end   their most certain action; or "unknown", with the
                         probability it had when an example came closest, and null
All times are seconds on the clock of the recording: those of a bag are its header stamps,
those of a video begin at 0.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vipe_core import files, recordings
from vipe_core.actions import UNKNOWN, Action, Examples, Recognizer, examples_file, segments
from vipe_core.cli.common import Parser, load_model, note, progress
from vipe_core.errors import VipeError
from vipe_core.recordings import Moment

if TYPE_CHECKING:
    from vipe_core.runtime import Model


@dataclass
class Seen:
    """One person: when seen, what matched, how sure "unknown" was when it was least sure."""

    first: float
    last: float
    matched: list[Action] = field(default_factory=list)
    unknown: float = 1.0


def run(argv: list[str]) -> int:
    """Recognise taught actions in a recording: who did what, from when to when.

    EXAMPLES is an examples file (`vipe teach`) or a folder of recordings, each with a label: the
    one in the file or, for a video or a bag, its name up to a trailing number (wave_2.mp4 shows
    "wave"). IN is a keypoint or embedding file, a video, a bag or an episode. Frame by frame the
    same recogniser as in action_node looks at it, so the answer is the same.

    OUT holds "people", each with body, first, last, "actions" (label, probability, start, end,
    runner_ups) in the order of time, and label, probability, start and end of the most certain
    one, or "unknown"; further model, fingerprint, source, examples, and begin: the stamp of the
    first image. Times are seconds on the recording's own clock.
    """
    parser = Parser("recognize", run.__doc__, "recognize examples.npz clip.mp4 found.json")
    parser.add_argument("examples", metavar="EXAMPLES", type=Path, help="examples file or folder")
    parser.add_argument("input", metavar="IN", type=Path, help="recording")
    parser.add_argument("output", metavar="OUT.json", type=Path, help="file to write")
    parser.add_argument(
        "--threshold",
        type=float,
        metavar="COST",
        help="most that a match may cost per frame, 1 is even odds (default: learned)",
    )
    parser.add_argument(
        "--detector", metavar="FILE.yaml", type=Path, help="for videos (default: BlazePose)"
    )
    parser.add_model()
    args = parser.parse_args(argv)
    files.check_writable(args.output, args.input, args.examples)
    model = load_model(args.model)
    examples = _examples(args.examples, model)
    recognizer = Recognizer(examples, args.threshold)
    with recordings.open_source(args.input, model, args.detector) as source:
        with progress(source.count or 0, "image") as bar:
            begin, people = recognize(source.moments(), recognizer, bar.update)
        for line in source.notes:
            _say(line)
    if not people:
        raise VipeError(f"{args.input}: nobody is seen in it")
    found = {
        "model": f"{model.metadata.name} {model.metadata.version}",
        "fingerprint": model.fingerprint,
        "source": str(args.input),
        "begin": begin,
        "examples": {label: len(examples.of(label)) for label in examples.labels},
        "people": [_person(body, seen) for body, seen in people.items()],
    }
    files.write_atomically(args.output, (json.dumps(found, indent=1) + "\n").encode())
    print("\n".join(_lines(found)))
    return 0


def recognize(
    moments: Iterable[Moment],
    recognizer: Recognizer,
    progress: Callable[[int], object] | None = None,
) -> tuple[float, dict[str, Seen]]:
    """Feed a recording to a recogniser as action_node feeds it a stream.

    Returns:
        Stamp of the first moment (NaN without any), and everybody with a name by that name.
    """
    begin, people = np.nan, dict[str, Seen]()
    for moment in moments:
        begin = moment.stamp_s if np.isnan(begin) else begin
        for row, body in enumerate(moment.bodies):
            if not body:
                continue
            seen = people.setdefault(body, Seen(moment.stamp_s, moment.stamp_s))
            seen.last = moment.stamp_s
            action = _update(recognizer, moment, row)
            if action.start is not None:
                seen.matched.append(action)
            elif action.label == UNKNOWN:
                seen.unknown = min(seen.unknown, action.probability)
        if progress:
            progress(1)
    return float(begin), people


def _update(recognizer: Recognizer, moment: Moment, row: int) -> Action:
    found = moment.estimates
    mean, variance = found.embedding()
    twin = (found.mirror_mean, found.mirror_variance)
    mirrored = (None if head is None else head[row] for head in twin)
    return recognizer.update(
        moment.bodies[row], moment.stamp_s, mean[row], variance[row], *mirrored
    )


def _examples(path: Path, model: Model) -> Examples:
    """From a folder or an examples file."""
    if path.is_dir():
        return Examples.from_folder(path, model, _say)
    examples = examples_file.read(path, model.fingerprint, _say)
    if not len(examples):
        raise VipeError(f"examples file {path}: nothing is taught; vipe teach {path} FILES")
    return examples


def _person(body: str, seen: Seen) -> dict[str, Any]:
    actions = segments(seen.matched)
    out: dict[str, Any] = {"body": body, "first": seen.first, "last": seen.last}
    out["actions"] = [_action(action) for action in actions]
    best = max(actions, key=lambda action: action.probability, default=None)
    if best is None:
        return out | {"label": UNKNOWN, "probability": seen.unknown, "start": None, "end": None}
    return out | _span(best)


def _action(action: Action) -> dict[str, Any]:
    others = zip(action.labels[1:], action.probabilities[1:], strict=True)
    return _span(action) | {"runner_ups": [list(other) for other in others]}


def _span(action: Action) -> dict[str, Any]:
    return {
        "label": action.label,
        "probability": action.probability,
        "start": action.start,
        "end": action.end,
    }


def _lines(found: dict[str, Any]) -> Iterable[str]:
    """What was found, for a reader: seconds since the recording began."""
    for person in found["people"]:
        since = found["begin"]
        for action in person["actions"]:
            span = f"{action['start'] - since:.2f} to {action['end'] - since:.2f} s"
            yield f"{person['body']}: {action['label']} {action['probability']:.2f}, {span}"
        if not person["actions"]:
            yield f"{person['body']}: {UNKNOWN}"


def _say(line: str) -> None:
    note("recognize", line)
