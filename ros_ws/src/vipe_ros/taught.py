"""What action_node has been taught: a folder of recordings, and a file that grows."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vipe_core.actions import Example, Examples, examples_file
from vipe_core.errors import VipeError

if TYPE_CHECKING:
    from vipe_core.runtime import Model


def default_file() -> Path:
    """Where a robot's ROS keeps what its nodes remember: $ROS_HOME, or ~/.ros."""
    return Path(os.environ.get("ROS_HOME") or "~/.ros").expanduser() / "vipe" / "examples.npz"


@dataclass(frozen=True)
class Taught:
    """The examples of a node.

    Attributes:
        given: those of a folder, which stay as they are.
        learned: those of the file.
        file: where these are kept.
        warn: called with one line when the file is damaged and its last good state is taken.
    """

    given: Examples
    learned: Examples
    file: Path
    warn: Callable[[str], object]

    @classmethod
    def load(cls, folder: str, file: str, model: Model, warn: Callable[[str], object]) -> Taught:
        """What is there at the start.

        Args:
            folder: of recordings; "" for none.
            file: made when something is taught; "" for :func:`default_file`.
            model: must have made, or makes, their embeddings.
            warn: see the attribute.

        Raises:
            VipeError: a folder or a file that cannot be used; a file of another model, with the
                command that embeds it again.
        """
        none = Examples.empty_of(model)
        path = Path(file).expanduser() if file else default_file()
        given = Examples.from_folder(Path(folder).expanduser(), model) if folder else none
        there = examples_file.exists(path)
        learned = examples_file.read(path, model.fingerprint, warn) if there else none
        return cls(given, learned, path, warn)

    @property
    def examples(self) -> Examples:
        """All of them, those of the folder first."""
        return replace(self.given, examples=self.given.examples + self.learned.examples)

    def check(self, label: str, another: bool) -> None:
        """Raises VipeError for a label that is known, when it is not said that this is another
        example of it."""
        if self.examples.of(label) and not another:
            raise VipeError(
                f"{label!r} is taught already: set `another` to add one more example, or forget "
                "it first"
            )

    def with_example(self, example: Example) -> Taught:
        """And one more, which is in the file when this returns.

        Raises:
            VipeError: it cannot be taught, or the file cannot be written.
        """
        return self._changed(lambda found: found.added(example, another=True))

    def without(self, label: str, number: int) -> Taught:
        """Without a label, or without one of its examples; the file too when this returns.

        Args:
            number: which of the label's examples, counted from 0, those of the folder first; -1:
                all of them.

        Raises:
            VipeError: never taught, or taught by the folder; the file cannot be written.
        """
        fixed, count = len(self.given.of(label)), len(self.examples.of(label))
        if not count or not -1 <= number < count:
            self.examples.forgotten(label, number)  # which says what is wrong
        if 0 <= number < fixed or (number < 0 and fixed):
            raise VipeError(
                f"{label!r} is taught by the folder examples_dir, which stays as it is: take its "
                "recording out of there"
            )
        at = number - fixed if number >= 0 else -1
        return self._changed(lambda found: found.forgotten(label, at))

    def _changed(self, change: Callable[[Examples], Examples]) -> Taught:
        """What others have taught to the same file meanwhile comes along."""
        start = replace(self.given, examples=())
        found = examples_file.update(self.file, change, start, self.warn)
        return replace(self, learned=_as_known(found, self.learned))


def _as_known(found: Examples, known: Examples) -> Examples:
    """The same examples, as the objects that are known where they are: a recogniser keeps what
    it has learned about those."""
    objects = {_content(example): example for example in known.examples}
    same = (objects.get(_content(example), example) for example in found.examples)
    return replace(found, examples=tuple(same))


def _content(example: Example) -> tuple[str, str, bytes, bytes]:
    track = example.track
    mean, stamp = (np.asarray(values, np.float32) for values in (track.mean, track.stamp))
    return example.label, example.source, mean.tobytes(), stamp.tobytes()
