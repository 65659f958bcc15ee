"""Messages of several topics put together by their stamp."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from vipe_core.recordings.joining import WAITING, join

ROLES = frozenset(("people", "image"))


def joined(messages: list[tuple[str, int]], roles: frozenset[str] = ROLES) -> list[dict]:
    return list(join(((role, key, (role, key)) for role, key in messages), "leading", roles))


@pytest.mark.parametrize("seed", range(5))
def test_any_order_within_the_wait_gives_the_same(seed: int) -> None:
    rng = np.random.default_rng(seed)
    messages = [(role, key) for key in range(50) for role in ("leading", "people", "image")]
    late = [key + rng.uniform(0, WAITING / 4) for _, key in messages]
    shuffled = [messages[i] for i in np.argsort(late)]
    found = joined(shuffled)
    assert sorted(parts["leading"][1] for parts in found) == list(range(50))
    for parts in found:
        assert parts.keys() == {"leading", *ROLES}
        assert len({key for _, key in parts.values()}) == 1


def test_what_never_comes_is_not_waited_for_long() -> None:
    read = 0

    def stream() -> Iterator[tuple[str, int, int]]:
        nonlocal read
        for read in range(100):
            yield "leading", read, read

    for parts in join(stream(), "leading", ROLES):
        assert parts.keys() == {"leading"}
        assert read <= parts["leading"] + WAITING + 1 or read == 99


def test_what_nobody_leads_is_forgotten() -> None:
    before = [("image", key) for key in range(3 * WAITING)]
    found = joined([*before, ("leading", 0), ("leading", 3 * WAITING - 1)], frozenset(("image",)))
    assert [parts["leading"][1] for parts in found] == [0, 3 * WAITING - 1]
    assert ["image" in parts for parts in found] == [False, True]


def test_the_first_of_a_role_counts() -> None:
    messages = [("leading", 1, "a"), ("image", 1, "b"), ("image", 2, "c"), ("leading", 2, "d")]
    again = [("leading", 3, "e"), ("leading", 3, "f"), ("image", 3, "g")]
    found = list(join([*messages, *again], "leading", frozenset(("image",))))
    assert [parts["leading"] for parts in found] == ["a", "d", "e"]
