"""Cut an example of an action out of a video: BlazePose on a span, one keypoint file.

    python examples/teach_from_video.py clip.mp4 wave.npz --label wave --start 1.0 --end 2.5

Put the files of all examples into one folder and give it to the nodes (``examples_dir``).
"""

from __future__ import annotations

import argparse
import sys
from itertools import count
from pathlib import Path

import cv2
import numpy as np

from vipe_core import keypoint_file
from vipe_core.detectors import BlazePose
from vipe_core.errors import VipeError
from vipe_core.keypoint_file import KeypointFile


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("video", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--label", required=True, help="name of the action")
    parser.add_argument("--start", type=float, default=0.0, help="seconds")
    parser.add_argument("--end", type=float, default=float("inf"), help="seconds")
    args = parser.parse_args()
    try:
        clip = detect(args.video, args.label, args.start, args.end)
        keypoint_file.write(args.out, clip)
    except VipeError as error:
        print(f"teach_from_video: {error}", file=sys.stderr)
        return 2
    seen = np.isfinite(clip.points).all(axis=(1, 2)).sum()
    print(f"{args.out}: {len(clip.points)} frames of {args.label!r}, a person in {seen}")
    return 0


def detect(video: Path, label: str, start: float, end: float) -> KeypointFile:
    """Keypoints of the frames from ``start`` to ``end`` seconds.

    Raises:
        VipeError: the video cannot be read, or nobody is seen in the span.
    """
    capture = cv2.VideoCapture(str(video))
    if not capture.isOpened():
        raise VipeError(f"video {video} cannot be opened")
    fps, detector = capture.get(cv2.CAP_PROP_FPS), BlazePose()
    if not fps > 0:
        raise VipeError(f"video {video} does not say how many images a second it has")
    points, visibility = [], []
    for index in count():  # some files do not know how many images they have
        more, image = capture.read()
        if not more or index / fps > end:
            break
        people = detector(image)  # also before the span: the detector follows a person
        if index / fps >= start:
            points.append(people.points[0] if len(people) else np.full((33, 2), np.nan))
            visibility.append(people.visibility[0] if len(people) else np.zeros(33))
    capture.release()
    if not points or not np.isfinite(points).any():
        raise VipeError(f"video {video} shows nobody from {start:g} to {end:g} s")
    return KeypointFile(np.array(points), np.array(visibility), "blazepose33", fps=fps, label=label)


if __name__ == "__main__":
    sys.exit(main())
