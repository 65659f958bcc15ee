"""``vipe lift``."""

from __future__ import annotations

import math
from argparse import ArgumentTypeError

import numpy as np

from vipe_core import files
from vipe_core.cli.common import Parser, estimate_file, note_missing
from vipe_core.errors import VipeError

TALLEST = 3.0  # metres; a larger height is most likely in centimetres


def run(argv: list[str]) -> int:
    """Lift the poses of a keypoint file to 3D, in the person's own frame.

    OUT holds joints (T, 17, 3) in metres, order joints17, body frame (origin mid-hip,
    x forward, y left, z to the head); std (T, 17) in metres, per joint and axis; latent
    (T, D), with D = 0 for a model without one; and skeleton, model, height, fingerprint.
    A file with P people a frame gives (T, P, ...). A row is NaN where the person is missing.
    """
    parser = Parser("lift", run.__doc__, "lift clip.npz clip.3d.npz --height 1.82")
    parser.add_files("file to write")
    parser.add_argument(
        "--height", type=height, default=1.7, help="of the person, metres (default: %(default)s)"
    )
    args = parser.parse_args(argv)
    keypoints, model, found, missing = estimate_file(args)
    info = model.metadata
    if found.joints is None or found.std is None:
        raise VipeError(f"model {model.path} gives no 3D pose, its task is {info.task!r}")
    latent = found.mean
    files.write_npz(
        args.output,
        joints=found.joints * np.float32(args.height),
        std=found.std * np.float32(args.height),
        latent=np.empty((*missing.shape, 0), np.float32) if latent is None else latent,
        skeleton="joints17",
        model=f"{info.name} {info.version}",
        fingerprint=model.fingerprint,
        height=args.height,
        fps=keypoints.fps,
        stamp=keypoints.stamp,
        label=keypoints.label,
    )
    note_missing("lift", missing)
    return 0


def height(text: str) -> float:
    """A height in metres, for argparse."""
    try:
        metres = float(text)
    except ValueError:
        metres = math.nan
    if not 0 < metres <= TALLEST:
        raise ArgumentTypeError(f"metres between 0 and {TALLEST:g}, not {text!r}")
    return metres
