"""Performances lined up in time: two whole ones, or examples inside a stream."""

from vipe_core.alignment.stream import StreamAligner
from vipe_core.alignment.warping import dtw

__all__ = ["StreamAligner", "dtw"]
