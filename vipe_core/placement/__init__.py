"""Where bodies are in the camera frame, in metres.

:mod:`.pnp` finds the pose of a known shape from its image, :mod:`.depth` reads a depth image,
:mod:`.height` learns how tall people are, :mod:`.placer` puts the three together.
"""

from vipe_core.placement.placer import Placements, Placer

__all__ = ["Placements", "Placer"]
