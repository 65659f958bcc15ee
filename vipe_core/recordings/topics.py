"""Which topics of a bag are read, and for what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vipe_core import image_message
from vipe_core.errors import VipeError
from vipe_core.recordings import messages
from vipe_core.recordings.messages import BODIES, COMPRESSED, EMBEDDINGS, IMAGE, READABLE

if TYPE_CHECKING:
    from vipe_core.recordings.bag_files import BagFiles
    from vipe_core.recordings.messages import Types

_TRACKED = "/tracked"  # how vipe_node ends the topic of people it has named


@dataclass(frozen=True)
class Choice:
    """What is read.

    Attributes:
        leading: the topic that makes the moments.
        kind: its type.
        people: topics with the keypoints of embeddings.
        images: topics with images.
    """

    leading: str
    kind: str
    people: tuple[str, ...] = ()
    images: tuple[str, ...] = ()


class Chooser:
    """Looks at what a bag holds.

    Args:
        name: of the bag, to begin messages with.
        files, types: of the bag.
        fingerprint: of the model; embeddings of another are of no use.
    """

    def __init__(self, name: str, files: BagFiles, types: Types, fingerprint: str) -> None:
        self._name, self._files, self._types = name, files, types
        self._fingerprint = fingerprint
        used = {t: k for t, k in sorted(files.types().items()) if k in READABLE and files.count(t)}
        self._kinds = {topic: kind for topic, kind in used.items() if types.defines(kind)}
        self.notes = [
            f"{name} does not define {kind}: source a workspace that has it to read such topics"
            for kind in dict.fromkeys(used.values())
            if not types.defines(kind)
        ]

    def choose(self, topic: str | None) -> Choice:
        """The best topic there is, or the one named.

        Embeddings of this model are better than keypoints, named people better than
        nameless ones, keypoints better than images.

        Raises:
            VipeError: none, several that are as good, or one named that will not do.
        """
        if topic is not None:
            return self._named(topic)
        for candidates in (self._embeddings(), *self._bodies(), self._images()):
            if len(candidates) > 1:
                raise VipeError(
                    f"{self._name}: several topics would do, name one: {', '.join(candidates)}"
                )
            if candidates:
                return self._choice(candidates[0])
        if self.notes:
            raise VipeError(self.notes[0])
        everything = [f"{name} ({kind})" for name, kind in sorted(self._files.types().items())]
        raise VipeError(
            f"{self._name} has no topic that shows people; it needs one of "
            f"{', '.join(READABLE)} and has {', '.join(everything) or 'none'}"
        )

    def _named(self, topic: str) -> Choice:
        if topic not in self._kinds:
            raise VipeError(
                f"{self._name} has no topic {topic!r} of use; "
                f"choices: {', '.join(self._kinds) or 'none'}"
            )
        made_by = self._made_by(topic) if self._kinds[topic] == EMBEDDINGS else self._fingerprint
        if made_by != self._fingerprint:
            raise VipeError(
                f"{self._name}: {topic} holds embeddings of model {made_by}, not of "
                f"{self._fingerprint}; name a topic of keypoints or images instead"
            )
        return self._choice(topic)

    def _choice(self, topic: str) -> Choice:
        kind = self._kinds[topic]
        tracked, others = self._bodies()
        people = tuple(tracked or others) if kind == EMBEDDINGS else ()
        images = () if kind in (IMAGE, COMPRESSED) else self._pictures(topic)
        return Choice(topic, kind, people, images)

    def _pictures(self, topic: str) -> tuple[str, ...]:
        """The topic of the images that belong to a topic of people: of several cameras the
        one in whose frame these are."""
        topics = self._images()
        if len(topics) > 1:
            frame = self._frame(topic)
            topics = [other for other in topics if self._frame(other) == frame][:1]
        return tuple(topics)

    def _frame(self, topic: str) -> str:
        data = self._files.first(topic)
        return messages.header(data).frame_id if data else ""

    def _embeddings(self) -> list[str]:
        """Those of this model; a note about others."""
        topics = [topic for topic, kind in self._kinds.items() if kind == EMBEDDINGS]
        usable = []
        for topic in topics:
            made_by = self._made_by(topic)
            if made_by == self._fingerprint:
                usable.append(topic)
            else:
                self.notes.append(
                    f"{self._name}: embeddings on {topic} are of model {made_by}, not of "
                    f"{self._fingerprint}: made again from what else is there"
                )
        return usable

    def _made_by(self, topic: str) -> str:
        message = self._first(topic, EMBEDDINGS)
        return message.fingerprint if message is not None else ""

    def _bodies(self) -> tuple[list[str], list[str]]:
        """Topics of named people, and of others."""
        topics = [topic for topic, kind in self._kinds.items() if kind == BODIES]
        tracked = [topic for topic in topics if topic.endswith(_TRACKED)]
        return tracked, [topic for topic in topics if topic not in tracked]

    def _images(self) -> list[str]:
        """Topics of colour images; a compressed one only where there is no raw one."""
        raw = [t for t, kind in self._kinds.items() if kind == IMAGE and self._is_colour(t)]
        packed = [
            topic
            for topic, kind in self._kinds.items()
            if kind == COMPRESSED
            and topic.rpartition("/")[0] not in raw
            and "depth" not in topic.lower()
        ]
        return raw + packed

    def _is_colour(self, topic: str) -> bool:
        message = self._first(topic, IMAGE)
        return message is not None and image_message.is_colour(message.encoding)

    def _first(self, topic: str, kind: str) -> Any:
        """The first message on a topic; None when there is none or it is damaged."""
        data = self._files.first(topic)
        try:
            return self._types.message(data, kind) if data else None
        except VipeError:
            return None
