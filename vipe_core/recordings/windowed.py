"""People in images, for a model that looks at windows of frames.

A node sees one image at a time and takes no such model; a recording has the images that follow.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from vipe_core import skeletons
from vipe_core.bodies import Estimates
from vipe_core.recordings.recording import Moment
from vipe_core.runtime import Model
from vipe_core.windows import window_index


class Still:
    """A model of windows as one of single frames: the person stands still for the window.

    Good enough to tell people apart and left from right.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self.metadata = model.metadata

    def __call__(self, points: np.ndarray, visibility: np.ndarray) -> Estimates:
        """As of :class:`vipe_core.runtime.Model`, for (N, J, 2) and (N, J)."""
        window = [1, self.metadata.frames]
        return self._model(
            np.tile(points[:, None], [*window, 1, 1]), np.tile(visibility[:, None], [*window, 1])
        )


def in_windows(moments: Iterable[Moment], model: Model) -> Iterator[Moment]:
    """The same moments with estimates of each person's window; they come half a window late.

    Who is not seen in a frame of the window is invisible there, as in
    :func:`vipe_core.estimate.estimate`. Moments of a model of single frames go through as they are.

    Args:
        moments: with keypoints, stamps rising.
        model: of windows.
    """
    info = model.metadata
    if info.frames == 1:
        yield from moments
        return
    reach = info.frames // 2 * info.frame_step
    held: deque[Moment] = deque()
    done = 0  # of those held
    for moment in moments:
        held.append(moment)
        while done < len(held) and moment.stamp_s >= held[done].stamp_s + reach:
            yield _estimated(held, done, model)
            done += 1
            # The frame nearest to the window's beginning may lie before it.
            while done > 1 and held[1].stamp_s <= held[done - 1].stamp_s - reach:
                held.popleft()
                done -= 1
    for index in range(done, len(held)):
        yield _estimated(held, index, model)


def _estimated(held: deque[Moment], index: int, model: Model) -> Moment:
    """One moment, with what the model says of the windows around it."""
    info, moment = model.metadata, held[index]
    stamps = np.array([each.stamp_s for each in held])
    frames = [held[i] for i in window_index(stamps, info.frames, info.frame_step)[index]]
    shape = (len(moment.bodies), info.frames, len(skeletons.get(info.skeleton_2d)))
    points = np.full((*shape, 2), np.nan, np.float32)
    visibility = np.zeros(shape, np.float32)
    for column, frame in enumerate(frames):
        assert frame.people is not None
        people = frame.people.to_skeleton(info.skeleton_2d)
        for row, name in enumerate(moment.bodies):
            if name in frame.bodies:
                there = frame.bodies.index(name)
                points[row, column] = people.points[there]
                visibility[row, column] = people.visibility[there]
    return replace(moment, estimates=model(points, visibility))
