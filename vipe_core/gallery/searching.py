"""One search: candidates from LanceDB, ranked by match probability."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vipe_core.embedding import likelihood_distance
from vipe_core.gallery import connection, keys, upkeep
from vipe_core.gallery.ranking import Ranking, apart
from vipe_core.gallery.rows import Filter, Found
from vipe_core.gallery.schema import vectors

if TYPE_CHECKING:
    import pyarrow as pa

PROBES = 64  # partitions of the vector index that are looked into
MOST_CANDIDATES = 20_000  # for usual k, also where neighbours in time take the places
_EMBEDDING = ["mean", "variance", "_distance"]


def candidates_for(k: int) -> int:
    """How many rows to fetch for k answers: enough for 99 % of the answers of an exact search
    among a million rows, also where joints of the query are hidden. For thousands of answers a
    smaller share does: 5 k gave 99 % of 10,000 out of 200,000 rows of uneven variance, 2 k 79 %."""
    return min(max(1000, 50 * k), max(MOST_CANDIDATES, 5 * k))


@dataclass(frozen=True)
class Query:
    """What is asked of a gallery.

    Attributes:
        mean, variance: (D,) float64, the pose.
        k: answers at most.
        where: which rows may answer.
        apart_s: of the same person, no answer within so many seconds of a better one.
        thumbnails: whether answers bring them.
    """

    mean: np.ndarray
    variance: np.ndarray
    k: int
    where: Filter
    apart_s: float
    thumbnails: bool


def answers(
    address: str, table: Any, query: Query, ranking: Ranking, candidates: int
) -> list[Found]:
    """The most probable first.

    Candidates are the rows with the nearest means, gaps weighted by the certainty of the
    query. The k nearest of them by likelihood distance are the answers: those that an exact
    search (:func:`vipe_core.gallery.nearest`) gives too. Their order is that of the sampled
    probability, which would be too noisy to choose by: another seed leaves 4 to 7 of 10 in
    place. Where neighbours in time take the places, more are fetched.
    """
    while True:
        with connection.said_plainly(address):
            near = _nearest(table, query, candidates)
        fetched = len(near)
        near = _best(near, query)
        if len(near) >= query.k or fetched < candidates or candidates >= MOST_CANDIDATES:
            break
        candidates = min(4 * candidates, MOST_CANDIDATES)
    order, probability = ranking.order(vectors(near, "mean"), vectors(near, "variance"))
    best = near.column("_rowid").to_numpy()[order]
    with connection.said_plainly(address):
        rows = _rows(table, best.tolist(), query.thumbnails)
    return [
        Found(probability=float(p), row=row, thumbnail=said.pop("thumbnail", None), **said)
        for row, said, p in zip(best.tolist(), rows, probability, strict=True)
        if said
    ]


def _nearest(table: Any, query: Query, count: int) -> pa.Table:
    asking = keys.asking(query.mean, query.variance)
    search = table.search(asking, vector_column_name=upkeep.COLUMN).distance_type(upkeep.METRIC)
    search = search.minimum_nprobes(PROBES).maximum_nprobes(PROBES)
    if sql := query.where.sql():
        search = search.where(sql, prefilter=True).maximum_nprobes(0)  # more where few pass
    who = ["source", "body", "stamp_s"] if query.apart_s > 0 else []
    return search.limit(count).with_row_id(True).select(_EMBEDDING + who).to_arrow()


def _best(near: pa.Table, query: Query) -> pa.Table:
    """The k nearest by likelihood distance."""
    mean, variance = vectors(near, "mean"), vectors(near, "variance")
    distance = likelihood_distance(query.mean, query.variance, mean, variance)
    near = near.take(np.argsort(distance, kind="stable"))
    if query.apart_s > 0:
        source, body = (near.column(name).to_pylist() for name in ("source", "body"))
        kept = apart(source, body, near.column("stamp_s").to_numpy(), query.apart_s)
        near = near.take(np.array(kept, np.int64))
    return near.slice(0, query.k)


def _rows(table: Any, ids: list[int], thumbnails: bool) -> list[dict[str, Any]]:
    """What the rows say beside their embeddings; {} for one that was removed meanwhile."""
    columns = ["source", "stamp_s", "body", "label", *(["thumbnail"] if thumbnails else [])]
    rows = table.take_row_ids(ids).select(columns).with_row_id().to_list()
    by_id = {row.pop("_rowid"): row for row in rows}
    return [by_id.get(row, {}) for row in ids]
