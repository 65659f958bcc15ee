"""``vipe index``."""

from __future__ import annotations

import math
from argparse import ArgumentTypeError
from pathlib import Path
from typing import TYPE_CHECKING

from vipe_core import gallery
from vipe_core.cli.common import Parser, load_model, note, progress
from vipe_core.gallery import indexing
from vipe_core.gallery.indexing import Settings, Summary, Watch

if TYPE_CHECKING:
    from tqdm import tqdm


def run(argv: list[str]) -> int:
    """Index the poses of recordings, to be found again with `vipe search`.

    OUT is a folder, or an address in object storage (s3://, gs://, az://). FILES are keypoint
    files, embedding files, videos, images, bags and episodes, or folders of them. What OUT holds
    already is skipped, what was cut off is continued, what has changed is indexed anew; others
    may search meanwhile. A file that cannot be read is said and passed over, and the exit status
    is 1; it is 2 when nothing could be read.

    A second `vipe index` into the same folder waits for the first to end. In object storage
    nothing keeps them apart: two that are given the same file at once both add it.
    """
    parser = Parser("index", run.__doc__, "index poses bags/ clip.npz talk.mp4")
    parser.add_argument("output", metavar="OUT", help="folder or address of the index")
    parser.add_argument("files", metavar="FILES", nargs="+", help="recordings, or their folders")
    parser.add_model()
    parser.add_argument("--label", help="of every pose (default: what a recording says)")
    parser.add_argument("--detector", metavar="FILE.yaml", help="of people in images")
    parser.add_argument(
        "--every", metavar="SECONDS", type=_seconds, default=0.0, help="between two moments kept"
    )
    parser.add_argument("--no-thumbnails", action="store_true", help="keep no pictures")
    parser.add_argument("--topic", metavar="/NAME", help="of bags, when several would do")
    parser.add_argument("--ray", metavar="ADDRESS", help="of a Ray cluster that embeds; or local")
    args = parser.parse_args(argv)
    settings = Settings(args.label, args.every, not args.no_thumbnails, args.detector, args.topic)
    model = load_model(args.model)
    if args.ray:
        from vipe_core.gallery import cluster

        summary = cluster.index(args.output, args.files, model, settings, args.ray, _Bars())
    else:
        opened = gallery.Gallery.create(args.output, model)
        with _Bars() as bars:
            summary = indexing.index(opened, args.files, model, settings, bars)
    return _report(summary)


def _report(summary: Summary) -> int:
    """Say what came of it; the exit status."""
    nothing = summary.failed and not summary.indexed and not summary.skipped
    if nothing and len(summary.failed) == 1:
        return 2  # its line has been said
    parts = [f"{summary.indexed} indexed ({summary.rows:,} poses)"]
    parts += [f"{summary.skipped} there already"] if summary.skipped else []
    parts += [f"{summary.nobody:,} poses without an embedding"] if summary.nobody else []
    parts += [f"{len(summary.failed)} failed"] if summary.failed else []
    note("index", ", ".join(parts))
    return 2 if nothing else int(bool(summary.failed))


class _Bars(Watch):
    """A bar for each recording; lines between them."""

    def __init__(self) -> None:
        self._bar: tqdm | None = None

    def __enter__(self) -> _Bars:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def begin(self, path: Path, count: int | None) -> None:
        self.__exit__()
        self._bar = progress(count or 0, "moment")
        self._bar.set_description(path.name)

    def step(self) -> None:
        if self._bar is not None:
            self._bar.update(1)

    def say(self, line: str) -> None:
        self.__exit__()
        note("index", line)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not (math.isfinite(seconds) and seconds >= 0):
        raise ArgumentTypeError(f"seconds from 0, not {text!r}")
    return seconds
