"""2D pose detectors: an image in, :class:`vipe_core.bodies.Bodies2D` out."""

from vipe_core.detectors.blazepose import BlazePose
from vipe_core.detectors.detector import Detector, load

__all__ = ["BlazePose", "Detector", "load"]
