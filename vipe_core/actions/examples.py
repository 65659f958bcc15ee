"""Labelled examples of actions: what a recogniser is taught with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vipe_core import keypoint_file
from vipe_core.errors import VipeError
from vipe_core.estimate import estimate
from vipe_core.keypoint_file import KeypointFile
from vipe_core.track import Track

if TYPE_CHECKING:
    from vipe_core.runtime import Model

SHORTEST_S = 0.3


@dataclass(frozen=True)
class Example:
    """One performance of an action.

    Attributes:
        label: name of the action.
        track: its embeddings, from the first to the last moment of the action.
        source: where it comes from, for messages.
    """

    label: str
    track: Track
    source: str = ""


@dataclass(frozen=True)
class Examples:
    """The actions taught.

    Attributes:
        examples: one or more; several may share a label.
        sigmoid_a, sigmoid_b: match probability of the model that embedded them.
        fingerprint: of that model, "" when unknown.
    """

    examples: tuple[Example, ...]
    sigmoid_a: float
    sigmoid_b: float
    fingerprint: str = ""

    @property
    def labels(self) -> tuple[str, ...]:
        """The distinct labels, in the order first taught."""
        return tuple(dict.fromkeys(example.label for example in self.examples))

    @classmethod
    def from_examples(
        cls,
        examples: Iterable[Example],
        sigmoid_a: float,
        sigmoid_b: float,
        fingerprint: str = "",
    ) -> Examples:
        """Check examples and put them together.

        Raises:
            VipeError: none at all; one shorter than 0.3 s, without a label, called
                "unknown", with shapes that do not fit, or with a value that is not finite.
        """
        examples = tuple(examples)
        if not examples:
            raise VipeError("no examples of actions: teach at least one")
        size = np.shape(examples[0].track.mean)[-1]
        for example in examples:
            try:
                _check_example(example, size)
            except VipeError as error:
                where = example.source or f"example {example.label!r}"
                raise VipeError(f"{where}: {error}") from None
        return cls(examples, float(sigmoid_a), float(sigmoid_b), fingerprint)

    @classmethod
    def from_folder(cls, path: str | Path, model: Model) -> Examples:
        """Embed every keypoint file (``*.npz``, with a label) of a folder.

        Raises:
            VipeError: no such folder, no keypoint file in it, a file that is unreadable,
                without label, with several people or too short; a model without embedding.
        """
        folder = Path(path)
        if not folder.is_dir():
            raise VipeError(f"examples folder {folder} does not exist")
        files = sorted(folder.glob("*.npz"))
        if not files:
            raise VipeError(f"examples folder {folder} holds no keypoint file (*.npz)")
        examples = [_read_example(file, model) for file in files]
        info = model.metadata
        return cls.from_examples(examples, info.sigmoid_a, info.sigmoid_b, model.fingerprint)


def embed(content: KeypointFile, model: Model, person: int = 0) -> Track:
    """Embeddings of one person; frames without a single joint are left out.

    Raises:
        VipeError: no such person, no time, no frame with the person, a skeleton that the
            model cannot take, or a model without embedding.
    """
    points, visibility = content.person(person)
    stamps = content.stamps() if model.metadata.frames > 1 else None
    found, missing = estimate(model, points, visibility, content.skeleton, stamps=stamps)
    there = ~missing
    if not there.any():
        raise VipeError("no frame shows a person")
    if found.mean is None or found.variance is None:
        raise VipeError(f"model {model.path} has no embedding")
    mirror = (found.mirror_mean, found.mirror_variance)
    twin = (None if values is None else values[there] for values in mirror)
    return Track(content.stamps()[there], found.mean[there], found.variance[there], *twin)


def _read_example(file: Path, model: Model) -> Example:
    content = keypoint_file.read(file)
    try:
        if content.label is None:
            raise VipeError("label: missing, an example needs one")
        if content.people() != 1:
            raise VipeError(f"points: {content.people()} people, an example shows one")
        return Example(content.label, embed(content, model), f"keypoint file {file}")
    except VipeError as error:
        raise VipeError(f"keypoint file {file}: {error}") from None


def _check_example(example: Example, size: int) -> None:
    label, track = example.label, example.track
    if not label.strip() or label == "unknown":
        raise VipeError(f"label {label!r} cannot be taught")
    pair = (track.mean, track.variance)
    mirrored: Sequence[np.ndarray | None] = (track.mirror_mean, track.mirror_variance)
    for values in (*pair, *(v for v in mirrored if v is not None)):
        if np.shape(values) != (len(track), size):
            raise VipeError(f"embedding of shape {np.shape(values)}, ({len(track)}, {size}) needed")
        if not np.isfinite(values).all():
            raise VipeError("embedding holds a value that is not finite")
    if len(track) > 1 and not (np.diff(track.stamp) > 0).all():
        raise VipeError("stamps do not rise")
    if track.duration < SHORTEST_S - 1e-6:
        raise VipeError(f"{track.duration:.2f} s long, at least {SHORTEST_S} s needed")
