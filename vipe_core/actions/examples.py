"""Labelled examples of actions: what a recogniser is taught with."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vipe_core.actions.checks import check_example
from vipe_core.errors import VipeError
from vipe_core.estimate import estimate
from vipe_core.track import Track

if TYPE_CHECKING:
    from vipe_core.runtime import Model


@dataclass(frozen=True)
class Keypoints:
    """What an example was embedded from, kept so that another model can embed it again.

    Attributes:
        points: (T, J, 2) pixels, x right, y down; NaN where a joint is missing. One row per
            stamp of the example's track.
        visibility: (T, J) in 0..1.
        skeleton: name of the skeleton that orders the joints.
    """

    points: np.ndarray
    visibility: np.ndarray
    skeleton: str


@dataclass(frozen=True)
class Example:
    """One performance of an action.

    Attributes:
        label: name of the action; spaces around it do not count and are taken off.
        track: its embeddings, from the first to the last moment of the action.
        source: where it comes from, for messages.
        keypoints: what was embedded; None where only embeddings were kept.
    """

    label: str
    track: Track
    source: str = ""
    keypoints: Keypoints | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "label", self.label.strip())


@dataclass(frozen=True)
class Examples:
    """The actions taught.

    Attributes:
        examples: in the order taught; several may share a label, and there may be none.
        sigmoid_a, sigmoid_b: match probability of the model that embedded them.
        fingerprint: of that model, "" when unknown.
        model: its name and version, "" when unknown.
    """

    examples: tuple[Example, ...]
    sigmoid_a: float
    sigmoid_b: float
    fingerprint: str = ""
    model: str = ""

    def __len__(self) -> int:
        return len(self.examples)

    @property
    def labels(self) -> tuple[str, ...]:
        """The distinct labels, in the order first taught."""
        return tuple(dict.fromkeys(example.label for example in self.examples))

    def of(self, label: str) -> tuple[Example, ...]:
        """The examples of one label, in the order taught; spaces around it do not count."""
        label = label.strip()
        return tuple(example for example in self.examples if example.label == label)

    @classmethod
    def empty(
        cls, sigmoid_a: float, sigmoid_b: float, fingerprint: str = "", model: str = ""
    ) -> Examples:
        """Nothing taught yet."""
        return cls((), float(sigmoid_a), float(sigmoid_b), fingerprint, model)

    @classmethod
    def empty_of(cls, model: Model) -> Examples:
        """Nothing taught yet, with a model; raises VipeError for one without embedding."""
        info = model.metadata
        if not info.has_embedding or info.sigmoid_a is None or info.sigmoid_b is None:
            raise VipeError(f"model {model.path} has no embedding: give another one")
        name = f"{info.name} {info.version}"
        return cls.empty(info.sigmoid_a, info.sigmoid_b, model.fingerprint, name)

    @classmethod
    def from_examples(
        cls,
        examples: Iterable[Example],
        sigmoid_a: float,
        sigmoid_b: float,
        fingerprint: str = "",
        model: str = "",
    ) -> Examples:
        """Check examples and put them together.

        Raises:
            VipeError: none at all; one shorter than 0.3 s or longer than two minutes, without
                a label, called "unknown", with shapes that do not fit, or with a value that
                is not finite.
        """
        examples = tuple(examples)
        if not examples:
            raise VipeError("no examples of actions: teach at least one")
        for example in examples:
            check_example(example, _size(examples[0]))
        return cls(examples, float(sigmoid_a), float(sigmoid_b), fingerprint, model)

    @classmethod
    def from_folder(
        cls, path: str | Path, model: Model, notify: Callable[[str], object] | None = None
    ) -> Examples:
        """Embed every recording of a folder and of those below it.

        The label of a recording is its own; that of a video, bag or episode without one is its
        file's name up to a trailing number: ``wave_2.mp4`` shows "wave".

        Args:
            path: the folder.
            model: see :func:`vipe_core.runtime.load`.
            notify: called with one line about each thing that was left out while reading.

        Raises:
            VipeError: no such folder, no recording in it, a file that is unreadable, without
                label, with several people or too short, or of another model, an examples file;
                a model without embedding.
        """
        from vipe_core.actions import from_recordings  # which makes what is defined here

        return from_recordings.from_folder(Path(path), model, notify)

    def added(self, example: Example, another: bool = False, fingerprint: str = "") -> Examples:
        """These and one more.

        Args:
            example: what is taught.
            another: its label may be known already.
            fingerprint: of the model that embedded it; "" when it is surely the same.

        Raises:
            VipeError: as :meth:`from_examples`; a label that is known, without ``another``;
                embeddings of another model.
        """
        self.check_model(fingerprint)
        check_example(example, _size(self.examples[0]) if self.examples else _size(example))
        self.check_new(example.label, another)
        return replace(self, examples=(*self.examples, example))

    def check_new(self, label: str, another: bool = False) -> None:
        """Raises VipeError for a label that is taught already, unless ``another`` is."""
        known = len(self.of(label))
        if known and not another:
            raise VipeError(
                f"label {label!r} is taught already ({_count(known, 'example')}): add one more "
                "with `another` (vipe teach --another), or forget it first"
            )

    def forgotten(self, label: str, example: int = -1) -> Examples:
        """These without a label, or without one of its examples.

        Args:
            label: a label that was taught.
            example: which of its examples, counted from 0; -1: all of them.

        Raises:
            VipeError: never taught; the line says what was.
        """
        known = self.of(label)
        if not known:
            taught = ", ".join(self.labels) or "nothing"
            raise VipeError(f"{label!r} was never taught; taught: {taught}")
        if not -1 <= example < len(known):
            raise VipeError(
                f"{label!r} has {_count(len(known), 'example')}, counted from 0: there is no "
                f"number {example}"
            )
        gone = known if example == -1 else (known[example],)
        kept = (e for e in self.examples if not any(e is lost for lost in gone))
        return replace(self, examples=tuple(kept))

    def check_model(self, fingerprint: str, file: str | Path = "FILE") -> None:
        """Raises VipeError for embeddings of another model; it names the command to run on
        ``file``, where these examples are kept. An unknown model ("") passes."""
        if self.fingerprint and fingerprint and self.fingerprint != fingerprint:
            name = f"{self.model} ({self.fingerprint})" if self.model else self.fingerprint
            raise VipeError(
                f"the examples were embedded by model {name}, not by {fingerprint}; embed them "
                f"again: vipe teach {file} --embed-again --model MODEL.onnx"
            )

    def reembedded(self, model: Model) -> Examples:
        """The same examples, embedded by another model from the keypoints that were kept.

        A model of windows of frames sees nothing before an example's beginning and after its end.

        Raises:
            VipeError: examples without keypoints (all are named), keypoints that the model
                cannot take, a model without embedding, or nothing left of an example.
        """
        lost = [_name(example) for example in self.examples if example.keypoints is None]
        if lost:
            raise VipeError(
                f"no keypoints were kept of {', '.join(lost)}: forget and teach it again"
            )
        out = Examples.empty_of(model)
        for example in self.examples:
            try:
                out = out.added(_embedded_again(example, model), another=True)
            except VipeError as error:
                raise VipeError(f"{_name(example)}: {error}") from None
        return out


def embedded(keypoints: Keypoints, stamp: np.ndarray, model: Model) -> tuple[Track, np.ndarray]:
    """Embeddings of the T rows of keypoints at stamps (T,) where the model can see a person,
    and which rows (T,) those are.

    Raises:
        VipeError: no such row, a skeleton that the model cannot take, or a model without
            embedding.
    """
    found, missing = estimate(
        model, keypoints.points, keypoints.visibility, keypoints.skeleton, stamps=stamp
    )
    there = ~missing
    if not there.any():
        raise VipeError("no frame shows a person")
    if found.mean is None or found.variance is None:
        raise VipeError(f"model {model.path} has no embedding")
    mirror = (found.mirror_mean, found.mirror_variance)
    twin = (None if values is None else values[there] for values in mirror)
    return Track(stamp[there], found.mean[there], found.variance[there], *twin), there


def _embedded_again(example: Example, model: Model) -> Example:
    before = example.keypoints
    assert before is not None
    track, there = embedded(before, example.track.stamp, model)
    kept = Keypoints(before.points[there], before.visibility[there], before.skeleton)
    return replace(example, track=track, keypoints=kept)


def _size(example: Example) -> int:
    """Dimensions of an example's embeddings."""
    return int(np.shape(example.track.mean)[-1])


def _name(example: Example) -> str:
    return f"{example.label!r} ({example.source})" if example.source else f"{example.label!r}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
