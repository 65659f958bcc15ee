"""The poses seen, in a LanceDB table that can be searched while it grows."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from vipe_core.errors import VipeError
from vipe_core.gallery import connection, schema, upkeep
from vipe_core.gallery.ranking import Ranking
from vipe_core.gallery.rows import Filter, Found, Origin, Rows, quoted
from vipe_core.gallery.searching import Query, answers, candidates_for

if TYPE_CHECKING:
    from vipe_core.runtime import Model

REFRESH_S = 1.0
MOST = 100_000  # answers to one search


class Gallery:
    """Poses at an address, a folder or a URI that LanceDB takes (s3://, gs://, az://).

    Several processes may add and search at once: what one has added, the others find after at
    most ``refresh_s`` seconds. Whatever :meth:`add` has returned from is kept, also when the
    process is killed.

    Attributes:
        address: where it is.
        origin: which model its embeddings are of.
    """

    def __init__(self, address: str | os.PathLike[str], table: Any, tidy: bool = True) -> None:
        """Use :meth:`create` or :meth:`open`."""
        self.address = str(address)
        self._table = table
        self._schema = table.schema
        self._tidy, self._appends = tidy, 0
        try:
            self.origin = schema.origin_of(self._schema)
        except VipeError as error:
            raise VipeError(f"index {address}: {error}") from None

    @classmethod
    def create(
        cls,
        address: str | os.PathLike[str],
        model: Model | Origin,
        refresh_s: float = REFRESH_S,
        tidy: bool = True,
    ) -> Gallery:
        """A gallery for embeddings of ``model``: a new one, or the one that is there already.

        Raises:
            VipeError: the one that is there is of another model or damaged, the place cannot
                be written, or LanceDB is not installed.
        """
        origin = model if isinstance(model, Origin) else Origin.of(model)
        if not connection.exists(address):
            connection.create_table(address, schema.make(origin), refresh_s)
        return cls.open(address, origin.fingerprint, refresh_s, tidy)

    @classmethod
    def open(
        cls,
        address: str | os.PathLike[str],
        fingerprint: str | None = None,
        refresh_s: float = REFRESH_S,
        tidy: bool = True,
    ) -> Gallery:
        """The gallery at an address.

        Args:
            address: folder or URI.
            fingerprint: of the model whose embeddings will be added or asked for; None: any.
            refresh_s: how old what is seen of other processes' additions may be.
            tidy: whether :meth:`add` calls :meth:`optimize` now and then, which takes 15 s when
                a million rows get their index. Who cannot wait calls it in another thread.

        Raises:
            VipeError: there is none, it is damaged or of another model, or LanceDB is not
                installed.
        """
        gallery = cls(address, connection.open_table(address, refresh_s), tidy)
        if fingerprint is not None:
            gallery.check_model(fingerprint)
        return gallery

    def check_model(self, fingerprint: str) -> None:
        """Raises VipeError when the gallery's embeddings are of another model."""
        if fingerprint != self.fingerprint:
            raise VipeError(
                f"index {self.address} is of model {self.origin.model} ({self.fingerprint}), not "
                f"of the model given ({fingerprint}): index anew, into another folder, with "
                "`vipe index NEW FILES... --model MODEL`"
            )

    @property
    def fingerprint(self) -> str:
        """Of the model."""
        return self.origin.fingerprint

    @property
    def sigmoid_a(self) -> float:
        """Slope of the model's match probability."""
        return self.origin.sigmoid_a

    @property
    def sigmoid_b(self) -> float:
        """Offset of the model's match probability."""
        return self.origin.sigmoid_b

    @property
    def table(self) -> Any:
        """The LanceDB table itself, for what is not offered here."""
        return self._table

    def __len__(self) -> int:
        with connection.said_plainly(self.address):
            return self._table.count_rows()

    def count(self, where: Filter | None = None) -> int:
        """How many rows the filter lets through."""
        with connection.said_plainly(self.address):
            return self._table.count_rows((where or Filter()).sql() or None)

    def refresh(self) -> None:
        """See now what other processes have added."""
        with connection.said_plainly(self.address):
            self._table.checkout_latest()

    def add(self, rows: Rows) -> int:
        """Append rows; they are on disk when this returns.

        Every call makes a file and a version: for a stream, collect the rows of a second
        first (:class:`vipe_core.gallery.appender.Appender`).

        Returns:
            how many rows were left out because their embedding is not finite.

        Raises:
            VipeError: embeddings of another size, or the place cannot be written.
        """
        self._check_size(rows.mean.shape[1], "the rows have")
        kept = rows.select(rows.usable())
        if len(kept):
            with connection.said_plainly(self.address):
                self._table.add(schema.to_arrow(kept, self._schema))
            self._appends += 1
            if self._tidy and self._appends % upkeep.EVERY == 0:
                self.optimize()
        return len(rows) - len(kept)

    def newest(self, source: str) -> float | None:
        """Stamp of the newest row of exactly this source; None without."""
        with connection.said_plainly(self.address):
            query = self._table.search().where(f"source = {quoted(source)}").select(["stamp_s"])
            stamps = query.to_arrow().column("stamp_s").to_numpy()
        return float(stamps.max()) if len(stamps) else None

    def remove(self, source: str) -> None:
        """Forget the rows of exactly this source."""
        with connection.said_plainly(self.address):
            self._table.delete(f"source = {quoted(source)}")

    def optimize(self) -> None:
        """Merge small files, forget old versions, and bring the vector index up to date. Others
        may search and add meanwhile."""
        with connection.said_plainly(self.address):
            upkeep.run(self._table)

    def search(
        self,
        mean: np.ndarray,
        variance: np.ndarray,
        k: int = 20,
        where: Filter | None = None,
        samples: int = 20,
        seed: int = 0,
        apart_s: float = 0.0,
        thumbnails: bool = True,
        candidates: int | None = None,
    ) -> list[Found]:
        """The poses that most probably match one pose; see
        :func:`vipe_core.gallery.searching.answers` for how they are found.

        Args:
            mean, variance: (D,) the pose asked for.
            k: answers at most, from 1.
            where: which rows may answer.
            samples, seed: of the match probability; see
                :func:`vipe_core.embedding.match_probability`.
            apart_s: of the same person, no answer within so many seconds of a better one.
            thumbnails: whether to read them.
            candidates: how many rows with near means to rank; None: enough for 99 % of the
                answers of an exact search.

        Returns:
            at most k answers, the most probable first.

        Raises:
            VipeError: k out of range, a pose of another size, not finite or with a negative
                variance, a filter that is no filter.
        """
        if not 1 <= k <= MOST:
            raise VipeError(f"k must be from 1 to {MOST:,}, not {k}")
        mean, variance = self._query(mean, variance)
        ranking = Ranking(mean, variance, self.sigmoid_a, self.sigmoid_b, samples, seed)
        query = Query(mean, variance, k, where or Filter(), apart_s, thumbnails)
        candidates = candidates or candidates_for(k)
        return answers(self.address, self._table, query, ranking, candidates)

    def _query(self, mean: np.ndarray, variance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mean, variance = np.asarray(mean, np.float64), np.asarray(variance, np.float64)
        if mean.ndim != 1 or variance.shape != mean.shape:
            raise VipeError(
                f"mean of shape {mean.shape} and variance of {variance.shape}, (D,) both needed"
            )
        self._check_size(len(mean), "the pose asked for has")
        if not (np.isfinite(mean).all() and np.isfinite(variance).all()):
            raise VipeError("nobody to search for: the pose asked for is not finite")
        if (variance < 0).any():
            raise VipeError("variance: negative")
        return mean, variance

    def _check_size(self, size: int, who: str) -> None:
        if size != self.origin.size:
            raise VipeError(
                f"index {self.address} has embeddings of size {self.origin.size}, {who} {size}"
            )
