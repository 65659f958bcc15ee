"""From a recording and its video to the two pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from demo import draw
from demo.record import Recording
from demo.report import frame_stamps, recognised, spoken, video_times
from demo.teach import Span, video_frames, video_rate
from vipe_core.actions import UNKNOWN, Action

# Frames worth a look: arms up, the second round, turned away, the woman who walks by.
_MOMENTS = (22, 54, 100, 176)
_STRIP = 8  # small frames above the timeline


def pictures(recording: Recording, video: Path, spans: tuple[Span, ...], out: Path) -> None:
    """Write ``skeletons.png`` and ``actions.png``; each is left out where nothing was seen."""
    moments = _moments(recording, video)
    if moments:
        chosen = [moments[index] for index in _choose(list(moments))]
        draw.skeletons_picture(chosen, out / "skeletons.png")
    if recording.arrivals["actions"]:
        draw.actions_picture(_timeline(recording, video, spans, moments), out / "actions.png")


def _moments(recording: Recording, video: Path) -> dict[int, draw.Moment]:
    """Frame index -> what was found, for the frames that may be drawn."""
    index = {stamp: i for i, stamp in enumerate(frame_stamps(recording))}
    bodies = {a.stamp: a.message for a in recording.arrivals["bodies_2d"] if a.message.bodies}
    poses = {a.stamp: a.message for a in recording.arrivals["bodies_3d"] if a.message.bodies}
    both = {index[stamp]: stamp for stamp in sorted(bodies.keys() & poses.keys() & index.keys())}
    wanted = set(_choose(list(both))) | set(_evenly(list(both), _STRIP))
    rate = video_rate(video)
    actions = recognised(recording, rate)
    found = {}
    for i, image in enumerate(video_frames(video)):
        if i in wanted:
            stamp = both[i]
            title = f"{i / rate:.2f} s   {_action_at(i / rate, actions)}"
            found[i] = _moment(title, image, bodies[stamp], poses[stamp])
    return found


def _action_at(time: float, actions: list[dict[str, Any]]) -> str:
    """Label and probability of the action that is going on ``time`` seconds after the start."""
    for action in actions:
        if action["start_s"] <= time <= action["end_s"]:
            return f"{action['label']} {action['probability']:.2f}"
    return UNKNOWN


def _moment(title: str, image: np.ndarray, bodies: Any, poses: Any) -> draw.Moment:
    """The first person of the two messages; pixels rescaled to the video's own size."""
    scale = image.shape[1] / (bodies.image_width or image.shape[1])
    body, pose = bodies.bodies[0], poses.bodies[0]
    return draw.Moment(
        title,
        image,
        np.reshape(body.points, (-1, 2)) * scale,
        np.array(body.visibility),
        bodies.skeleton,
        np.reshape(pose.joints, (-1, 3)),
        np.array(pose.std),
    )


def _choose(seen: list[int]) -> list[int]:
    """The frames worth a look that have a body, filled up to as many evenly."""
    chosen = [i for i in _MOMENTS if i in set(seen)]
    for i in _evenly(seen, 2 * len(_MOMENTS)):
        if len(chosen) < len(_MOMENTS) and i not in chosen:
            chosen.append(i)
    return sorted(chosen)


def _evenly(seen: list[int], count: int) -> list[int]:
    """``count`` entries in the middle of equal parts of ``seen``."""
    places = (np.arange(min(count, len(seen))) + 0.5) / max(min(count, len(seen)), 1)
    return [seen[int(place * len(seen))] for place in places]


def _apart(seen: list[int], count: int) -> list[int]:
    """``count`` of the sorted entries, without the closest neighbours."""
    kept = list(seen)
    while len(kept) > count:
        gaps = np.diff(kept)
        kept.pop(int(gaps.argmin()) + 1)
    return kept


def _timeline(
    recording: Recording, video: Path, spans: tuple[Span, ...], moments: dict[int, draw.Moment]
) -> draw.Timeline:
    rate = video_rate(video)
    said = spoken(recording)
    names = list(dict.fromkeys(span.label for span in spans))
    return draw.Timeline(
        video_times(recording, [stamp for stamp, _ in said], rate),
        {name: np.array([_fit(action, name) for _, action in said]) for name in names},
        [(span.label, span.first / rate, (span.last + 1) / rate) for span in spans],
        [(a["label"], a["start_s"], a["end_s"]) for a in recognised(recording, rate)],
        [(i / rate, moments[i]) for i in _apart(sorted(moments), _STRIP)],
        len(frame_stamps(recording)) / rate,
    )


def _fit(action: Action, label: str) -> float:
    """Probability given to ``label``; NaN where the message gives none."""
    return dict(zip(action.labels, action.probabilities, strict=True)).get(label, np.nan)
