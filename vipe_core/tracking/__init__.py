"""Names for people that last from frame to frame.

    tracker = Tracker(odds=(model.metadata.sigmoid_a, model.metadata.sigmoid_b))
    people = tracker.update(people, stamp_s, estimates)     # people.track_ids: "bkafe", ...

``tracker.py`` decides who is who, from the evidence in ``evidence.py``, about the people that
``tracks.py`` remembers; ``assignment.py`` pairs them, ``names.py`` gives the ids.
"""

from vipe_core.tracking.assignment import expect_several
from vipe_core.tracking.tracker import Tracker

__all__ = ["Tracker", "expect_several"]
