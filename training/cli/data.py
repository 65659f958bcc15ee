"""``vipe data``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vipe_core import files
from vipe_core.cli.common import Parser, note, progress
from vipe_core.errors import VipeError
from vipe_training.datasets import visibility
from vipe_training.datasets.cache import Cache, open_cache
from vipe_training.datasets.prepare import mean_uprightness, prepare
from vipe_training.datasets.sets import SETS, open_set

_EXAMPLE = "data prepare h36m ~/h36m data/h36m.vipe"


def run(argv: list[str]) -> int:
    """Prepare data sets for training, and look at what was prepared.

    prepare      a data set as its owners give it out -> a cache for vipe train
    show         what a cache holds, and whether it is undamaged
    visibility   which keypoints are visible together in pictures of real life

    Each has its own --help. docs/data.md says where to get each set.
    """
    if argv and argv[0] in _ACTIONS:
        return _ACTIONS[argv[0]](argv[1:])
    parser = Parser("data", run.__doc__, _EXAMPLE)
    parser.add_argument("action", choices=list(_ACTIONS))
    parser.parse_args(argv)
    return 0


def run_prepare(argv: list[str]) -> int:
    """Turn a data set into a cache: joints17, metres, y up, or 2D keypoints.

    Killed on the way, the same command goes on where it was. The cache appears when it is
    whole. A training configuration names it as it names a motion file.
    """
    parser = Parser("data prepare", run_prepare.__doc__, _EXAMPLE)
    known = "; ".join(f"{name} ({entry.title})" for name, entry in SETS.items())
    parser.add_argument("set", metavar="SET", choices=list(SETS), help=known)
    parser.add_argument("source", metavar="SOURCE", type=Path, help="folder or file of the set")
    parser.add_argument("out", metavar="OUT", type=Path, help="cache to make, such as h36m.vipe")
    parser.add_argument("--max-fps", type=float, help="leave out frames of faster recordings")
    parser.add_argument("--detections", help="h36m: which data_2d_h36m_*.npz, gt, or none")
    parser.add_argument("--body-model", type=Path, help="amass: SMPL-H .npz, or folder of them")
    parser.add_argument("--fps", type=float, help="cmu: frames per second (default 120)")
    parser.add_argument("--scale", type=float, help="cmu, bvh: metres per unit of the files")
    args = parser.parse_args(argv)
    for name in ("max_fps", "fps", "scale"):
        value = getattr(args, name)
        if value is not None and not 0 < value < float("inf"):
            raise VipeError(f"--{name.replace('_', '-')} {value}: a positive number needed")
    names = ("detections", "body_model", "fps", "scale")
    options = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    reader = open_set(args.set, args.source, **options)
    settings = {name: str(value) for name, value in options.items()}
    cache = prepare(args.set, reader, args.out, args.max_fps, settings, progress)
    print(f"{args.out}: {_summary(cache)}")
    if cache.index["kind"] == "motion" and mean_uprightness(cache) < 0:
        note("data", "most people stand on their heads: are the axes of these files the set's own?")
    return 0


def run_show(argv: list[str]) -> int:
    """Say what a cache holds, and read it through to see whether it is undamaged."""
    parser = Parser("data show", run_show.__doc__, "data show data/h36m.vipe")
    parser.add_argument("cache", metavar="CACHE", type=Path, help="made by vipe data prepare")
    cache = open_cache(parser.parse_args(argv).cache)
    cache.verify()
    index = cache.index
    print(f"{cache.path}: {_summary(cache)}")
    print(f"set: {index['source'].get('set', 'unknown')}, {index['clips']} clips, undamaged")
    print(f"subjects: {_some(index['subjects'])}")
    if any(index["labels"]):
        print(f"labels: {_some([label for label in index['labels'] if label])}")
    if any(index["cameras"]):
        print(f"cameras: {_some(index['cameras'])}")
    for name, entry in index["fields"].items():
        print(
            f"  {name:<11} {entry['dtype']} {tuple(entry['shape'])} {entry['bytes'] / 1e6:.1f} MB"
        )
    return 0


def run_visibility(argv: list[str]) -> int:
    """Count which of the 13 keypoints are visible together, for the dropout of training."""
    parser = Parser(
        "data visibility",
        run_visibility.__doc__,
        "data visibility annotations/person_keypoints_train2017.json data/visibility.npz",
    )
    parser.add_argument(
        "source", type=Path, help="person_keypoints_*.json, or a cache of keypoints"
    )
    parser.add_argument("out", metavar="OUT.npz", type=Path, help="table to write")
    args = parser.parse_args(argv)
    files.check_writable(args.out, args.source)
    counts = visibility.count(args.source)
    visibility.write_table(args.out, counts, args.source.name)
    whole = counts[-1] / counts.sum()
    print(
        f"{args.out}: {counts.sum()} people, {(counts > 0).sum()} patterns, "
        f"all 13 points visible in {100 * whole:.1f} %"
    )
    return 0


def _summary(cache: Cache) -> str:
    index = cache.index
    seconds = f"{index['seconds']:.0f} seconds" if index["seconds"] else "no known rate"
    people = len(index["subjects"])
    return f"{len(cache)} rows, {people} subject{'s' * (people != 1)}, {seconds}"


def _some(names: Sequence[str], limit: int = 20) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


_ACTIONS = {"prepare": run_prepare, "show": run_show, "visibility": run_visibility}
