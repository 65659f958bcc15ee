"""Ids of people as words of topics' names."""

from __future__ import annotations

import re

import pytest

from vipe_ros.humans import valid_id

LIKE = [
    "a/b",
    "a_b",
    "人",
    "犬",
    "1",
    "b1",
    " ",
    "\n",
    "x" * 400,
    "x" * 221,
    "é",
    "e",
    "_a",
    "\ud800",
]


def test_no_two_become_one() -> None:
    assert len({valid_id(name) for name in LIKE}) == len(LIKE)


@pytest.mark.parametrize("name", LIKE)
def test_every_one_may_be_part_of_a_topic(name: str) -> None:
    assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,39}", valid_id(name))


def test_who_has_none_gets_none() -> None:
    assert valid_id("") == ""
    assert valid_id("abcde") == "abcde"
