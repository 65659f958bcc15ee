"""Motion files of actions and Penn Action's in their true formats, and a task for a suite."""

from __future__ import annotations

import argparse
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from scipy.io import savemat

from tests.bodies import random_people
from tests.training import data_sets
from vipe_core import runtime
from vipe_training.datasets.prepare import prepare
from vipe_training.datasets.readers.penn_action import PennAction
from vipe_training.evaluate.coders import coder
from vipe_training.evaluate.samples.source import Source
from vipe_training.evaluate.task import Contestant, Task

TRAIN = {"train": np.int16(1)}  # a video of the training split


def movement(label: int, frames: int, seed: int) -> np.ndarray:
    """(F, 17, 3): from one pose to another and back; both belong to the label, and a little
    of either to the seed."""
    ends = random_people(2, 100 + label) + 0.05 * random_people(2, seed)
    share = np.sin(np.linspace(0, np.pi, frames))[:, None, None]
    return ((1 - share) * ends[0] + share * ends[1]).astype(np.float32)


def write_actions(
    path: Path,
    labels: list[str],
    frames: int = 20,
    fps: float | None = 15.0,
    seed: int = 0,
    **extra: Any,
) -> Path:
    """A clip per entry of ``labels``; clips of one label are alike."""
    names = sorted(set(labels))
    clips = [movement(names.index(label), frames, seed + i) for i, label in enumerate(labels)]
    path.parent.mkdir(parents=True, exist_ok=True)
    pose = np.concatenate(clips)
    fields = {
        "pose": pose - pose[:, :1],
        "frame_ok": np.ones(len(pose), bool),
        "clip_start": np.arange(len(labels) + 1) * frames,
        "subject": np.array(["someone"] * len(labels)),
        "category": np.array(labels),
        "style": np.array(["calm"] * len(labels)),
        "trial": np.array([f"{path.stem}-{i}" for i in range(len(labels))]),
        "fps": None if fps is None else np.full(len(labels), fps, np.float32),
    } | extra
    np.savez(path, **{name: value for name, value in fields.items() if value is not None})
    return path


def write_bandai(root: Path, labels: tuple[str, ...] = ("bow", "run", "wave"), **keys: Any) -> None:
    """The three files, two clips of each label in each."""
    for number, part in enumerate(("train", "val", "test")):
        path = root / "actions" / f"bandai_ccbync_{part}.npz"
        write_actions(path, [*labels, *labels], seed=50 * number, **keys)


def contestant_of(path: Path) -> Contestant:
    """A model file as a row."""
    model = runtime.load(path)
    info = model.metadata
    return Contestant(
        info.name, model.fingerprint, coder(model), None, info.frames, info.frame_step, model
    )


def make_task(suite: ModuleType, contestants: list[Contestant], *argv: str, **fields: Any) -> Task:
    """What the command line makes of ``argv``."""
    parser = argparse.ArgumentParser()
    suite.add_options(parser)
    return Task(
        contestants, fields.pop("source", Source()), options=parser.parse_args(argv), **fields
    )


def penn_cache(tmp_path: Path, *changes: dict) -> tuple[Path, Path]:
    """The cache of videos that differ from the fixture's as told; and the folder of labels."""
    folder = tmp_path / "Penn_Action" / "labels"
    folder.mkdir(parents=True)
    for number, change in enumerate(changes, 1):
        savemat(folder / f"{number:04d}.mat", data_sets.penn_action_content() | change)
    prepare("penn-action", PennAction(folder), tmp_path / "penn-action.vipe")
    return tmp_path / "penn-action.vipe", folder
