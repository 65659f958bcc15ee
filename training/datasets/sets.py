"""The data sets that ``vipe data prepare`` knows, and the reader of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vipe_core.errors import VipeError
from vipe_training.datasets.readers import h36m
from vipe_training.datasets.readers.aist import Aist
from vipe_training.datasets.readers.amass import Amass
from vipe_training.datasets.readers.bvh import Bvh
from vipe_training.datasets.readers.cmu import Cmu
from vipe_training.datasets.readers.coco import Coco
from vipe_training.datasets.readers.keypoint_folder import KeypointFolder
from vipe_training.datasets.readers.mpi_inf_3dhp import MpiInf3dhp
from vipe_training.datasets.readers.penn_action import PennAction
from vipe_training.datasets.readers.three_dpw import ThreeDpw
from vipe_training.datasets.recording import Reader


@dataclass(frozen=True)
class DataSet:
    """A data set.

    Attributes:
        title: its name in full.
        reader: makes the reader from the place of the files and options.
        options: names of the options that the reader takes.
    """

    title: str
    reader: Callable[..., Reader]
    options: tuple[str, ...] = ()


SETS: dict[str, DataSet] = {
    "h36m": DataSet("Human3.6M", h36m.reader, ("detections",)),
    "mpi-inf-3dhp": DataSet("MPI-INF-3DHP", MpiInf3dhp),
    "3dpw": DataSet("3DPW", ThreeDpw),
    "aist": DataSet("AIST++", Aist),
    "amass": DataSet("AMASS", Amass, ("body_model",)),
    "cmu": DataSet("CMU motion capture, AMC + ASF", Cmu, ("fps", "scale")),
    "bvh": DataSet("BVH motion capture", Bvh, ("scale",)),
    "penn-action": DataSet("Penn Action, 2D", PennAction),
    "coco": DataSet("COCO keypoints, 2D", Coco),
    "keypoints": DataSet("a folder of keypoint files, 2D", KeypointFolder),
}


def open_set(name: str, source: Path, **options: Any) -> Reader:
    """The reader of a set; options that are None are left out.

    Raises:
        VipeError: an unknown set, an option that it does not have, or missing files.
    """
    if name not in SETS:
        raise VipeError(f"unknown data set {name!r}; known: {', '.join(SETS)}")
    given = {key: value for key, value in options.items() if value is not None}
    for key in given:
        if key not in SETS[name].options:
            owners = ", ".join(other for other, entry in SETS.items() if key in entry.options)
            raise VipeError(f"--{key.replace('_', '-')} is for {owners}, not for {name}")
    return SETS[name].reader(source, **given)
