"""Whether people keep their ids: identity scores of trackers.

All take one entry per detection of a real person, in the order of the images: whom it shows
(``person``) and the id that a tracker gave it (``found``). Which detection shows whom is known, so
nothing is matched by place; missed and false detections are the detector's affair and left out.

Sources: Ristani et al. 2016 (IDF1: the identities that fit best over the whole scene);
Bernardin and Stiefelhagen 2008 (identity switches of CLEAR MOT).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from vipe_core.errors import VipeError

Labels = Sequence[Hashable] | np.ndarray


def identity_f1(person: Labels, found: Labels) -> float:
    """IDF1 in 0..1: share of the detections that bear the one id that stands for their person.

    Every person is paired with at most one id and every id with at most one person, so that most
    detections are right. An empty id stands for nobody and counts as none given. 1 for no
    detection at all.
    """
    counts, given = _overlap(person, found)
    if not len(person):
        return 1.0
    right = counts[linear_sum_assignment(counts, maximize=True)].sum()
    return float(2 * right / (len(person) + given))


def identity_switches(person: Labels, found: Labels) -> int:
    """How often a person has another id than when it last had one."""
    _check(person, found)
    last: dict[Hashable, Hashable] = {}
    switches = 0
    for who, name in zip(_plain(person), _plain(found), strict=True):
        if name == "":
            continue
        switches += last.get(who, name) != name
        last[who] = name
    return switches


def shared_ids(person: Labels, found: Labels) -> int:
    """How many ids more than one person had: for a robot the worst mistake."""
    counts, _ = _overlap(person, found)
    return int(((counts > 0).sum(axis=0) > 1).sum())


def split_at_gaps(person: np.ndarray, stamps: np.ndarray, max_gap_s: float) -> np.ndarray:
    """(N,) numbers of people, where who was away for longer than ``max_gap_s`` is somebody else.

    A tracker that promises to know people again for so long is not asked for more.

    Args:
        person: (N,) int. stamps: (N,) seconds, ascending.
    """
    out, last, number, given = np.empty(len(person), np.int64), {}, {}, 0
    for i, (who, stamp) in enumerate(zip(person.tolist(), stamps.tolist(), strict=True)):
        if who not in last or stamp - last[who] > max_gap_s:
            number[who] = given
            given += 1
        out[i], last[who] = number[who], stamp
    return out


def _overlap(person: Labels, found: Labels) -> tuple[np.ndarray, int]:
    """(people, ids) detections in common, and how many detections have an id."""
    _check(person, found)
    people, ids = _numbers(person), _numbers(found)
    named = np.array([name != "" for name in _plain(found)], bool)
    counts = np.zeros((people.max(initial=-1) + 1, ids.max(initial=-1) + 1), np.int64)
    np.add.at(counts, (people[named], ids[named]), 1)
    return counts, int(named.sum())


def _numbers(labels: Labels) -> np.ndarray:
    """(N,) 0, 1, ... in the order in which the labels first come."""
    seen: dict[Hashable, int] = {}
    return np.array([seen.setdefault(one, len(seen)) for one in _plain(labels)], np.int64)


def _plain(labels: Labels) -> list[Hashable]:
    return labels.tolist() if isinstance(labels, np.ndarray) else list(labels)


def _check(person: Labels, found: Labels) -> None:
    if len(person) != len(found):
        raise VipeError(f"{len(person)} people and {len(found)} ids: one id per detection needed")
