"""Motion capture on disk."""

from vipe_training.datasets.motion import (
    Detections,
    MotionSet,
    canonical,
    data_root,
    join,
    load_motion,
)
from vipe_training.datasets.windows import windows

__all__ = ["Detections", "MotionSet", "canonical", "data_root", "join", "load_motion", "windows"]
