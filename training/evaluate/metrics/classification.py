"""Nearest-neighbour classification of clips (Pr-VIPE, action recognition)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from vipe_core.errors import VipeError

Labels = Sequence[str] | np.ndarray

# Frames apart over which distances are averaged. The paper: seven taps, rate three; what its
# author pairs, asked for the code: five of them (google-research issue 611).
WINDOWS = {
    "paper": (-9, -6, -3, 0, 3, 6, 9),
    "released": (-6, -3, 0, 3, 6),
    "none": (0,),
}


def window_average(distance: np.ndarray, starts: np.ndarray, offsets: Sequence[int]) -> np.ndarray:
    """Frame distances (N, M) averaged over pairs of frames equally far from either.

    Entry (t, s) becomes the mean of (t + o, s + o) over the offsets; beyond an end of a clip
    its last frame repeats.

    Args:
        distance: one clip's frames against those of C others, one after the other.
        starts: (C + 1,) first column of each of the others, and M.
        offsets: in frames.
    """
    rows, columns = np.arange(distance.shape[0]), np.arange(distance.shape[1])
    first = np.repeat(starts[:-1], np.diff(starts))
    last = np.repeat(starts[1:], np.diff(starts)) - 1
    total = np.zeros(distance.shape)
    for offset in offsets:
        moved = (rows + offset).clip(0, len(rows) - 1)
        total += distance[moved][:, (columns + offset).clip(first, last)]
    return total / len(offsets)


def nearest_labels(
    distance: np.ndarray, labels: Labels, left_out: np.ndarray | None = None
) -> np.ndarray:
    """(Q,) label of the nearest index clip; the first of equally near ones.

    Args:
        distance: (Q, I).
        labels: I, of the index clips.
        left_out: (Q, I) bool, pairs that do not count, as a clip and itself.

    Raises:
        VipeError: no index clip is left for a query.
    """
    if left_out is not None:
        distance = np.where(left_out, np.inf, distance)
    if not distance.shape[1] or not np.isfinite(distance.min(axis=1)).all():
        raise VipeError("a query has no clip left to be compared with")
    return np.asarray(labels)[distance.argmin(axis=1)]


def accuracy_per_class(truth: Labels, found: Labels) -> dict[str, float]:
    """Percent of right answers for each label of the truth, in alphabetical order.

    Args:
        truth, found: Q labels.
    """
    names = np.asarray(truth)
    right = names == np.asarray(found)
    return {str(name): 100 * float(right[names == name].mean()) for name in np.unique(names)}


def mean_accuracy(truth: Labels, found: Labels) -> float:
    """Mean over classes of :func:`accuracy_per_class`, percent."""
    return float(np.mean(list(accuracy_per_class(truth, found).values())))


def confusion(truth: Labels, found: Labels, labels: Labels) -> np.ndarray:
    """(L, L) percent of the clips of each row's label that were called the column's; NaN in the
    row of a label without clips."""
    row, column = (np.searchsorted(labels, names) for names in (truth, found))
    counts = np.zeros((len(labels), len(labels)))
    np.add.at(counts, (row, column), 1)
    total = counts.sum(axis=1, keepdims=True)
    return np.divide(100 * counts, total, out=np.full_like(counts, np.nan), where=total > 0)


def one_view(
    query_labels: Labels, index_labels: Labels, views: Labels
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """For each view of the index: its name, queries (q,) and index clips (i,) that take part.

    Classes with at most one index clip of that view are left out on both sides, and a view
    that is left with fewer than two classes altogether.

    Args:
        query_labels: Q. index_labels, views: I, of the index clips.
    """
    asked, known = np.asarray(query_labels), np.asarray(index_labels)
    for view in np.unique(views):
        here = np.asarray(views) == view
        names, counts = np.unique(known[here], return_counts=True)
        kept = np.intersect1d(names[counts > 1], asked)
        if len(kept) > 1:
            rows = np.flatnonzero(np.isin(asked, kept))
            yield str(view), rows, np.flatnonzero(here & np.isin(known, kept))
