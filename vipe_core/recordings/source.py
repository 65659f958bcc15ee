"""What every opened recording is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from vipe_core.bodies import Bodies2D
from vipe_core.pipeline import Options, Pipeline
from vipe_core.recordings.recording import Moment
from vipe_core.recordings.windowed import Still
from vipe_core.runtime import Model


class Source(ABC):
    """One recording, opened; a context manager.

    Attributes:
        path: where it lies.
        kind: keypoints, embeddings, video, image or bag.
        label: what is done in it; None when it does not say.
        image_size: (width, height) in pixels; None when unknown, or not known before the
            first moment has been read.
        count: how many moments it has, or says it has; None when unknown.
        notes: what was left out while reading, one line each.
    """

    kind: str

    def __init__(
        self,
        path: Path,
        label: str | None = None,
        image_size: tuple[int, int] | None = None,
        count: int | None = None,
    ) -> None:
        self.path, self.label = path, label
        self.image_size, self.count = image_size, count
        self.notes: list[str] = []
        self._resources = ExitStack()

    @abstractmethod
    def moments(self) -> Iterator[Moment]:
        """Its moments in the order of time, from the first one each time it is called.

        No more of them is held than is needed for the next one.

        Raises:
            VipeError: while reading, when the file turns out to be damaged.
        """

    def note(self, line: str) -> None:
        """Keep a line for :attr:`notes`, once."""
        if line not in self.notes:
            self.notes.append(line)

    def close(self) -> None:
        """Give back what is open. Twice does no harm."""
        self._resources.close()

    def __enter__(self) -> Source:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Follower:
    """People in images through a pipeline, as the node sees them live.

    Who has no id yet is called "0", "1", ... in the order of being seen: the node draws ids at
    random, but a recording read twice shall give the same names.

    Args:
        model, options: of :class:`vipe_core.pipeline.Pipeline`.
    """

    def __init__(self, model: Model, options: Options | None) -> None:
        seer: Any = model if model.metadata.frames == 1 else Still(model)
        self._pipeline = Pipeline(seer, replace(options or Options(), placement="none"))
        self._names: dict[str, str] = {}

    def moment(self, stamp_s: float, people: Bodies2D, image: np.ndarray | None) -> Moment:
        """Who is seen in one image, named and with their sides repaired."""
        scene = self._pipeline(people, stamp_s)
        given = {name: name for name in people.track_ids if name}
        self._names |= given
        names = tuple(self._name(name) for name in scene.people.track_ids)
        seen = scene.people.with_track_ids(names)
        return Moment(stamp_s, named(names), scene.estimates, seen, image)

    def _name(self, drawn: str) -> str:
        """The name of who was given an id by the pipeline."""
        if drawn and drawn not in self._names:
            used = set(self._names.values())
            self._names[drawn] = next(name for name in map(str, count()) if name not in used)
        return self._names.get(drawn, "")


def named(track_ids: tuple[str, ...]) -> tuple[str, ...]:
    """The ids; who has none goes by the place in the image's list."""
    return tuple(name or str(row) for row, name in enumerate(track_ids))
