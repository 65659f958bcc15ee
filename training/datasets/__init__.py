"""Motion capture on disk."""

from vipe_training.datasets.motion import (
    Detections,
    MotionSet,
    canonical,
    data_root,
    load_motion,
)

__all__ = ["Detections", "MotionSet", "canonical", "data_root", "load_motion"]
