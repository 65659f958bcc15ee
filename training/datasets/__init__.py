"""Motion capture on disk."""

from vipe_training.datasets.motion import MotionSet, data_root, load_motion

__all__ = ["MotionSet", "data_root", "load_motion"]
