"""Numbers out of a recording: counts, losses, latencies, recognised stretches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from demo.record import Recording
from vipe_core.actions import UNKNOWN, Action, segments

STAGES = ("bodies_2d", "embeddings", "bodies_3d", "actions")
_MIN_EMBEDDED = 0.95  # of the frames in which the detector finds somebody


def frame_stamps(recording: Recording) -> list[int]:
    """Stamps in nanoseconds of the images that the camera published, rising."""
    return sorted(set(recording.stamps("camera_info")))


def video_times(recording: Recording, stamps: Sequence[float], rate: float) -> np.ndarray:
    """Seconds of the video at stamps in nanoseconds.

    Counted in frames, not by the clock: on a busy machine the camera may come late.
    """
    frames = frame_stamps(recording)
    if not frames:
        return np.zeros(len(stamps))
    base = frames[0]  # float64 holds seconds since 1970 to 0.2 microseconds only
    since = np.array([stamp - base for stamp in stamps], float)
    return np.interp(since, np.array(frames) - base, np.arange(len(frames)) / rate)


def summarise(recording: Recording, rate: float) -> dict[str, Any]:
    """The content of ``summary.json``; every number of the table is in it.

    Args:
        recording: of a whole run.
        rate: frames per second of the video.
    """
    frames = frame_stamps(recording)
    people = {stage: _people_by_stamp(recording, stage) for stage in STAGES}
    seen = [stamp for stamp, count in people["bodies_2d"].items() if count]
    embedded = sum(1 for stamp in seen if people["embeddings"].get(stamp))
    return {
        "frames_in": len(frames),
        "frames_with_a_body": len(seen),
        "frames_embedded": embedded,
        "embedded_share": embedded / len(seen) if seen else 0.0,
        "stages": {
            stage: {
                "messages": len(recording.stamps(stage)),
                "people": sum(people[stage].values()),
                "lost_frames": len(set(frames) - set(people[stage])),
                "latency_ms": latency_ms(recording, stage),
            }
            for stage in STAGES
        },
        "recognised": recognised(recording, rate),
        "video_rate_hz": rate,
        "camera_rate_hz": 1e9 * (len(frames) - 1) / max(frames[-1] - frames[0], 1) if frames else 0,
        "messages_in_bag": recording.count(),
    }


def latency_ms(recording: Recording, stage: str) -> dict[str, float | None]:
    """Median and 99th percentile of reception less image stamp, in milliseconds."""
    late = [(arrival.received - arrival.stamp) / 1e6 for arrival in recording.arrivals[stage]]
    if not late:
        return {"median": None, "p99": None}
    return {"median": float(np.median(late)), "p99": float(np.percentile(late, 99))}


def spoken(recording: Recording) -> list[tuple[int, Action]]:
    """Per message of ``actions`` the stamp and what it says of its first person."""
    found = []
    for arrival in recording.arrivals["actions"]:
        for said in arrival.message.actions[:1]:
            known = said.label != UNKNOWN
            start, end = (_seconds(time) if known else None for time in (said.start, said.end))
            everything = tuple(said.labels), tuple(said.probabilities)
            action = Action(said.label, said.probability, start, end, *everything)
            found.append((arrival.stamp, action))
    return found


def recognised(recording: Recording, rate: float) -> list[dict[str, Any]]:
    """Every action once: label, probability, start and end in seconds of the video."""
    found = []
    for action in segments(action for _, action in spoken(recording)):
        if action.start is None or action.end is None:
            continue
        ends = [1e9 * action.start, 1e9 * action.end]
        start, end = video_times(recording, ends, rate).round(3).tolist()
        probability = round(float(action.probability), 3)
        entry = {"label": action.label, "start_s": start, "end_s": end, "probability": probability}
        found.append(entry)
    return found


def failures(summary: dict[str, Any], expected_frames: int) -> list[str]:
    """What the demo promises and did not keep, one line each."""
    found = []
    if summary["frames_in"] != expected_frames:
        found.append(f"the camera sent {summary['frames_in']} frames of {expected_frames}")
    for stage, numbers in summary["stages"].items():
        if numbers["lost_frames"]:
            found.append(f"{numbers['lost_frames']} frames never came out of {stage}")
    if summary["embedded_share"] < _MIN_EMBEDDED:
        found.append(
            f"{summary['frames_embedded']} of {summary['frames_with_a_body']} frames with a body "
            f"were embedded, {_MIN_EMBEDDED:.0%} are promised"
        )
    return found


def table(summary: dict[str, Any]) -> str:
    """The summary for the terminal."""
    names = {
        "bodies_2d": "bodies found",
        "embeddings": "embeddings",
        "bodies_3d": "3D poses",
        "actions": "actions",
    }
    lines = [
        f"{'':14}{'messages':>9}{'people':>8}{'lost':>6}{'median ms':>11}{'p99 ms':>9}",
        f"{'frames in':14}{summary['frames_in']:>9}    at {summary['camera_rate_hz']:.1f} Hz, the "
        f"video has {summary['video_rate_hz']:g}",
    ]
    for stage, numbers in summary["stages"].items():
        late = numbers["latency_ms"]
        lines.append(
            f"{names[stage]:14}{numbers['messages']:>9}{numbers['people']:>8}"
            f"{numbers['lost_frames']:>6}{_ms(late['median']):>11}{_ms(late['p99']):>9}"
        )
    lines.append("")
    lines.append(
        f"embedded {summary['frames_embedded']} of {summary['frames_with_a_body']} frames with a "
        f"body ({summary['embedded_share']:.1%}); latency is image stamp to output received"
    )
    for action in summary["recognised"]:
        lines.append(
            f"recognised {action['label']:12} {action['start_s']:5.2f} to "
            f"{action['end_s']:5.2f} s, probability {action['probability']:.2f}"
        )
    return "\n".join(lines)


def _people_by_stamp(recording: Recording, stage: str) -> dict[int, int]:
    """Number of people in the message of every stamp."""
    field = "actions" if stage == "actions" else "bodies"
    return {
        arrival.stamp: len(getattr(arrival.message, field)) for arrival in recording.arrivals[stage]
    }


def _seconds(time: Any) -> float:
    return time.sec + time.nanosec * 1e-9


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
