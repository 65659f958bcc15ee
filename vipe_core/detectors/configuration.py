"""The YAML file that describes a pose model of one's own.

    model: rtmpose-m.onnx        # beside this file
    layout: simcc                # what comes out of it: see LAYOUTS
    skeleton: coco17
    person: {model: rtmdet-nano.onnx, layout: rtmdet}

``config/detectors/`` holds an example for every layout. A key that nobody knows is an error.
What a layout's own tools do with pixels is the default of ``input`` (RTMPose, RTMDet, RTMO:
the data_preprocessor of their mmpose and mmdet configurations; YOLO: Ultralytics' LetterBox).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from reprlib import repr  # of a file that may be anything
from typing import Any

from vipe_core.detectors import values
from vipe_core.errors import VipeError

TOP_DOWN = ("simcc", "heatmap")
ONE_STAGE = ("rtmo", "yolo_pose")
LAYOUTS = (*TOP_DOWN, *ONE_STAGE)
PERSON_LAYOUTS = ("rtmdet", "yolox", "yolo")
TRACK = "track"


@dataclass(frozen=True)
class Pixels:
    """How an image becomes the input of a network.

    Attributes:
        size: (width, height) in pixels; None: what the model file says.
        channels: rgb or bgr, the order of the network's channels, and of mean and std.
        scale, mean, std: the network gets (value * scale - mean) / std of 0..255.
        place: where a whole image lies in the input, corner (upper left) or centre.
        fill: 0..255, what is around it.
    """

    size: tuple[int, int] | None = None
    channels: str = "rgb"
    scale: float = 1.0
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    place: str = "corner"
    fill: int = 114


_IMAGENET = Pixels(mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375))
_ULTRALYTICS = Pixels(std=(255.0, 255.0, 255.0), place="centre")
_PLAIN = Pixels(channels="bgr")
PRESETS = {
    "simcc": _IMAGENET,
    "heatmap": _IMAGENET,
    "rtmo": _PLAIN,
    "yolo_pose": _ULTRALYTICS,
    "rtmdet": replace(
        _PLAIN, mean=tuple(reversed(_IMAGENET.mean)), std=tuple(reversed(_IMAGENET.std))
    ),
    "yolox": _PLAIN,
    "yolo": _ULTRALYTICS,
}


@dataclass(frozen=True)
class PersonConfiguration:
    """The network that says where people are.

    Attributes:
        model: ONNX file.
        layout: one of :data:`PERSON_LAYOUTS`.
        input: pixels.
        min_score: boxes below, 0..1, are nobody.
        nms_overlap: of two boxes that overlap by more (intersection over union), one stays.
        label: the class that means a person.
    """

    model: Path
    layout: str
    input: Pixels
    min_score: float = 0.5
    nms_overlap: float = 0.45
    label: int = 0


@dataclass(frozen=True)
class DetectorConfiguration:
    """A pose model.

    Attributes:
        model: ONNX file.
        layout: one of :data:`LAYOUTS`.
        skeleton: name of the skeleton that the keypoints are.
        name: what messages call it.
        input: pixels.
        min_score: people below, 0..1, are left out.
        nms_overlap: as in :class:`PersonConfiguration`; one-stage models only.
        max_people: the most certain ones are kept.
        padding: a person's box is looked at this many times as large; top-down only.
        udp: a heatmap model was trained with unbiased data processing (ViTPose was).
        person: where the boxes of a top-down model come from; None: from the person's
            keypoints in the image before, and the whole image at the start, so one person.
    """

    model: Path
    layout: str
    skeleton: str
    name: str
    input: Pixels
    min_score: float = 0.3
    nms_overlap: float = 0.45
    max_people: int = 10
    padding: float = 1.25
    udp: bool = False
    person: PersonConfiguration | None = None


def read(path: str | Path) -> DetectorConfiguration:
    """Read and check a file. Whether the models exist is not looked at.

    Raises:
        VipeError: no such file, not YAML, a key that is unknown, missing or does not belong
            to the layout, or a value of the wrong type or range.
    """
    path = Path(path).expanduser()
    where = f"detector {path}"
    given = values.keys(_parse(path, where), _POSE, ("model", "layout", "skeleton"), where)
    layout = given["layout"]
    if layout in ONE_STAGE and (alien := given.keys() & {"person", "padding", "udp"}):
        raise VipeError(
            f"{where}: {sorted(alien)[0]} is for the layouts {', '.join(TOP_DOWN)}, "
            f"{layout} finds people itself"
        )
    if layout in TOP_DOWN:
        given["person"] = _person(given.get("person"), layout, path, where)
    given["input"] = _input(given.get("input", {}), layout, where)
    given["model"] = path.parent / given["model"]
    given.setdefault("name", path.stem)
    return DetectorConfiguration(**given)


def _parse(path: Path, where: str) -> Any:
    try:
        import yaml
    except ImportError:
        raise VipeError(f"{where}: PyYAML is needed: pip install PyYAML") from None
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise VipeError(f"{where} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise VipeError(f"{where} is not YAML: {' '.join(str(error).split())[:200]}") from None


def _person(value: Any, layout: str, path: Path, where: str) -> PersonConfiguration | None:
    if value == TRACK:
        return None
    where = f"{where}: person"
    if not isinstance(value, dict):
        raise VipeError(
            f"{where}: {layout} needs a person detector (model, layout), or the word {TRACK}: "
            f"one person, followed; got {repr(value)}"
        )
    given = values.keys(value, _PERSON, ("model", "layout"), where)
    given["input"] = _input(given.get("input", {}), given["layout"], where)
    given["model"] = path.parent / given["model"]
    return PersonConfiguration(**given)


def _input(value: Any, layout: str, where: str) -> Pixels:
    return replace(PRESETS[layout], **values.keys(value, _INPUT, (), f"{where}: input"))


_INPUT: dict[str, values.Check] = {
    "size": values.several(2, values.number(8, 8192, int)),
    "channels": values.one_of("rgb", "bgr"),
    "scale": values.number(1e-6, 1e6),
    "mean": values.several(3, values.number(-1e6, 1e6)),
    "std": values.several(3, values.number(1e-6, 1e6)),
    "place": values.one_of("corner", "centre"),
    "fill": values.number(0, 255, int),
}
_PERSON: dict[str, values.Check] = {
    "model": values.file,
    "layout": values.one_of(*PERSON_LAYOUTS),
    "input": values.anything,  # until the layout is known
    "min_score": values.number(0, 1),
    "nms_overlap": values.number(0, 1),
    "label": values.number(0, 10**6, int),
}
_POSE: dict[str, values.Check] = {
    "model": values.file,
    "layout": values.one_of(*LAYOUTS),
    "skeleton": values.skeleton,
    "name": values.text,
    "input": values.anything,
    "min_score": values.number(0, 1),
    "nms_overlap": values.number(0, 1),
    "max_people": values.number(1, 100, int),
    "padding": values.number(1, 4),
    "udp": values.flag,
    "person": values.anything,
}
