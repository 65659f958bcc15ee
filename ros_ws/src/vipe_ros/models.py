"""Loading the model that two nodes share."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

from vipe_core import model_file, runtime
from vipe_core.errors import VipeError
from vipe_ros.errors import InputError

if TYPE_CHECKING:
    from vipe_msgs.msg import Embeddings

    from vipe_core.runtime import Model
    from vipe_ros.diagnostics import Report

SKELETON = "body13"
BATCH = (1, 8)  # a person, and a group, are what images show


def load(path: str, backend: str, report: Report, threads: int = 1) -> Model:
    """The model of the parameters ``model``, ``backend`` and ``threads``; its facts go to
    diagnostics.

    Raises:
        VipeError: missing, damaged, not for the skeleton that the messages promise, or for
            windows of frames, which the nodes do not gather.
    """
    model = runtime.load(path or model_file.default_path(), backend, BATCH, threads)
    info = model.metadata
    if info.skeleton_2d != SKELETON:
        raise VipeError(
            f"model {model.path} reads {info.skeleton_2d}, the nodes need {SKELETON}; "
            "give another file with the parameter model"
        )
    if info.frames > 1:
        raise VipeError(
            f"model {model.path} looks at windows of {info.frames} frames, the nodes see one "
            "image at a time; give a single-frame model with the parameter model"
        )
    report.facts |= {
        "backend": model.backend,
        "precision": model.precision,
        "model": f"{info.name} {info.version}",
        "fingerprint": model.fingerprint,
        "model file": str(model.path),
    }
    report.facts |= {
        f"not used: {name}": why
        for name, _, why in (reason.partition(": ") for reason in model.passed_over)
    }
    _give_back_memory()
    return model


def load_embedding(path: str, backend: str, report: Report) -> Model:
    """As :func:`load`; raises VipeError also for a model that makes no embeddings."""
    model = load(path, backend, report)
    if not model.metadata.has_embedding:
        raise VipeError(f"model {model.path} makes no embeddings; give another one")
    return model


def check_same(message: Embeddings, model: Model) -> None:
    """Raises InputError for embeddings of another model."""
    if message.fingerprint != model.fingerprint:
        raise InputError(
            "fingerprint mismatch",
            f"embeddings are of model {message.model} {message.fingerprint}, not of "
            f"{model.fingerprint}; give both nodes the same model",
        )


def _give_back_memory() -> None:
    """What loading took and freed goes back to the system: glibc keeps 35 MB of it otherwise."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
