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

if TYPE_CHECKING:
    from vipe_core.runtime import Model

SHORTEST_S = 0.3


@dataclass(frozen=True)
class Track:
    """A person's embeddings over time.

    Attributes:
        stamp: (T,) seconds, strictly rising.
        mean, variance: (T, D) Gaussian embeddings, diagonal covariance.
        mirror_mean, mirror_variance: (T, D) those of the mirrored person, or None.
    """

    stamp: np.ndarray
    mean: np.ndarray
    variance: np.ndarray
    mirror_mean: np.ndarray | None = None
    mirror_variance: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.stamp)

    @property
    def duration(self) -> float:
        """Seconds from the first frame to the last; 0 with fewer than two."""
        return float(self.stamp[-1] - self.stamp[0]) if len(self) > 1 else 0.0

    def resampled(self, rate_hz: float) -> Track:
        """The same at even steps of 1 / rate_hz seconds, linear in between, both ends kept."""
        count = max(round(self.duration * rate_hz) + 1, 1)
        stamp = np.linspace(self.stamp[0], self.stamp[-1], count)

        def at(values: np.ndarray) -> np.ndarray:
            return interpolate(self.stamp, values, stamp)

        mirror = (self.mirror_mean, self.mirror_variance)
        twin = (None if values is None else at(values) for values in mirror)
        return Track(stamp, at(self.mean), at(self.variance), *twin)


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
class Gallery:
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
    ) -> Gallery:
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
    def from_folder(cls, path: str | Path, model: Model) -> Gallery:
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


def interpolate(stamp: np.ndarray, values: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Values (T, D) at stamps (T,), linear, read at other stamps (K,): (K, D) float64."""
    right = np.clip(np.searchsorted(stamp, at), 1, max(len(stamp) - 1, 1))
    if len(stamp) < 2:
        return np.repeat(np.asarray(values, np.float64), len(at), axis=0)
    left = right - 1
    share = np.clip((at - stamp[left]) / (stamp[right] - stamp[left]), 0, 1)[:, None]
    return values[left] * (1 - share) + values[right] * share


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
