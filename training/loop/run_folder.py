"""The folder of a run: what a new run may replace, and what a resumed one must agree with."""

from __future__ import annotations

from pathlib import Path

from vipe_core.errors import VipeError
from vipe_core.files import check_writable
from vipe_training.loop.logs import EVENTS, METRICS

SUFFIX = "safetensors"
LAST, BEST = f"last.{SUFFIX}", f"best.{SUFFIX}"


def check(folder: Path, resume: bool, overwrite: bool) -> None:
    """Whether a run may use this folder, before anything slow.

    Args:
        folder: made when it is not there.
        resume: it must hold a run to continue.
        overwrite: a run that it holds may be removed, see :func:`clear`.

    Raises:
        VipeError: the folder cannot be written, or holds a run and neither was said, or
            holds none to resume.
    """
    check_writable(folder / METRICS)
    for half_written in folder.glob(f".*.{SUFFIX}.*.part"):  # by a process that was killed
        half_written.unlink()
    if resume:
        if not (folder / LAST).is_file():
            raise VipeError(f"no checkpoint {folder / LAST} to resume from")
        return
    if any((folder / name).exists() for name in (LAST, BEST)) and not overwrite:
        raise VipeError(
            f"{folder} holds a run: --resume continues it, --overwrite removes it first"
        )


def clear(folder: Path) -> None:
    """Remove an earlier run, once the new one is known to be able to start."""
    for path in (folder / METRICS, folder / LAST, folder / BEST, *folder.glob(EVENTS)):
        path.unlink(missing_ok=True)
