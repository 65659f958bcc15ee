"""The README's picture of two performances in step: docs/images/alignment.gif.

    VIPE_DATA=FOLDER python -m tools.alignment_picture docs/images/alignment.gif

Two takes of a forward jump from the CMU motion capture database (subject 13, takes 11 and 13),
each seen by a camera of its own, with two pixels of noise, lined up by ``vipe align``.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import numpy as np

from vipe_core import keypoint_file
from vipe_core.cli import main as vipe
from vipe_core.geometry import Camera, project
from vipe_core.keypoint_file import KeypointFile
from vipe_core.skeletons import BODY13, JOINTS17

MOTION = "mocap/cmu_mocap_train.npz"
TAKES = {"a.npz": ("13_11", 75.0), "b.npz": ("13_13", -40.0)}  # take, degrees around the person
NOISE = 2.0  # pixels


def film(take: str, azimuth: float, seed: int) -> KeypointFile:
    """A take as a camera at 4 m sees it."""
    data = np.load(Path(os.environ["VIPE_DATA"]) / MOTION)
    clip = int(np.flatnonzero(data["trial"] == take)[0])
    joints = data["pose"][slice(*data["clip_start"][clip : clip + 2])].astype(float)
    turn = np.radians(azimuth)
    place = 4 * np.array([np.sin(turn), 0.25, np.cos(turn)])
    camera = Camera.look_at(place, np.zeros(3), np.array([0, 1.0, 0]))
    points = project(joints, camera)[:, JOINTS17.indices(*BODY13.joints)]
    points += np.random.default_rng(seed).normal(0, NOISE, points.shape)
    return KeypointFile(points, np.ones(points.shape[:2]), "body13", fps=float(data["fps"][clip]))


def main(output: str) -> int:
    """Write the picture; the exit status of ``vipe align``."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [str(Path(folder) / name) for name in TAKES]
        for seed, (path, take) in enumerate(zip(paths, TAKES.values(), strict=True)):
            keypoint_file.write(path, film(*take, seed))
        titles = ["--title", "first take", "second take"]
        found = str(Path(folder) / "out.npz")
        return vipe(["align", *paths, found, "--video", output, *titles])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
