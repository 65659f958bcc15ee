"""Scores of ids against brute force."""

from __future__ import annotations

from itertools import pairwise, permutations

import numpy as np
import pytest

from vipe_core.errors import VipeError
from vipe_training.evaluate.metrics.identity import (
    identity_f1,
    identity_switches,
    shared_ids,
    split_at_gaps,
)


def naive_f1(person, found) -> float:
    """Every way to pair people with ids; IDF1 as in the paper, from the three counts."""
    people, ids = sorted(set(person)), sorted(set(found) - {""})
    ids += [f"nobody {i}" for i in people]  # a person may go without
    right = max(
        sum(chosen[people.index(p)] == f for p, f in zip(person, found, strict=True))
        for chosen in permutations(ids, len(people))
    )
    false_negatives = len(person) - right
    false_positives = sum(f != "" for f in found) - right
    return 2 * right / (2 * right + false_positives + false_negatives)


def naive_switches(person, found) -> int:
    total = 0
    for one in set(person):
        names = [f for p, f in zip(person, found, strict=True) if p == one and f]
        total += sum(a != b for a, b in pairwise(names))
    return total


@pytest.mark.parametrize("seed", range(40))
def test_as_brute_force(seed):
    rng = np.random.default_rng(seed)
    size = int(rng.integers(1, 14))
    person = rng.integers(0, 3, size)
    names = np.array(["", "a", "b", "c", "d"])
    found = names[np.where(rng.random(size) < 0.6, person + 1, rng.integers(0, 5, size))]
    assert identity_f1(person, found) == pytest.approx(naive_f1(person.tolist(), found.tolist()))
    assert identity_switches(person, found) == naive_switches(person.tolist(), found.tolist())
    owners = [set(person[found == one].tolist()) for one in names[1:]]
    # "" is an entry like any other where nobody has it: it stands for nobody.
    assert shared_ids(person, found) == sum(len(who) > 1 for who in owners)


@pytest.mark.parametrize(
    ("person", "found", "f1", "switches", "shared"),
    [
        ([], [], 1.0, 0, 0),
        ([0, 1, 0, 1], ["a", "b", "a", "b"], 1.0, 0, 0),
        ([0, 1, 0, 1], ["a", "b", "b", "a"], 0.5, 2, 2),
        ([0, 0, 0, 0], ["a", "a", "a", "b"], 0.75, 1, 0),
        ([0, 0, 0, 0], ["a", "", "", "a"], 2 / 3, 0, 0),
        ([0, 0, 1, 1], ["a", "a", "a", "a"], 0.5, 0, 1),
        ([0, 1], ["", ""], 0.0, 0, 0),
    ],
)
def test_by_hand(person, found, f1, switches, shared):
    assert identity_f1(person, found) == pytest.approx(f1)
    assert identity_switches(person, found) == switches
    assert shared_ids(person, found) == shared


def test_who_is_away_for_long_is_somebody_else():
    person = np.array([7, 3, 7, 3, 7, 3])
    stamps = np.array([0.0, 0.0, 1.5, 1.5, 2.0, 3.1])
    np.testing.assert_array_equal(split_at_gaps(person, stamps, 1.5), [0, 1, 0, 1, 0, 2])
    assert len(split_at_gaps(person[:0], stamps[:0], 1.5)) == 0


@pytest.mark.parametrize("score", [identity_f1, identity_switches, shared_ids])
def test_one_id_for_each_detection(score):
    with pytest.raises(VipeError, match="2 people and 1 ids"):
        score([0, 1], ["a"])
