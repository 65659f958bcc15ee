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
        read_at: which state of the file was read; None where that is not known.
    """

    given: Examples
    learned: Examples
    file: Path
    warn: Callable[[str], object]
    read_at: tuple[int, ...] | None = None

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
        read_at, there = _state(path), examples_file.exists(path)
        learned = examples_file.read(path, model.fingerprint, warn) if there else none
        return cls(given, learned, path, warn, read_at)

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
            VipeError: never taught, or taught by the folder; a number, and the file was changed
                by others meanwhile; it cannot be written.
        """
        now = self.read_again()
        if number >= 0:
            self._check_unchanged(now.learned)
        fixed, count = len(now.given.of(label)), len(now.examples.of(label))
        if not count or not -1 <= number < count:
            now.examples.forgotten(label, number)  # which says what is wrong
        if 0 <= number < fixed or (number < 0 and fixed):
            raise VipeError(
                f"{label!r} is taught by the folder examples_dir, which stays as it is: take its "
                "recording out of there"
            )
        at = number - fixed if number >= 0 else -1

        def forgotten(found: Examples) -> Examples:
            if number >= 0:  # nobody else changes the file from here on
                self._check_unchanged(found)
            return found.forgotten(label, at)

        return now._changed(forgotten)

    def read_again(self) -> Taught:
        """What is in the file now: others may have changed it. ``learned`` is the same object
        when they did not.

        Raises:
            VipeError: the file cannot be used.
        """
        read_at, found = _state(self.file), replace(self.given, examples=())
        if read_at == self.read_at is not None:
            return self
        if examples_file.exists(self.file):
            found = examples_file.read(self.file, self.given.fingerprint, self.warn)
        if _contents(found) == _contents(self.learned):
            return replace(self, read_at=read_at)
        return replace(self, learned=_as_known(found, self.learned), read_at=read_at)

    def _check_unchanged(self, found: Examples) -> None:
        """Raises VipeError when a number that counts these examples may mean another one in the
        file."""
        if _contents(found) != _contents(self.learned):
            raise VipeError(
                f"examples file {self.file} was changed by somebody else since it was listed: "
                "nothing is forgotten; list the examples again and give the number there"
            )

    def _changed(self, change: Callable[[Examples], Examples]) -> Taught:
        """What others have taught to the same file meanwhile comes along."""
        start = replace(self.given, examples=())
        found = examples_file.update(self.file, change, start, self.warn)
        return replace(self, learned=_as_known(found, self.learned), read_at=None)


def _state(file: Path) -> tuple[int, ...] | None:
    """Another one after every change: a change makes another file of the same name."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _as_known(found: Examples, known: Examples) -> Examples:
    """The same examples, as the objects that are known where they are: a recogniser keeps what
    it has learned about those."""
    objects = {_content(example): example for example in known.examples}
    same = (objects.get(_content(example), example) for example in found.examples)
    return replace(found, examples=tuple(same))


def _contents(examples: Examples) -> list[tuple[str, str, bytes, bytes]]:
    return [_content(example) for example in examples.examples]


def _content(example: Example) -> tuple[str, str, bytes, bytes]:
    track = example.track
    mean, stamp = (np.asarray(values, np.float32) for values in (track.mean, track.stamp))
    return example.label, example.source, mean.tobytes(), stamp.tobytes()
