"""Recordings of people, of whatever kind, as one stream of moments.

with open_source("wave.mp4", model) as source:
    for moment in source.moments(): ...

recording = read("bags/morning", model)    # all of it, person by person
"""

from vipe_core.recordings.finding import find
from vipe_core.recordings.opening import open_source
from vipe_core.recordings.reading import read
from vipe_core.recordings.recording import Moment, Person, Recording
from vipe_core.recordings.source import Source

__all__ = ["Moment", "Person", "Recording", "Source", "find", "open_source", "read"]
