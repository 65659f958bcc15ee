"""What a source is given, and what it gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from vipe_core.bodies import Bodies2D
from vipe_ros.errors import InputError

if TYPE_CHECKING:
    from std_msgs.msg import Header

    from vipe_ros.node import BaseNode

Size = tuple[int, int]


class Source(Protocol):
    """Something that listens until it is closed."""

    def close(self) -> None:
        """Stop listening; may be called again."""


@dataclass(frozen=True)
class Link:
    """Between a source and its node.

    Attributes:
        node: whose inputs the source opens, and who counts what cannot be used.
        topic: as the node names it, before remapping.
        camera_size: (width, height) in pixels of the images, None while that is not known.
        callback: gets the header and the people of one image.
    """

    node: BaseNode
    topic: str
    camera_size: Callable[[], Size | None]
    callback: Callable[[Header, Bodies2D], None]

    def size(self) -> Size | None:
        """The size of the images, when it is known and makes sense."""
        size = self.camera_size()
        return size if size is not None and min(size) > 0 else None


def needed(size: Size | None, why: str) -> Size:
    """The size of the images.

    Raises:
        InputError: it is not known.
    """
    if size is None:
        raise InputError(
            "no camera_info", f"{why}: the size of the image is needed, publish camera_info"
        )
    return size


class OneTopic:
    """A topic on which one message holds all people of one image.

    Args:
        kind: type of the messages.
        link: to the node.
        read: the people in a message, given the size of the images when it is known.
    """

    def __init__(
        self, kind: type, link: Link, *, read: Callable[[Any, Size | None], Bodies2D]
    ) -> None:
        self._link, self._read = link, read
        self._input = link.node.add_input(kind, link.topic, self._on_message)

    def close(self) -> None:
        self._link.node.remove_input(self._input)

    def _on_message(self, message: Any) -> None:
        self._link.callback(message.header, self._read(message, self._link.size()))
