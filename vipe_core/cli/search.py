"""``vipe search``."""

from __future__ import annotations

import math
from argparse import Namespace
from pathlib import Path

import numpy as np

from vipe_core import embedding_file, files
from vipe_core.cli.common import Parser, load_model, note, progress
from vipe_core.embedding_file import EmbeddingFile
from vipe_core.errors import VipeError
from vipe_core.gallery import Filter, Found, Gallery, nearest, queries, results, sheet
from vipe_core.gallery.indexing import source_name
from vipe_core.gallery.queries import Query

MOST = 100_000  # matches per query; the output has room for all of them
# Options that only an index of `vipe index` has an answer to.
_OF_AN_INDEX = (
    *("at", "person", "joints", "source", "label", "since", "until"),
    *("apart", "thumbnails", "sheet", "model", "detector", "topic"),
)


def run(argv: list[str]) -> int:
    """Find the poses of an index that each query pose most probably matches.

    INDEX is what `vipe index` made, a folder or an address in object storage, or a result of
    `vipe embed`. QUERY is a result of `vipe embed`; for what `vipe index` made also a keypoint
    file, an image, or a moment of a video, bag or episode (--at).

    OUT holds indices (Q, k) int64 into the rows of INDEX and probability (Q, k), best first; for
    what `vipe index` made also source, stamp_s, body and label (Q, k). With P people a frame,
    query t * P + p is person p of frame t. An index of -1 with probability NaN: the query has no
    person, or there were fewer than k answers. OUT.json is the same to read. In what
    `vipe embed` made the search is exact; in an index it finds 99 % of the same answers, orders
    them by sampled probability, and leaves out those within a second of a better one (--apart).
    """
    args = _parse(argv)
    files.check_writable(args.output, args.query)
    if Path(args.index).is_file() or args.index.endswith(".npz"):
        return _in_file(args)
    return _in_gallery(args)


def _parse(argv: list[str]) -> Namespace:
    parser = Parser("search", run.__doc__, "search poses wave.jpg found.json -k 20 --sheet s.jpg")
    add = parser.add_argument
    add("index", metavar="INDEX", help="index folder or address, or result of vipe embed")
    add("query", metavar="QUERY", type=Path, help="what to search for")
    add("output", metavar="OUT", type=Path, help="file to write, .npz or .json")
    add("-k", type=int, default=20, help="matches per query (default: %(default)s)")
    add("--at", metavar="SECONDS", type=float, help="moment of QUERY, from its beginning")
    add("--person", metavar="NAME", help="whom of the people there")
    add("--joints", metavar="A,B,...", help="only these joints of the query count")
    add("--source", metavar="PATH", help="only of this recording or folder")
    add("--label", help="only with this label")
    add("--since", metavar="SECONDS", type=float, help="only from this stamp on")
    add("--until", metavar="SECONDS", type=float, help="only up to this stamp")
    add(
        "--apart", metavar="SECONDS", type=float,
        help="between two answers of the same person (default: 1; 0: as they come)",
    )  # fmt: skip
    add("--thumbnails", metavar="FOLDER", type=Path, help="for the pictures of the answers")
    add("--sheet", metavar="OUT.jpg|.png", type=Path, help="all pictures of the answers in one")
    add("--detector", metavar="FILE.yaml", help="of people in images")
    add("--topic", metavar="/NAME", help="of a bag, when several would do")
    parser.add_model()
    args = parser.parse_args(argv)
    if not 1 <= args.k <= MOST:
        parser.error(f"argument -k: from 1 to {MOST:,}, not {args.k}")
    if args.apart is not None and not args.apart >= 0:
        parser.error(f"argument --apart: seconds from 0, not {args.apart}")
    if args.at is not None and not 0 <= args.at < math.inf:
        parser.error(f"argument --at: seconds from 0, not {args.at:g}")
    return args


def _in_gallery(args: Namespace) -> int:
    if args.sheet:
        sheet.check_ending(args.sheet)
        files.check_writable(args.sheet, args.query, args.output)
    where = Filter(_source(args.source), args.label, args.since, args.until)
    where.sql()  # says what is wrong with it before a long video is read
    gallery = Gallery.open(args.index)
    if not len(gallery):
        raise VipeError(f"index {args.index} is empty: add to it with `vipe index`")
    query = _query(args, gallery)
    found = _search(gallery, query, args, where)
    results.write(args.output, found, gallery.origin.model, args.k)
    if args.thumbnails:
        results.write_thumbnails(args.thumbnails, found)
    if not any(found) and not gallery.count(where):
        note("search", f"no pose in the index passes the filter: {_filter_words(args)}")
    else:
        _report_gaps(found, query, args.k)
    if args.sheet and any(found):
        sheet.write(args.sheet, query, found)
    elif args.sheet:
        note("search", f"no answers to show: {args.sheet} is not written")
    print(_summary(args.output, found, query))
    return 0


