"""Performances lined up in time: two that are over, one live, or examples in a stream."""

from vipe_core.alignment.follower import Follower, Following
from vipe_core.alignment.performances import Alignment, align
from vipe_core.alignment.stream import StreamAligner
from vipe_core.alignment.warping import dtw

__all__ = ["Alignment", "Follower", "Following", "StreamAligner", "align", "dtw"]
