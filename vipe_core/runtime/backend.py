"""What every backend offers, and what it is made from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from vipe_core.errors import VipeError
from vipe_core.model_file.check import CheckVectors
from vipe_core.model_file.metadata import ModelMetadata


class Unavailable(VipeError):
    """A backend that cannot run here; the file may be fine, another backend may do."""


@dataclass(frozen=True)
class Request:
    """What a backend is asked to run, and how.

    Attributes:
        path: the model file, for messages.
        data: its content.
        fingerprint: first 12 hexadecimal digits of the SHA-256 of ``data``.
        batch: sizes N that calls will mostly have.
        precision: of the engine to take; None: the one built last. onnxruntime computes in the
            file's own.
        threads: CPU threads for one call.
        build: make an engine where one is needed and there is none.
    """

    path: Path
    data: bytes
    fingerprint: str
    batch: tuple[int, ...] = (1,)
    precision: str | None = None
    threads: int = 1
    build: bool = False


class Backend(Protocol):
    """What runs the graph.

    Attributes:
        name: as in :data:`vipe_core.runtime.BACKENDS`.
        precision: what the matrix products are computed with: fp32, fp16 or int8.
        metadata, check: of the file, everything checked.
    """

    name: str
    precision: str
    metadata: ModelMetadata
    check: CheckVectors

    def run(self, points: np.ndarray, visibility: np.ndarray) -> dict[str, np.ndarray]:
        """Outputs by name for (N, [T,] J, 2) and (N, [T,] J), C-contiguous float32, 1 <= N.

        Safe to call from several threads at once; the arrays belong to the caller.
        """
        ...
