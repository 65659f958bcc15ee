"""People from any 2D keypoint source, whatever type it publishes.

``ADAPTERS`` names every type that is understood, with what reads it. The package of a type is
imported when the type is asked for, so none of them needs to be installed.

    source = adapters.open_source(node, "bodies_2d", "auto", camera_size, on_people)
    ...
    source.close()

``on_people(header, people)`` gets a ``std_msgs/Header`` and a :class:`vipe_core.bodies.Bodies2D` in
pixels per image; what cannot be used is an :class:`~vipe_ros.errors.InputError`, which the node
counts and says once.
"""

from __future__ import annotations

from vipe_ros.adapters.link import Link, Source
from vipe_ros.adapters.lookup import ADAPTERS, AUTO, Adapter, check, open_source

__all__ = ["ADAPTERS", "AUTO", "Adapter", "Link", "Source", "check", "open_source"]
