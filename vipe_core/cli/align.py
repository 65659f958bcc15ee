"""``vipe align``."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vipe_core import files, keypoint_file, recordings
from vipe_core.alignment import Alignment, align
from vipe_core.cli.common import Parser, load_model, note, progress
from vipe_core.cli.teach import check_part
from vipe_core.errors import VipeError
from vipe_core.estimate import estimate
from vipe_core.recordings import Moment, Person, Recording, kinds
from vipe_core.skeletons import JOINTS17
from vipe_core.track import Track

if TYPE_CHECKING:
    from vipe_core.runtime import Model

LONGEST = "-"  # in place of a name
_VIDEO_HZ, _GIF_HZ, _GIF_SCALE = 25.0, 12.0, 0.625
_STILL = ".npz"  # recordings without images
_ASSUMED_HZ = 30.0  # of a keypoint file that does not say


def run(argv: list[str]) -> int:
    """Line two performances up in time: from any views, at any speeds, by different people.

    A and B are recordings: videos, keypoint files, embedding files, bags or episodes. OUT holds
    path (L, 2), the frames of A and B that belong together; stamps (L, 2), their seconds;
    likeness (L,), the match probability; speed (TA,), seconds of A per second of B around each
    frame of A; moment (TB,), the second of A that each frame of B shows; cost, offset_s (B's
    stamp less A's), mirrored (B shows it with its sides exchanged); and, where both were
    lifted, joint_difference (L, 17) in metres, joint_deviation (L, 17) in standard deviations
    and joint_names. Frames count those that show the person.
    """
    parser = _parser()
    args = parser.parse_args(argv)
    _check_outputs(args)
    for path, cut in ((args.a, args.cut_a), (args.b, args.cut_b)):
        check_part(path, *(cut or (None, None)))
    model = load_model(args.model)
    first = _read(args.a, model, args.detector, args.cut_a)
    second = _read(args.b, model, args.detector, args.cut_b)
    names = args.person or (LONGEST, LONGEST)
    a, b = (_person(rec, name) for rec, name in zip((first, second), names, strict=True))
    found = align(
        a,
        b,
        first.sigmoid_a,
        first.sigmoid_b,
        subsequence=args.subsequence,
        mirror=not args.no_mirror,
        stature_m=args.height,
    )
    _write(args.output, found, a, b, model)
    if args.plot:
        from vipe_core.alignment.plots import plot

        plot(args.plot, found, a, b, (args.a.name, args.b.name), first.sigmoid_a, first.sigmoid_b)
    if args.video:
        _write_video(args, found, a, b, model)
    print(_summary(found, a, b))
    return 0


def _parser() -> Parser:
    parser = Parser("align", run.__doc__, "align coach.mp4 me.mp4 out.npz --video both.mp4")
    parser.add_argument("a", metavar="A", type=Path, help="recording")
    parser.add_argument("b", metavar="B", type=Path, help="recording")
    parser.add_argument("output", metavar="OUT.npz", type=Path, help="file to write")
    parser.add_argument("--video", metavar="OUT.mp4|.gif", type=Path, help="side by side, in step")
    parser.add_argument(
        "--plot", metavar="OUT.png", type=Path, help="path, likeness, which joints differ when"
    )
    parser.add_argument(
        "--person",
        nargs=2,
        metavar=("OF_A", "OF_B"),
        help=f"names of the people; {LONGEST}: whoever is seen longest (default)",
    )
    for side in "ab":
        parser.add_argument(
            f"--cut-{side}",
            nargs=2,
            type=float,
            metavar=("START", "END"),
            help=f"only this part of {side.upper()}, seconds since its beginning",
        )
    parser.add_argument("--subsequence", action="store_true", help="find B anywhere inside A")
    parser.add_argument("--no-mirror", action="store_true", help="left is never taken for right")
    parser.add_argument(
        "--height", type=_height, default=1.7, help="of both, metres (default: %(default)s)"
    )
    parser.add_argument("--detector", metavar="FILE.yaml", help="a pose model of your own")
    parser.add_argument("--title", nargs=2, metavar=("OF_A", "OF_B"), help="in the pictures")
    parser.add_model()
    return parser


def _height(text: str) -> float:
    from vipe_core.cli.lift import height

    return height(text)


def _check_outputs(args: argparse.Namespace) -> None:
    """What cannot be written is said before the work."""
    outputs = [path for path in (args.output, args.plot, args.video) if path]
    if len({path.resolve() for path in outputs}) < len(outputs):
        raise VipeError("OUT, --plot and --video must be different files")
    for path in outputs:
        files.check_writable(path, args.a, args.b)
    if args.plot and args.plot.suffix.lower() not in (".png", ".pdf", ".svg"):
        raise VipeError(f"cannot write {args.plot}: a plot ends in .png, .pdf or .svg")
    if args.plot or args.video:
        from vipe_core.alignment import moving_picture

        moving_picture.check_installed()
        if args.video:
            moving_picture.check_ending(args.video)


def _read(
    path: Path, model: Model, detector: str | None, cut: tuple[float, float] | None
) -> Recording:
    untimed = _read_untimed(path, model) if path.suffix.lower() == _STILL and not cut else None
    if untimed is not None:
        note(
            "align", f"{path} does not say when its frames were: taken as {_ASSUMED_HZ:g} a second"
        )
        return untimed
    with progress(0, "frame") as bar:
        return recordings.read(path, model, detector, *(cut or (None, None)), progress=bar.update)


def _read_untimed(path: Path, model: Model) -> Recording | None:
    """A keypoint file without fps and stamps, as if it had them; None for anything else. Frames
    that belong together can be told without."""
    if "points" not in kinds.clip_fields(path) or not model.metadata.has_embedding:
        return None
    content = keypoint_file.read(path)
    if content.fps is not None or content.stamp is not None or len(content) < 2:
        return None
    stamp, people = content.stamps(_ASSUMED_HZ), []
    for number in range(content.people()):
        points, visibility = content.person(number)
        found, missing = estimate(model, points, visibility, content.skeleton, stamps=stamp)
        there = ~missing
        if not there.any():
            continue
        values = {name: None if v is None else v[there] for name, v in vars(found).items()}
        heads = (
            values.pop(name) for name in ("mean", "variance", "mirror_mean", "mirror_variance")
        )
        track = Track(stamp[there], *heads)  # type: ignore[arg-type]
        shown = (points[there], visibility[there], content.skeleton)
        people.append(Person(str(number), track, *shown, **values))
    if not people:
        raise VipeError(f"keypoint file {path}: nobody is seen")
    people.sort(key=lambda person: -len(person.track))
    info = model.metadata
    odds = (info.sigmoid_a, info.sigmoid_b)
    about = (content.image_size, content.label, model.fingerprint)
    return Recording(str(path), tuple(people), stamp, *about, *odds)


def _person(recording: Recording, name: str) -> Person:
    """The person of that name; else whoever is seen longest, and a note when there are more."""
    longest, *others = recording.people
    names = [person.body for person in recording.people]
    if name == LONGEST:
        if others:
            note(
                "align",
                f"{len(names)} people in {recording.source} ({', '.join(names[:8])}): taking "
                f"{names[0]}, seen longest; --person chooses",
            )
        return longest
    if name not in names:
        raise VipeError(f"no person {name!r} in {recording.source}; there: {', '.join(names)}")
    return recording.people[names.index(name)]


def _write(output: Path, found: Alignment, a: Person, b: Person, model: Model) -> None:
    i, j = found.path.T
    lifted = found.joint_difference is not None
    arrays: dict[str, Any] = {
        "path": found.path,
        "stamps": np.stack([a.track.stamp[i], b.track.stamp[j]], axis=1),
        "likeness": found.likeness,
        "speed": found.speed,
        "moment": found.moment_s,
        "cost": found.cost,
        "offset_s": found.offset_s,
        "mirrored": found.mirrored,
        "joint_difference": found.joint_difference,
        "joint_deviation": found.joint_deviation,
        "joint_names": np.array(JOINTS17.joints) if lifted else None,
        "people": np.array([a.body, b.body]),
        "model": f"{model.metadata.name} {model.metadata.version}",
        "fingerprint": model.fingerprint,
    }
    kept = {name: value for name, value in arrays.items() if value is not None}
    with files.atomic(output) as part, part.open("wb") as file:  # a field is called path
        np.savez_compressed(file, **kept)


def _write_video(
    args: argparse.Namespace, found: Alignment, a: Person, b: Person, model: Model
) -> None:
    from vipe_core.alignment import moving_picture, side_by_side

    gif = args.video.suffix.lower() == ".gif"
    rate = _GIF_HZ if gif else _VIDEO_HZ
    titles = args.title or (args.a.name, args.b.name)
    with ExitStack() as stack:
        sides = [
            side_by_side.Side(title, person, _images(stack, path, model, args.detector))
            for title, person, path in zip(titles, (a, b), (args.a, args.b), strict=True)
        ]
        pictures = side_by_side.frames(found, sides[0], sides[1], rate)
        with progress(0, "picture") as bar:
            counted = (picture for picture in pictures if bar.update() or True)
            moving_picture.write(args.video, counted, rate, _GIF_SCALE if gif else 1.0)


def _images(
    stack: ExitStack, path: Path, model: Model, detector: str | None
) -> Iterator[Moment] | None:
    """The recording once more, with its images; None for a kind that has none."""
    if path.suffix.lower() == _STILL:
        return None
    source = recordings.open_source(path, model, detector, images=True)
    return stack.enter_context(source).moments()


def _summary(found: Alignment, a: Person, b: Person) -> str:
    """One line: how alike, when, how fast, what differs most."""
    parts = [
        f"{len(a.track)} frames ({a.track.duration:.1f} s) and {len(b.track)} "
        f"({b.track.duration:.1f} s)",
        f"B is {abs(found.offset_s):.2f} s {'later' if found.offset_s >= 0 else 'earlier'}",
        *_fast(found, b),
        f"alike {np.mean(found.likeness):.0%}",
    ]
    if found.mirrored:
        parts.append("mirrored")
    if found.joint_difference is not None:
        gap = np.median(found.joint_difference, axis=0)
        worst = int(gap.argmax())
        name = JOINTS17.joints[worst].replace("_", " ")
        parts.append(f"{name} differs most, {100 * gap[worst]:.0f} cm")
    return ", ".join(parts)


def _fast(found: Alignment, b: Person) -> list[str]:
    """How fast B is on the whole; nothing of a single frame, which has no speed."""
    if not b.track.duration:
        return []
    # Of durations: a median over frames of A would forget those that B passes in a moment.
    shown_s = float(found.moment_s[-1] - found.moment_s[0])
    return [f"B is {shown_s / b.track.duration:.2f} times as fast as A"]
