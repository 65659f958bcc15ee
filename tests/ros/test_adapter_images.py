"""Sources that send bodies one by one: which of them become one image, and when."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hri_msgs.msg import Skeleton2D
from pose_msgs.msg import PersonDetection
from std_msgs.msg import Header

from tests.ros.adapter_messages import SIZE, trt_person
from tests.ros.harness import header
from vipe_ros.adapters import hri, trt_pose
from vipe_ros.errors import InputError


class Emitted:
    """What an image became."""

    def __init__(self) -> None:
        self.images: list[tuple[int, list[str]]] = []

    def __call__(self, head: Header, messages: dict[str, Any]) -> None:
        index = round(((head.stamp.sec - 1000) + 1e-9 * head.stamp.nanosec) * 30)
        self.images.append((index, list(messages)))


def gather(*events: tuple) -> list[tuple[int, list[str]]]:
    """(index, ids) is a list of ids, (index, name) a body."""
    emitted = Emitted()
    images = hri.Images(emitted)
    for index, what in events:
        if isinstance(what, list):
            images.track(header(index), what)
        else:
            images.add(what, Skeleton2D(header=header(index)))
    return emitted.images


BOTH = ["a", "b"]


@pytest.mark.parametrize(
    ("events", "images"),
    [
        # Complete: at once, in the order of the list.
        ([(0, BOTH), (0, "b"), (0, "a")], [(0, ["a", "b"])]),
        ([(0, BOTH), (0, "b"), (0, "a"), (1, "a"), (1, "b")], [(0, BOTH), (1, BOTH)]),
        # Bodies before their list.
        ([(0, ["a"]), (0, "a"), (1, "a"), (1, BOTH), (1, ["a"])], [(0, ["a"]), (1, ["a"])]),
        # One is tracked but not published: the others wait for the next image, no longer.
        ([(0, BOTH), (0, "a")], []),
        ([(0, BOTH), (0, "a"), (1, "a")], [(0, ["a"])]),
        # It is no longer tracked: what waits is complete.
        ([(0, BOTH), (0, "a"), (1, ["a"])], [(0, ["a"])]),
        # Nobody is there.
        ([(0, []), (1, [])], [(0, []), (1, [])]),
        ([(0, BOTH), (0, "a"), (1, [])], [(1, [])]),
        # A body that is not tracked is nobody's.
        ([(0, ["a"]), (0, "c"), (0, "a")], [(0, ["a"])]),
        # Time goes back: what waits is of another time.
        ([(5, BOTH), (5, "a"), (2, "a"), (2, "b")], [(2, BOTH)]),
        ([(5, ["a"]), (5, "a"), (2, "a"), (3, "a")], [(5, ["a"]), (2, ["a"]), (3, ["a"])]),
        ([(5, ["a"]), (5, "a"), (2, ["b"]), (2, "b")], [(5, ["a"]), (2, ["b"])]),
        # No stamps.
        ([(0, BOTH), *((0, name) for name in "abba")], [(0, BOTH), (0, BOTH)]),
    ],
)  # fmt: skip
def test_hri_images(events, images):
    assert gather(*events) == images


@pytest.mark.parametrize("name", BOTH)
def test_hri_late_body(name):
    emitted = Emitted()
    images = hri.Images(emitted)
    images.track(header(0), ["a", "b", "c"])
    images.add("c", Skeleton2D(header=header(0)))
    images.add("c", Skeleton2D(header=header(1)))
    with pytest.raises(InputError, match=rf"body '{name}' came after the other bodies of its"):
        images.add(name, Skeleton2D(header=header(0)))
    assert emitted.images == [(0, ["c"])]


def test_hri_late_body_of_an_image_that_was_complete():
    images = hri.Images(Emitted())
    images.track(header(0), ["a"])
    images.add("a", Skeleton2D(header=header(0)))
    images.track(header(0), BOTH)
    with pytest.raises(InputError, match=r"body 'b' came after"):
        images.add("b", Skeleton2D(header=header(0)))


def burst(*messages: PersonDetection) -> list[list[tuple[int, int]]]:
    """(person, joints found) of the people of each image that was handed on."""
    images: list[list[tuple[int, int]]] = []

    def emit(stamp: Any, people: list[Any]) -> None:
        found = np.isfinite(trt_pose.bodies(people, SIZE).points[..., 0]).sum(axis=-1)
        images.append([(p.person_id, int(n)) for p, n in zip(people, found, strict=True)])

    image = trt_pose.Image(emit)
    for index, message in enumerate(messages):
        image.add(message, index)
    return images


def grow(number: int, count: int, found: int) -> list[PersonDetection]:
    """The messages about one person as ros2_trt_pose sends them: a joint more in each."""
    return [trt_person(number, count, found=joints) for joints in range(1, found + 1)]


def test_trt_pose_image_is_complete_with_the_last_neck():
    assert burst(*grow(0, 2, 18), *grow(1, 2, 18)) == [[(0, 18), (1, 18)]]
    assert burst(*grow(0, 2, 12), *grow(1, 2, 18)) == [[(0, 12), (1, 18)]]


def test_trt_pose_image_ends_where_another_begins():
    assert burst(*grow(0, 1, 12)) == []
    assert burst(*grow(0, 1, 12), *grow(0, 1, 5)) == [[(0, 12)]]
    second = grow(0, 2, 18)
    assert burst(*grow(0, 2, 18), *grow(1, 2, 9), *second) == [[(0, 18), (1, 9)]]
    assert burst(*grow(1, 2, 9), *second) == [[(1, 9)]]  # the first person's messages were lost


@pytest.mark.parametrize("count", [0, 3])
def test_trt_pose_impossible_person(count):
    with pytest.raises(InputError, match=rf"person 3 of {count}, counted from 0"):
        burst(trt_person(3, count))