def _query(args: Namespace, gallery: Gallery) -> Query:
    joints = [name.strip() for name in args.joints.split(",")] if args.joints else []
    if queries.is_embedding_file(args.query) and not joints:
        return queries.read_embeddings(args.query, gallery.origin, args.at, args.person)
    model = load_model(args.model)
    gallery.check_model(model.fingerprint)
    return queries.read(args.query, model, args.at, args.person, joints, args.detector, args.topic)


def _source(given: str | None) -> str | None:
    """Indexed files go by their absolute path; other sources by the name they have."""
    return source_name(given) if given and Path(given).exists() else given


def _search(gallery: Gallery, query: Query, args: Namespace, where: Filter) -> list[list[Found]]:
    """Answers to each pose; none where there is nobody."""
    apart_s = 1.0 if args.apart is None else args.apart
    pictures = bool(args.thumbnails or args.sheet)
    found: list[list[Found]] = []
    with progress(len(query.mean), "query") as bar:
        for mean, variance, there in zip(query.mean, query.variance, query.there(), strict=True):
            found.append(
                gallery.search(mean, variance, args.k, where, apart_s=apart_s, thumbnails=pictures)
                if there
                else []
            )
            bar.update()
    return found


def _filter_words(args: Namespace) -> str:
    """The options of the filter, as they were given."""
    given = {name: getattr(args, name) for name in ("source", "label", "since", "until")}
    return " ".join(f"--{name} {value}" for name, value in given.items() if value is not None)


def _summary(output: Path, found: list[list[Found]], query: Query) -> str:
    """One line: how many answers, and the best of them."""
    everything, asked = [one for answers in found for one in answers], int(query.there().sum())
    answers = "1 answer" if len(everything) == 1 else f"{len(everything):,} answers"
    line = f"{output}: {answers} to {asked:,} {'pose' if asked == 1 else 'poses'}"
    if not everything:
        return line
    best = max(everything, key=lambda one: one.probability)
    return f"{line}, best {best.probability:.0%}: {Path(best.source).name} at {best.stamp_s:.2f} s"


def _report_gaps(found: list[list[Found]], query: Query, k: int) -> None:
    """Say how many places are empty, and why."""
    there = query.there()
    if absent := int((~there).sum()):
        note("search", f"no person in {absent} of {len(there)} queries: their indices are -1")
    counts = [len(answers) for answers, seen in zip(found, there, strict=True) if seen]
    if min(counts) < k:
        note("search", f"fewer than {k} answers to {sum(n < k for n in counts)} of {len(counts)}")


def _in_file(args: Namespace) -> int:
    """Exact, in memory, with what vipe embed wrote alone."""
    if given := [name for name in _OF_AN_INDEX if getattr(args, name) is not None]:
        raise VipeError(
            f"{args.index} is a file: --{given[0]} needs the folder of an index (see vipe index)"
        )
    files.check_writable(args.output, args.index, args.query)
    index, query = embedding_file.read(args.index), embedding_file.read(args.query)
    _check_same_model(args.index, index, args.query, query)
    index_rows, query_rows = index.rows(), query.rows()
    a, b = index.sigmoid_a, index.sigmoid_b
    with progress(len(query_rows[0]), "query") as bar:
        indices, probability = nearest(*index_rows, *query_rows, a, b, args.k, bar.update)
    results.write_rows(args.output, indices, probability, index.model)
    _report(indices, query_rows[0], index_rows[0])
    return 0


def _check_same_model(
    index_path: str, index: EmbeddingFile, query_path: Path, query: EmbeddingFile
) -> None:
    if index.fingerprint != query.fingerprint:
        raise VipeError(
            f"{index_path} is of model {index.model} ({index.fingerprint}), {query_path} of "
            f"{query.model} ({query.fingerprint}): embed both with the same model file"
        )


def _report(indices: np.ndarray, query: np.ndarray, index: np.ndarray) -> None:
    """Say how many places are empty, and why."""
    people = int(np.isfinite(index).all(1).sum())
    absent = int((~np.isfinite(query).all(1)).sum())
    if absent:
        note("search", f"no person in {absent} of {len(query)} queries: their indices are -1")
    if people < indices.shape[1]:
        note("search", f"the index holds {people} poses: places from {people} to k are -1")
