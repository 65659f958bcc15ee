"""Actions recognised by example."""

from vipe_core.actions.examples import Example, Examples, Keypoints
from vipe_core.actions.recognizer import UNKNOWN, Action, Recognizer, segments

__all__ = ["UNKNOWN", "Action", "Example", "Examples", "Keypoints", "Recognizer", "segments"]
