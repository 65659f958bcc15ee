"""Embeddings meet their keypoints, in whatever order they come."""

from __future__ import annotations

import numpy as np
import pytest
from vipe_msgs.msg import Bodies2D

from tests.ros.harness import body, people, standing
from vipe_core.errors import VipeError
from vipe_ros.convert import Embedded, seconds
from vipe_ros.joining import Joining

SOMEBODY = [Embedded("1", np.zeros(2), np.ones(2), None, None)]


def keypoints(index: int, name: str = "1") -> Bodies2D:
    return people(index, body(standing(), name))


def stamp(index: int) -> float:
    return seconds(keypoints(index).header.stamp)


def joined(events: str, name: str = "1") -> list[tuple[int, bool]]:
    """What comes out, index and whether with keypoints, of e0 (embeddings of image 0), k0, ..."""
    out: list[tuple[int, bool]] = []

    def take(stamp_s: float, found: list[Embedded], points: object) -> None:
        assert found is SOMEBODY
        out.append((round((stamp_s - 1000) * 30), points is not None))

    joining = Joining(take)
    for event in events.split():
        index = int(event[1:])
        if event[0] == "e":
            joining.embeddings(stamp(index), SOMEBODY)
        else:
            joining.keypoints(keypoints(index, name))
    joining.flush()
    return out


@pytest.mark.parametrize(
    ("events", "with_keypoints"),
    [
        ("e0 k0 e1 k1", {0, 1}),
        ("k0 e0 k1 e1", {0, 1}),
        ("e0 e1 e2 k0 k1 k2", {0, 1, 2}),
        ("k0 k1 k2 e0 e1 e2", {0, 1, 2}),
        ("e0 e1 k1 e2 k2", {1, 2}),  # the keypoints of image 0 are lost
        ("e0 e1 k1 k0 e2", {1}),  # or too late
        ("e0 k5 e1 e2", set()),
        ("e0 e1 e2", set()),
    ],
)
def test_every_image_once_and_in_order(events: str, with_keypoints: set[int]) -> None:
    count = events.count("e")
    assert joined(events) == [(i, i in with_keypoints) for i in range(count)]


def test_keypoints_of_other_people() -> None:
    assert joined("e0 k0", name="2") == [(0, False)]


@pytest.mark.parametrize("first", ["embeddings", "keypoints"])
def test_keypoints_that_cannot_be_used_lose_no_image(first: str) -> None:
    out: list[tuple[float, object]] = []
    joining = Joining(lambda stamp_s, _, points: out.append((stamp_s, points)))
    for index in range(50):
        broken = Bodies2D(header=keypoints(index).header, skeleton="none")
        if first == "keypoints":
            joining.keypoints(broken)
            with pytest.raises(VipeError):
                joining.embeddings(stamp(index), SOMEBODY)
        else:
            joining.embeddings(stamp(index), SOMEBODY)
            with pytest.raises(VipeError):
                joining.keypoints(broken)
        assert len(out) >= index - 10
    joining.flush()
    assert out == [(stamp(index), None) for index in range(50)]


def test_waiting_ends_without_keypoints() -> None:
    out: list[float] = []
    joining = Joining(lambda stamp_s, *_: out.append(stamp_s))
    for index in range(100):
        joining.embeddings(stamp(index), SOMEBODY)
        assert len(out) >= index - 10
