"""What goes into a gallery and what comes out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from vipe_core.errors import VipeError

if TYPE_CHECKING:
    from vipe_core.runtime import Model


@dataclass(frozen=True)
class Origin:
    """Which model the embeddings of a gallery are of: only those of one model compare.

    Attributes:
        model: its name and version, for messages.
        fingerprint: of its file.
        sigmoid_a, sigmoid_b: slope (> 0) and offset of its match probability.
        size: D of its embeddings.
    """

    model: str
    fingerprint: str
    sigmoid_a: float
    sigmoid_b: float
    size: int

    def __post_init__(self) -> None:
        if self.size < 1:
            raise VipeError(f"embeddings of size {self.size}, 1 or more needed")
        if not (np.isfinite([self.sigmoid_a, self.sigmoid_b]).all() and self.sigmoid_a > 0):
            raise VipeError("sigmoid_a, sigmoid_b: finite numbers needed, the first over 0")

    @classmethod
    def of(cls, model: Model) -> Origin:
        """That of a loaded model; raises VipeError for one that gives no embedding."""
        info = model.metadata
        if not info.has_embedding:
            raise VipeError(f"model {model.path} gives no embedding, its task is {info.task!r}")
        return cls(
            f"{info.name} {info.version}",
            model.fingerprint,
            info.sigmoid_a,
            info.sigmoid_b,
            info.embedding_size,
        )


@dataclass(frozen=True)
class Rows:
    """N poses to be found again.

    Attributes:
        mean, variance: (N, D) Gaussian embeddings, diagonal covariance.
        source: N names of what each was seen in; one string stands for all, here and below.
        stamp_s: (N,) seconds in the source's own clock.
        body: N names that tell the people of one source apart.
        label: N labels, "" for none.
        thumbnail: N JPEG images, each may be None; None for none at all.

    Raises:
        VipeError: on construction, when sizes do not fit each other, a stamp is not finite, or
            a variance is negative.
    """

    mean: np.ndarray
    variance: np.ndarray
    source: Sequence[str]
    stamp_s: np.ndarray
    body: Sequence[str] = ""
    label: Sequence[str] = ""
    thumbnail: Sequence[bytes | None] | None = None

    def __post_init__(self) -> None:
        mean = np.asarray(self.mean, np.float32)
        variance = np.asarray(self.variance, np.float32)
        if mean.ndim != 2 or variance.shape != mean.shape:
            raise VipeError(
                f"mean of shape {mean.shape} and variance of {variance.shape}, (N, D) both needed"
            )
        if (variance < 0).any():
            raise VipeError("variance: negative")
        stamp_s = np.asarray(self.stamp_s, np.float64)
        if stamp_s.shape != mean.shape[:1] or not np.isfinite(stamp_s).all():
            raise VipeError(f"stamp_s: {len(mean)} finite seconds needed")
        self._set(mean=mean, variance=variance, stamp_s=stamp_s)
        for name in ("source", "body", "label", "thumbnail"):
            self._set(**{name: self._one_per_row(name)})

    def _set(self, **values: Any) -> None:
        """Store checked values; a frozen dataclass allows it this way only."""
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def _one_per_row(self, name: str) -> tuple[Any, ...]:
        value = getattr(self, name)
        if value is None or isinstance(value, str):
            return (value,) * len(self)
        if len(value) != len(self):
            raise VipeError(f"{name}: {len(value)} values for {len(self)} rows")
        return tuple(value)

    def __len__(self) -> int:
        return len(self.mean)

    def select(self, keep: np.ndarray) -> Rows:
        """The rows where ``keep`` (N,) is true."""
        if keep.all():
            return self
        at = np.flatnonzero(keep)
        texts = {
            name: [getattr(self, name)[i] for i in at]
            for name in ("source", "body", "label", "thumbnail")
        }
        arrays = {name: getattr(self, name)[at] for name in ("mean", "variance", "stamp_s")}
        return replace(self, **arrays, **texts)

    def usable(self) -> np.ndarray:
        """(N,) whether the embedding is finite: otherwise there was nobody."""
        return finite(self.mean, self.variance)


def finite(mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """(N,) which embeddings (N, D) are finite throughout."""
    return np.asarray(np.isfinite(np.stack([mean, variance])).all(axis=(0, 2)))


@dataclass(frozen=True)
class Filter:
    """Which rows may answer; None: all.

    Attributes:
        source: rows of exactly this source, or of those in this folder.
        label: rows with exactly this label.
        since, until: seconds in the source's own clock, both included.
    """

    source: str | None = None
    label: str | None = None
    since: float | None = None
    until: float | None = None

    def sql(self) -> str:
        """The condition as LanceDB takes it; "" for all. Values are literals, whatever is in
        them: within quotes, SQL gives a meaning to the quote alone, and doubled it is one.

        Raises:
            VipeError: since or until is not a number, or since lies after until.
        """
        parts = []
        if self.source is not None:
            folder = quoted(self.source.rstrip("/") + "/")
            parts.append(f"(source = {quoted(self.source)} OR starts_with(source, {folder}))")
        if self.label is not None:
            parts.append(f"label = {quoted(self.label)}")
        for name, value, sign in (("since", self.since, ">="), ("until", self.until, "<=")):
            if value is not None:
                parts.append(f"stamp_s {sign} {_number(name, value)}")
        if self.since is not None and self.until is not None and self.since > self.until:
            raise VipeError(f"since {self.since:g} s lies after until {self.until:g} s")
        return " AND ".join(parts)


def quoted(text: str) -> str:
    """A string literal of SQL."""
    return "'" + text.replace("'", "''") + "'"


def _number(name: str, value: float) -> str:
    if not np.isfinite(value):
        raise VipeError(f"{name}: {value}, seconds needed")
    return f"CAST({quoted(repr(float(value)))} AS DOUBLE)"


@dataclass(frozen=True)
class Found:
    """One answer to a search.

    Attributes:
        source: what it was seen in.
        stamp_s: when, seconds in the source's own clock.
        body: who, within the source.
        label: "" for none.
        probability: in 0..1, that it is the pose asked for.
        thumbnail: JPEG, or None.
        row: number of the row, the same for as long as the gallery exists.
    """

    source: str
    stamp_s: float
    body: str
    label: str
    probability: float
    thumbnail: bytes | None = field(repr=False)
    row: int
