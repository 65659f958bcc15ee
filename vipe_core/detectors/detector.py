"""What every 2D pose detector is, and how one is chosen."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np

from vipe_core.bodies import Bodies2D
from vipe_core.detectors import configuration
from vipe_core.detectors.blazepose import BlazePose
from vipe_core.detectors.onnx_pose import OneStage, TopDown


class Detector(Protocol):
    """Finds people in images.

    Attributes:
        name: of the detector, for messages.
        backend: what runs its networks.
        model: the files of its networks.
        skeleton: name of the skeleton of the people it finds.
    """

    skeleton: str
    name: str
    backend: str
    model: str

    def __call__(self, image: np.ndarray) -> Bodies2D:
        """The people in the next image.

        Args:
            image: (H, W, 3) uint8, BGR. Any size; the size may change between calls.

        Returns:
            Its people, none or several, without track ids. A joint outside the image keeps its
            coordinates and has visibility 0.

        Raises:
            VipeError: not such an image.
        """
        ...

    def reset(self) -> None:
        """Forget what earlier images showed."""
        ...


def load(
    path: str | Path = "",
    assets_dir: str | Path | None = None,
    variant: str = "full",
    threads: int = 2,
) -> Detector:
    """A detector by its YAML file, see :mod:`vipe_core.detectors.configuration`.

    Args:
        path: the file; empty: BlazePose.
        assets_dir, variant: of BlazePose.
        threads: CPU threads of the networks.

    Raises:
        VipeError: a file is missing or not what it should be; one line says which.
    """
    if not str(path):
        return BlazePose(assets_dir, variant, threads)
    given = configuration.read(path)
    kind = TopDown if given.layout in configuration.TOP_DOWN else OneStage
    return kind(given, threads)
