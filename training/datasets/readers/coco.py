"""COCO keypoints: ``annotations/person_keypoints_*.json``, single pictures, 2D only.

Each person's ``keypoints`` are 17 times x, y, v; v is 0 for a point that is not labelled, 1 for
one that is labelled but hidden, 2 for a visible one. Source: https://cocodataset.org/#format-data.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from vipe_core import skeletons
from vipe_core.errors import VipeError
from vipe_training.datasets.json_stream import elements
from vipe_training.datasets.readers.common import find, need
from vipe_training.datasets.recording import Kind, Recording, Sequence

WHAT, GET = "COCO", "https://cocodataset.org (2017 Train/Val annotations)"
_BLOCK = 4096


@dataclass(frozen=True)
class Coco:
    """One ``person_keypoints_*.json``, or a folder that holds them. Every person is a clip.

    A hidden point keeps its place and has visibility 0; one without a label is missing.
    Crowds and people without a single label are left out.
    """

    source: Path
    kind: ClassVar[Kind] = "keypoints"
    cameras: tuple[str, ...] = field(default=("",), init=False)

    def files(self) -> list[Path]:
        if self.source.suffix == ".json":
            return [need(self.source, WHAT, GET)]
        names = ("person_keypoints_*.json", "annotations/person_keypoints_*.json")
        return find(self.source, names, WHAT, GET)

    def sequences(self) -> Iterator[Sequence]:
        for path in self.files():
            yield Sequence(path.stem, partial(self._read, path))

    def _read(self, path: Path) -> Iterator[Recording]:
        people = _people(path)
        while block := list(islice(people, _BLOCK)):
            keypoints = np.array(block, np.float32).reshape(-1, 17, 3)
            points = np.where(keypoints[..., 2:] > 0, keypoints[..., :2], np.nan)
            visible = (keypoints[..., 2] == 2).astype(np.float32)
            yield Recording(
                subject=path.stem,
                fps=float("nan"),
                points=skeletons.convert(points, "coco17", "body13")[:, None],
                visibility=skeletons.convert_visibility(visible, "coco17", "body13")[:, None],
                stills=True,
            )


def _people(path: Path) -> Iterator[list[float]]:
    """51 numbers per person. Raises VipeError where a person has other keypoints."""
    annotations: Iterable[Any] = elements(path, "annotations", WHAT)
    for number, person in enumerate(annotations):
        keypoints = person.get("keypoints") if isinstance(person, dict) else None
        if not isinstance(keypoints, list) or len(keypoints) != 51:
            raise VipeError(f"{path}: annotation {number} has no 17 keypoints of x, y, v")
        if not person.get("iscrowd") and any(keypoints[2::3]):
            yield keypoints
