"""Bags for tests: real files, written by rosbags from the .msg files of vipe_msgs.

    write_bag(tmp_path / "walk", [("/bodies_2d", BODIES, stamp_s, bodies_message(people, stamp_s))])
    write_bag(tmp_path / "all", Robot(model).everything())

The people in the images are painted, see :mod:`tests.detector_factory`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from tests.detector_factory import figures, paint
from vipe_core.bodies import Bodies2D, Estimates
from vipe_core.pipeline import Pipeline
from vipe_core.recordings.messages import BODIES, COMPRESSED, EMBEDDINGS, IMAGE
from vipe_core.runtime import Model

ROOT = Path(__file__).resolve().parents[1]
SIZE = (320, 192)
START_S, FPS, COUNT = 1_700_000_000.25, 30, 40
Entry = tuple[str, str, float, Any]  # topic, type, seconds at which it was recorded, message


@cache
def typestore() -> Any:
    """Knows ROS's own types and vipe_msgs."""
    store = get_typestore(Stores.ROS2_KILTED)
    types: dict[str, Any] = {}
    for path in sorted((ROOT / "ros_ws/src/vipe_msgs/msg").glob("*.msg")):
        types |= get_types_from_msg(path.read_text(), f"vipe_msgs/msg/{path.stem}")
    store.register(types)
    return store


def write_bag(
    folder: Path, entries: Iterable[Entry], sqlite: bool = False, compressed: bool = False
) -> Path:
    """Write a bag; the entries in the order given. The folder."""
    plugin = StoragePlugin.SQLITE3 if sqlite else StoragePlugin.MCAP
    writer = Writer(folder, version=9, storage_plugin=plugin)
    if compressed:
        writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
    connections: dict[str, Any] = {}
    with writer as bag:
        for topic, kind, recorded_s, message in entries:
            if topic not in connections:
                connections[topic] = bag.add_connection(topic, kind, typestore=typestore())
            data = typestore().serialize_cdr(message, kind)
            bag.write(connections[topic], round(recorded_s * 1e9), data)
    return folder


def header(stamp_s: float, frame_id: str = "camera") -> Any:
    """A std_msgs/Header."""
    types = typestore().types
    whole, nanoseconds = divmod(round(stamp_s * 1e9), 10**9)
    stamp = types["builtin_interfaces/msg/Time"](sec=whole, nanosec=nanoseconds)
    return types["std_msgs/msg/Header"](stamp=stamp, frame_id=frame_id)


def bodies_message(people: Bodies2D, stamp_s: float, frame_id: str = "camera") -> Any:
    """A vipe_msgs/Bodies2D."""
    types = typestore().types
    width, height = people.image_size or (0, 0)
    bodies = [
        types["vipe_msgs/msg/Body2D"](
            track_id=name,
            score=float(people.scores[i]),
            points=people.points[i].ravel(),
            visibility=people.visibility[i],
            swapped=False,
        )
        for i, name in enumerate(people.track_ids)
    ]
    return types[BODIES](
        header=header(stamp_s, frame_id),
        skeleton=people.skeleton,
        image_width=width,
        image_height=height,
        detector="test",
        bodies=bodies,
    )


def embeddings_message(
    names: Iterable[str],
    estimates: Estimates,
    model: Model,
    stamp_s: float,
    fingerprint: str | None = None,
) -> Any:
    """A vipe_msgs/Embeddings."""
    types = typestore().types
    heads = ("mean", "variance", "mirror_mean", "mirror_variance")
    bodies = []
    for i, name in enumerate(names):
        values = {h: _row(getattr(estimates, h), i) for h in heads}
        seen = np.ones(13, np.float32)
        bodies.append(types["vipe_msgs/msg/Embedding"](track_id=name, visibility=seen, **values))
    return types[EMBEDDINGS](
        header=header(stamp_s),
        model=model.metadata.name,
        model_version=model.metadata.version,
        fingerprint=model.fingerprint if fingerprint is None else fingerprint,
        sigmoid_a=float(model.metadata.sigmoid_a or 0),
        sigmoid_b=float(model.metadata.sigmoid_b or 0),
        bodies=bodies,
    )


def _row(values: np.ndarray | None, row: int) -> np.ndarray:
    return np.empty(0, np.float32) if values is None else np.asarray(values[row], np.float32)


def image_message(image: np.ndarray, stamp_s: float, frame_id: str = "camera") -> Any:
    """A sensor_msgs/Image, bgr8."""
    height, width, _ = image.shape
    return typestore().types[IMAGE](
        header=header(stamp_s, frame_id),
        height=height,
        width=width,
        encoding="bgr8",
        is_bigendian=0,
        step=3 * width,
        data=image.reshape(-1),
    )


def compressed_message(image: np.ndarray, stamp_s: float) -> Any:
    """A sensor_msgs/CompressedImage, PNG."""
    import cv2

    data = cv2.imencode(".png", image)[1].reshape(-1)
    return typestore().types[COMPRESSED](header=header(stamp_s), format="png", data=data)


def people(frame: int) -> Bodies2D:
    """Two people who walk to the right, as a detector sees them."""
    points = figures(np.array([[60.0 + frame / 4, 96], [230.0 + frame / 4, 96]]), size=50)
    return Bodies2D.from_arrays(points, None, "coco17", image_size=SIZE)


@cache
def picture(frame: int) -> np.ndarray:
    """The image in which they are seen."""
    return paint(SIZE, people(frame).points)


def stamp(frame: int) -> float:
    return START_S + frame / FPS


class Robot:
    """What the nodes would have recorded, topic by topic."""

    def __init__(self, model: Model, count: int = COUNT) -> None:
        pipeline = Pipeline(model)
        self.model, self.count = model, count
        self.scenes = [pipeline(people(i), stamp(i)) for i in range(count)]
        self.ids = self.scenes[0].people.track_ids

    def images(self, topic: str = "/camera/image") -> Iterator[Entry]:
        for i in range(self.count):
            message = image_message(picture(i), stamp(i))
            yield topic, IMAGE, stamp(i) + 0.01, message

    def compressed(self, topic: str = "/camera/image/compressed") -> Iterator[Entry]:
        for i in range(self.count):
            message = compressed_message(picture(i), stamp(i))
            yield topic, COMPRESSED, stamp(i) + 0.01, message

    def bodies(self, topic: str = "/bodies_2d") -> Iterator[Entry]:
        for i in range(self.count):
            yield topic, BODIES, stamp(i) + 0.02, bodies_message(people(i), stamp(i))

    def tracked(self, topic: str = "/bodies_2d/tracked") -> Iterator[Entry]:
        for i, scene in enumerate(self.scenes):
            message = bodies_message(scene.people, stamp(i))
            yield topic, BODIES, stamp(i) + 0.04, message

    def embeddings(
        self, topic: str = "/embeddings", fingerprint: str | None = None
    ) -> Iterator[Entry]:
        for i, scene in enumerate(self.scenes):
            message = embeddings_message(
                scene.people.track_ids, scene.estimates, self.model, stamp(i), fingerprint
            )
            yield topic, EMBEDDINGS, stamp(i) + 0.03, message

    def everything(self) -> list[Entry]:
        parts = (self.images(), self.bodies(), self.embeddings(), self.tracked())
        return in_time(*parts)


def in_time(*parts: Iterator[Entry]) -> list[Entry]:
    return sorted((entry for part in parts for entry in part), key=lambda entry: entry[2])
