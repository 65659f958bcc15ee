"""What a system must be able to rely on in a batch."""

from __future__ import annotations

from vipe_core.errors import VipeError
from vipe_training.augment.batch import Batch


def check_frames(batch: Batch, frames: int) -> None:
    """Raises VipeError when the windows of a batch are not of ``frames`` frames."""
    found = batch.features.shape[2] if batch.features.ndim == 4 else 1
    if found != frames:
        raise VipeError(f"batch.frames is {found}, but this system looks at {frames} at a time")
