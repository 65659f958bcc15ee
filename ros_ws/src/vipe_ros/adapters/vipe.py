"""vipe_msgs/Bodies2D: our own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from vipe_core.bodies import Bodies2D
from vipe_ros import convert
from vipe_ros.adapters.link import Size


def bodies(message: Any, size: Size | None) -> Bodies2D:
    """The people in a message; ``size`` counts where the message has none.

    Raises:
        InputError: unknown skeleton, or arrays that do not fit it.
    """
    people = convert.bodies_2d(message)
    return people if people.image_size else replace(people, image_size=size)
