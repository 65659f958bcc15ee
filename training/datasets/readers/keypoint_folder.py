"""Any folder of keypoint files (``.npz``, see vipe_core/keypoint_file.py), 2D only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import ClassVar

from vipe_core import keypoint_file, skeletons
from vipe_training.datasets.readers.common import find
from vipe_training.datasets.recording import Kind, Recording, Sequence


@dataclass(frozen=True)
class KeypointFolder:
    """Keypoint files at any depth. Each person of each file is a subject of its own."""

    folder: Path
    kind: ClassVar[Kind] = "keypoints"
    cameras: tuple[str, ...] = field(default=("",), init=False)

    def files(self) -> list[Path]:
        return find(self.folder, "**/*.npz", "keypoint files", "your own recordings")

    def sequences(self) -> Iterator[Sequence]:
        for path in self.files():
            name = path.relative_to(self.folder).with_suffix("").as_posix()
            yield Sequence(name, partial(self._read, path, name))

    def _read(self, path: Path, name: str) -> Iterator[Recording]:
        content = keypoint_file.read(path)
        for person in range(content.people()):
            points, visibility = content.person(person)
            visible = skeletons.convert_visibility(visibility, content.skeleton, "body13")
            yield Recording(
                subject=f"{name}/{person}" if content.people() > 1 else name,
                fps=content.fps or float("nan"),
                points=skeletons.convert(points, content.skeleton, "body13")[:, None],
                visibility=visible[:, None],
                label=content.label or "",
            )
