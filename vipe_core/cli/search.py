"""``vipe search``."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vipe_core import embedding_file, files
from vipe_core.cli.common import Parser, note, progress
from vipe_core.embedding_file import EmbeddingFile
from vipe_core.errors import VipeError
from vipe_core.gallery import nearest

MOST = 100_000  # matches per query; the output has room for all of them


def run(argv: list[str]) -> int:
    """Find the poses of an index that each query pose most probably matches.

    OUT holds indices (Q, k) int64 into the rows of INDEX and probability (Q, k), best
    first. The search is exact. With P people a frame, row t * P + p is person p of frame t.
    An index of -1 with probability NaN: the query row has no person, or k is more than
    the people in the index.
    """
    parser = Parser("search", run.__doc__, "search index.npz query.npz found.npz -k 20")
    parser.add_argument("index", metavar="INDEX.npz", type=Path, help="result of vipe embed")
    parser.add_argument("query", metavar="QUERY.npz", type=Path, help="result of vipe embed")
    parser.add_argument("output", metavar="OUT.npz", type=Path, help="file to write")
    parser.add_argument("-k", type=int, default=20, help="matches per query (default: %(default)s)")
    args = parser.parse_args(argv)
    if not 1 <= args.k <= MOST:
        parser.error(f"argument -k: from 1 to {MOST:,}, not {args.k}")
    files.check_writable(args.output, args.index, args.query)
    index, query = embedding_file.read(args.index), embedding_file.read(args.query)
    _check_same_model(args.index, index, args.query, query)
    index_rows, query_rows = index.rows(), query.rows()
    a, b = index.sigmoid_a, index.sigmoid_b
    with progress(len(query_rows[0]), "query") as bar:
        indices, probability = nearest(*index_rows, *query_rows, a, b, args.k, bar.update)
    files.write_npz(args.output, indices=indices, probability=probability, model=index.model)
    _report(indices, query_rows[0], index_rows[0])
    return 0


def _check_same_model(
    index_path: Path, index: EmbeddingFile, query_path: Path, query: EmbeddingFile
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
