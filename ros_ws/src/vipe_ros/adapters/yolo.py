"""yolo_msgs/DetectionArray of yolo_ros, with a pose model.

A joint's id is its place in COCO's order, from 1; joints below yolo_ros's threshold are left
out. Older versions of Ultralytics put what they are not sure of at (0, 0). Track ids come from the
tracking node and start at 1: before it, the id is "" or, in the C++ node, "0".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from vipe_core import skeletons
from vipe_core.bodies import Bodies2D
from vipe_ros.adapters import joints
from vipe_ros.adapters.link import Size
from vipe_ros.errors import InputError

SKELETON = "coco17"
PERSON = "person"
UNTRACKED = ("", "0")


def bodies(message: Any, size: Size | None) -> Bodies2D:
    """The detections of class person that have keypoints.

    Raises:
        InputError: people without any keypoint, an id that COCO does not have, one twice.
    """
    people = [found for found in message.detections if found.class_name == PERSON]
    posed = [found for found in people if found.keypoints.data]
    if people and not posed:
        raise InputError(
            "no keypoints",
            f"{len(people)} people without keypoints: run yolo_ros with a pose model, "
            "for example yolo11n-pose.pt",
        )
    rows, columns, values = _flat(posed)
    table = np.full((len(posed), len(skeletons.get(SKELETON)), 3), np.nan)
    table[rows, columns] = values
    return Bodies2D.from_arrays(
        joints.present(table[..., :2]),
        joints.share(table[..., 2]),
        SKELETON,
        ["" if found.id in UNTRACKED else found.id for found in posed],
        joints.share(np.array([found.score for found in posed])),
        size,
    )


def _flat(people: Sequence[Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Person, joint and (x, y, score) of every keypoint of all people, K of each."""
    keypoints = [keypoint for found in people for keypoint in found.keypoints.data]
    rows = np.repeat(np.arange(len(people)), [len(found.keypoints.data) for found in people])
    columns = np.array([keypoint.id for keypoint in keypoints], int) - 1
    _check(rows, columns)
    values = [(keypoint.point.x, keypoint.point.y, keypoint.score) for keypoint in keypoints]
    return rows, columns, np.reshape(values, (-1, 3))


def _check(rows: np.ndarray, columns: np.ndarray) -> None:
    count = len(skeletons.get(SKELETON))
    for column in columns[(columns < 0) | (columns >= count)]:
        raise InputError(
            "unknown keypoint id", f"keypoint id {column + 1}; COCO's are 1 to {count}"
        )
    if len(np.unique(rows * count + columns)) < len(columns):
        raise InputError("repeated keypoint id", "a person has two keypoints of the same id")
