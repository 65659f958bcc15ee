"""Penn Action: ``labels/*.mat``, 2D only.

Per video: x, y, visibility (T, 13), head and then the limbs in the order of body13; action;
train (1 or -1). A point outside the picture is stored as hidden at (1, 1).
Source: the set's README, http://dreamdragon.github.io/PennAction.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np

from vipe_core.errors import VipeError
from vipe_training.datasets.readers.common import find, load_mat, shaped
from vipe_training.datasets.recording import Kind, Recording, Sequence

WHAT, GET = "Penn Action", "http://dreamdragon.github.io/PennAction"


@dataclass(frozen=True)
class PennAction:
    """The folder ``Penn_Action`` or its ``labels``. The head stands for the nose."""

    folder: Path
    kind: ClassVar[Kind] = "keypoints"
    cameras: tuple[str, ...] = field(default=("",), init=False)

    def files(self) -> list[Path]:
        inner = self.folder / "labels"
        return find(inner if inner.is_dir() else self.folder, "[0-9]*.mat", WHAT, GET)

    def sequences(self) -> Iterator[Sequence]:
        for path in self.files():
            yield Sequence(path.stem, partial(self._read, path))

    def _read(self, path: Path) -> Iterator[Recording]:
        data = load_mat(path, "x", "y", "visibility", "action", "train", "nframes")
        frames = int(shaped(data["nframes"], (1, 1), "nframes", path)[0, 0])
        x, y, visible = (
            shaped(data[name], (frames, 13), name, path) for name in ("x", "y", "visibility")
        )
        action = np.asarray(data["action"]).ravel()
        if action.size != 1 or action.dtype.kind != "U":
            raise VipeError(f"{path}: action is no text")
        points = np.stack([x, y], axis=-1).astype(np.float32)
        visible = np.clip(visible, 0, 1).astype(np.float32)
        outside = (visible == 0) & (points <= 1).all(axis=-1)
        # The name of the split is kept in the subject: whoever it is appears in one video.
        split = "train" if shaped(data["train"], (1, 1), "train", path)[0, 0] > 0 else "test"
        yield Recording(
            subject=f"{split}/{path.stem}",
            fps=float("nan"),
            points=np.where(outside[..., None], np.nan, points)[:, None],
            visibility=visible[:, None],
            label=str(action[0]),
        )
