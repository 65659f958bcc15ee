"""Opening a recording, of whatever kind it is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vipe_core import files
from vipe_core.errors import VipeError
from vipe_core.recordings import kinds
from vipe_core.recordings.clips import EmbeddingSource, KeypointSource
from vipe_core.recordings.source import Source
from vipe_core.recordings.video import ImageSource, VideoSource, load_detector

if TYPE_CHECKING:
    from vipe_core.detectors import Detector
    from vipe_core.pipeline import Options
    from vipe_core.runtime import Model


def open_source(
    path: str | Path,
    model: Model,
    detector: Detector | str | Path | None = None,
    images: bool = False,
    options: Options | None = None,
    topic: str | None = None,
) -> Source:
    """Open a recording.

    Args:
        path: a keypoint file or an embedding file (``.npz``), a video, an image, a bag (its
            folder, or one ``.mcap`` or ``.db3`` file), or an episode: a folder that holds a bag.
        model: makes the embeddings; see :func:`vipe_core.runtime.load`.
        detector: finds people where there are images only: a detector, or the YAML file of
            one; None: BlazePose. Loaded when it is needed.
        images: whether moments keep their image, where there is one.
        options: of the pipeline that follows people in videos and bags.
        topic: of a bag, when several would do.

    Raises:
        VipeError: no such file, none that is a recording, damaged or empty; embeddings of
            another model, a skeleton that the model cannot take; a detector or a library that
            is missing. One line says which and what to do.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise VipeError(f"recording {path} does not exist")
    try:
        return _open(path, model, detector, images, options, topic)
    except OSError as error:
        raise VipeError(f"recording {path}: {error.strerror or error}") from None


def _open(
    path: Path,
    model: Model,
    detector: Detector | str | Path | None,
    images: bool,
    options: Options | None,
    topic: str | None,
) -> Source:
    files.check_regular(path, "recording")
    if not model.metadata.has_embedding:
        raise VipeError(f"model {model.path} gives no embedding, its task is {model.metadata.task}")
    ending = kinds.suffix(path)
    if path.is_file() and not kinds.is_known(path):
        raise VipeError(f"recording {path}: unknown ending {ending!r}; known: {kinds.KNOWN}")
    if path.is_file() and not path.stat().st_size:
        raise VipeError(f"recording {path} is empty")
    if path.is_dir() or ending in kinds.STORAGES:
        from vipe_core.recordings.bag import BagSource

        return BagSource(_bag(path), model, detector, options, images, topic)
    if ending == kinds.CLIP:
        return _open_clip(path, model)
    kind = VideoSource if ending in kinds.VIDEOS else ImageSource
    return kind(path, model, load_detector(detector, model), options, images)


def _open_clip(path: Path, model: Model) -> Source:
    """A keypoint file, unless the fields are those of an embedding file."""
    if kinds.is_examples_file(path):
        raise VipeError(f"recording {path}: it is an examples file (vipe teach), not a recording")
    fields = kinds.clip_fields(path)
    embeddings = "mean" in fields and "points" not in fields
    return EmbeddingSource(path, model) if embeddings else KeypointSource(path, model)


def _bag(path: Path) -> Path:
    """The bag itself, for an episode: the folder around it."""
    if not path.is_dir() or kinds.is_bag(path):
        return path
    inside = sorted(entry for entry in path.iterdir() if kinds.holds_messages(entry))
    if len(inside) == 1:
        return inside[0]
    if inside:
        names = ", ".join(entry.name for entry in inside)
        raise VipeError(f"folder {path} holds {len(inside)} bags: name one of {names}")
    raise VipeError(f"folder {path} is no recording: no bag is in it ({kinds.METADATA})")
