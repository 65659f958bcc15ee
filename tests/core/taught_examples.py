"""Made-up examples of actions, for the tests of their file."""

from __future__ import annotations

import numpy as np

from vipe_core.actions import Example, Examples, Keypoints
from vipe_core.actions.examples import embedded
from vipe_core.actions.examples_fields import to_fields
from vipe_core.keypoint_file import KeypointFile
from vipe_core.runtime import Model
from vipe_core.track import Track


def example(label: str, frames: int = 31, seed: int = 0, mirror: bool = True, **more) -> Example:
    rng = np.random.default_rng(seed)
    mean, variance, twin = rng.uniform(0, 1, (3, frames, 4)).astype(np.float32)
    mirrored = (twin, variance * 2) if mirror else ()
    return Example(label, Track(1e9 + np.arange(frames) / 30, mean, variance, *mirrored), **more)


def keypoints(frames: int, skeleton: str, joints: int) -> Keypoints:
    rng = np.random.default_rng(joints)
    points = rng.uniform(0, 640, (frames, joints, 2)).astype(np.float32)
    points[3, 2] = np.nan
    return Keypoints(points, rng.uniform(0, 1, points.shape[:-1]).astype(np.float32), skeleton)


def several() -> Examples:
    taught = [
        example("wave", 31, 1, source="wave_1.mp4", keypoints=keypoints(31, "body13", 13)),
        example("Verbeugung, tief", 45, 2, mirror=False),
        example("手を振る", 10, 3, source="/a b/clip.npz", keypoints=keypoints(10, "coco17", 17)),
    ]
    return Examples.from_examples(taught, 2.5, 0.5, "0123456789ab", "vipe 1.0")


def same(a: Examples, b: Examples) -> bool:
    """To the last bit."""
    fields, others = to_fields(a), to_fields(b)
    return fields.keys() == others.keys() and all(
        np.array_equal(fields[n], others[n], equal_nan=np.asarray(fields[n]).dtype.kind == "f")
        for n in fields
    )


def refuse(line: str) -> None:
    raise AssertionError(line)


def embed(content: KeypointFile, model: Model) -> Track:
    """The track of a keypoint file's first person, straight from the model."""
    keypoints = Keypoints(*content.person(0), content.skeleton)
    return embedded(keypoints, content.stamps(), model)[0]
